//! The census: how many targets fail or are down, among all.

use super::{Tracker, Verdict};

/// Failing and down targets among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Census {
    /// All targets.
    pub(super) total: usize,
    /// Up, with a failure as the latest outcome.
    pub(super) failing: usize,
    /// Down.
    pub(super) down: usize,
}

impl Census {
    /// Whether so many of all at once are more likely our own fault.
    pub(super) fn suggests_own_fault(&self, together: usize) -> bool {
        together >= 3 && together * 2 > self.total
    }
}

/// What a target counts as in the census.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CensusClass {
    Healthy,
    Failing,
    Down,
}

pub(super) fn census_class(tracker: &Tracker) -> CensusClass {
    match tracker.verdict() {
        Verdict::Down => CensusClass::Down,
        _ if tracker.is_failing() => CensusClass::Failing,
        _ => CensusClass::Healthy,
    }
}

impl Census {
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
