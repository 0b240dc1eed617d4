//! One target's tracker: outcomes in a row turn into a verdict.
//!
//! `rise` and `fall` alone bound flapping: from up to down and back takes at least `rise + fall`
//! outcomes, and where both are above 1 a target that flips with every probe keeps the verdict it
//! has. There is no further hold time.
//!
//! Where a verdict comes from decides what its first contrary outcome does:
//!
//! | verdict | the first contrary outcome |
//! |---|---|
//! | unknown | decides at once |
//! | of the present check | counts towards `rise` or `fall` |
//! | of a previous run of the program | counts towards `rise` or `fall`: neither trusted nor distrusted |
//! | inherited from another check of the same target | decides at once: it is the first word of the new check |

use std::time::Duration;

use super::{Monitor, Verdict};

/// Counts the outcomes of one target that speak against its verdict.
///
/// Counting and changing are two steps, so that the [`super::Ledger`] can hold a change back:
/// [`Tracker::count`] says which verdict the target is ripe for, [`Tracker::settle`] makes it so. A
/// change held back stays ripe while the outcomes stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracker {
    verdict: Verdict,
    since: Option<Duration>,
    contrary_outcomes: u8,
    origin: VerdictOrigin,
}

/// Where a tracker's verdict comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum VerdictOrigin {
    /// Outcomes of the present check, or nothing yet.
    #[default]
    Outcomes,
    /// A previous run of the program, and no outcome has confirmed it.
    PreviousRun,
    /// Another check of the same target, and the present check has no outcome yet.
    OtherCheck,
}

impl Tracker {
    /// A tracker that starts with the verdict of a previous run. It takes `rise` passes or `fall`
    /// failures to change it.
    pub fn restored(verdict: Verdict) -> Self {
        Self { verdict, origin: VerdictOrigin::PreviousRun, ..Self::default() }
    }

    /// A tracker that starts with the verdict that another check of the target came to, until its
    /// own first outcome.
    pub fn inherited(verdict: Verdict) -> Self {
        Self { verdict, origin: VerdictOrigin::OtherCheck, ..Self::default() }
    }

    /// The settled state.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// When the verdict was settled; `None` for unknown and for one of a previous run or of another
    /// check.
    pub fn since(&self) -> Option<Duration> {
        self.since
    }

    /// Outcomes in a row that speak against the verdict.
    pub fn contrary_outcomes(&self) -> u8 {
        self.contrary_outcomes
    }

    /// Whether the target counts as up while its latest outcome was a failure.
    pub fn is_failing(&self) -> bool {
        self.verdict == Verdict::Up && self.contrary_outcomes > 0
    }

    /// Whether the target is down by the word of a previous run alone.
    pub fn is_restored_down(&self) -> bool {
        self.verdict == Verdict::Down && self.origin == VerdictOrigin::PreviousRun
    }

    /// Makes a verdict of a previous run yield to the next contrary outcome.
    pub fn distrust(&mut self) {
        if self.origin == VerdictOrigin::PreviousRun {
            self.origin = VerdictOrigin::OtherCheck;
        }
    }

    /// Counts the target among the failing, without an outcome. Does not change the verdict.
    pub(super) fn mark_failing(&mut self) {
        self.contrary_outcomes = self.contrary_outcomes.max(1);
    }

    /// Counts one outcome and says which verdict the target is ripe for, if another than it has.
    pub fn count(&mut self, passed: bool, monitor: &Monitor) -> Option<Verdict> {
        let heard = if passed { Verdict::Up } else { Verdict::Down };
        if heard == self.verdict {
            self.contrary_outcomes = 0;
            self.origin = VerdictOrigin::Outcomes;
            return None;
        }
        self.contrary_outcomes = self.contrary_outcomes.saturating_add(1);
        (self.contrary_outcomes >= self.required_outcomes(heard, monitor)).then_some(heard)
    }

    /// Makes `verdict` the settled state.
    pub fn settle(&mut self, verdict: Verdict, now: Duration) {
        *self = Self {
            verdict,
            since: Some(now),
            contrary_outcomes: 0,
            origin: VerdictOrigin::Outcomes,
        };
    }

    /// Goes back to up after a change to down that is doubted; ripe as before, so that the next
    /// pass clears it.
    pub fn revert_to_up(&mut self, monitor: &Monitor, now: Duration) {
        *self = Self {
            verdict: Verdict::Up,
            since: Some(now),
            contrary_outcomes: monitor.fall.get(),
            origin: VerdictOrigin::Outcomes,
        };
    }

    /// Asks for one more outcome of a change that was held back, before it is ripe again.
    pub fn require_one_more(&mut self, monitor: &Monitor) {
        self.origin = VerdictOrigin::Outcomes;
        let enough = self.required_outcomes(self.opposite(), monitor);
        self.contrary_outcomes = self.contrary_outcomes.min(enough - 1);
    }

    /// The verdict that a change held back would settle.
    pub fn ripe_verdict(&self, monitor: &Monitor) -> Option<Verdict> {
        let next = self.opposite();
        (self.contrary_outcomes >= self.required_outcomes(next, monitor)).then_some(next)
    }

    /// While outcomes against the verdict are counted: the least time until it could flip, counted
    /// from the latest outcome, which took `latency`. Probes start up to a tenth of the interval
    /// early, and the next may end at once.
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

    /// How many outcomes in a row make the verdict `heard`.
    fn required_outcomes(&self, heard: Verdict, monitor: &Monitor) -> u8 {
        match (self.verdict, self.origin, heard) {
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
        // `+` a pass, `-` a failure; `U`, `D`, `?` the verdict after each.
        for (rise, fall, start, outcomes, verdicts, why) in [
            (2, 3, '?', "+", "U", "the first outcome decides at once"),
            (2, 3, '?', "-", "D", "the first outcome decides at once"),
            (2, 3, '?', "+---", "UUUD", "fall failures in a row"),
            (2, 3, '?', "+--+--+", "UUUUUUU", "failures with a pass between are not in a row"),
            (2, 3, '?', "-++", "DDU", "rise passes in a row"),
            (2, 3, '?', "-+-+-+", "DDDDDD", "passes with a failure between are not in a row"),
            (1, 1, '?', "+-+-", "UDUD", "with 1 and 1 each outcome decides"),
            (2, 3, 'U', "---", "UUD", "a restored up takes `fall` failures"),
            (2, 3, 'U', "--+--", "UUUUU", "a pass between them confirms it"),
            (2, 3, 'D', "++", "DU", "a restored down takes `rise` passes"),
            (2, 3, 'd', "+", "U", "a distrusted restored down yields to the first pass"),
            (2, 3, 'i', "-", "D", "an inherited up yields to the first outcome"),
            (2, 3, 'j', "+", "U", "an inherited down yields to the first outcome"),
            (2, 3, 'i', "+--", "UUU", "once confirmed it counts as any other"),
            (2, 3, 'j', "-+", "DD", "once confirmed it counts as any other"),
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
    fn the_time_to_a_flip_is_never_overstated() {
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
