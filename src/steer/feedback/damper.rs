//! The damper: shares follow what is wanted slowly, and not at all where the difference is small.
//!
//! DNS acts on resolvers' caches: what is changed now is seen a TTL later, so that steps are as
//! rare as a TTL and as small as a tenth. Wanted shares are smoothed; shares at rest stay there
//! until they are wrong by five points, and once they move they go all the way, lest they stop at
//! the edge of the band and start again with each report. Only what a full member must lose is
//! urgent: it is not smoothed, and a step may be larger.

/// Shares at rest stay there while each is wrong by less than this.
const DEAD_BAND: f64 = 0.05;
/// Shares that move go the last step, and come to rest, when that changes each by less than this.
const REST_THRESHOLD: f64 = 0.004;
/// The most that changes its owner in one step.
pub(super) const MAX_STEP: f64 = 0.10;
/// The same of an urgent step.
const MAX_URGENT_STEP: f64 = 0.25;
/// The weight of the newest report among all before it.
const SMOOTHING_FACTOR: f64 = 0.35;

/// Shares on their way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Damper {
    shares: Vec<f64>,
    /// What is wanted, smoothed over reports.
    smoothed_target: Vec<f64>,
    is_moving: bool,
}

impl Damper {
    pub(super) fn new(shares: Vec<f64>) -> Self {
        Self { smoothed_target: shares.clone(), shares, is_moving: false }
    }

    /// On the way: the next step is taken whatever the dead band says.
    pub(super) fn new_moving(shares: Vec<f64>) -> Self {
        Self { is_moving: true, ..Self::new(shares) }
    }

    /// The shares at present; they add up to 1.
    pub(super) fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// One step towards `smoothed_target`, which adds up to 1. Shares at rest are held against
    /// `reported`: what reports would have if no load followed.
    pub(super) fn step(&mut self, wanted: &[f64], reported: &[f64]) {
        for (smooth, wanted) in self.smoothed_target.iter_mut().zip(wanted) {
            *smooth += SMOOTHING_FACTOR * (wanted - *smooth);
        }
        self.is_moving |= largest_error(&self.shares, reported) >= DEAD_BAND;
        if self.is_moving {
            let target = self.smoothed_target.clone();
            self.move_towards(&target, MAX_STEP);
        }
    }

    /// One urgent step towards `smoothed_target`, which adds up to 1.
    pub(super) fn step_urgently(&mut self, wanted: &[f64]) {
        self.smoothed_target = wanted.to_vec();
        self.move_towards(wanted, MAX_URGENT_STEP);
    }

    /// One step towards shares that are not measured but known, such as the configured ones.
    pub(super) fn step_to_configured(&mut self, wanted: &[f64]) {
        self.smoothed_target = wanted.to_vec();
        self.move_towards(wanted, MAX_STEP);
    }

    fn move_towards(&mut self, wanted: &[f64], step: f64) {
        self.is_moving = largest_error(&self.shares, wanted) >= REST_THRESHOLD;
        // Each share that one loses another gains.
        let moved = self
            .shares
            .iter()
            .zip(wanted)
            .map(|(share, wanted)| (wanted - share).abs())
            .sum::<f64>()
            / 2.0;
        let pace = if moved > step { step / moved } else { 1.0 };
        for (share, wanted) in self.shares.iter_mut().zip(wanted) {
            *share += pace * (wanted - *share);
        }
    }
}

/// How wrong the worst share is.
fn largest_error(shares: &[f64], wanted: &[f64]) -> f64 {
    shares.iter().zip(wanted).map(|(share, wanted)| (wanted - share).abs()).fold(0.0, f64::max)
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
    fn shares_at_rest_ignore_what_is_within_the_dead_band() {
        let mut damper = Damper::new(vec![0.5, 0.5]);
        for at in 0..100 {
            let noise = if at % 2 == 0 { 0.049 } else { -0.049 };
            damper.step(&[0.5 + noise, 0.5 - noise], &[0.5 + noise, 0.5 - noise]);
        }
        assert_eq!(damper.shares(), [0.5, 0.5]);
    }

    #[test]
    fn shares_that_move_go_all_the_way() {
        let mut damper = Damper::new(vec![0.5, 0.5]);
        (0..30).for_each(|_| damper.step(&[0.3, 0.7], &[0.3, 0.7]));
        assert!((damper.shares()[0] - 0.3).abs() < 0.01, "{:?}", damper.shares());
    }
}
