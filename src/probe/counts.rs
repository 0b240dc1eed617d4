//! The counts of a scheduler: its tasks write them, any thread reads them.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::no_result::{CountsByReason, NoResult};

/// Counts of a scheduler since its start, and gauges of its present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedulerCounts {
    /// Number of probes started.
    pub started: u64,
    /// Probes of `started` that began later than the timetable tolerates.
    pub started_late: u64,
    /// Due probes not started, because the process did not run or the previous probe of the target
    /// had not been reported.
    pub skipped: u64,
    /// Number of passes reported.
    pub passed: u64,
    /// Number of failures reported.
    pub failed: u64,
    /// Probes that ended without a result: `without_result` without the skipped ones.
    pub discarded: u64,
    /// Probes that run now, or wait to be reported.
    pub in_flight: u64,
    /// Probes that were skipped or gave no result, by reason.
    pub without_result: CountsByReason,
    /// Targets that are probed.
    pub targets: usize,
    /// Targets that are unchecked now, by the latest reason: two due probes in a row gave no
    /// result.
    pub unchecked: CountsByReason,
}

/// Reads the counts of a scheduler without waiting for its task. Cheap to clone; does not keep the
/// task running.
#[derive(Debug, Clone)]
pub struct CountsHandle(pub(super) Arc<SchedulerCounters>);

impl CountsHandle {
    /// All counts at this moment.
    pub fn read(&self) -> SchedulerCounts {
        self.0.read()
    }
}

/// The counters from which a [`SchedulerCounts`] is read.
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
        let mut counts = self.lock();
        counts.discarded += 1;
        counts.without_result.add(reason, 1);
    }

    /// Counts a due probe that was not started.
    pub(super) fn count_skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
        self.lock().without_result.add(NoResult::Late, 1);
    }

    /// Sets the number of targets, and how many of them are unchecked.
    pub(super) fn set_unchecked(&self, unchecked: CountsByReason, targets: usize) {
        let mut counts = self.lock();
        (counts.unchecked, counts.targets) = (unchecked, targets);
    }

    /// All counts at this moment.
    pub(super) fn read(&self) -> SchedulerCounts {
        let GuardedCounts { discarded, without_result, targets, unchecked } = *self.lock();
        SchedulerCounts {
            started: self.started.load(Relaxed),
            started_late: self.started_late.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            passed: self.passed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            discarded,
            without_result,
            targets,
            unchecked,
        }
    }
}
