//! The prober: health checks as a job of the scheduler, and the handle to its task.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{
    aliases::AliasAddresses,
    attempt_timer::AttemptTimer,
    check::{PreparedCheck, check_target},
    check_history::UncheckedChange,
    handle::SchedulerHandle,
    job::{Job, JobTiming},
    key::{ProbeKey, ProbeReport},
    limits::SchedulerLimits,
    no_result::{CountsByReason, NoResult},
};
use crate::{
    dns::Name,
    health::{Failure, Monitor, Outcome},
};

/// The handle to the task that probes.
pub type Prober = SchedulerHandle<ProbeJob>;

impl SchedulerHandle<ProbeJob> {
    /// The monitors of the latest `set_keys` that cannot work, by name, each with its
    /// cause, such as a file that cannot be read. Their targets keep their status.
    pub fn monitor_faults(&self) -> Vec<(Box<str>, Failure)> {
        self.job().monitor_faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the set of aliases. An alias is probed only at the addresses that
    /// `set_alias_addresses` gives.
    pub fn set_aliases(&self, aliases: &[Name]) {
        self.job().aliases.set_aliases(aliases);
    }

    /// Sets the addresses of an alias.
    pub fn set_alias_addresses(&self, alias: &Name, addresses: Vec<IpAddr>) {
        self.job().aliases.set_addresses(alias, addresses);
    }
}

/// The job of probing: one health check of one target.
#[derive(Debug)]
pub struct ProbeJob {
    /// By name: the monitors of the latest keys that cannot work.
    monitor_faults: Mutex<Vec<(Box<str>, Failure)>>,
    aliases: AliasAddresses,
    /// Permits for descriptors beyond the first of each probe.
    extra_descriptors: Arc<Semaphore>,
}

impl Job for ProbeJob {
    const LOG_NAME: &'static str = "probe";

    type Key = ProbeKey;
    type Prepared = PreparedCheck;
    type RunOutcome = Outcome;
    type Report = ProbeReport;

    fn new(limits: SchedulerLimits) -> Self {
        Self {
            monitor_faults: Mutex::default(),
            aliases: AliasAddresses::default(),
            extra_descriptors: Arc::new(Semaphore::new(limits.extra_descriptors)),
        }
    }

    fn timing(key: &ProbeKey) -> JobTiming {
        JobTiming { interval: key.monitor.interval, timeout: key.monitor.timeout }
    }

    fn prepare(&self, keys: Vec<ProbeKey>) -> Vec<(ProbeKey, Arc<PreparedCheck>)> {
        let mut checks: HashMap<Arc<Monitor>, Arc<PreparedCheck>> = HashMap::new();
        let prepared = keys
            .into_iter()
            .map(|key| {
                let new = || {
                    Arc::new(PreparedCheck::new(
                        &key.monitor,
                        self.aliases.clone(),
                        Arc::clone(&self.extra_descriptors),
                    ))
                };
                let check = Arc::clone(checks.entry(Arc::clone(&key.monitor)).or_insert_with(new));
                (key, check)
            })
            .collect();
        let fault = |(monitor, check): (&Arc<Monitor>, &Arc<PreparedCheck>)| {
            Some((monitor.name.clone(), check.fault()?.clone()))
        };
        let mut faults: Vec<_> = checks.iter().filter_map(fault).collect();
        faults.sort_by(|a, b| a.0.cmp(&b.0));
        *self.monitor_faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        prepared
    }

    async fn run(
        key: &ProbeKey,
        check: &Arc<PreparedCheck>,
        timer: &AttemptTimer<'_>,
    ) -> Result<Outcome, NoResult> {
        check_target(check, key, timer).await
    }

    fn is_pass(outcome: &Outcome) -> bool {
        outcome.is_pass()
    }

    fn report(key: ProbeKey, outcome: Outcome, ended_at: Duration) -> ProbeReport {
        ProbeReport { key, outcome, ended_at }
    }

    fn log_change(change: &UncheckedChange, unchecked: &CountsByReason, target_count: usize) {
        match change {
            UncheckedChange::Began => tracing::error!(
                unchecked = unchecked.sum(),
                targets = target_count,
                reasons = %unchecked,
                help = "see `portolan status` or /readyz for the remedy of each reason",
                "health checks give no result: failed endpoints stay in service"
            ),
            UncheckedChange::Ended { lasted } => {
                tracing::info!(
                    targets = target_count,
                    secs = lasted.as_secs(),
                    "all endpoints are checked again"
                );
            }
        }
    }
}
