//! Targets that were never judged, in the order in which they stop waiting for it.
//!
//! A target that is new to the ledger ranks below every target known to be healthy until its first
//! outcome, for at most one interval plus timeout. By then a probe has had its time: where it has
//! no outcome, none may ever come (an ICMP monitor without the privilege to send), and the target
//! counts as up again.

use std::{collections::VecDeque, time::Duration};

use super::Monitor;

/// The ends of all waits, soonest first. Targets that were judged meanwhile are passed by when
/// their time comes.
#[derive(Debug)]
pub(super) struct PendingTargets<K> {
    deadlines: VecDeque<(Duration, K)>,
}

impl<K> Default for PendingTargets<K> {
    fn default() -> Self {
        Self { deadlines: VecDeque::new() }
    }
}

impl<K> PendingTargets<K> {
    /// How long a target of this monitor waits for its first outcome.
    pub(super) fn max_wait(monitor: &Monitor) -> Duration {
        monitor.interval + monitor.timeout
    }

    /// Replaces all waits.
    pub(super) fn set(&mut self, ends: impl IntoIterator<Item = (Duration, K)>) {
        let mut ends: Vec<_> = ends.into_iter().collect();
        ends.sort_by_key(|(end, _)| *end);
        self.deadlines = ends.into();
    }

    /// When the next wait ends.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.front().map(|(end, _)| *end)
    }

    /// Takes out a target whose wait is over by `now`.
    pub(super) fn pop_expired(&mut self, now: Duration) -> Option<K> {
        self.deadlines.front().filter(|(end, _)| *end <= now)?;
        self.deadlines.pop_front().map(|(_, key)| key)
    }
}
