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
pub(super) struct Pending<K> {
    ends: VecDeque<(Duration, K)>,
}

impl<K> Default for Pending<K> {
    fn default() -> Self {
        Self { ends: VecDeque::new() }
    }
}

impl<K> Pending<K> {
    /// How long a target of this monitor waits for its first outcome.
    pub(super) fn longest(monitor: &Monitor) -> Duration {
        monitor.interval + monitor.timeout
    }

    /// Replaces all waits.
    pub(super) fn set(&mut self, ends: impl IntoIterator<Item = (Duration, K)>) {
        let mut ends: Vec<_> = ends.into_iter().collect();
        ends.sort_by_key(|(end, _)| *end);
        self.ends = ends.into();
    }

    /// When the next wait ends.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Takes out a target whose wait is over by `now`.
    pub(super) fn pop(&mut self, now: Duration) -> Option<K> {
        self.ends.front().filter(|(end, _)| *end <= now)?;
        self.ends.pop_front().map(|(_, key)| key)
    }
}
