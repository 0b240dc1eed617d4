//! Ramps: a fraction that rises or falls evenly over a time.

use std::time::Duration;

use crate::steer::model::Fraction;

/// The maximum number of steps of a ramp from 0 to 1: each step compiles new wheels.
const MAX_STEPS: u32 = 200;
/// The least time between two steps of a ramp.
const MIN_STEP_INTERVAL: Duration = Duration::from_millis(500);

/// A fraction between 0 and 1 that moves to a goal, or has settled there. Times are since the
/// caller's epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ramp {
    from: f64,
    goal: f64,
    started_at: Duration,
    /// The time of a ramp from 0 to 1; a shorter distance takes proportionally less.
    full_duration: Duration,
}

impl Ramp {
    /// A ramp that has settled at `value`.
    pub(super) fn settled(value: f64) -> Self {
        Self { from: value, goal: value, started_at: Duration::ZERO, full_duration: Duration::ZERO }
    }

    /// Moves on to another goal from the present value. `full_duration` is the time of a ramp from
    /// 0 to 1.
    pub(super) fn retarget(&mut self, goal: f64, full_duration: Duration, now: Duration) {
        if self.goal != goal || self.full_duration != full_duration && !self.is_over(now) {
            *self = Self { from: self.value_at(now), goal, started_at: now, full_duration };
        }
    }

    /// Settles at `value` at once.
    pub(super) fn jump_to(&mut self, value: f64) {
        *self = Self::settled(value);
    }

    /// The value at `now`, from 0 to 1.
    pub(super) fn value_at(&self, now: Duration) -> f64 {
        let distance = self.goal - self.from;
        let moved =
            now.saturating_sub(self.started_at).as_secs_f64() / self.full_duration.as_secs_f64();
        // With a duration of zero the quotient may be NaN; such a ramp is over at once.
        if moved.is_nan() || moved >= distance.abs() {
            self.goal
        } else {
            self.from + moved * distance.signum()
        }
    }

    /// The fraction of clients at `now`. A rising ramp starts with one step: at 0 nothing would
    /// start.
    pub(super) fn fraction_at(&self, now: Duration) -> Fraction {
        let value = self.value_at(now);
        let min_value = if self.goal > 0.0 { 1.0 / f64::from(MAX_STEPS) } else { 0.0 };
        Fraction::from_share(value.max(min_value))
    }

    /// The value at the end, from 0 to 1.
    pub(super) fn goal(&self) -> f64 {
        self.goal
    }

    /// Whether the goal is reached at `now`.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.value_at(now) == self.goal
    }

    /// The time at which the goal is reached.
    pub(super) fn ends_at(&self) -> Duration {
        self.started_at + self.full_duration.mul_f64((self.goal - self.from).abs())
    }

    /// The time at which the next step is due; `None` once the ramp is over.
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
    fn a_ramp_moves_evenly_and_turns_at_its_present_value() {
        let mut ramp = Ramp::settled(1.0);
        ramp.retarget(0.0, 100 * SECOND, 10 * SECOND);
        assert_eq!(ramp.value_at(10 * SECOND), 1.0);
        assert!((ramp.value_at(40 * SECOND) - 0.7).abs() < 1e-9);
        assert_eq!(ramp.ends_at(), 110 * SECOND);
        // Reversed after 30 s, with a slow start of 20 s.
        ramp.retarget(1.0, 20 * SECOND, 40 * SECOND);
        assert!((ramp.value_at(43 * SECOND) - 0.85).abs() < 1e-9);
        assert_eq!(ramp.value_at(46 * SECOND), 1.0);
        assert_eq!(ramp.next_step_at(46 * SECOND), None);
    }

    #[test]
    fn a_ramp_of_no_duration_is_over_at_once() {
        let mut ramp = Ramp::settled(1.0);
        ramp.retarget(0.0, Duration::ZERO, SECOND);
        assert_eq!(ramp.value_at(SECOND), 0.0);
        assert!(ramp.fraction_at(SECOND).is_zero());
    }

    #[test]
    fn a_rising_ramp_starts_above_zero() {
        let mut ramp = Ramp::settled(0.0);
        ramp.retarget(1.0, 300 * SECOND, SECOND);
        assert!(!ramp.fraction_at(SECOND).is_zero());
        assert!(ramp.fraction_at(SECOND).share() < 0.01);
    }

    #[test]
    fn setting_the_same_goal_again_changes_nothing() {
        let mut ramp = Ramp::settled(1.0);
        ramp.retarget(0.0, 100 * SECOND, SECOND);
        let before = ramp;
        ramp.retarget(0.0, 100 * SECOND, 50 * SECOND);
        assert_eq!(ramp, before);
    }
}
