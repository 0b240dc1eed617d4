//! Latencies: how slow a member is against its own usual time.

use std::time::Duration;

/// The weight of the newest time among those before it.
const SMOOTHING_FACTOR: f64 = 0.3;
/// A usual time that was too long is found out quickly: a member is seldom faster than it can be.
const BASELINE_FALL_FACTOR: f64 = 0.2;
/// One that was too short is believed only over so long: a slow hour is not usual.
const BASELINE_RISE_SECS: f64 = 3600.0;
/// Added to both times, so that a millisecond more is not three times as slow.
const NOISE_FLOOR_SECS: f64 = 0.002;

/// The times that a member takes to respond.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Latency {
    /// At present and usually, in seconds.
    present_and_usual_secs: Option<(f64, f64)>,
    measured_at: Duration,
}

impl Latency {
    /// Takes note of a time that was measured at `now`.
    pub(super) fn record(&mut self, time: Duration, now: Duration) {
        let secs = time.as_secs_f64();
        let since = now.saturating_sub(self.measured_at).as_secs_f64();
        self.measured_at = now;
        let (present, usual) = self.present_and_usual_secs.unwrap_or((secs, secs));
        let present = present + SMOOTHING_FACTOR * (secs - present);
        let pace = if present < usual {
            BASELINE_FALL_FACTOR
        } else {
            (since / BASELINE_RISE_SECS).min(1.0)
        };
        self.present_and_usual_secs = Some((present, usual + pace * (present - usual)));
    }

    /// How many times its usual time the member takes at present; `None` before it was measured.
    pub(super) fn slowdown_factor(&self) -> Option<f64> {
        self.present_and_usual_secs
            .map(|(present, usual)| (present + NOISE_FLOOR_SECS) / (usual + NOISE_FLOOR_SECS))
    }

    /// When it was last measured.
    pub(super) fn measured_at(&self) -> Duration {
        self.measured_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(times: &[(u64, u64)]) -> f64 {
        let mut latency = Latency::default();
        times.iter().for_each(|&(secs, ms)| {
            latency.record(Duration::from_millis(ms), Duration::from_secs(secs))
        });
        latency.slowdown_factor().unwrap()
    }

    #[test]
    fn a_member_is_measured_against_itself() {
        let far: Vec<_> = (0..50).map(|at| (at * 5, 120)).collect();
        assert!((fed(&far) - 1.0).abs() < 0.01);
        let slow: Vec<_> = (0..50).map(|at| (at * 5, if at < 30 { 20 } else { 80 })).collect();
        assert!(fed(&slow) > 3.0, "{}", fed(&slow));
    }

    #[test]
    fn what_lasts_becomes_usual_and_recovery_is_seen_at_once() {
        let lasting: Vec<_> =
            (0..10_000).map(|at| (at * 5, if at < 100 { 20 } else { 80 })).collect();
        assert!(fed(&lasting) < 1.01);
        let recovered: Vec<_> =
            (0..200).map(|at| (at * 5, if (50..100).contains(&at) { 80 } else { 20 })).collect();
        assert!(fed(&recovered) < 1.05);
    }
}
