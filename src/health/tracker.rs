//! The tracker of one target: outcomes in a row become a verdict.
//!
//! Flapping is bounded by `rise` and `fall` alone: a change from up to down and back takes at least
//! `rise + fall` outcomes. If both are above 1, a target whose outcomes alternate keeps its
//! verdict. There is no further hold time.
//!
//! The effect of the first contrary outcome depends on the origin of the verdict:
//!
//! | verdict | effect of the first contrary outcome |
//! |---|---|
//! | unknown | decides at once |
//! | of the present check | counts towards `rise` or `fall` |
//! | of a previous run of the program | counts towards `rise` or `fall` |
//! | of another check of the same target | decides at once, as the first result of the new check |

use std::time::Duration;

use super::{Monitor, Verdict};

/// Counts the outcomes in a row that contradict the verdict of one target.
///
/// Counting and changing are two steps, so that the [`super::Ledger`] can hold a change back:
/// [`Tracker::count`] returns the verdict that the outcomes have reached, and [`Tracker::settle`]
/// applies it. A change that is held back stays possible while outcomes stay the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracker {
    verdict: Verdict,
    since: Option<Duration>,
    /// Outcomes in a row that contradict the verdict.
    contrary_outcomes: u8,
    origin: VerdictOrigin,
}

/// The origin of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum VerdictOrigin {
    /// The outcomes of the present check; also for a target without outcomes.
    #[default]
    Outcomes,
    /// A previous run of the program. No outcome has confirmed it yet.
    PreviousRun,
    /// Another check of the same target. The present check has no outcome yet.
    OtherCheck,
}

impl Tracker {
    /// A tracker with the verdict of a previous run, which `rise` passes or `fall` failures change.
    pub fn restored(verdict: Verdict) -> Self {
        Self { verdict, origin: VerdictOrigin::PreviousRun, ..Self::default() }
    }

    /// A tracker with the verdict of another check of the target, which lasts until the first
    /// outcome.
    pub fn inherited(verdict: Verdict) -> Self {
        Self { verdict, origin: VerdictOrigin::OtherCheck, ..Self::default() }
    }

    /// The verdict that counts at present.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// When the verdict was settled; `None` if it is unknown, or comes from a previous run or
    /// another check.
    pub fn since(&self) -> Option<Duration> {
        self.since
    }

    /// The number of outcomes in a row that contradict the verdict.
    pub fn contrary_outcomes(&self) -> u8 {
        self.contrary_outcomes
    }

    /// Whether the target is up and its latest outcome was a failure.
    pub fn is_failing(&self) -> bool {
        self.verdict == Verdict::Up && self.contrary_outcomes > 0
    }

    /// Whether the target is down only because of the verdict of a previous run.
    pub fn is_restored_down(&self) -> bool {
        self.verdict == Verdict::Down && self.origin == VerdictOrigin::PreviousRun
    }

    /// Lets the next contrary outcome replace the verdict of a previous run at once.
    pub fn distrust(&mut self) {
        if self.origin == VerdictOrigin::PreviousRun {
            self.origin = VerdictOrigin::OtherCheck;
        }
    }

    /// Marks the target as failing without an outcome. The verdict does not change.
    pub(super) fn mark_failing(&mut self) {
        self.contrary_outcomes = self.contrary_outcomes.max(1);
    }

    /// Counts one outcome. Returns the verdict that it leads to, if that differs from the present
    /// one.
    pub fn count(&mut self, passed: bool, monitor: &Monitor) -> Option<Verdict> {
        let indicated = if passed { Verdict::Up } else { Verdict::Down };
        if indicated == self.verdict {
            self.contrary_outcomes = 0;
            self.origin = VerdictOrigin::Outcomes;
            return None;
        }
        self.contrary_outcomes = self.contrary_outcomes.saturating_add(1);
        (self.contrary_outcomes >= self.required_outcomes(indicated, monitor)).then_some(indicated)
    }

    /// Sets the verdict and the time since when it counts.
    pub fn settle(&mut self, verdict: Verdict, now: Duration) {
        *self = Self {
            verdict,
            since: Some(now),
            contrary_outcomes: 0,
            origin: VerdictOrigin::Outcomes,
        };
    }

    /// Reverts a change to down. The failures stay counted: without a pass the target is due to go
    /// down again.
    pub fn revert_to_up(&mut self, monitor: &Monitor, now: Duration) {
        *self = Self {
            verdict: Verdict::Up,
            since: Some(now),
            contrary_outcomes: monitor.fall.get(),
            origin: VerdictOrigin::Outcomes,
        };
    }

    /// Requires one more contrary outcome before a change that was held back is possible again.
    pub fn require_one_more(&mut self, monitor: &Monitor) {
        self.origin = VerdictOrigin::Outcomes;
        let required = self.required_outcomes(self.opposite(), monitor);
        self.contrary_outcomes = self.contrary_outcomes.min(required - 1);
    }

    /// The verdict of a change that was held back, if there is one.
    pub fn ripe_verdict(&self, monitor: &Monitor) -> Option<Verdict> {
        let next = self.opposite();
        (self.contrary_outcomes >= self.required_outcomes(next, monitor)).then_some(next)
    }

    /// The least time from the latest outcome, which took `latency`, until the verdict could
    /// change. `None` if that outcome confirmed the verdict. Probes start up to a tenth of the
    /// interval early, and a probe may end at once.
    pub fn flips_in(&self, monitor: &Monitor, latency: Duration) -> Option<Duration> {
        if self.contrary_outcomes == 0 {
            return None;
        }
        let missing =
            self.required_outcomes(self.opposite(), monitor).saturating_sub(self.contrary_outcomes);
        Some((monitor.interval * u32::from(missing) * 9 / 10).saturating_sub(latency))
    }

