//! The census: how many of all targets fail or are down.

use super::{Tracker, Verdict};

/// The numbers of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Census {
    /// The number of all targets.
    pub(super) total: usize,
    /// Targets that are up and whose latest outcome was a failure.
    pub(super) failing: usize,
    /// Targets that are down.
    pub(super) down: usize,
}

impl Census {
    /// Whether `failures` targets that fail at the same time suggest a fault of the local network:
    /// at least three, and more than half of all.
    pub(super) fn suggests_own_fault(&self, failures: usize) -> bool {
        failures >= 3 && failures * 2 > self.total
    }
}

/// The class of a target in the census.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CensusClass {
    Healthy,
    Failing,
    Down,
}

/// The class of the target of this tracker.
pub(super) fn census_class(tracker: &Tracker) -> CensusClass {
    match tracker.verdict() {
        Verdict::Down => CensusClass::Down,
        _ if tracker.is_failing() => CensusClass::Failing,
        _ => CensusClass::Healthy,
    }
}

impl Census {
    /// Moves a target from one class to another.
    pub(super) fn reclassify(&mut self, from: CensusClass, to: CensusClass) {
        match from {
            CensusClass::Failing => self.failing -= 1,
            CensusClass::Down => self.down -= 1,
            CensusClass::Healthy => {}
        }
        match to {
            CensusClass::Failing => self.failing += 1,
            CensusClass::Down => self.down += 1,
            CensusClass::Healthy => {}
        }
    }
}
