//! The pulse: how long this process did not run. A stopped or starved checker sees timeouts that
//! are its own.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// A process that runs beats this often.
const PERIOD: Duration = Duration::from_millis(20);

/// The sum of all time in which the process did not run. Written by its own beat alone.
///
/// It reads monotonic time only: a step of the wall clock is nothing to it.
#[derive(Debug)]
pub(super) struct Pulse {
    epoch: Instant,
    last_nanos: AtomicU64,
    lost_nanos: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), last_nanos: AtomicU64::new(0), lost_nanos: AtomicU64::new(0) }
    }

    /// Beats until dropped.
    pub(super) async fn beat(&self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.note(Instant::now());
        }
    }

    fn note(&self, now: Instant) {
        let now = self.since_epoch(now);
        let lost = excess(now, self.last_nanos.load(Relaxed));
        // In this order a reader between the two may see too much lost, never too little.
        self.lost_nanos.fetch_add(lost, Relaxed);
        self.last_nanos.store(now, Relaxed);
    }

    /// All time lost until `now`, a stop that has only just ended included: whoever wakes first
    /// sees it.
    pub(super) fn lost(&self, now: Instant) -> Duration {
        let pending = excess(self.since_epoch(now), self.last_nanos.load(Relaxed));
        Duration::from_nanos(self.lost_nanos.load(Relaxed) + pending)
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        u64::try_from((now - self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What lies between two beats beyond what a busy but running process takes.
fn excess(now: u64, last: u64) -> u64 {
    now.saturating_sub(last).saturating_sub(2 * PERIOD.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_seen_at_once_and_counted_once() {
        let pulse = Pulse::new();
        let mut now = pulse.epoch;
        for _ in 0..100 {
            now += PERIOD + PERIOD / 2;
            pulse.note(now);
        }
        assert_eq!(pulse.lost(now), Duration::ZERO, "a busy machine is no stop");
        now += Duration::from_secs(3);
        let seen = pulse.lost(now);
        assert_eq!(seen, Duration::from_secs(3) - 2 * PERIOD, "before the next beat");
        pulse.note(now);
        pulse.note(now + PERIOD);
        assert_eq!(pulse.lost(now + PERIOD), seen, "and not again after it");
    }
}
