//! Latency: how slow a member is compared with its own past.

use std::time::Duration;

/// The weight of the newest response time in the moving average.
const SMOOTHING_FACTOR: f64 = 0.3;
/// How fast the baseline falls towards a shorter average, per response time. It falls quickly,
/// because a member is seldom faster than it normally is.
const BASELINE_FALL_FACTOR: f64 = 0.2;
/// The time in which the baseline rises to a longer average. It rises slowly, so that a slow hour
/// does not become the baseline.
const BASELINE_RISE_SECS: f64 = 3600.0;
/// Added to both times before they are compared, so that one millisecond more than half a
/// millisecond does not count as three times as slow.
const NOISE_FLOOR_SECS: f64 = 0.002;

/// The response times of one member.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Latency {
    averages: Option<LatencyAverages>,
    measured_at: Duration,
}

/// Moving averages of response times, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LatencyAverages {
    present: f64,
    baseline: f64,
}

impl Latency {
    /// Records a response time that was measured at `now`.
    pub(super) fn record(&mut self, response_time: Duration, now: Duration) {
        let secs = response_time.as_secs_f64();
        let elapsed_secs = now.saturating_sub(self.measured_at).as_secs_f64();
        self.measured_at = now;
        let LatencyAverages { present, baseline } =
            self.averages.unwrap_or(LatencyAverages { present: secs, baseline: secs });
        let present = present + SMOOTHING_FACTOR * (secs - present);
        let factor = if present < baseline {
            BASELINE_FALL_FACTOR
        } else {
            (elapsed_secs / BASELINE_RISE_SECS).min(1.0)
        };
        let baseline = baseline + factor * (present - baseline);
        self.averages = Some(LatencyAverages { present, baseline });
    }

    /// The present response time as a multiple of the baseline; `None` before the first
    /// measurement.
    pub(super) fn slowdown_factor(&self) -> Option<f64> {
        self.averages.map(|averages| {
            (averages.present + NOISE_FLOOR_SECS) / (averages.baseline + NOISE_FLOOR_SECS)
        })
    }

    /// The time at which the newest response time was measured.
    pub(super) fn measured_at(&self) -> Duration {
        self.measured_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slowdown after response times, each with its time in seconds and in milliseconds.
    fn slowdown_after(times: &[(u64, u64)]) -> f64 {
        let mut latency = Latency::default();
        times.iter().for_each(|&(secs, millis)| {
            latency.record(Duration::from_millis(millis), Duration::from_secs(secs))
        });
        latency.slowdown_factor().unwrap()
    }

    #[test]
    fn a_member_is_compared_with_its_own_past() {
        let far: Vec<_> = (0..50).map(|round| (round * 5, 120)).collect();
        assert!((slowdown_after(&far) - 1.0).abs() < 0.01);
        let slow: Vec<_> =
            (0..50).map(|round| (round * 5, if round < 30 { 20 } else { 80 })).collect();
        assert!(slowdown_after(&slow) > 3.0, "{}", slowdown_after(&slow));
    }

    #[test]
    fn a_lasting_slowdown_becomes_the_baseline_and_recovery_counts_at_once() {
        let lasting: Vec<_> =
            (0..10_000).map(|round| (round * 5, if round < 100 { 20 } else { 80 })).collect();
        assert!(slowdown_after(&lasting) < 1.01);
        let recovered: Vec<_> = (0..200)
            .map(|round| (round * 5, if (50..100).contains(&round) { 80 } else { 20 }))
            .collect();
        assert!(slowdown_after(&recovered) < 1.05);
    }
}
