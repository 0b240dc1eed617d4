//! The prober: probes as a job of the scheduler, and the handle to it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc};

use super::{
    ProbeKey, ProbeReport,
    aliases::AliasAddresses,
    attempt_timer::AttemptTimer,
    check::{PreparedCheck, check_target},
    check_history::UncheckedChange,
    counts::{CountsHandle, SchedulerCounts},
    job::{Job, JobTiming},
    no_result::{CountsByReason, NoResult},
    scheduler::{SchedulerHandle, SchedulerLimits},
};
use crate::{
    dns::Name,
    health::{Failure, Monitor, Outcome},
};

/// The handle to the task that probes. Dropped, all probing ends.
#[derive(Debug)]
pub struct Prober(SchedulerHandle<ProbeJob>);

impl Prober {
    /// Starts the task, with nothing to probe yet, on the runtime of the caller. Reports carry the
    /// time since `epoch`.
    pub fn start(
        limits: SchedulerLimits,
        epoch: std::time::Instant,
        reports: mpsc::Sender<ProbeReport>,
    ) -> Self {
        Self(SchedulerHandle::start(limits, epoch, reports))
    }

    /// Makes `keys` what is probed. A key probed before keeps its place in the timetable; the
    /// probes of one that is gone end unreported, but for a report already on its way. Reads the
    /// authorities that monitors name anew.
    pub async fn set_keys(&self, keys: Vec<ProbeKey>) {
        self.0.set_keys(keys).await;
    }

    /// The monitors of the latest [`Prober::set_keys`] that cannot work, by name, and why: a file
    /// that they need is broken. They judge nothing.
    pub fn monitor_faults(&self) -> Vec<(Box<str>, Failure)> {
        self.0.job().monitor_faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes `aliases` the names that are probed at the addresses given by
    /// [`Prober::set_alias_addresses`], and at no others.
    pub fn set_aliases(&self, aliases: &[Name]) {
        self.0.job().aliases.set_aliases(aliases);
    }

    /// Notes what an alias stands for.
    pub fn set_alias_addresses(&self, alias: &Name, addresses: Vec<IpAddr>) {
        self.0.job().aliases.set_addresses(alias, addresses);
    }

    /// Waits until each target of the latest [`Prober::set_keys`] was probed once, but no longer
    /// than their starts and the longest of their timeouts take, and never longer than 5 s.
    pub async fn wait_for_first_round(&self) {
        self.0.wait_for_first_round().await;
    }

    /// What it does, for readers that must not wait for anything.
    pub fn counts_handle(&self) -> CountsHandle {
        self.0.counts_handle()
    }

    /// What it has done since its start.
    pub fn read_counts(&self) -> SchedulerCounts {
        self.0.counts_handle().read()
    }
}

/// Probing a target with a monitor.
#[derive(Debug)]
struct ProbeJob {
    /// The faults of the monitors of the latest set.
    monitor_faults: Mutex<Vec<(Box<str>, Failure)>>,
    aliases: AliasAddresses,
    /// Descriptors beyond the one of each probe.
    extra_descriptors: Arc<Semaphore>,
}

impl Job for ProbeJob {
    const LOG_NAME: &'static str = "probe";

    type Key = ProbeKey;
    type Prepared = PreparedCheck;
    type RunOutcome = Outcome;
    type Report = ProbeReport;

    fn new(limits: SchedulerLimits) -> Self {
        let further = Arc::new(Semaphore::new(limits.extra_descriptors));
        Self {
            monitor_faults: Mutex::default(),
            aliases: AliasAddresses::default(),
            extra_descriptors: further,
        }
    }

    fn timing(key: &ProbeKey) -> JobTiming {
        JobTiming { interval: key.monitor.interval, timeout: key.monitor.timeout }
    }

    fn prepare(&self, keys: Vec<ProbeKey>) -> Vec<(ProbeKey, Arc<PreparedCheck>)> {
        let mut checkers: HashMap<Arc<Monitor>, Arc<PreparedCheck>> = HashMap::new();
        let ready = keys
            .into_iter()
            .map(|key| {
                let new = || {
                    Arc::new(PreparedCheck::new(
                        &key.monitor,
                        self.aliases.clone(),
                        Arc::clone(&self.extra_descriptors),
                    ))
                };
                let checker = checkers.entry(Arc::clone(&key.monitor)).or_insert_with(new);
                let checker = Arc::clone(checker);
                (key, checker)
            })
            .collect();
        let fault = |(monitor, checker): (&Arc<Monitor>, &Arc<PreparedCheck>)| {
            Some((monitor.name.clone(), checker.fault()?.clone()))
        };
        let mut faults: Vec<_> = checkers.iter().filter_map(fault).collect();
        faults.sort_by(|a, b| a.0.cmp(&b.0));
        *self.monitor_faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        ready
    }

    async fn run(
        key: &ProbeKey,
        checker: &Arc<PreparedCheck>,
        stopwatch: &AttemptTimer<'_>,
    ) -> Result<Outcome, NoResult> {
        check_target(checker, key, stopwatch).await
    }

    fn is_pass(outcome: &Outcome) -> bool {
        outcome.is_pass()
    }

    fn report(key: ProbeKey, outcome: Outcome, at: Duration) -> ProbeReport {
        ProbeReport { key, outcome, ended_at: at }
    }

    fn log_change(change: &UncheckedChange, unchecked: &CountsByReason, all: usize) {
        match change {
            UncheckedChange::Began => tracing::error!(
                unchecked = unchecked.sum(),
                targets = all,
                reasons = %unchecked,
                help = "see `portolan status` or /readyz for the remedy of each reason",
                "health checks give no result: dead endpoints stay in service"
            ),
            UncheckedChange::Ended { lasted } => {
                tracing::info!(
                    targets = all,
                    secs = lasted.as_secs(),
                    "all endpoints are checked again"
                );
            }
        }
    }
}
