//! The damper: shares follow their targets slowly, and ignore small differences.
//!
//! DNS acts on resolvers' caches: a change takes effect one TTL later. So there is at most one step
//! per TTL, of at most a tenth of the clients. Targets are smoothed. Settled shares stay until one
//! of them is wrong by the dead band of five points. Once they move, they go all the way to the
//! target: if they stopped at the edge of the dead band, each report would start them again. Only
//! the relief of a full member is urgent: its targets are not smoothed, and its steps may be
//! larger.

use super::step_limits::{MAX_STEP, MAX_URGENT_STEP};

/// Settled shares do not move while each of them is wrong by less than this.
const DEAD_BAND: f64 = 0.05;
/// Moving shares are settled after a step that changes each of them by less than this.
const SETTLE_THRESHOLD: f64 = 0.004;
/// The weight of the newest target in the moving average.
const SMOOTHING_FACTOR: f64 = 0.35;

/// The shares of a pool's members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Damper {
    shares: Vec<f64>,
    /// The moving average of the targets.
    smoothed_target: Vec<f64>,
    is_moving: bool,
}

impl Damper {
    pub(super) fn new(shares: Vec<f64>) -> Self {
        Self { smoothed_target: shares.clone(), shares, is_moving: false }
    }

    /// Shares that have not settled: the next step ignores the dead band.
    pub(super) fn new_moving(shares: Vec<f64>) -> Self {
        Self { is_moving: true, ..Self::new(shares) }
    }

    /// The present shares, which add up to 1.
    pub(super) fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Takes one step towards the moving average of targets; `target` adds up to 1. Settled shares
    /// move only if they differ from `reported` by the dead band. `reported` are the shares that
    /// the reports suggest if load does not follow the share.
    pub(super) fn step(&mut self, target: &[f64], reported: &[f64]) {
        for (smoothed, target) in self.smoothed_target.iter_mut().zip(target) {
            *smoothed += SMOOTHING_FACTOR * (target - *smoothed);
        }
        self.is_moving |= largest_error(&self.shares, reported) >= DEAD_BAND;
        if self.is_moving {
            let target = self.smoothed_target.clone();
            self.move_towards(&target, MAX_STEP);
        }
    }

    /// Takes one urgent step towards `target`, which adds up to 1. The target is not smoothed.
    pub(super) fn step_urgently(&mut self, target: &[f64]) {
        self.smoothed_target = target.to_vec();
        self.move_towards(target, MAX_URGENT_STEP);
    }

    /// Takes one step towards the configured shares. They are not smoothed, since they are no
    /// measurement.
    pub(super) fn step_to_configured(&mut self, configured: &[f64]) {
        self.smoothed_target = configured.to_vec();
        self.move_towards(configured, MAX_STEP);
    }

    fn move_towards(&mut self, target: &[f64], max_step: f64) {
        self.is_moving = largest_error(&self.shares, target) >= SETTLE_THRESHOLD;
        // Half of the sum of differences, since what one member loses another gains.
        let distance = self
            .shares
            .iter()
            .zip(target)
            .map(|(share, target)| (target - share).abs())
            .sum::<f64>()
            / 2.0;
        let step_fraction = if distance > max_step { max_step / distance } else { 1.0 };
        for (share, target) in self.shares.iter_mut().zip(target) {
            *share += step_fraction * (target - *share);
        }
    }
}

/// The largest difference between a share and its target.
fn largest_error(shares: &[f64], target: &[f64]) -> f64 {
    shares.iter().zip(target).map(|(share, target)| (target - share).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_moves_more_than_a_tenth() {
        let mut damper = Damper::new(vec![1.0, 0.0, 0.0]);
        for _ in 0..40 {
            let before = damper.shares().to_vec();
            damper.step(&[0.0, 0.5, 0.5], &[0.0, 0.5, 0.5]);
            let moved: f64 =
                before.iter().zip(damper.shares()).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
            assert!(moved <= MAX_STEP + 1e-9, "{moved}");
        }
        assert!(damper.shares()[0] < 0.02, "{:?}", damper.shares());
    }

    #[test]
    fn settled_shares_ignore_differences_within_the_dead_band() {
        let mut damper = Damper::new(vec![0.5, 0.5]);
        for step in 0..100 {
            let noise = if step % 2 == 0 { 0.049 } else { -0.049 };
            damper.step(&[0.5 + noise, 0.5 - noise], &[0.5 + noise, 0.5 - noise]);
        }
        assert_eq!(damper.shares(), [0.5, 0.5]);
    }

    #[test]
    fn moving_shares_go_all_the_way() {
        let mut damper = Damper::new(vec![0.5, 0.5]);
        (0..30).for_each(|_| damper.step(&[0.3, 0.7], &[0.3, 0.7]));
        assert!((damper.shares()[0] - 0.3).abs() < 0.01, "{:?}", damper.shares());
    }
}
