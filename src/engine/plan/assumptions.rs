//! The assumptions of a plan: ramps have ended, and load reports have no further effect.

use super::side::PlanSide;
use crate::{
    engine::explain::format_duration,
    number_format::percent,
    steer::{Datacenter, Policy, Pool, PoolId, ServingState},
};

/// The assumptions behind the figures of a plan, one sentence each; empty if the files alone
/// decide.
pub(super) fn assumptions(after: &PlanSide<'_>) -> Vec<String> {
    let (topology, conditions) = (after.topology(), after.compiled.conditions());
    let states = topology.datacenters.iter().zip(&conditions.datacenters);
    let drains = states.filter(|(_, state)| **state == ServingState::Draining);
    let mut sentences: Vec<String> =
        drains.filter_map(|(datacenter, _)| drain(datacenter)).collect();
    let count =
        |matches: fn(&Pool) -> bool| topology.pools.iter().filter(|pool| matches(pool)).count();
    let is_load = |pool: &Pool| matches!(pool.policy, Policy::Load(_));
    let weights = &conditions.adjustments.weights;
    let pools = || topology.pools.iter().zip((0..).map(PoolId));
    let count_loads = |has_weights: bool| {
        pools()
            .filter(|(pool, id)| is_load(pool) && weights.contains_key(id) == has_weights)
            .count()
    };
    for (number, what) in [
        (
            count_loads(true),
            "of policy load: shown by the weights in force, which load reports change",
        ),
        (count_loads(false), "of policy load: shown by the configured weights"),
        (
            count(|pool| pool.regulation.capacity.is_some()),
            "with a capacity: shown as if nothing spilled",
        ),
    ] {
        match number {
            0 => {}
            1 => sentences.push(format!("1 pool {what}")),
            many => sentences.push(format!("{many} pools {what}")),
        }
    }
    sentences
}

fn drain(datacenter: &Datacenter) -> Option<String> {
    let name = &datacenter.name;
    match (datacenter.paused_drain_fraction, datacenter.ramp_times.drain_over) {
        (Some(kept), _) => {
            let gone = percent(1.0 - kept.share());
            Some(format!("{name}: its drain is paused, shown with {gone} of its clients gone"))
        }
        (None, duration) if !duration.is_zero() => {
            Some(format!("{name} drains over {}: shown at its end", format_duration(duration)))
        }
        _ => None,
    }
}