    fn opposite(&self) -> Verdict {
        if self.verdict == Verdict::Down { Verdict::Up } else { Verdict::Down }
    }

    /// The number of outcomes in a row that change the verdict to `new`.
    fn required_outcomes(&self, new: Verdict, monitor: &Monitor) -> u8 {
        match (self.verdict, self.origin, new) {
            (Verdict::Unknown, ..) | (_, VerdictOrigin::OtherCheck, _) => 1,
            (_, _, Verdict::Up) => monitor.rise.get(),
            _ => monitor.fall.get(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroU8;

    use proptest::prelude::*;

    use super::*;
    use crate::health::{Check, TcpCheck};

    pub(crate) fn monitor(rise: u8, fall: u8) -> Monitor {
        Monitor {
            name: "web".into(),
            check: Check::Tcp(TcpCheck { port: 80 }),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: NonZeroU8::new(rise).unwrap(),
            fall: NonZeroU8::new(fall).unwrap(),
        }
    }

    fn feed(tracker: &mut Tracker, passed: bool, monitor: &Monitor) -> Option<Verdict> {
        let change = tracker.count(passed, monitor);
        if let Some(verdict) = change {
            tracker.settle(verdict, Duration::ZERO);
        }
        change
    }

    #[test]
    fn verdicts_follow_rise_and_fall() {
        // Outcomes: `+` pass, `-` failure. Verdicts after each: `U` up, `D` down, `?` unknown.
        // Initial verdicts: also `d` distrusted, `i` and `j` inherited up and down.
        for (rise, fall, start, outcomes, verdicts, why) in [
            (2, 3, '?', "+", "U", "the first outcome decides at once"),
            (2, 3, '?', "-", "D", "the first outcome decides at once"),
            (2, 3, '?', "+---", "UUUD", "fall failures in a row"),
            (2, 3, '?', "+--+--+", "UUUUUUU", "failures with a pass between are not in a row"),
            (2, 3, '?', "-++", "DDU", "rise passes in a row"),
            (2, 3, '?', "-+-+-+", "DDDDDD", "passes with a failure between are not in a row"),
            (1, 1, '?', "+-+-", "UDUD", "with 1 and 1 each outcome decides"),
            (2, 3, 'U', "---", "UUD", "a restored up takes `fall` failures"),
            (2, 3, 'U', "--+--", "UUUUU", "a pass between failures confirms it"),
            (2, 3, 'D', "++", "DU", "a restored down takes `rise` passes"),
            (2, 3, 'd', "+", "U", "the first pass replaces a distrusted down"),
            (2, 3, 'i', "-", "D", "the first outcome replaces an inherited up"),
            (2, 3, 'j', "+", "U", "the first outcome replaces an inherited down"),
            (2, 3, 'i', "+--", "UUU", "once confirmed it is like any other"),
            (2, 3, 'j', "-+", "DD", "once confirmed it is like any other"),
        ] {
            let monitor = monitor(rise, fall);
            let mut tracker = match start {
                'U' => Tracker::restored(Verdict::Up),
                'D' => Tracker::restored(Verdict::Down),
                'd' => {
                    let mut tracker = Tracker::restored(Verdict::Down);
                    tracker.distrust();
                    tracker
                }
                'i' => Tracker::inherited(Verdict::Up),
                'j' => Tracker::inherited(Verdict::Down),
                _ => Tracker::default(),
            };
            let seen: String = outcomes
                .chars()
                .map(|outcome| {
                    feed(&mut tracker, outcome == '+', &monitor);
                    match tracker.verdict() {
                        Verdict::Unknown => '?',
                        Verdict::Up => 'U',
                        Verdict::Down => 'D',
                    }
                })
                .collect();
            assert_eq!(seen, verdicts, "{why} ({outcomes})");
        }
    }

    #[test]
    fn the_time_until_a_change_is_never_overstated() {
        let monitor = monitor(2, 3);
        let mut tracker = Tracker::default();
        assert_eq!(tracker.flips_in(&monitor, Duration::ZERO), None);
        feed(&mut tracker, true, &monitor);
        assert_eq!(tracker.flips_in(&monitor, Duration::ZERO), None);
        feed(&mut tracker, false, &monitor);
        assert_eq!(
            tracker.flips_in(&monitor, Duration::from_secs(2)),
            Some(Duration::from_secs(7))
        );
        feed(&mut tracker, false, &monitor);
        assert_eq!(tracker.flips_in(&monitor, Duration::ZERO), Some(Duration::from_millis(4500)));
    }

    proptest! {
        #[test]
        fn a_verdict_never_flips_without_rise_or_fall_in_a_row(
            rise in 1u8..6, fall in 1u8..6, outcomes in proptest::collection::vec(any::<bool>(), 1..200)
        ) {
            let monitor = monitor(rise, fall);
            let mut tracker = Tracker::default();
            for (index, &passed) in outcomes.iter().enumerate() {
                let Some(verdict) = feed(&mut tracker, passed, &monitor) else { continue };
                let needed = if verdict == Verdict::Up { rise } else { fall };
                let in_a_row = outcomes[..=index].iter().rev().take_while(|&&o| o == passed).count();
                prop_assert!(index == 0 || in_a_row >= usize::from(needed));
            }
        }
    }
}
