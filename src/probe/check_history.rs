//! Whether the health status of a target comes from recent results.
//!
//! A check of each target is due once per interval. A target is **unchecked** once two due checks
//! in a row gave no result because of this process ([`NoResult`]), until the next result. Due
//! checks are counted, not time, so that no report is false: a new target has missed none, a reload
//! keeps the counts, and a suspended process misses one check of each target, however long the
//! suspension. Failures are results: every target is checked while a doubt freezes the verdicts.

use std::time::Duration;

use super::no_result::{CountsByReason, NoResult};

/// Number of due checks in a row without a result that makes a target unchecked.
const UNCHECKED_AFTER_CHECKS: u32 = 2;
/// A period ends once no target has been unchecked for this time, so that a recurring lack is
/// reported once.
const QUIET_TIME: Duration = Duration::from_secs(10);

/// The due checks of one target since its latest result.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CheckHistory {
    missed_checks: u32,
    starved_checks: u32,
    reason: Option<NoResult>,
}

impl CheckHistory {
    /// Records a result, pass or failure.
    pub(super) fn note_result(&mut self) {
        *self = Self::default();
    }

    /// Records that a due check gave no result.
    pub(super) fn note_missed(&mut self, reason: NoResult) {
        if !reason.makes_unchecked() {
            return self.note_result();
        }
        self.missed_checks = self.missed_checks.saturating_add(1);
        self.starved_checks += u32::from(reason == NoResult::Starved);
        self.reason = Some(reason);
    }

    /// Why the latest check gave no result, if the target is unchecked.
    pub(super) fn unchecked_reason(&self) -> Option<NoResult> {
        self.reason.filter(|_| self.missed_checks >= UNCHECKED_AFTER_CHECKS)
    }

    /// A target whose due check has waited for this long to be started counts as unchecked.
    pub(super) fn unchecked_after(interval: Duration) -> Duration {
        interval * UNCHECKED_AFTER_CHECKS
    }

    /// The number of due checks since the latest result that were discarded as
    /// [`NoResult::Starved`].
    pub(super) fn starved_count(&self) -> u32 {
        self.starved_checks
    }
}

/// The number of unchecked targets, and the period during which there are any.
#[derive(Debug, Default)]
pub(super) struct UncheckedCounts {
    unchecked: CountsByReason,
    /// Targets that are unchecked because their due checks have waited too long to be started.
    overdue: u64,
    period: UncheckedPeriod,
}

impl UncheckedCounts {
    /// Moves a target from the count of the reason `from` to that of `to`. `None` stands for a
    /// checked target, which is not counted.
    pub(super) fn change_reason(&mut self, from: Option<NoResult>, to: Option<NoResult>) {
        if let Some(reason) = from {
            self.unchecked.subtract_one(reason);
        }
        if let Some(reason) = to {
            self.unchecked.add(reason, 1);
        }
    }

    /// Sets the number of targets whose checks have waited too long to be started and that are not
    /// unchecked for another reason.
    pub(super) fn note_overdue(&mut self, overdue: u64) {
        self.overdue = overdue;
    }

    /// The number of unchecked targets by the latest reason.
    pub(super) fn by_reason(&self) -> CountsByReason {
        let mut unchecked = self.unchecked;
        unchecked.add(NoResult::Late, self.overdue);
        unchecked
    }

    /// The change that must be logged now.
    pub(super) fn next_change(&mut self, now: Duration) -> Option<UncheckedChange> {
        self.period.update(self.by_reason().sum(), now)
    }

    /// The time at which a period may end, if no count changes until then.
    pub(super) fn next_change_at(&self) -> Option<Duration> {
        self.period.ends_at()
    }
}

/// The time from the first unchecked target until there has been none for [`QUIET_TIME`].
#[derive(Debug, Default)]
pub(super) struct UncheckedPeriod {
    began_at: Option<Duration>,
    /// The time since which no target has been unchecked; `None` while one is, or without a period.
    quiet_since: Option<Duration>,
}

/// The beginning or the end of a period with unchecked targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UncheckedChange {
    /// There are unchecked targets.
    Began,
    /// All targets are checked again.
    Ended {
        /// The time from the first unchecked target to the last.
        lasted: Duration,
    },
}

impl UncheckedPeriod {
    /// Updates the period with the number of unchecked targets at `now`.
    pub(super) fn update(&mut self, unchecked: u64, now: Duration) -> Option<UncheckedChange> {
        let Some(began) = self.began_at else {
            self.began_at = (unchecked > 0).then_some(now);
            return self.began_at.map(|_| UncheckedChange::Began);
        };
        if unchecked > 0 {
            self.quiet_since = None;
            return None;
        }
        let quiet = *self.quiet_since.get_or_insert(now);
        if now < quiet + QUIET_TIME {
            return None;
        }
        *self = Self::default();
        Some(UncheckedChange::Ended { lasted: quiet - began })
    }

    /// The time at which the period ends, if no target is unchecked until then.
    pub(super) fn ends_at(&self) -> Option<Duration> {
        self.quiet_since.map(|quiet| quiet + QUIET_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_unchecked_from_the_second_due_check_without_a_result_until_the_next_result() {
        let mut history = CheckHistory::default();
        assert_eq!(history.unchecked_reason(), None, "a new target");
        history.note_missed(NoResult::Late);
        assert_eq!(history.unchecked_reason(), None, "a suspended process misses one check");
        history.note_missed(NoResult::Descriptors);
        assert_eq!(
            history.unchecked_reason(),
            Some(NoResult::Descriptors),
            "the reason is the latest"
        );
        history.note_result();
        history.note_missed(NoResult::Descriptors);
        assert_eq!(history.unchecked_reason(), None, "counted from the latest result");
    }

    #[test]
    fn a_broken_monitor_and_an_alias_never_resolved_make_no_target_unchecked() {
        let mut history = CheckHistory::default();
        for _ in 0..5 {
            history.note_missed(NoResult::Monitor);
            history.note_missed(NoResult::Alias);
        }
        assert_eq!(history.unchecked_reason(), None);
    }

    #[test]
    fn a_period_is_reported_at_its_beginning_and_after_ten_quiet_seconds() {
        let (mut period, second) = (UncheckedPeriod::default(), Duration::from_secs(1));
        assert_eq!(period.update(0, second), None);
        assert_eq!(period.update(3, 2 * second), Some(UncheckedChange::Began));
        for (unchecked, secs) in [(4, 3), (0, 4), (1, 13), (0, 20), (0, 29)] {
            assert_eq!(period.update(unchecked, secs * second), None, "at {secs} s");
        }
        assert_eq!(period.ends_at(), Some(30 * second));
        assert_eq!(
            period.update(0, 30 * second),
            Some(UncheckedChange::Ended { lasted: 18 * second })
        );
        assert_eq!((period.ends_at(), period.update(0, 31 * second)), (None, None));
    }
}
