//! Spill: what each pool with a capacity keeps of its clients, decided together with the pools that
//! its excess goes to.
//!
//! A pool gives clients away only where that helps: up to its target while the others have room,
//! and beyond their targets only until all are equally full. So every pool has a *rest*, the
//! fullness at which its load and that of its neighbours would be evenly spread, and never less
//! than its target. What it keeps is corrected by how far it is from there.
//!
//! DNS acts on caches: the effect of a step is seen a TTL later, and what is reported is noisy,
//! because few resolvers may have most of the clients. So a single report moves a pool only if it
//! is far from its rest; a lesser difference must last, and the noise that was seen counts against
//! it. A step is limited, and what one pool gives away is expected at the next before it is
//! reported there.
//!
//! | what | file |
//! |---|---|
//! | how full a pool is, on one scale for all measures | `fullness` |
//! | which pools give clients to which | `neighbours` |
//! | whether a difference is more than noise | `deviation` |

mod deviation;
mod fullness;
mod neighbours;

#[cfg(test)]
mod simulation;

pub(super) use fullness::PoolLoad;
pub(super) use neighbours::{Flows, Neighbours};

use super::damper::MAX_STEP;
use deviation::Deviation;

/// A pool never keeps less than this: a metric never empties one.
const MIN_KEPT_SHARE: f64 = 0.05;
/// A pool that would keep more than this keeps all of its clients.
const FULL_SHARE_THRESHOLD: f64 = 0.985;
/// The most that a pool at its max gives away in one step.
const MAX_URGENT_STEP: f64 = 0.20;
/// The most that a pool passes on, or keeps again, in one step because of what others give or take
/// back.
const MAX_PASS_THROUGH_STEP: f64 = 0.40;
/// How much of a difference is corrected at once where clients leave by place.
const GAIN_BY_DISTANCE: f64 = 0.5;
/// Loads below this share of the target count as this.
const MIN_RELATIVE_LEVEL: f64 = 1e-3;

/// What one pool keeps of its clients.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spill {
    /// From 0 to 1.
    kept_share: f64,
    deviation: Deviation,
}

impl Default for Spill {
    fn default() -> Self {
        Self { kept_share: 1.0, deviation: Deviation::default() }
    }
}

/// What a pool is to do in a step.
#[derive(Debug, Clone, Copy)]
struct PlannedStep {
    /// Its level at present, and the one it is to have.
    level: f64,
    target_level: f64,
    /// Whether the difference is to be corrected. Else the level is kept as it is, whatever others
    /// give.
    corrects_level: bool,
    /// The most that what it keeps changes.
    max_change: f64,
}

impl Spill {
    /// As it was in the previous run.
    pub(super) fn restored(keep: f64) -> Self {
        let kept_share = if keep.is_finite() { keep.clamp(MIN_KEPT_SHARE, 1.0) } else { 1.0 };
        Self { kept_share, ..Self::default() }
    }

    /// From 0 to 1.
    pub(super) fn kept_share(&self) -> f64 {
        self.kept_share
    }

    /// What a report asks for, where the load is to rest at `rest_fullness` (a fullness).
    ///
    /// What a `nearest` pool gives away is a share of addresses, of which some places have more
    /// clients than others: only `gain` of the difference is corrected, and steps are as much
    /// smaller.
    fn plan_step(&mut self, load: &PoolLoad, rest: f64, gain: f64) -> PlannedStep {
        let level = load.level.max(load.target * MIN_RELATIVE_LEVEL);
        let goal = load.level_at(rest.max(1.0));
        let scale = goal.max(level);
        let difference = self.deviation.record((goal - level) / scale);
        let can_move =
            if difference < 0.0 { self.kept_share > MIN_KEPT_SHARE } else { self.kept_share < 1.0 };
        if !can_move {
            self.deviation.restart();
        }
        let moves = can_move && self.deviation.is_significant();
        let most = gain * if load.is_at_max() && goal < level { MAX_URGENT_STEP } else { MAX_STEP };
        if !moves {
            return PlannedStep {
                level,
                target_level: level.max(goal),
                corrects_level: moves,
                max_change: most,
            };
        }
        self.deviation.restart();
        PlannedStep {
            level,
            target_level: level + gain * difference * scale,
            corrects_level: moves,
            max_change: most,
        }
    }

