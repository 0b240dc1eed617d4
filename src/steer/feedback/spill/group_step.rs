//! One step of all pools of a group.

use super::{
    flows::Flows,
    fullness::PoolLoad,
    kept_share::{MIN_KEPT_SHARE, PlannedStep, Spill, bounded_share},
};

/// The fraction of a difference that one step corrects if clients leave in the order of distance.
const GAIN_BY_DISTANCE: f64 = 0.5;

/// Takes one step with the pools of a group. `loads` are their loads, as far as they are known. A
/// pool without receivers keeps all of its clients, so that a receiver that recovers gets them step
/// by step.
pub(super) fn step_group(spills: &mut [&mut Spill], loads: &[Option<PoolLoad>], flows: &Flows) {
    let loads = PoolLoad::with_common_unit(loads);
    let steps = plan_steps(spills, &loads, flows);
    let mut kept = kept_after_steps(spills, &loads, flows, &steps);
    flows.redistribute_unkept(&mut kept);
    for set in flows.closed_weighted_sets() {
        let largest = set.iter().map(|&pool| kept[pool]).fold(MIN_KEPT_SHARE, f64::max);
        set.iter().for_each(|&pool| kept[pool] /= largest);
    }
    for (pool, (spill, kept)) in spills.iter_mut().zip(kept).enumerate() {
        spill.kept_share = if flows.has_receivers(pool) { bounded_share(kept) } else { 1.0 };
    }
}

/// The step that each pool intends; `None` if it has no receivers or its load is unknown.
fn plan_steps(
    spills: &mut [&mut Spill],
    loads: &[Option<PoolLoad>],
    flows: &Flows,
) -> Vec<Option<PlannedStep>> {
    let mut plan_step = |pool: usize| {
        if !flows.has_receivers(pool) {
            return None;
        }
        let Some(load) = &loads[pool] else {
            spills[pool].step_to_full();
            return None;
        };
        let rest_fullness = flows.rest_fullness(pool, loads);
        let gain = if flows.is_by_distance(pool) { GAIN_BY_DISTANCE } else { 1.0 };
        Some(spills[pool].plan_step(load, rest_fullness, gain))
    };
    (0..loads.len()).map(&mut plan_step).collect()
}

