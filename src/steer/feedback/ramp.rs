//! Ramps: a part that rises or falls evenly over a time.

use std::time::Duration;

use crate::steer::model::Fraction;

/// As many steps as a whole ramp has, at most: each makes new wheels.
const MAX_STEPS: u32 = 200;
/// A ramp makes no more than one step in this time.
const MIN_STEP_INTERVAL: Duration = Duration::from_millis(500);

/// A part on its way from 0 to 1 or back. Times are since an epoch of the caller's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ramp {
    from: f64,
    goal: f64,
    started_at: Duration,
    /// How long the whole way from 0 to 1 takes.
    full_duration: Duration,
}

impl Ramp {
    /// At rest.
    pub(super) fn at_rest(at: f64) -> Self {
        Self { from: at, goal: at, started_at: Duration::ZERO, full_duration: Duration::ZERO }
    }

    /// On from where the ramp is now, to another goal; `full_duration` is the time for the whole
    /// way.
    pub(super) fn retarget(&mut self, goal: f64, whole: Duration, now: Duration) {
        if self.goal != goal || self.full_duration != whole && !self.is_over(now) {
            *self = Self { from: self.value_at(now), goal, started_at: now, full_duration: whole };
        }
    }

    /// At once.
    pub(super) fn jump_to(&mut self, to: f64) {
        *self = Self::at_rest(to);
    }

    /// From 0 to 1.
    pub(super) fn value_at(&self, now: Duration) -> f64 {
        let way = self.goal - self.from;
        let gone =
            now.saturating_sub(self.started_at).as_secs_f64() / self.full_duration.as_secs_f64();
        // A way of no time is gone at once: the division has no number for it.
        if gone.is_nan() || gone >= way.abs() { self.goal } else { self.from + gone * way.signum() }
    }

    /// What is taken now. Who starts takes a little from the first moment on: nothing would start
    /// otherwise.
    pub(super) fn fraction_at(&self, now: Duration) -> Fraction {
        let at = self.value_at(now);
        Fraction::from_share(if self.goal > 0.0 { at.max(1.0 / f64::from(MAX_STEPS)) } else { at })
    }

    pub(super) fn goal(&self) -> f64 {
        self.goal
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.value_at(now) == self.goal
    }

    /// When it is over.
    pub(super) fn ends_at(&self) -> Duration {
        self.started_at + self.full_duration.mul_f64((self.goal - self.from).abs())
    }

    /// When its next step is due; `None` once it is over.
    pub(super) fn next_step_at(&self, now: Duration) -> Option<Duration> {
        (!self.is_over(now)).then(|| {
            (now + (self.full_duration / MAX_STEPS).max(MIN_STEP_INTERVAL)).min(self.ends_at())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ramp_goes_evenly_and_turns_where_it_is() {
        let mut ramp = Ramp::at_rest(1.0);
        ramp.retarget(0.0, 100 * SECOND, 10 * SECOND);
        assert_eq!(ramp.value_at(10 * SECOND), 1.0);
        assert!((ramp.value_at(40 * SECOND) - 0.7).abs() < 1e-9);
        assert_eq!(ramp.ends_at(), 110 * SECOND);
        // Undone after 30 s, and back as fast as a slow start of 20 s is.
        ramp.retarget(1.0, 20 * SECOND, 40 * SECOND);
        assert!((ramp.value_at(43 * SECOND) - 0.85).abs() < 1e-9);
        assert_eq!(ramp.value_at(46 * SECOND), 1.0);
        assert_eq!(ramp.next_step_at(46 * SECOND), None);
    }

    #[test]
    fn a_way_of_no_time_is_gone_at_once() {
        let mut ramp = Ramp::at_rest(1.0);
        ramp.retarget(0.0, Duration::ZERO, SECOND);
        assert_eq!(ramp.value_at(SECOND), 0.0);
        assert!(ramp.fraction_at(SECOND).is_zero());
    }

    #[test]
    fn who_starts_takes_a_little_from_the_first_moment_on() {
        let mut ramp = Ramp::at_rest(0.0);
        ramp.retarget(1.0, 300 * SECOND, SECOND);
        assert!(!ramp.fraction_at(SECOND).is_zero());
        assert!(ramp.fraction_at(SECOND).share() < 0.01);
    }

    #[test]
    fn a_ramp_told_its_goal_again_goes_on_as_it_was() {
        let mut ramp = Ramp::at_rest(1.0);
        ramp.retarget(0.0, 100 * SECOND, SECOND);
        let before = ramp;
        ramp.retarget(0.0, 100 * SECOND, 50 * SECOND);
        assert_eq!(ramp, before);
    }
}
