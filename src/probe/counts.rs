//! Counts of a scheduler, written by its tasks and read by any thread.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::no_result::{CountsByReason, NoResult};

/// What a scheduler has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedulerCounts {
    /// Number of probes started.
    pub started: u64,
    /// Of these, later than their time allows.
    pub started_late: u64,
    /// Rounds left out because the process slept through them, or the probe before had not yet been
    /// reported.
    pub skipped: u64,
    /// Number of passes reported.
    pub passed: u64,
    /// Number of failures reported.
    pub failed: u64,
    /// Probes that ended without a result: all of `without_result` but rounds that were left out.
    pub discarded: u64,
    /// Probes running now, or waiting to be reported.
    pub in_flight: u64,
    /// Probes without a result and rounds left out, by reason.
    pub without_result: CountsByReason,
    /// Targets that are probed.
    pub targets: usize,
    /// Of these, targets that are unchecked now: two due probes in a row gave no result. By the
    /// latest reason.
    pub unchecked: CountsByReason,
}

/// Reads what a scheduler counts, without asking its task. Cheap to clone; keeps nothing running.
#[derive(Debug, Clone)]
pub struct CountsHandle(pub(super) Arc<SchedulerCounters>);

impl CountsHandle {
    /// All counts at this moment.
    pub fn read(&self) -> SchedulerCounts {
        self.0.read()
    }
}

/// The counters behind a [`SchedulerCounts`].
#[derive(Debug, Default)]
pub(super) struct SchedulerCounters {
    pub(super) started: AtomicU64,
    pub(super) started_late: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) passed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) in_flight: AtomicU64,
    guarded: Mutex<GuardedCounts>,
}

#[derive(Debug, Default)]
struct GuardedCounts {
    discarded: u64,
    without_result: CountsByReason,
    targets: usize,
    unchecked: CountsByReason,
}

impl SchedulerCounters {
    fn lock(&self) -> MutexGuard<'_, GuardedCounts> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a probe that ended without a result.
    pub(super) fn count_discarded(&self, reason: NoResult) {
        let mut results = self.lock();
        results.discarded += 1;
        results.without_result.add(reason, 1);
    }

    /// Counts a round that was left out.
    pub(super) fn count_skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
        self.lock().without_result.add(NoResult::Late, 1);
    }

    /// Notes how many targets there are, and how many of them are unchecked.
    pub(super) fn set_unchecked(&self, unchecked: CountsByReason, targets: usize) {
        let mut results = self.lock();
        (results.unchecked, results.targets) = (unchecked, targets);
    }

    /// All counts at this moment.
    pub(super) fn read(&self) -> SchedulerCounts {
        let GuardedCounts { discarded, without_result: unmade, targets, unchecked } = *self.lock();
        SchedulerCounts {
            started: self.started.load(Relaxed),
            started_late: self.started_late.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            passed: self.passed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            discarded,
            without_result: unmade,
            targets,
            unchecked,
        }
    }
}
