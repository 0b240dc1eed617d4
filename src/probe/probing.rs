//! The prober: probes as a job of the scheduler, and the handle to it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc};

use super::{
    ProbeKey, Report,
    aliases::AliasAddresses,
    attempt::{Checker, attempt},
    currency::Change,
    job::{Job, Pace},
    no_result::{ByReason, NoResult},
    scheduler::{Limits, Scheduled},
    stopwatch::Stopwatch,
    tally::{Counts, Tally},
};
use crate::{
    dns::Name,
    health::{Failure, Monitor, Outcome},
};

/// The handle to the task that probes. Dropped, all probing ends.
#[derive(Debug)]
pub struct Prober(Scheduled<Probing>);

impl Prober {
    /// Starts the task, with nothing to probe yet, on the runtime of the caller. Reports carry the
    /// time since `epoch`.
    pub fn start(limits: Limits, epoch: std::time::Instant, reports: mpsc::Sender<Report>) -> Self {
        Self(Scheduled::start(limits, epoch, reports))
    }

    /// Makes `keys` what is probed. A key probed before keeps its place in the timetable; the
    /// probes of one that is gone end unreported, but for a report already on its way. Reads the
    /// authorities that monitors name anew.
    pub async fn set(&self, keys: Vec<ProbeKey>) {
        self.0.set(keys).await;
    }

    /// The monitors of the latest [`Prober::set`] that cannot work, by name, and why: a file that
    /// they need is broken. They judge nothing.
    pub fn faults(&self) -> Vec<(Box<str>, Failure)> {
        self.0.job().faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes `aliases` the names that are probed at the addresses given by [`Prober::note_alias`],
    /// and at no others.
    pub fn set_aliases(&self, aliases: &[Name]) {
        self.0.job().aliases.set(aliases);
    }

    /// Notes what an alias stands for.
    pub fn note_alias(&self, alias: &Name, addresses: Vec<IpAddr>) {
        self.0.job().aliases.note(alias, addresses);
    }

    /// Waits until each target of the latest [`Prober::set`] was probed once, but no longer than
    /// their starts and the longest of their timeouts take, and never longer than 5 s.
    pub async fn first_round(&self) {
        self.0.first_round().await;
    }

    /// What it does, for readers that must not wait for anything.
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }

    /// What it has done since its start.
    pub fn tally(&self) -> Tally {
        self.0.counts().tally()
    }
}

/// Probing a target with a monitor.
#[derive(Debug)]
struct Probing {
    /// The faults of the monitors of the latest set.
    faults: Mutex<Vec<(Box<str>, Failure)>>,
    aliases: AliasAddresses,
    /// Descriptors beyond the one of each probe.
    further: Arc<Semaphore>,
}

impl Job for Probing {
    const WORD: &'static str = "probe";

    type Key = ProbeKey;
    type Ready = Checker;
    type Outcome = Outcome;
    type Report = Report;

    fn new(limits: Limits) -> Self {
        let further = Arc::new(Semaphore::new(limits.further_descriptors));
        Self { faults: Mutex::default(), aliases: AliasAddresses::default(), further }
    }

    fn pace(key: &ProbeKey) -> Pace {
        Pace { interval: key.monitor.interval, timeout: key.monitor.timeout }
    }

    fn prepare(&self, keys: Vec<ProbeKey>) -> Vec<(ProbeKey, Arc<Checker>)> {
        let mut checkers: HashMap<Arc<Monitor>, Arc<Checker>> = HashMap::new();
        let ready = keys
            .into_iter()
            .map(|key| {
                let new = || {
                    Arc::new(Checker::new(
                        &key.monitor,
                        self.aliases.clone(),
                        Arc::clone(&self.further),
                    ))
                };
                let checker = checkers.entry(Arc::clone(&key.monitor)).or_insert_with(new);
                let checker = Arc::clone(checker);
                (key, checker)
            })
            .collect();
        let fault = |(monitor, checker): (&Arc<Monitor>, &Arc<Checker>)| {
            Some((monitor.name.clone(), checker.fault()?.clone()))
        };
        let mut faults: Vec<_> = checkers.iter().filter_map(fault).collect();
        faults.sort_by(|a, b| a.0.cmp(&b.0));
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        ready
    }

    async fn run(
        key: &ProbeKey,
        checker: &Arc<Checker>,
        stopwatch: &Stopwatch<'_>,
    ) -> Result<Outcome, NoResult> {
        attempt(checker, key, stopwatch).await
    }

    fn is_pass(outcome: &Outcome) -> bool {
        outcome.is_pass()
    }

    fn report(key: ProbeKey, outcome: Outcome, at: Duration) -> Report {
        Report { key, outcome, at }
    }

    fn log_change(change: &Change, unchecked: &ByReason, all: usize) {
        match change {
            Change::Began => tracing::error!(
                unchecked = unchecked.sum(),
                targets = all,
                reasons = %unchecked,
                help = "see `portolan status` or /readyz for the remedy of each reason",
                "health checks give no result: dead endpoints stay in service"
            ),
            Change::Ended { lasted } => {
                tracing::info!(
                    targets = all,
                    secs = lasted.as_secs(),
                    "all endpoints are checked again"
                );
            }
        }
    }
}
