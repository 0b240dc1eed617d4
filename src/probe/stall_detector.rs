//! The stall detector measures for how long this process did not run. A suspended process, or one
//! short of CPU, sees timeouts that no target caused.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// The time between two ticks of a process that runs.
const TICK_INTERVAL: Duration = Duration::from_millis(20);

/// The total time in which the process did not run. Only [`Self::run`] writes it.
///
/// It uses monotonic time, so a step of the wall clock has no effect.
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

    /// Records a tick per [`TICK_INTERVAL`] until dropped.
    pub(super) async fn run(&self) {
        loop {
            tokio::time::sleep(TICK_INTERVAL).await;
            self.record_tick(Instant::now());
        }
    }

    fn record_tick(&self, now: Instant) {
        let now = self.since_epoch(now);
        let stalled = stall_between(now, self.last_tick_nanos.load(Relaxed));
        // In this order, a reader between the two steps may see a stall that is too long, but never
        // one that is too short.
        self.stalled_nanos.fetch_add(stalled, Relaxed);
        self.last_tick_nanos.store(now, Relaxed);
    }

    /// The total stalled time until `now`. It includes a stall that has only just ended, so the
    /// first task that runs after it sees it.
    pub(super) fn stalled_until(&self, now: Instant) -> Duration {
        let pending = stall_between(self.since_epoch(now), self.last_tick_nanos.load(Relaxed));
        Duration::from_nanos(self.stalled_nanos.load(Relaxed) + pending)
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        u64::try_from((now - self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The stalled time between two ticks, in nanoseconds: the part of the gap that exceeds two
/// intervals, which a busy but running process may take.
fn stall_between(now: u64, last: u64) -> u64 {
    now.saturating_sub(last).saturating_sub(2 * TICK_INTERVAL.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_at_once_and_counted_once() {
        let detector = StallDetector::new();
        let mut now = detector.epoch;
        for _ in 0..100 {
            now += TICK_INTERVAL + TICK_INTERVAL / 2;
            detector.record_tick(now);
        }
        assert_eq!(detector.stalled_until(now), Duration::ZERO, "a busy machine is no stall");
        now += Duration::from_secs(3);
        let seen = detector.stalled_until(now);
        assert_eq!(seen, Duration::from_secs(3) - 2 * TICK_INTERVAL, "before the next tick");
        detector.record_tick(now);
        detector.record_tick(now + TICK_INTERVAL);
        assert_eq!(detector.stalled_until(now + TICK_INTERVAL), seen, "and not again after it");
    }
}
