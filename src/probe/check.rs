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
    aliases::{AliasAddresses, AliasResolution},
    attempt_timer::{AttemptTimer, TimedAttempt},
    certificate::TlsProbe,
    dns::DnsProbe,
    exec::ExecProbe,
    grpc::GrpcProbe,
    http::HttpProbe,
    icmp::IcmpProbe,
    no_result::NoResult,
    tcp,
};
use crate::{
    health::{Check, Failure, Monitor, Outcome, ProbeNote},
    steer::ProbeTarget,
};

/// A name's addresses beyond these are not asked.
const MAX_ADDRESSES: usize = 8;
/// What a running program holds: two pipes, and a descriptor of the process.
const EXEC_DESCRIPTORS: u32 = 3;

/// What a target that passed said beside it.
#[derive(Debug, Default)]
pub(super) struct PassDetails {
    /// The value of the reply's header of load metrics.
    pub(super) load_metrics: Option<Box<str>>,
    /// What an operator should know.
    pub(super) note: Option<ProbeNote>,
}

/// Why a probe did not pass.
#[derive(Debug)]
pub(super) enum ProbeError {
    /// The target's doing.
    Target(Failure),
    /// This process or its system lacks what a probe needs: no outcome at all.
    Local(NoResult, io::Error),
}

impl From<Failure> for ProbeError {
    fn from(failure: Failure) -> Self {
        Self::Target(failure)
    }
}

/// A monitor's check made ready; shared by all of its targets.
#[derive(Debug)]
pub(super) struct PreparedCheck {
    port: u16,
    /// Or why no probe of it can pass.
    kind: Result<ProbeKind, Failure>,
    aliases: AliasAddresses,
    /// Descriptors that a probe may have beyond one.
    extra_descriptors: Arc<Semaphore>,
}

#[derive(Debug)]
enum ProbeKind {
    Tcp,
    Http(Box<HttpProbe>),
    Tls(TlsProbe),
    Grpc(GrpcProbe),
    Dns(DnsProbe),
    Icmp(IcmpProbe),
    Exec(ExecProbe),
}

impl PreparedCheck {
    /// Reads the files that the monitor names: not for an async task. Its
    /// probes take descriptors beyond the first of each from `extra_descriptors`.
    pub(super) fn new(
        monitor: &Monitor,
        aliases: AliasAddresses,
        extra_descriptors: Arc<Semaphore>,
    ) -> Self {
        let (port, kind) = match &monitor.check {
            Check::Tcp(check) => (check.port, Ok(ProbeKind::Tcp)),
            Check::Http(check) => {
                (check.port, HttpProbe::new(check).map(|probe| ProbeKind::Http(Box::new(probe))))
            }
            Check::Tls(check) => (check.port, TlsProbe::new(check).map(ProbeKind::Tls)),
            Check::Grpc(check) => (check.port, GrpcProbe::new(check).map(ProbeKind::Grpc)),
            Check::Dns(check) => (check.port, DnsProbe::new(check).map(ProbeKind::Dns)),
            Check::Icmp => (0, Ok(ProbeKind::Icmp(IcmpProbe))),
            // The controller has only its parts probed.
            Check::Combine(_) => (
                0,
                Err(Failure::MonitorUnusable(
                    "it is a combination, of which the parts are probed".into(),
                )),
            ),
            Check::Exec(check) => (0, ExecProbe::new(check, &monitor.name).map(ProbeKind::Exec)),
        };
        Self { port, kind, aliases, extra_descriptors }
    }

    /// The addresses of a name that is an alias.
    ///
    /// # Errors
    /// It is not resolved in time.
    async fn alias_addresses(&self, key: &ProbeKey) -> Result<Option<Arc<[IpAddr]>>, ()> {
        match &key.target {
            // A program resolves for itself what is a name.
            ProbeTarget::Host(_) if matches!(self.kind, Ok(ProbeKind::Exec(_))) => Ok(None),
            ProbeTarget::Host(name) => match self.aliases.wait_for(name, key.monitor.timeout).await
            {
                AliasResolution::NotAnAlias => Ok(None),
                AliasResolution::Resolved(addresses) => Ok(Some(addresses)),
                AliasResolution::Unresolved => Err(()),
            },
            ProbeTarget::Address(_) => Ok(None),
        }
    }

    /// Why the monitor cannot work, whatever its targets do.
    pub(super) fn fault(&self) -> Option<&Failure> {
        self.kind.as_ref().err()
    }

