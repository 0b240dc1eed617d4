//! The kept share of one pool: how a report changes it.

use super::{deviation::Deviation, fullness::PoolLoad};
use crate::steer::feedback::step_limits::{MAX_PASS_THROUGH_STEP, MAX_STEP, MAX_URGENT_SPILL_STEP};

/// The least kept share of a pool: a metric never empties one.
pub(super) const MIN_KEPT_SHARE: f64 = 0.05;
/// A pool that would keep more than this share keeps all of its clients.
const FULL_SHARE_THRESHOLD: f64 = 0.985;
/// Levels below this share of the target count as this share of it.
const MIN_RELATIVE_LEVEL: f64 = 1e-3;

/// The share of its clients that one pool keeps, and the reports that may change it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spill {
    /// The share of its clients that the pool keeps, from 0 to 1.
    pub(super) kept_share: f64,
    deviation: Deviation,
}

impl Default for Spill {
    /// The pool keeps all of its clients.
    fn default() -> Self {
        Self { kept_share: 1.0, deviation: Deviation::default() }
    }
}

/// The intended step of a pool, before the clients that other pools spill to it are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedStep {
    /// The present load level of the pool.
    pub(super) level: f64,
    /// The level after the step.
    target_level: f64,
    /// Whether the level is to be corrected. Otherwise the pool keeps its level whatever other
    /// pools spill to it.
    corrects_level: bool,
    /// The maximum change of the kept share.
    max_change: f64,
}

impl Spill {
    /// The kept share of a previous run.
    pub(super) fn restored(kept_share: f64) -> Self {
        let is_valid = kept_share.is_finite();
        let kept_share = if is_valid { kept_share.clamp(MIN_KEPT_SHARE, 1.0) } else { 1.0 };
        Self { kept_share, ..Self::default() }
    }

    /// The kept share, from 0 to 1.
    pub(super) fn kept_share(&self) -> f64 {
        self.kept_share
    }

    /// The step that a report asks for; `rest_fullness` is the fullness at equilibrium.
    ///
    /// A `nearest` pool spills addresses in the order of distance, and some places have more
    /// clients than others. So only `gain` of the difference is corrected there, and steps are
    /// smaller by the same factor.
    pub(super) fn plan_step(
        &mut self,
        load: &PoolLoad,
        rest_fullness: f64,
        gain: f64,
    ) -> PlannedStep {
        let level = load.level.max(load.target * MIN_RELATIVE_LEVEL);
        let rest_level = load.level_at(rest_fullness.max(1.0));
        let scale = rest_level.max(level);
        let difference = self.deviation.record((rest_level - level) / scale);
        let can_move =
            if difference < 0.0 { self.kept_share > MIN_KEPT_SHARE } else { self.kept_share < 1.0 };
        if !can_move {
            self.deviation.restart();
        }
        let corrects_level = can_move && self.deviation.is_significant();
        let is_urgent = load.is_at_max() && rest_level < level;
        let max_change = gain * if is_urgent { MAX_URGENT_SPILL_STEP } else { MAX_STEP };
        let target_level = if corrects_level {
            self.deviation.restart();
            level + gain * difference * scale
        } else {
            level.max(rest_level)
        };
        PlannedStep { level, target_level, corrects_level, max_change }
    }

    /// The kept share after a step in which `inflow` is added to the load that is offered to the
    /// pool.
    pub(super) fn kept_after_step(&self, step: &PlannedStep, inflow: f64) -> f64 {
        let PlannedStep { level, target_level, corrects_level, max_change } = *step;
        let expected = (level + inflow * self.kept_share).max(level * MIN_RELATIVE_LEVEL);
        let share_for = |level: f64| self.kept_share * level / expected;
        let limited = |share: f64, max_change: f64| {
            self.kept_share + (share - self.kept_share).clamp(-max_change, max_change)
        };
        let kept_share = match (corrects_level, inflow > 0.0) {
            (true, has_inflow) if expected > target_level => {
                let max_change = if has_inflow { MAX_PASS_THROUGH_STEP / 2.0 } else { max_change };
                limited(share_for(target_level), max_change)
            }
            (true, _) => limited(share_for(target_level), max_change),
            // Clients that others spill pass through if there is no room for them.
            (false, true) if expected > target_level => {
                limited(share_for(target_level), MAX_PASS_THROUGH_STEP)
            }
            // Clients that others take back leave room for the pool's own.
            (false, false) if inflow < 0.0 && self.kept_share < 1.0 => {
                limited(share_for(level), MAX_PASS_THROUGH_STEP)
            }
            (false, _) => self.kept_share,
        };
        bounded_share(kept_share)
    }

    /// Takes one step towards keeping all clients, because the load is unknown.
    pub(super) fn step_to_full(&mut self) {
        self.deviation.restart();
        self.kept_share = bounded_share(self.kept_share + MAX_STEP);
    }
}

/// The share, limited to the bounds of a kept share: at least [`MIN_KEPT_SHARE`], and 1 if it is
/// above [`FULL_SHARE_THRESHOLD`].
pub(super) fn bounded_share(share: f64) -> f64 {
    if share > FULL_SHARE_THRESHOLD { 1.0 } else { share.max(MIN_KEPT_SHARE) }
}
