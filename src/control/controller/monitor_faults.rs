//! Monitors that cannot work, because of a file that they need or of something on a target.
//!
//! A monitor with a fault gives no results: its targets keep their health status. The files of
//! monitors are not files of the configuration, so that a fault is no error of a load. While a file
//! cannot be used, the files are read again every 10 seconds.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant as TokioInstant;

use super::credentials::CredentialFiles;
use crate::{
    health::Failure,
    probe::{ProbeKey, Prober},
    steer::Topology,
};

/// The interval at which files that cannot be used are read again.
const CREDENTIALS_RECHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The monitors with a fault, and the files that monitors need.
#[derive(Debug, Default)]
pub(super) struct MonitorFaults {
    /// The name of each monitor with a fault, and the fault; sorted, without duplicates.
    faults: Vec<(Box<str>, Failure)>,
    /// Targets on which the monitor could not work at its latest attempt.
    broken_targets: HashMap<ProbeKey, Failure>,
    credentials: CredentialFiles,
    /// The time at which to read files again that could not be used.
    recheck_at: Option<TokioInstant>,
}

impl MonitorFaults {
    /// Each monitor that cannot work, by name, and why.
    pub(super) fn list(&self) -> &[(Box<str>, Failure)] {
        &self.faults
    }

    /// Records the files of the topology's monitors as they are now: to be called before the prober
    /// reads them.
    pub(super) async fn record_stamps(&mut self, topology: &Topology) {
        self.credentials.record_stamps(topology).await;
    }

    /// Forgets targets that are no longer probed.
    pub(super) fn retain_targets(&mut self, is_probed: impl Fn(&ProbeKey) -> bool) {
        self.broken_targets.retain(|key, _| is_probed(key));
    }

    /// Records that the monitor of `key` could not work on its target.
    pub(super) fn record_failure(&mut self, key: &ProbeKey, failure: &Failure, prober: &Prober) {
        let before = self.broken_targets.insert(key.clone(), failure.clone());
        if before.as_ref() != Some(failure) {
            self.update(prober);
        }
    }

    /// Records that the monitor of `key` could work on its target.
    pub(super) fn record_working(&mut self, key: &ProbeKey, prober: &Prober) {
        if self.broken_targets.remove(key).is_some() {
            self.update(prober);
        }
    }

    /// Updates the list, logs each monitor whose state differs from before, and schedules the next
    /// reading of files that cannot be used.
    pub(super) fn update(&mut self, prober: &Prober) {
        let mut faults = prober.monitor_faults();
        let has_unusable_files = !faults.is_empty();
        faults.extend(
            self.broken_targets
                .iter()
                .map(|(key, failure)| (key.monitor.name.clone(), failure.clone())),
        );
        faults.sort_by(|a, b| (&a.0, a.1.to_string()).cmp(&(&b.0, b.1.to_string())));
        faults.dedup();
        // Missing system authorities are one warning of the configuration, not one error of each
        // monitor.
        let is_new = |fault: &&(Box<str>, Failure)| {
            !self.faults.contains(fault) && fault.1 != Failure::NoSystemAuthorities
        };
        for (monitor, error) in faults.iter().filter(is_new) {
            tracing::error!(%monitor, %error, "monitor gives no results, its targets keep their status");
        }
        let is_fixed =
            |(monitor, _): &&(Box<str>, Failure)| !faults.iter().any(|(other, _)| other == monitor);
        for (monitor, _) in self.faults.iter().filter(is_fixed) {
            tracing::info!(%monitor, "monitor works again");
        }
        self.recheck_at =
            has_unusable_files.then(|| TokioInstant::now() + CREDENTIALS_RECHECK_INTERVAL);
        self.faults = faults;
    }

    /// When to call [`MonitorFaults::begin_check_if_due`] or, if [`MonitorFaults::is_recheck_due`],
    /// to read the files again.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        self.recheck_at.into_iter().chain(self.credentials.due()).min()
    }

    /// Whether files that could not be used are to be read again.
    pub(super) fn is_recheck_due(&self, now: TokioInstant) -> bool {
        self.recheck_at.is_some_and(|at| at <= now)
    }

    /// Begins to compare the files with what was read, if it is time.
    pub(super) fn begin_check_if_due(&mut self, now: TokioInstant) {
        self.credentials.begin_check_if_due(now);
    }

    /// Waits for the end of a comparison, and returns whether a file has changed. Never ends while
    /// no comparison is in progress.
    pub(super) async fn check_finished(&mut self) -> bool {
        self.credentials.check_finished().await
    }
}
