//! One target's tracker: outcomes in a row turn into a verdict.
//!
//! Flapping is bounded by `rise` and `fall` alone: from up to down and back takes at least `rise + fall` outcomes, and where
//! both are above 1 a target that flips with every probe keeps the verdict it has. There is no further hold time.

use std::time::Duration;

use super::{Monitor, Verdict};

/// Counts the outcomes of one target that speak against its verdict.
///
/// Counting and changing are two steps, so that the [`super::Ledger`] can hold a change back: [`Tracker::count`] says which
/// verdict the target is ripe for, [`Tracker::settle`] makes it so. A change held back stays ripe while the outcomes stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracker {
    verdict: Verdict,
    since: Option<Duration>,
    against: u8,
    is_provisional: bool,
}

impl Tracker {
    /// A tracker that starts with the verdict of an earlier life. It is shown until the first outcome, which decides at once.
    pub fn restored(verdict: Verdict) -> Self {
        Self { verdict, is_provisional: true, ..Self::default() }
    }

    /// The settled state.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// When the verdict was settled; `None` for one of an earlier life and for unknown.
    pub fn since(&self) -> Option<Duration> {
        self.since
    }

    /// Whether no outcome has been counted yet.
    pub fn is_fresh(&self) -> bool {
        self.verdict == Verdict::Unknown || self.is_provisional
    }

    /// Outcomes in a row that speak against the verdict.
    pub fn against(&self) -> u8 {
        self.against
    }

    /// Whether the target counts as up while its latest outcome was a failure.
    pub fn is_failing(&self) -> bool {
        self.verdict == Verdict::Up && self.against > 0
    }

    /// Counts one outcome and says which verdict the target is ripe for, if another than it has.
    pub fn count(&mut self, passed: bool, monitor: &Monitor) -> Option<Verdict> {
        let heard = if passed { Verdict::Up } else { Verdict::Down };
        if heard == self.verdict {
            self.against = 0;
            self.is_provisional = false;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let ripe = self.is_fresh() || self.against >= Self::enough(heard, monitor);
        ripe.then_some(heard)
    }

    /// Makes `verdict` the settled state.
    pub fn settle(&mut self, verdict: Verdict, now: Duration) {
        *self = Self { verdict, since: Some(now), against: 0, is_provisional: false };
    }

    /// Goes back to up after a change to down that is doubted; ripe as before, so that the next pass clears it.
    pub fn take_back(&mut self, monitor: &Monitor, now: Duration) {
        *self = Self { verdict: Verdict::Up, since: Some(now), against: monitor.fall.get(), is_provisional: false };
    }

    /// Asks for one more outcome of a change that was held back, before it is ripe again.
    pub fn unripen(&mut self, monitor: &Monitor) {
        let enough = Self::enough(self.opposite(), monitor);
        self.against = self.against.min(enough - 1);
        self.is_provisional = false;
    }

    /// The verdict that a change held back would settle.
    pub fn ripe(&self, monitor: &Monitor) -> Option<Verdict> {
        let next = self.opposite();
        let enough = if self.is_fresh() { 1 } else { Self::enough(next, monitor) };
        (self.against >= enough).then_some(next)
    }

    /// While outcomes against the verdict are counted: the least time until it could flip, counted from the latest outcome,
    /// which took `latency`. Probes start up to a tenth of the interval early, and the next may end at once.
    pub fn flips_in(&self, monitor: &Monitor, latency: Duration) -> Option<Duration> {
        if self.against == 0 {
            return None;
        }
        let missing = Self::enough(self.opposite(), monitor).saturating_sub(self.against);
        Some((monitor.interval * u32::from(missing) * 9 / 10).saturating_sub(latency))
    }

    fn opposite(&self) -> Verdict {
        if self.verdict == Verdict::Down { Verdict::Up } else { Verdict::Down }
    }

    fn enough(heard: Verdict, monitor: &Monitor) -> u8 {
        if heard == Verdict::Up { monitor.rise.get() } else { monitor.fall.get() }
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
            (2, 3, 'U', "-", "D", "a restored verdict yields to the first outcome"),
            (2, 3, 'D', "+", "U", "a restored verdict yields to the first outcome"),
            (2, 3, 'U', "+--", "UUU", "once confirmed it counts as any other"),
            (2, 3, 'D', "-+", "DD", "once confirmed it counts as any other"),
        ] {
            let monitor = monitor(rise, fall);
            let mut tracker = match start {
                'U' => Tracker::restored(Verdict::Up),
                'D' => Tracker::restored(Verdict::Down),
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
        assert_eq!(tracker.flips_in(&monitor, Duration::from_secs(2)), Some(Duration::from_secs(7)));
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
