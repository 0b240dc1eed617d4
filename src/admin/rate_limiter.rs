//! Pace: at most so many steps a second, with a burst before it bites. Whoever is too fast waits;
//! nobody is turned away.
//!
//! A client sends its next request only when the last was answered, so that waiting slows a flood
//! down to what the pace allows, and with few connections nobody waits long.

use std::time::Duration;

use tokio::time::Instant;

/// A pace that is shared by everyone who takes steps.
#[derive(Debug)]
pub(super) struct RateLimiter {
    token_interval: Duration,
    burst: Duration,
    /// When the steps taken so far would be over if they had kept to the pace.
    reserved_until: Instant,
}

impl RateLimiter {
    /// `burst` steps may be taken at once. `a_second` is at least 1.
    pub(super) fn new(a_second: u32, burst: u32, now: Instant) -> Self {
        let token_interval = Duration::from_secs(1) / a_second.max(1);
        Self { token_interval, burst: token_interval * burst, reserved_until: now }
    }

    /// Takes so many steps and says from when on they may be made.
    pub(super) fn reserve(&mut self, steps: u32, now: Instant) -> Instant {
        self.reserved_until = self.reserved_until.max(now) + self.token_interval * steps;
        now.max(self.reserved_until.checked_sub(self.burst).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_wait_for_the_pace_once_the_burst_is_used_up() {
        let start = Instant::now();
        let mut pace = RateLimiter::new(100, 5, start);
        let waits: Vec<u128> =
            (0..8).map(|_| (pace.reserve(1, start) - start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 10, 20, 30]);
        let later = start + Duration::from_secs(1);
        assert_eq!(pace.reserve(1, later), later, "after a rest there is a burst again");
    }

    #[test]
    fn many_steps_at_once_hold_up_the_next() {
        let start = Instant::now();
        let mut pace = RateLimiter::new(100, 5, start);
        pace.reserve(105, start);
        assert_eq!(pace.reserve(1, start) - start, Duration::from_millis(1010));
    }
}
