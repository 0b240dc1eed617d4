//! The effective state of an endpoint: its configured state combined with those of its datacenters.

use super::{
    conditions::Conditions,
    datacenter::ServingState,
    fraction::Fraction,
    ids::{DatacenterId, EndpointId},
    topology::Topology,
};

/// Whether to send each probe: not if all its endpoints are disabled. A combined probe is never
/// sent; the probes that it combines are.
pub fn active_probes(topology: &Topology, conditions: &Conditions) -> Vec<bool> {
    let mut is_probed = vec![false; topology.probes.len()];
    for (probes, id) in topology.endpoint_probes.iter().zip((0..).map(EndpointId)) {
        if effective_state(topology, conditions, id) != ServingState::Disabled {
            probes.iter().flatten().for_each(|probe| is_probed[probe.index()] = true);
        }
    }
    // A combined probe comes after the probes that it combines.
    for (index, combination) in topology.combined_probes.iter().enumerate().rev() {
        let Some(combination) = combination else { continue };
        if std::mem::take(&mut is_probed[index]) {
            combination.probes.iter().for_each(|probe| is_probed[probe.index()] = true);
        }
    }
    is_probed
}

/// An endpoint's state: its own or its datacenter's, the stricter of the two.
pub fn effective_state(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> ServingState {
    let state_of_datacenter =
        effective_datacenter(topology, conditions, id).map(|(_, state)| state).unwrap_or_default();
    std::cmp::max_by_key(topology.endpoints[id.index()].state, state_of_datacenter, strictness)
}

/// An endpoint's datacenter and the state of that datacenter. If the endpoint names a region, the
/// first datacenter with the least strict state counts.
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

/// The fraction of its clients that an endpoint receives during a drain or a slow start: the lesser
/// of the fractions of its own state and of its datacenter's. A drain without a ramp leaves none.
pub(in crate::steer) fn ramp_fraction(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> Fraction {
    let of_state = |state: ServingState, ramp: Option<&Fraction>| {
        ramp.copied().unwrap_or_else(|| fraction_without_ramp(state))
    };
    let endpoint = &topology.endpoints[id.index()];
    let of_datacenter = |id: &DatacenterId| {
        let state = conditions.datacenters.get(id.index()).copied().unwrap_or_default();
        of_state(state, conditions.adjustments.datacenter_fractions.get(id))
    };
    let datacenter = endpoint.datacenters.iter().map(of_datacenter).max().unwrap_or_default();
    of_state(endpoint.state, conditions.adjustments.endpoint_fractions.get(&id)).min(datacenter)
}

/// The fraction of its clients that an endpoint in this state receives outside a ramp.
pub(in crate::steer) fn fraction_without_ramp(state: ServingState) -> Fraction {
    if state == ServingState::Draining { Fraction::ZERO } else { Fraction::FULL }
}
