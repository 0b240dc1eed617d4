//! Pace: at most so many steps a second, with a burst before it bites. Whoever is too fast waits;
//! nobody is turned away.
//!
//! A client sends its next request only when the last was answered, so that waiting slows a flood
//! down to what the pace allows, and with few connections nobody waits long.

use std::time::Duration;

use tokio::time::Instant;

/// A pace that is shared by everyone who takes steps.
#[derive(Debug)]
pub(super) struct Pace {
    step: Duration,
    burst: Duration,
    /// When the steps taken so far would be over if they had kept to the pace.
    taken_until: Instant,
}

impl Pace {
    /// `burst` steps may be taken at once. `a_second` is at least 1.
    pub(super) fn new(a_second: u32, burst: u32, now: Instant) -> Self {
        let step = Duration::from_secs(1) / a_second.max(1);
        Self { step, burst: step * burst, taken_until: now }
    }

    /// Takes so many steps and says from when on they may be made.
    pub(super) fn take(&mut self, steps: u32, now: Instant) -> Instant {
        self.taken_until = self.taken_until.max(now) + self.step * steps;
        now.max(self.taken_until.checked_sub(self.burst).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_wait_for_the_pace_once_the_burst_is_used_up() {
        let start = Instant::now();
        let mut pace = Pace::new(100, 5, start);
        let waits: Vec<u128> = (0..8).map(|_| (pace.take(1, start) - start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 10, 20, 30]);
        let later = start + Duration::from_secs(1);
        assert_eq!(pace.take(1, later), later, "after a rest there is a burst again");
    }

    #[test]
    fn many_steps_at_once_hold_up_the_next() {
        let start = Instant::now();
        let mut pace = Pace::new(100, 5, start);
        pace.take(105, start);
        assert_eq!(pace.take(1, start) - start, Duration::from_millis(1010));
    }
}
