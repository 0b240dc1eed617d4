//! Spilling: what a pool keeps of its clients while its load is above what it should be.

use super::damper::STEP;

/// A pool never keeps less than this: a metric never empties one.
const LEAST: f64 = 0.05;
/// What it keeps stays as it is while it is wrong by less than this.
const DEAD_BAND: f64 = 0.05;
/// It goes the last step, and comes to rest, when it is wrong by less than this.
const REST: f64 = 0.01;
/// The weight of the newest report among all before it.
const SMOOTHING: f64 = 0.35;

/// What a pool keeps, on its way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spill {
    keep: f64,
    wanted: f64,
    is_moving: bool,
}

impl Default for Spill {
    fn default() -> Self {
        Self { keep: 1.0, wanted: 1.0, is_moving: false }
    }
}

impl Spill {
    /// As it was in an earlier life.
    pub(super) fn restored(keep: f64) -> Self {
        let keep = if keep.is_finite() { keep.clamp(LEAST, 1.0) } else { 1.0 };
        Self { keep, wanted: keep, is_moving: keep < 1.0 }
    }

    /// From 0 to 1.
    pub(super) fn keep(&self) -> f64 {
        self.keep
    }

    /// One step, for a load of `level` where `target` is right and `max` too much. A load follows what is kept.
    pub(super) fn step(&mut self, level: f64, target: f64, max: f64) {
        let right = if level > 0.0 { self.keep * target / level } else { 1.0 };
        let right = right.clamp(LEAST, 1.0);
        let is_urgent = level >= max;
        self.wanted = if is_urgent { right } else { self.wanted + SMOOTHING * (right - self.wanted) };
        // What is not needed any more is given back to the last client.
        let is_free = right >= 1.0 && self.keep < 1.0;
        let is_small = (self.wanted - self.keep).abs() < DEAD_BAND;
        let is_idle = !self.is_moving && !is_urgent && !is_free && is_small;
        if !is_idle {
            self.go();
        }
    }

    /// One step back to keeping all: nothing is known of the load.
    pub(super) fn step_home(&mut self) {
        self.wanted = 1.0;
        self.go();
    }

    fn go(&mut self) {
        let error = self.wanted - self.keep;
        self.is_moving = error.abs() >= REST;
        self.keep += error.clamp(-STEP, STEP);
        // A pool that is no longer loaded keeps all, to the last client.
        if self.wanted > 1.0 - REST && self.keep > 1.0 - REST {
            self.keep = 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_goes_and_comes_back() {
        let mut spill = Spill::default();
        for _ in 0..30 {
            // 1000 want in, 800 are right.
            spill.step(1000.0 * spill.keep(), 800.0, 950.0);
        }
        assert!((spill.keep() - 0.8).abs() < 0.03, "{}", spill.keep());
        for _ in 0..30 {
            spill.step(500.0 * spill.keep(), 800.0, 950.0);
        }
        assert_eq!(spill.keep(), 1.0);
    }

    #[test]
    fn a_little_above_the_target_is_left_alone_and_nothing_empties_a_pool() {
        let mut spill = Spill::default();
        (0..50).for_each(|_| spill.step(82.0, 80.0, 95.0));
        assert_eq!(spill.keep(), 1.0);
        (0..50).for_each(|_| spill.step(1e9, 80.0, 95.0));
        assert_eq!(spill.keep(), LEAST);
        (0..20).for_each(|_| spill.step_home());
        assert_eq!(spill.keep(), 1.0);
    }

    #[test]
    fn what_is_too_much_goes_at_once_by_a_tenth() {
        let mut spill = Spill::default();
        spill.step(120.0, 80.0, 100.0);
        assert!((spill.keep() - (1.0 - STEP)).abs() < 1e-9, "{}", spill.keep());
    }
}