    async fn probe(&self, literal: &str, address: SocketAddr) -> Result<PassDetails, ProbeError> {
        let probed = match self.kind.as_ref().map_err(Clone::clone)? {
            ProbeKind::Tcp => tcp::probe(address).await.map(|()| PassDetails::default()),
            ProbeKind::Http(probe) => probe.probe(literal, address).await,
            ProbeKind::Tls(probe) => probe.probe(literal, address).await,
            ProbeKind::Grpc(probe) => probe.probe(literal, address).await,
            ProbeKind::Dns(probe) => probe.probe(address).await,
            ProbeKind::Icmp(probe) => probe.probe(address.ip()).await,
            ProbeKind::Exec(probe) => return self.run(probe, literal).await,
        };
        probed.map_err(|trouble| trouble.for_address(address))
    }

    /// Runs a program, which has two pipes and a descriptor of its process.
    async fn run(&self, program: &ExecProbe, literal: &str) -> Result<PassDetails, ProbeError> {
        let Ok(_further) = self.extra_descriptors.try_acquire_many(EXEC_DESCRIPTORS - 1) else {
            return Err(ProbeError::Local(
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
pub(super) async fn check_target(
    checker: &Arc<PreparedCheck>,
    key: &ProbeKey,
    stopwatch: &AttemptTimer<'_>,
) -> Result<Outcome, NoResult> {
    if checker.fault().is_some() {
        return Err(NoResult::Monitor);
    }
    let (monitor, timeout) = (&key.monitor.name, key.monitor.timeout);
    let Ok(known) = checker.alias_addresses(key).await else {
        tracing::debug!(%monitor, endpoint = %key.target, "probe not possible: alias not resolved");
        return Err(NoResult::Alias);
    };
    let once = || probe(checker, &key.target, known.clone());
    let timed = stopwatch.run(timeout, once, is_affected_by_delay).await.inspect_err(|_| {
        tracing::debug!(
            %monitor,
            endpoint = %key.target,
            "probe failure discarded: this process was suspended or short of CPU"
        );
    });
    let TimedAttempt { result: ended, latency, .. } = timed?;
    match ended {
        Some(Ok(PassDetails { load_metrics, note })) => {
            Ok(Outcome { load_metrics, note, ..Outcome::new(Ok(()), latency) })
        }
        Some(Err(ProbeError::Target(failure))) => Ok(Outcome::new(Err(failure), latency)),
        Some(Err(ProbeError::Local(reason, error))) => {
            tracing::debug!(%monitor, endpoint = %key.target, reason = reason.label(), %error, "probe not possible");
            Err(reason)
        }
        None => Ok(Outcome::new(Err(Failure::TimedOut(timeout)), latency)),
    }
}

/// Whether a delay of this process can have caused what a probe came to.
fn is_affected_by_delay(probed: &Result<PassDetails, ProbeError>) -> bool {
    matches!(probed, Err(ProbeError::Target(failure)) if failure.is_affected_by_delay())
}

/// Probes a target; `known` are the addresses of one that is an alias.
async fn probe(
    checker: &Arc<PreparedCheck>,
    target: &ProbeTarget,
    known: Option<Arc<[IpAddr]>>,
) -> Result<PassDetails, ProbeError> {
    let literal = target.to_string();
    // A program is told the target as it is configured, and resolves for itself what is a name.
    if let Ok(ProbeKind::Exec(program)) = &checker.kind {
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
                    .map_err(ProbeError::from_resolution)?
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
    checker: &Arc<PreparedCheck>,
    host: String,
    addresses: Vec<SocketAddr>,
) -> Result<PassDetails, ProbeError> {
    let mut waiting = addresses.into_iter().take(MAX_ADDRESSES);
    let mut attempts = JoinSet::new();
    // With each attempt goes the right to its descriptor; the first has that of the probe.
    let start = |attempts: &mut JoinSet<_>, address, descriptor: Option<OwnedSemaphorePermit>| {
        let (checker, host) = (Arc::clone(checker), host.clone());
        attempts.spawn(async move { (checker.probe(&host, address).await, descriptor) });
    };
    if let Some(address) = waiting.next() {
        start(&mut attempts, address, None);
    }
    while let Ok(descriptor) = Arc::clone(&checker.extra_descriptors).try_acquire_owned()
        && let Some(address) = waiting.next()
    {
        start(&mut attempts, address, Some(descriptor));
    }
    let mut trouble = ProbeError::from(Failure::Unresolved);
    while let Some(attempt) = attempts.join_next().await {
        let (later, descriptor) = match attempt {
            Ok((Ok(pass), _)) => return Ok(pass),
            Ok((Err(trouble), descriptor)) => (trouble, descriptor),
            Err(error) => (ProbeError::Local(NoResult::Internal, io::Error::other(error)), None),
        };
        trouble = trouble.or_later(later);
        if let Some(address) = waiting.next() {
            start(&mut attempts, address, descriptor);
        }
    }
    Err(trouble)
}
