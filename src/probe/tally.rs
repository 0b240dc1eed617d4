//! Counts of a scheduler, written by its tasks and read by any thread.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::no_result::{ByReason, NoResult};

/// What a scheduler has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Number of probes started.
    pub started: u64,
    /// Of these, later than their time allows.
    pub late: u64,
    /// Rounds left out because the process slept through them, or the probe before had not yet been
    /// reported.
    pub skipped: u64,
    /// Number of passes reported.
    pub passed: u64,
    /// Number of failures reported.
    pub failed: u64,
    /// Probes that ended without a result: all of `unmade` but rounds that were left out.
    pub discarded: u64,
    /// Probes running now, or waiting to be reported.
    pub in_flight: u64,
    /// Probes without a result and rounds left out, by reason.
    pub unmade: ByReason,
    /// Targets that are probed.
    pub targets: usize,
    /// Of these, targets that are unchecked now: two due probes in a row gave no result. By the
    /// latest reason.
    pub unchecked: ByReason,
}

/// Reads what a scheduler counts, without asking its task. Cheap to clone; keeps nothing running.
#[derive(Debug, Clone)]
pub struct Counts(pub(super) Arc<Counters>);

impl Counts {
    /// All counts at this moment.
    pub fn tally(&self) -> Tally {
        self.0.tally()
    }
}

/// The counters behind a [`Tally`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) started: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) passed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) in_flight: AtomicU64,
    results: Mutex<Results>,
}

#[derive(Debug, Default)]
struct Results {
    discarded: u64,
    unmade: ByReason,
    targets: usize,
    unchecked: ByReason,
}

impl Counters {
    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a probe that ended without a result.
    pub(super) fn discard(&self, reason: NoResult) {
        let mut results = self.results();
        results.discarded += 1;
        results.unmade.add(reason, 1);
    }

    /// Counts a round that was left out.
    pub(super) fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
        self.results().unmade.add(NoResult::Late, 1);
    }

    /// Notes how many targets there are, and how many of them are unchecked.
    pub(super) fn note_unchecked(&self, unchecked: ByReason, targets: usize) {
        let mut results = self.results();
        (results.unchecked, results.targets) = (unchecked, targets);
    }

    /// All counts at this moment.
    pub(super) fn tally(&self) -> Tally {
        let Results { discarded, unmade, targets, unchecked } = *self.results();
        Tally {
            started: self.started.load(Relaxed),
            late: self.late.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            passed: self.passed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            discarded,
            unmade,
            targets,
            unchecked,
        }
    }
}