/// The kept shares after the steps. A pool may have to pass on what another one spills to it, so
/// there are as many rounds as pools: then the spill of the first has reached the last.
fn kept_after_steps(
    spills: &[&mut Spill],
    loads: &[Option<PoolLoad>],
    flows: &Flows,
    steps: &[Option<PlannedStep>],
) -> Vec<f64> {
    let mut kept: Vec<f64> = spills.iter().map(|spill| spill.kept_share).collect();
    let mut inflows = vec![0.0; spills.len()];
    for _ in 0..spills.len().max(2) {
        let mut spilled = vec![0.0; spills.len()];
        for (pool, step) in steps.iter().enumerate() {
            let Some(step) = step else { continue };
            let spill = &*spills[pool];
            kept[pool] = spill.kept_after_step(step, inflows[pool]);
            let offered = step.level / spill.kept_share;
            spilled[pool] =
                (1.0 - kept[pool]) * (offered + inflows[pool]) - (1.0 - spill.kept_share) * offered;
        }
        inflows = flows.inflows(&spilled, loads);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::{
        PoolId,
        feedback::measured_load::CapacityLevels,
        feedback::simulation::regions::{ParentPolicy, SimulationTiming, topology},
        feedback::spill::neighbours::Neighbours,
    };

    /// The flows of a failover from one pool to the next; `serving` says which are in service.
    fn flows(serving: &[bool]) -> Flows {
        flows_held_by(None, serving)
    }

    fn flows_held_by(holder: Option<u16>, serving: &[bool]) -> Flows {
        let topology = topology(
            ParentPolicy::Failover,
            serving.len(),
            SimulationTiming { ttl_secs: 30, interval_secs: 5 },
        );
        let capped: Vec<PoolId> = (0..serving.len() as u32).map(PoolId).collect();
        let groups = Neighbours::group_pools(&topology, &capped);
        assert_eq!(groups.len(), 1);
        let top = PoolId(serving.len() as u32);
        groups[0].neighbours.spill_flows(
            serving.len(),
            &[serving.to_vec()],
            &holder.map(|member| (top, member)).into_iter().collect(),
        )
    }

    fn kept_shares_after_step(levels: &[f64], flows: &Flows) -> Vec<f64> {
        let load = |&level: &f64| {
            let levels = CapacityLevels { level, target: 50.0, max: 70.0 };
            Some(PoolLoad::new(levels, Some(level)))
        };
        let loads: Vec<Option<PoolLoad>> = levels.iter().map(load).collect();
        let mut spills = vec![Spill::default(); levels.len()];
        step_group(&mut spills.iter_mut().collect::<Vec<_>>(), &loads, flows);
        spills.iter().map(Spill::kept_share).collect()
    }

    #[test]
    fn excess_that_the_next_pool_has_no_room_for_is_passed_on_in_the_same_step() {
        let kept = kept_shares_after_step(&[65.0, 50.0, 10.0], &flows(&[true; 3]));
        assert!(kept[0] < 0.95 && kept[1] < 0.95 && kept[2] == 1.0, "{kept:?}");
        let kept = kept_shares_after_step(&[65.0, 20.0, 10.0], &flows(&[true; 3]));
        assert!(kept[0] < 0.95 && kept[1..] == [1.0, 1.0], "the second pool has room: {kept:?}");
    }

    #[test]
    fn no_pool_spills_below_its_target_or_while_all_are_equally_full() {
        for levels in [[49.0, 0.0, 0.0], [65.0, 65.0, 65.0], [500.0, 500.0, 500.0]] {
            assert_eq!(kept_shares_after_step(&levels, &flows(&[true; 3])), [1.0; 3], "{levels:?}");
        }
    }

    #[test]
    fn a_pool_spills_nothing_to_pools_that_are_not_in_service() {
        assert_eq!(kept_shares_after_step(&[500.0, 0.0], &flows(&[true, false])), [1.0; 2]);
        let kept = kept_shares_after_step(&[500.0, 0.0, 0.0], &flows(&[true, false, true]));
        assert!(kept[0] < 1.0, "{kept:?}");
    }

    #[test]
    fn the_pool_that_holds_the_clients_spills_to_those_before_it() {
        let kept = kept_shares_after_step(&[0.0, 65.0], &flows_held_by(Some(1), &[true; 2]));
        assert!(kept[0] == 1.0 && kept[1] < 0.95, "{kept:?}");
    }

    #[test]
    fn a_pool_of_unknown_load_returns_to_keeping_all() {
        let flows = flows(&[true; 2]);
        let mut spills = [Spill::restored(0.55), Spill::default()];
        for _ in 0..5 {
            step_group(&mut spills.iter_mut().collect::<Vec<_>>(), &[None, None], &flows);
        }
        assert_eq!(spills[0].kept_share(), 1.0);
    }

    #[test]
    fn clients_that_no_pool_keeps_are_distributed_in_proportion_to_kept_shares() {
        let mut kept = [0.2, 0.5, 0.5];
        flows(&[true; 3]).redistribute_unkept(&mut kept);
        // The pools receive 0.2, 0.4 and 0.2 of the clients, together 0.8.
        let expected = [0.25, 0.5 / 0.75, 1.0];
        assert!(
            kept.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9),
            "{kept:?}"
        );
        let mut kept = [0.2, 1.0, 0.05];
        flows(&[true; 3]).redistribute_unkept(&mut kept);
        assert_eq!(kept, [0.2, 1.0, 0.05], "one pool keeps all");
    }
}
