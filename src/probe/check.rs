//! One check of a target: up to two timed attempts, with failures of the target kept apart from
//! those of this process.

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
    aliases::{AliasAddresses, AliasLookup},
    attempt_timer::{AttemptTimer, TimedAttempt},
    certificate::TlsProbe,
    dns::DnsProbe,
    exec::ExecProbe,
    grpc::GrpcProbe,
    http::HttpProbe,
    icmp::IcmpProbe,
    key::ProbeKey,
    no_result::NoResult,
    result::{PassDetails, ProbeError},
    tcp,
};
use crate::{
    health::{Check, Failure, Monitor, Outcome},
    steer::ProbeTarget,
};

/// The maximum number of addresses of a name that are probed.
const MAX_ADDRESSES: usize = 8;
/// The descriptors of a running program: two pipes and that of the process.
const EXEC_DESCRIPTORS: u32 = 3;

/// A monitor's check with its files read and its patterns compiled; shared by all of its targets.
#[derive(Debug)]
pub struct PreparedCheck {
    port: u16,
    /// The kind of probe, or why the monitor cannot work.
    kind: Result<ProbeKind, Failure>,
    aliases: AliasAddresses,
    /// Permits for descriptors beyond the first of each probe.
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
    /// Reads the files that the monitor names, so call it on a blocking thread. Probes take permits
    /// for descriptors beyond the first from `extra_descriptors`.
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
            // The controller probes only the combined monitors, never the combination.
            Check::Combine(_) => (
                0,
                Err(Failure::MonitorUnusable(
                    "it is a combination: only its parts are probed".into(),
                )),
            ),
            Check::Exec(check) => (0, ExecProbe::new(check, &monitor.name).map(ProbeKind::Exec)),
        };
        Self { port, kind, aliases, extra_descriptors }
    }

    /// The addresses of a target that is an alias; `None` if it is none.
    ///
    /// # Errors
    /// The alias is not resolved in time.
    async fn alias_addresses(&self, key: &ProbeKey) -> Result<Option<Arc<[IpAddr]>>, ()> {
        match &key.target {
            // A program receives the name and resolves it itself.
            ProbeTarget::Host(_) if matches!(self.kind, Ok(ProbeKind::Exec(_))) => Ok(None),
            ProbeTarget::Host(name) => match self.aliases.wait_for(name, key.monitor.timeout).await
            {
                AliasLookup::NotAnAlias => Ok(None),
                AliasLookup::Resolved(addresses) => Ok(Some(addresses)),
                AliasLookup::Unresolved => Err(()),
            },
            ProbeTarget::Address(_) => Ok(None),
        }
    }

    /// Why the monitor cannot work, whatever its targets do; `None` if it can.
    pub(super) fn fault(&self) -> Option<&Failure> {
        self.kind.as_ref().err()
    }

    async fn probe(&self, literal: &str, address: SocketAddr) -> Result<PassDetails, ProbeError> {
        let result = match self.kind.as_ref().map_err(Clone::clone)? {
            ProbeKind::Tcp => tcp::probe(address).await.map(|()| PassDetails::default()),
            ProbeKind::Http(probe) => probe.probe(literal, address).await,
            ProbeKind::Tls(probe) => probe.probe(literal, address).await,
            ProbeKind::Grpc(probe) => probe.probe(literal, address).await,
            ProbeKind::Dns(probe) => probe.probe(address).await,
            ProbeKind::Icmp(probe) => probe.probe(address.ip()).await,
            ProbeKind::Exec(probe) => return self.run(probe, literal).await,
        };
        result.map_err(|error| error.for_address(address))
    }

    /// Runs a program if its descriptors beyond the first are available.
    async fn run(&self, program: &ExecProbe, literal: &str) -> Result<PassDetails, ProbeError> {
        let Ok(_permits) = self.extra_descriptors.try_acquire_many(EXEC_DESCRIPTORS - 1) else {
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
/// [`NoResult`] if this process caused, or may have caused, the failure: the monitor cannot work, a
/// resource is missing, or the process was stalled during both attempts.
pub(super) async fn check_target(
    check: &Arc<PreparedCheck>,
    key: &ProbeKey,
    timer: &AttemptTimer<'_>,
) -> Result<Outcome, NoResult> {
    if check.fault().is_some() {
        return Err(NoResult::Monitor);
    }
    let (monitor, timeout) = (&key.monitor.name, key.monitor.timeout);
    let Ok(alias_addresses) = check.alias_addresses(key).await else {
        tracing::debug!(%monitor, endpoint = %key.target, "probe not possible: alias not resolved");
        return Err(NoResult::Alias);
    };
    let once = || probe(check, &key.target, alias_addresses.clone());
    let timed = timer.run(timeout, once, is_affected_by_delay).await.inspect_err(|_| {
        tracing::debug!(
            %monitor,
            endpoint = %key.target,
            "probe failure discarded: this process was suspended or short of CPU"
        );
    });
    let TimedAttempt { result, latency, .. } = timed?;
    match result {
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

/// Whether a delay of this process may have caused the result of a probe.
fn is_affected_by_delay(result: &Result<PassDetails, ProbeError>) -> bool {
    matches!(result, Err(ProbeError::Target(failure)) if failure.is_affected_by_delay())
}

/// Probes a target; `alias_addresses` are those of a target that is an alias.
async fn probe(
    check: &Arc<PreparedCheck>,
    target: &ProbeTarget,
    alias_addresses: Option<Arc<[IpAddr]>>,
) -> Result<PassDetails, ProbeError> {
    let literal = target.to_string();
    // A program receives the target as configured, and resolves a name itself.
    if let Ok(ProbeKind::Exec(program)) = &check.kind {
        return check.run(program, &literal).await;
    }
    let address = match target {
        ProbeTarget::Address(address) => SocketAddr::new(*address, check.port),
        ProbeTarget::Host(_) => {
            let addresses: Vec<SocketAddr> = match alias_addresses {
                Some(addresses) => {
                    addresses.iter().map(|address| SocketAddr::new(*address, check.port)).collect()
                }
                None => lookup_host((&*literal, check.port))
                    .await
                    .map_err(ProbeError::from_resolution)?
                    .collect(),
            };
            return probe_any(check, literal, addresses).await;
        }
    };
    check.probe(&literal, address).await
}

/// Probes the addresses of a name in parallel, so that an address that does not respond does not
/// delay the others; one after the other if too few file descriptors are free. The target passes if
/// one address passes. Otherwise an address that could not be probed leaves the target without a
/// result, because it may be the one that works; else the latest failure is reported.
async fn probe_any(
    check: &Arc<PreparedCheck>,
    host: String,
    addresses: Vec<SocketAddr>,
) -> Result<PassDetails, ProbeError> {
    let mut remaining = addresses.into_iter().take(MAX_ADDRESSES);
    let mut attempts = JoinSet::new();
    // Each attempt holds the permit for its descriptor; the first uses that of the probe.
    let start = |attempts: &mut JoinSet<_>, address, descriptor: Option<OwnedSemaphorePermit>| {
        let (check, host) = (Arc::clone(check), host.clone());
        attempts.spawn(async move { (check.probe(&host, address).await, descriptor) });
    };
    if let Some(address) = remaining.next() {
        start(&mut attempts, address, None);
    }
    while let Ok(descriptor) = Arc::clone(&check.extra_descriptors).try_acquire_owned()
        && let Some(address) = remaining.next()
    {
        start(&mut attempts, address, Some(descriptor));
    }
    let mut error = ProbeError::from(Failure::Unresolved);
    while let Some(attempt) = attempts.join_next().await {
        let (later, descriptor) = match attempt {
            Ok((Ok(pass), _)) => return Ok(pass),
            Ok((Err(error), descriptor)) => (error, descriptor),
            Err(error) => (ProbeError::Local(NoResult::Internal, io::Error::other(error)), None),
        };
        error = error.or_later(later);
        if let Some(address) = remaining.next() {
            start(&mut attempts, address, descriptor);
        }
    }
    Err(error)
}
