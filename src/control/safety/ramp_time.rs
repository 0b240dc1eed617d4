//! The time over which the clients of a change move.

use std::{sync::Arc, time::Duration};

use crate::steer::{Endpoint, Pool, RampTimes, ServingState, Topology};

/// The time over which a change moves its clients: the shortest ramp of the datacenters and
/// endpoints that differ, by their state after the change. Zero if anything else differs: then all
/// clients move at once. Each topology comes with the present states of its datacenters.
pub(in crate::control) fn ramp_time(
    (before, old): (&Topology, &[ServingState]),
    (after, new): (&Topology, &[ServingState]),
) -> Duration {
    let (Some(endpoints), true) = (endpoint_ramps(before, after), has_same_pools(before, after))
    else {
        return Duration::ZERO;
    };
    if before.datacenters.len() != after.datacenters.len() {
        return Duration::ZERO;
    }
    let states = old.iter().zip(new).zip(before.datacenters.iter().zip(&after.datacenters));
    let changed = states.filter(|((old, new), (was, is))| {
        old != new
            || was.ramp_times != is.ramp_times
            || was.paused_drain_fraction != is.paused_drain_fraction
    });
    let datacenters = changed.map(|((_, new), (_, is))| ramp(*new, is.ramp_times));
    datacenters.chain(endpoints).min().unwrap_or_default()
}

fn ramp(state: ServingState, times: RampTimes) -> Duration {
    match state {
        ServingState::Draining => times.drain_over,
        ServingState::Active => times.slow_start,
        ServingState::Standby | ServingState::Disabled => Duration::ZERO,
    }
}

fn has_same_pools(before: &Topology, after: &Topology) -> bool {
    let is_same = |(old, new): (&Arc<Pool>, &Arc<Pool>)| Arc::ptr_eq(old, new) || old == new;
    before.pools.len() == after.pools.len()
        && before.pools.iter().zip(&after.pools).all(is_same)
        && (Arc::ptr_eq(&before.services, &after.services) || before.services == after.services)
}

/// The ramps of the endpoints whose state differs; `None` if anything else of an endpoint does.
fn endpoint_ramps(before: &Topology, after: &Topology) -> Option<Vec<Duration>> {
    if before.endpoints.len() != after.endpoints.len() {
        return None;
    }
    let mut ramps = Vec::new();
    for (old, new) in before.endpoints.iter().zip(&after.endpoints) {
        if Arc::ptr_eq(old, new) || old == new {
            continue;
        }
        let (state, ramp_times) = (old.state, old.ramp_times);
        let with_old_state = Endpoint { state, ramp_times, ..Endpoint::clone(new) };
        (with_old_state == **old).then_some(())?;
        // An endpoint has the ramps of its datacenter, unless it has its own.
        let is_inherited = new.datacenters.iter().any(|id| {
            let times = |topology: &Topology| {
                topology.datacenters.get(id.index()).map(|datacenter| datacenter.ramp_times)
            };
            times(before) != times(after)
        });
        if old.state != new.state || (old.ramp_times != new.ramp_times && !is_inherited) {
            ramps.push(ramp(new.state, new.ramp_times));
        }
    }
    Some(ramps)
}
