//! The state that is in force for an endpoint: its own and that of its datacenters together.

use super::{
    conditions::Conditions,
    datacenter::ServingState,
    fraction::Fraction,
    ids::{DatacenterId, EndpointId},
    topology::Topology,
};

/// For each probe, whether to probe: not where all its endpoints are disabled. Of a combined one
/// its parts are probed.
pub fn active_probes(topology: &Topology, conditions: &Conditions) -> Vec<bool> {
    let mut is_probed = vec![false; topology.probes.len()];
    for (probes, id) in topology.endpoint_probes.iter().zip((0..).map(EndpointId)) {
        if effective_state(topology, conditions, id) != ServingState::Disabled {
            probes.iter().flatten().for_each(|probe| is_probed[probe.index()] = true);
        }
    }
    // Parts stand before what is made of them.
    for (at, combination) in topology.combined_probes.iter().enumerate().rev() {
        let Some(combination) = combination else { continue };
        if std::mem::take(&mut is_probed[at]) {
            combination.probes.iter().for_each(|part| is_probed[part.index()] = true);
        }
    }
    is_probed
}

/// An endpoint's state: its own or its datacenter's, the stricter of the two.
pub(in crate::steer) fn effective_state(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> ServingState {
    let place =
        effective_datacenter(topology, conditions, id).map(|(_, state)| state).unwrap_or_default();
    std::cmp::max_by_key(topology.endpoints[id.index()].state, place, strictness)
}

/// An endpoint's datacenter and that one's state. Of a region's datacenters the first with the
/// mildest state counts.
pub(in crate::steer) fn effective_datacenter(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> Option<(DatacenterId, ServingState)> {
    let datacenters = topology.endpoints[id.index()].datacenters.iter();
    let with_state = |id: &DatacenterId| Some((*id, *conditions.datacenters.get(id.index())?));
    datacenters.filter_map(with_state).min_by_key(|(_, state)| strictness(state))
}

fn strictness(state: &ServingState) -> u8 {
    match state {
        ServingState::Active => 0,
        ServingState::Standby => 1,
        ServingState::Draining => 2,
        ServingState::Disabled => 3,
    }
}

/// The share of its clients that an endpoint keeps during a drain or a slow start: by its own state
/// or by its datacenter's, the lesser of the two. A drain without a ramp leaves nothing.
pub(in crate::steer) fn ramp_fraction(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> Fraction {
    let of_state = |state: ServingState, ramp: Option<&Fraction>| {
        ramp.copied().unwrap_or_else(|| fraction_without_ramp(state))
    };
    let endpoint = &topology.endpoints[id.index()];
    let of_place = |at: &DatacenterId| {
        let state = conditions.datacenters.get(at.index()).copied().unwrap_or_default();
        of_state(state, conditions.adjustments.datacenter_fractions.get(at))
    };
    let place = endpoint.datacenters.iter().map(of_place).max().unwrap_or_default();
    of_state(endpoint.state, conditions.adjustments.endpoint_fractions.get(&id)).min(place)
}

/// The share of its clients that a state leaves to an endpoint which is not in a ramp.
pub(in crate::steer) fn fraction_without_ramp(state: ServingState) -> Fraction {
    if state == ServingState::Draining { Fraction::ZERO } else { Fraction::FULL }
}
