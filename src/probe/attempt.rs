//! One attempt: a target, its deadline, and what came of it, told apart from what was our own
//! doing.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::lookup_host,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{
    ProbeKey,
    aliases::{AliasAddresses, Known},
    certificate::TlsProbe,
    dns::DnsProbe,
    exec::ExecProbe,
    grpc::GrpcProbe,
    http::HttpProbe,
    icmp::IcmpProbe,
    no_result::NoResult,
    stopwatch::{Stopwatch, Timed},
    tcp,
};
use crate::{
    health::{Check, Failure, Monitor, Outcome, ProbeNote},
    steer::ProbeTarget,
};

/// A name's addresses beyond these are not asked.
const MOST_ADDRESSES: usize = 8;
/// What a running program holds: two pipes, and a descriptor of the process.
const EXEC_DESCRIPTORS: u32 = 3;

/// What a target that passed said beside it.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// The value of the reply's header of load metrics.
    pub(super) load_metrics: Option<Box<str>>,
    /// What an operator should know.
    pub(super) note: Option<ProbeNote>,
}

/// Why a probe did not pass.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The target's doing.
    Target(Failure),
    /// This process or its system lacks what a probe needs: no outcome at all.
    Ours(NoResult, io::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Target(failure)
    }
}

/// A monitor's check made ready; shared by all of its targets.
#[derive(Debug)]
pub(super) struct Checker {
    port: u16,
    /// Or why no probe of it can pass.
    kind: Result<Kind, Failure>,
    aliases: AliasAddresses,
    /// Descriptors that a probe may have beyond one.
    further: Arc<Semaphore>,
}

#[derive(Debug)]
enum Kind {
    Tcp,
    Http(Box<HttpProbe>),
    Tls(TlsProbe),
    Grpc(GrpcProbe),
    Dns(DnsProbe),
    Icmp(IcmpProbe),
    Exec(ExecProbe),
}

impl Checker {
    /// Reads the files that the monitor names: not for an async task. Its
    /// probes take descriptors beyond the first of each from `further`.
    pub(super) fn new(monitor: &Monitor, aliases: AliasAddresses, further: Arc<Semaphore>) -> Self {
        let (port, kind) = match &monitor.check {
            Check::Tcp(check) => (check.port, Ok(Kind::Tcp)),
            Check::Http(check) => {
                (check.port, HttpProbe::new(check).map(|probe| Kind::Http(Box::new(probe))))
            }
            Check::Tls(check) => (check.port, TlsProbe::new(check).map(Kind::Tls)),
            Check::Grpc(check) => (check.port, GrpcProbe::new(check).map(Kind::Grpc)),
            Check::Dns(check) => (check.port, DnsProbe::new(check).map(Kind::Dns)),
            Check::Icmp => (0, Ok(Kind::Icmp(IcmpProbe))),
            // The controller has only its parts probed.
            Check::Combine(_) => (
                0,
                Err(Failure::MonitorUnusable(
                    "it is a combination, of which the parts are probed".into(),
                )),
            ),
            Check::Exec(check) => (0, ExecProbe::new(check, &monitor.name).map(Kind::Exec)),
        };
        Self { port, kind, aliases, further }
    }

    /// The addresses of a name that is an alias.
    ///
    /// # Errors
    /// It is not resolved in time.
    async fn known_addresses(&self, key: &ProbeKey) -> Result<Option<Arc<[IpAddr]>>, ()> {
        match &key.target {
            // A program resolves for itself what is a name.
            ProbeTarget::Host(_) if matches!(self.kind, Ok(Kind::Exec(_))) => Ok(None),
            ProbeTarget::Host(name) => match self.aliases.of(name, key.monitor.timeout).await {
                Known::Other => Ok(None),
                Known::Addresses(addresses) => Ok(Some(addresses)),
                Known::Unresolved => Err(()),
            },
            ProbeTarget::Address(_) => Ok(None),
        }
    }

    /// Why the monitor cannot work, whatever its targets do.
    pub(super) fn fault(&self) -> Option<&Failure> {
        self.kind.as_ref().err()
    }

    async fn probe(&self, literal: &str, address: SocketAddr) -> Result<Pass, Trouble> {
        let probed = match self.kind.as_ref().map_err(Clone::clone)? {
            Kind::Tcp => tcp::probe(address).await.map(|()| Pass::default()),
            Kind::Http(probe) => probe.probe(literal, address).await,
            Kind::Tls(probe) => probe.probe(literal, address).await,
            Kind::Grpc(probe) => probe.probe(literal, address).await,
            Kind::Dns(probe) => probe.probe(address).await,
            Kind::Icmp(probe) => probe.probe(address.ip()).await,
            Kind::Exec(probe) => return self.run(probe, literal).await,
        };
        probed.map_err(|trouble| trouble.at(address))
    }

