//! The pulse: how long this process did not run. A stopped or starved checker sees timeouts that
//! are its own.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// A process that runs beats this often.
const TICK_INTERVAL: Duration = Duration::from_millis(20);

/// The sum of all time in which the process did not run. Written by its own beat alone.
///
/// It reads monotonic time only: a step of the wall clock is nothing to it.
#[derive(Debug)]
pub(super) struct StallDetector {
    epoch: Instant,
    last_tick_nanos: AtomicU64,
    stalled_nanos: AtomicU64,
}

impl StallDetector {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            last_tick_nanos: AtomicU64::new(0),
            stalled_nanos: AtomicU64::new(0),
        }
    }

    /// Beats until dropped.
    pub(super) async fn run(&self) {
        loop {
            tokio::time::sleep(TICK_INTERVAL).await;
            self.record_tick(Instant::now());
        }
    }

    fn record_tick(&self, now: Instant) {
        let now = self.since_epoch(now);
        let lost = stall_between(now, self.last_tick_nanos.load(Relaxed));
        // In this order a reader between the two may see too much lost, never too little.
        self.stalled_nanos.fetch_add(lost, Relaxed);
        self.last_tick_nanos.store(now, Relaxed);
    }

    /// All time lost until `now`, a stop that has only just ended included: whoever wakes first
    /// sees it.
    pub(super) fn stalled_until(&self, now: Instant) -> Duration {
        let pending = stall_between(self.since_epoch(now), self.last_tick_nanos.load(Relaxed));
        Duration::from_nanos(self.stalled_nanos.load(Relaxed) + pending)
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        u64::try_from((now - self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What lies between two beats beyond what a busy but running process takes.
fn stall_between(now: u64, last: u64) -> u64 {
    now.saturating_sub(last).saturating_sub(2 * TICK_INTERVAL.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_seen_at_once_and_counted_once() {
        let pulse = StallDetector::new();
        let mut now = pulse.epoch;
        for _ in 0..100 {
            now += TICK_INTERVAL + TICK_INTERVAL / 2;
            pulse.record_tick(now);
        }
        assert_eq!(pulse.stalled_until(now), Duration::ZERO, "a busy machine is no stop");
        now += Duration::from_secs(3);
        let seen = pulse.stalled_until(now);
        assert_eq!(seen, Duration::from_secs(3) - 2 * TICK_INTERVAL, "before the next beat");
        pulse.record_tick(now);
        pulse.record_tick(now + TICK_INTERVAL);
        assert_eq!(pulse.stalled_until(now + TICK_INTERVAL), seen, "and not again after it");
    }
}