    /// What it keeps after a step in which `inflow` is added to the load that comes to it.
    fn kept_after_step(&self, intent: &PlannedStep, inflow: f64) -> f64 {
        let PlannedStep { level, target_level: wanted, corrects_level: moves, max_change: most } =
            *intent;
        let expected = (level + inflow * self.kept_share).max(level * MIN_RELATIVE_LEVEL);
        let towards = |wanted: f64| self.kept_share * wanted / expected;
        let limited =
            |keep: f64, most: f64| self.kept_share + (keep - self.kept_share).clamp(-most, most);
        let keep = match (moves, inflow > 0.0) {
            (true, passes) if expected > wanted => {
                limited(towards(wanted), if passes { MAX_PASS_THROUGH_STEP / 2.0 } else { most })
            }
            (true, _) => limited(towards(wanted), most),
            // What others give passes through where there is no room for it.
            (false, true) if expected > wanted => limited(towards(wanted), MAX_PASS_THROUGH_STEP),
            // What others take back leaves room for its own.
            (false, false) if inflow < 0.0 && self.kept_share < 1.0 => {
                limited(towards(level), MAX_PASS_THROUGH_STEP)
            }
            (false, _) => self.kept_share,
        };
        bounded_share(keep)
    }

    /// Goes a step back to keeping all: nothing is known of the load.
    fn step_to_full(&mut self) {
        self.deviation.restart();
        self.kept_share = bounded_share(self.kept_share + MAX_STEP);
    }
}

/// Never less than the least that a pool keeps, and nearly all is all.
fn bounded_share(keep: f64) -> f64 {
    if keep > FULL_SHARE_THRESHOLD { 1.0 } else { keep.max(MIN_KEPT_SHARE) }
}