    /// Runs a program, which has two pipes and a descriptor of its process.
    async fn run(&self, program: &ExecProbe, literal: &str) -> Result<Pass, Trouble> {
        let Ok(_further) = self.further.try_acquire_many(EXEC_DESCRIPTORS - 1) else {
            return Err(Trouble::Ours(
                NoResult::Descriptors,
                io::Error::other("no descriptors left for another exec program"),
            ));
        };
        program.probe(literal).await
    }
}

/// Checks a target once.
///
/// # Errors
/// [`NoResult`] where the failure is, or may be, due to this process: the monitor cannot work, a
/// resource is missing, or the process did not run for most of the time that the target had.
pub(super) async fn attempt(
    checker: &Arc<Checker>,
    key: &ProbeKey,
    stopwatch: &Stopwatch<'_>,
) -> Result<Outcome, NoResult> {
    if checker.fault().is_some() {
        return Err(NoResult::Monitor);
    }
    let (monitor, timeout) = (&key.monitor.name, key.monitor.timeout);
    let Ok(known) = checker.known_addresses(key).await else {
        tracing::debug!(%monitor, endpoint = %key.target, "probe not possible: alias not resolved");
        return Err(NoResult::Alias);
    };
    let once = || probe(checker, &key.target, known.clone());
    let timed = stopwatch.time(timeout, once, is_affected_by_delay).await.inspect_err(|_| {
        tracing::debug!(
            %monitor,
            endpoint = %key.target,
            "probe failure discarded: this process was suspended or short of CPU"
        );
    });
    let Timed { ended, latency, .. } = timed?;
    match ended {
        Some(Ok(Pass { load_metrics, note })) => {
            Ok(Outcome { load_metrics, note, ..Outcome::new(Ok(()), latency) })
        }
        Some(Err(Trouble::Target(failure))) => Ok(Outcome::new(Err(failure), latency)),
        Some(Err(Trouble::Ours(reason, error))) => {
            tracing::debug!(%monitor, endpoint = %key.target, reason = reason.word(), %error, "probe not possible");
            Err(reason)
        }
        None => Ok(Outcome::new(Err(Failure::TimedOut(timeout)), latency)),
    }
}

/// Whether a delay of this process can have caused what a probe came to.
fn is_affected_by_delay(probed: &Result<Pass, Trouble>) -> bool {
    matches!(probed, Err(Trouble::Target(failure)) if failure.is_affected_by_delay())
}

/// Probes a target; `known` are the addresses of one that is an alias.
async fn probe(
    checker: &Arc<Checker>,
    target: &ProbeTarget,
    known: Option<Arc<[IpAddr]>>,
) -> Result<Pass, Trouble> {
    let literal = target.to_string();
    // A program is told the target as it is configured, and resolves for itself what is a name.
    if let Ok(Kind::Exec(program)) = &checker.kind {
        return checker.run(program, &literal).await;
    }
    let address = match target {
        ProbeTarget::Address(address) => SocketAddr::new(*address, checker.port),
        ProbeTarget::Host(_) => {
            let addresses: Vec<SocketAddr> = match known {
                Some(known) => {
                    known.iter().map(|address| SocketAddr::new(*address, checker.port)).collect()
                }
                None => lookup_host((&*literal, checker.port))
                    .await
                    .map_err(Trouble::of_resolution)?
                    .collect(),
            };
            return probe_any(checker, literal, addresses).await;
        }
    };
    checker.probe(&literal, address).await
}

/// Probes a name's addresses side by side, so that one that hangs leaves the others their time; one
/// after the other as far as descriptors are short. One that passes is enough. Otherwise an address
/// that could not be probed leaves the target without a result, for it may be the one that works;
/// else the failure that came last is reported.
async fn probe_any(
    checker: &Arc<Checker>,
    host: String,
    addresses: Vec<SocketAddr>,
) -> Result<Pass, Trouble> {
    let mut waiting = addresses.into_iter().take(MOST_ADDRESSES);
    let mut attempts = JoinSet::new();
    // With each attempt goes the right to its descriptor; the first has that of the probe.
    let start = |attempts: &mut JoinSet<_>, address, descriptor: Option<OwnedSemaphorePermit>| {
        let (checker, host) = (Arc::clone(checker), host.clone());
        attempts.spawn(async move { (checker.probe(&host, address).await, descriptor) });
    };
    if let Some(address) = waiting.next() {
        start(&mut attempts, address, None);
    }
    while let Ok(descriptor) = Arc::clone(&checker.further).try_acquire_owned()
        && let Some(address) = waiting.next()
    {
        start(&mut attempts, address, Some(descriptor));
    }
    let mut trouble = Trouble::from(Failure::Unresolved);
    while let Some(attempt) = attempts.join_next().await {
        let (later, descriptor) = match attempt {
            Ok((Ok(pass), _)) => return Ok(pass),
            Ok((Err(trouble), descriptor)) => (trouble, descriptor),
            Err(error) => (Trouble::Ours(NoResult::Internal, io::Error::other(error)), None),
        };
        trouble = trouble.and(later);
        if let Some(address) = waiting.next() {
            start(&mut attempts, address, descriptor);
        }
    }
    Err(trouble)
}
