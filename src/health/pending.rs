//! Pending targets: those that wait for their first outcome, by the ends of their waits.
//!
//! A new target ranks below every target that is known to be healthy until its first outcome, but
//! for at most one interval plus one timeout. By then the first probe must have ended. If it has no
//! outcome, none may ever come (an ICMP monitor may lack the privilege to send), and the target
//! counts as up.

use std::{collections::VecDeque, time::Duration};

use super::Monitor;

/// The targets whose wait has not ended, earliest end first. A target that has got its first
/// outcome stays in the list until then; the ledger ignores it.
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
    /// The longest time for which a target of this monitor waits for its first outcome.
    pub(super) fn max_wait(monitor: &Monitor) -> Duration {
        monitor.interval + monitor.timeout
    }

    /// Replaces the list by these targets, each with the end of its wait.
    pub(super) fn set(&mut self, deadlines: impl IntoIterator<Item = (Duration, K)>) {
        let mut deadlines: Vec<_> = deadlines.into_iter().collect();
        deadlines.sort_by_key(|(deadline, _)| *deadline);
        self.deadlines = deadlines.into();
    }

    /// The end of the next wait; `None` if no target waits.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// Removes a target whose wait has ended at `now`.
    pub(super) fn pop_expired(&mut self, now: Duration) -> Option<K> {
        self.deadlines.front().filter(|(deadline, _)| *deadline <= now)?;
        self.deadlines.pop_front().map(|(_, key)| key)
    }
}