/// One step of pools that look together: each with its load, if it is known, and who gives to whom.
/// A pool that has nobody to give to keeps all, so that whoever comes back gets its clients step by
/// step.
pub(super) fn step_group(spills: &mut [&mut Spill], loads: &[Option<PoolLoad>], flows: &Flows) {
    let loads = PoolLoad::with_common_unit(loads);
    let intents: Vec<Option<PlannedStep>> = (0..spills.len())
        .map(|at| {
            if !flows.has_receivers(at) {
                return None;
            }
            let Some(load) = &loads[at] else {
                spills[at].step_to_full();
                return None;
            };
            let rest = flows.rest_fullness(at, &loads);
            let gain = if flows.is_by_distance(at) { GAIN_BY_DISTANCE } else { 1.0 };
            Some(spills[at].plan_step(load, rest, gain))
        })
        .collect();
    let mut keeps: Vec<f64> = spills.iter().map(|spill| spill.kept_share).collect();
    let mut inflows = vec![0.0; spills.len()];
    // What one gives to the next, that one gives on: as many rounds as there are pools reach the
    // last.
    for _ in 0..spills.len().max(2) {
        let mut given = vec![0.0; spills.len()];
        for (at, intent) in intents.iter().enumerate() {
            let Some(intent) = intent else { continue };
            let spill = &*spills[at];
            keeps[at] = spill.kept_after_step(intent, inflows[at]);
            let arriving = intent.level / spill.kept_share;
            given[at] =
                (1.0 - keeps[at]) * (arriving + inflows[at]) - (1.0 - spill.kept_share) * arriving;
        }
        inflows = flows.inflows(&given, &loads);
    }
    flows.redistribute_unkept(&mut keeps);
    for set in flows.closed_weighted_sets() {
        let most = set.iter().map(|&at| keeps[at]).fold(MIN_KEPT_SHARE, f64::max);
        set.iter().for_each(|&at| keeps[at] /= most);
    }
    for (at, (spill, keep)) in spills.iter_mut().zip(keeps).enumerate() {
        spill.kept_share = if flows.has_receivers(at) { bounded_share(keep) } else { 1.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::{
        simulation::{ParentPolicy, SimulationTiming, topology},
        *,
    };
    use crate::steer::model::PoolId;

    /// Failover from one pool to the next, of which these are in service.
    fn flows(serving: &[bool]) -> Flows {
        flows_held_by(None, serving)
    }

    fn flows_held_by(holder: Option<u16>, serving: &[bool]) -> Flows {
        let topology = topology(
            ParentPolicy::Failover,
            serving.len(),
            SimulationTiming { ttl: 30, interval: 5 },
        );
        let capped: Vec<PoolId> = (0..serving.len() as u32).map(PoolId).collect();
        let groups = Neighbours::group_pools(&topology, &capped);
        assert_eq!(groups.len(), 1);
        let top = PoolId(serving.len() as u32);
        groups[0].1.spill_flows(
            serving.len(),
            &[serving.to_vec()],
            &holder.map(|at| (top, at)).into_iter().collect(),
        )
    }

    fn stepped(levels: &[f64], flows: &Flows) -> Vec<f64> {
        let load = |&level: &f64| Some(PoolLoad::new([level, 50.0, 70.0], Some(level)));
        let loads: Vec<Option<PoolLoad>> = levels.iter().map(load).collect();
        let mut spills = vec![Spill::default(); levels.len()];
        step_group(&mut spills.iter_mut().collect::<Vec<_>>(), &loads, flows);
        spills.iter().map(Spill::kept_share).collect()
    }

    #[test]
    fn excess_that_the_next_pool_has_no_room_for_is_passed_on_in_the_same_step() {
        let keeps = stepped(&[65.0, 50.0, 10.0], &flows(&[true; 3]));
        assert!(keeps[0] < 0.95 && keeps[1] < 0.95 && keeps[2] == 1.0, "{keeps:?}");
        let keeps = stepped(&[65.0, 20.0, 10.0], &flows(&[true; 3]));
        assert!(keeps[0] < 0.95 && keeps[1..] == [1.0, 1.0], "there is room: {keeps:?}");
    }

    #[test]
    fn nobody_gives_anything_away_below_its_target_nor_where_all_are_equally_full() {
        for levels in [[49.0, 0.0, 0.0], [65.0, 65.0, 65.0], [500.0, 500.0, 500.0]] {
            assert_eq!(stepped(&levels, &flows(&[true; 3])), [1.0; 3], "{levels:?}");
        }
    }

    #[test]
    fn a_pool_gives_nothing_to_those_that_are_not_in_service() {
        assert_eq!(stepped(&[500.0, 0.0], &flows(&[true, false])), [1.0; 2]);
        let keeps = stepped(&[500.0, 0.0, 0.0], &flows(&[true, false, true]));
        assert!(keeps[0] < 1.0, "{keeps:?}");
    }

    #[test]
    fn the_pool_that_clients_stay_with_gives_to_those_before_it() {
        let keeps = stepped(&[0.0, 65.0], &flows_held_by(Some(1), &[true; 2]));
        assert!(keeps[0] == 1.0 && keeps[1] < 0.95, "{keeps:?}");
    }

    #[test]
    fn a_pool_whose_load_is_not_known_goes_back_to_keeping_all() {
        let flows = flows(&[true; 2]);
        let mut spills = [Spill::restored(0.55), Spill::default()];
        for _ in 0..5 {
            step_group(&mut spills.iter_mut().collect::<Vec<_>>(), &[None, None], &flows);
        }
        assert_eq!(spills[0].kept_share(), 1.0);
    }

    #[test]
    fn what_nobody_keeps_is_shared_in_proportion_to_what_each_takes() {
        let mut keeps = [0.2, 0.5, 0.5];
        flows(&[true; 3]).redistribute_unkept(&mut keeps);
        // They take 0.2, 0.4 and 0.2, of 0.8.
        let wanted = [0.25, 0.5 / 0.75, 1.0];
        assert!(
            keeps.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-9),
            "{keeps:?}"
        );
        let mut keeps = [0.2, 1.0, 0.05];
        flows(&[true; 3]).redistribute_unkept(&mut keeps);
        assert_eq!(keeps, [0.2, 1.0, 0.05], "somebody keeps all");
    }
}
