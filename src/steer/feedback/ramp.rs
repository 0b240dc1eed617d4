//! Ramps: a part that rises or falls evenly over a time.

use std::time::Duration;

use crate::steer::fraction::Fraction;

/// As many steps as a whole ramp has, at most: each makes new wheels.
const STEPS: u32 = 200;
/// A ramp makes no more than one step in this time.
const SHORTEST_STEP: Duration = Duration::from_millis(500);

/// A part on its way from 0 to 1 or back. Times are since an epoch of the caller's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ramp {
    from: f64,
    goal: f64,
    began: Duration,
    /// How long the whole way from 0 to 1 takes.
    whole: Duration,
}

impl Ramp {
    /// At rest.
    pub(super) fn resting(at: f64) -> Self {
        Self { from: at, goal: at, began: Duration::ZERO, whole: Duration::ZERO }
    }

    /// On from where the ramp is now, to another goal; `whole` is the time for the whole way.
    pub(super) fn turn(&mut self, goal: f64, whole: Duration, now: Duration) {
        if self.goal != goal || self.whole != whole && !self.is_over(now) {
            *self = Self { from: self.at(now), goal, began: now, whole };
        }
    }

    /// At once.
    pub(super) fn jump(&mut self, to: f64) {
        *self = Self::resting(to);
    }

    /// From 0 to 1.
    pub(super) fn at(&self, now: Duration) -> f64 {
        let way = self.goal - self.from;
        let gone = now.saturating_sub(self.began).as_secs_f64() / self.whole.as_secs_f64();
        // A way of no time is gone at once: the division has no number for it.
        if gone.is_nan() || gone >= way.abs() { self.goal } else { self.from + gone * way.signum() }
    }

    /// What is taken now. Who starts takes a little from the first moment on: nothing would start
    /// otherwise.
    pub(super) fn part(&self, now: Duration) -> Fraction {
        let at = self.at(now);
        Fraction::from_share(if self.goal > 0.0 { at.max(1.0 / f64::from(STEPS)) } else { at })
    }

    pub(super) fn goal(&self) -> f64 {
        self.goal
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.at(now) == self.goal
    }

    /// When it is over.
    pub(super) fn ends(&self) -> Duration {
        self.began + self.whole.mul_f64((self.goal - self.from).abs())
    }

    /// When its next step is due; `None` once it is over.
    pub(super) fn next_step(&self, now: Duration) -> Option<Duration> {
        (!self.is_over(now))
            .then(|| (now + (self.whole / STEPS).max(SHORTEST_STEP)).min(self.ends()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ramp_goes_evenly_and_turns_where_it_is() {
        let mut ramp = Ramp::resting(1.0);
        ramp.turn(0.0, 100 * SECOND, 10 * SECOND);
        assert_eq!(ramp.at(10 * SECOND), 1.0);
        assert!((ramp.at(40 * SECOND) - 0.7).abs() < 1e-9);
        assert_eq!(ramp.ends(), 110 * SECOND);
        // Undone after 30 s, and back as fast as a slow start of 20 s is.
        ramp.turn(1.0, 20 * SECOND, 40 * SECOND);
        assert!((ramp.at(43 * SECOND) - 0.85).abs() < 1e-9);
        assert_eq!(ramp.at(46 * SECOND), 1.0);
        assert_eq!(ramp.next_step(46 * SECOND), None);
    }

    #[test]
    fn a_way_of_no_time_is_gone_at_once() {
        let mut ramp = Ramp::resting(1.0);
        ramp.turn(0.0, Duration::ZERO, SECOND);
        assert_eq!(ramp.at(SECOND), 0.0);
        assert!(ramp.part(SECOND).is_zero());
    }

    #[test]
    fn who_starts_takes_a_little_from_the_first_moment_on() {
        let mut ramp = Ramp::resting(0.0);
        ramp.turn(1.0, 300 * SECOND, SECOND);
        assert!(!ramp.part(SECOND).is_zero());
        assert!(ramp.part(SECOND).share() < 0.01);
    }

    #[test]
    fn a_ramp_told_its_goal_again_goes_on_as_it_was() {
        let mut ramp = Ramp::resting(1.0);
        ramp.turn(0.0, 100 * SECOND, SECOND);
        let before = ramp;
        ramp.turn(0.0, 100 * SECOND, 50 * SECOND);
        assert_eq!(ramp, before);
    }
}
