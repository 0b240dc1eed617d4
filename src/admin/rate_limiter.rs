//! The rate limiter: a number of tokens per second, and a burst. A request over the rate waits;
//! none is refused.
//!
//! A client sends its next request only after the last was answered, so that the wait slows a flood
//! down to the rate; and since there are few connections, no request waits long.

use std::time::Duration;

use tokio::time::Instant;

/// A rate that all its users share.
#[derive(Debug)]
pub(super) struct RateLimiter {
    token_interval: Duration,
    burst: Duration,
    /// The time at which all tokens taken so far would have been issued at the rate.
    reserved_until: Instant,
}

impl RateLimiter {
    /// A rate of `tokens_per_second` (at least 1), of which `burst` may be taken at once.
    pub(super) fn new(tokens_per_second: u32, burst: u32, now: Instant) -> Self {
        let token_interval = Duration::from_secs(1) / tokens_per_second.max(1);
        Self { token_interval, burst: token_interval * burst, reserved_until: now }
    }

    /// Takes tokens; returns the time from which they may be used.
    pub(super) fn reserve(&mut self, tokens: u32, now: Instant) -> Instant {
        self.reserved_until = self.reserved_until.max(now) + self.token_interval * tokens;
        now.max(self.reserved_until.checked_sub(self.burst).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_wait_for_the_rate_once_the_burst_is_used_up() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(100, 5, start);
        let waits: Vec<u128> =
            (0..8).map(|_| (limiter.reserve(1, start) - start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 10, 20, 30]);
        let later = start + Duration::from_secs(1);
        assert_eq!(limiter.reserve(1, later), later, "after a pause there is a burst again");
    }

    #[test]
    fn many_tokens_at_once_delay_the_next() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(100, 5, start);
        limiter.reserve(105, start);
        assert_eq!(limiter.reserve(1, start) - start, Duration::from_millis(1010));
    }
}
