//! Which datacenters are active: those that clients are sent to.

use crate::{
    health::HealthStatus,
    steer::{Conditions, Endpoint, HealthOverride, MemberKind, ProbeId, ServingState, Topology},
};

/// How many endpoints in service a datacenter has, and how many of them are usable.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DatacenterHealth {
    pub(super) usable: usize,
    pub(super) total: usize,
}

impl DatacenterHealth {
    /// Whether at least half of the endpoints are usable. A datacenter without an endpoint answers
    /// nothing, and is never active.
    pub(super) fn is_sufficient(self) -> bool {
        self.total > 0 && self.usable * 2 >= self.total
    }

    /// The usable part, from 0 to 1.
    pub(super) fn fraction(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.usable as f64 / self.total as f64 }
    }
}

/// By [`DatacenterId`](crate::steer::DatacenterId): whether the datacenter is active. Its state is
/// active, and at least half of its endpoints in service are usable in one address family at least.
/// A gradual drain counts as ended.
pub fn active_datacenters(topology: &Topology, conditions: &Conditions) -> Vec<bool> {
    let health = datacenter_health(topology, &conditions.health_statuses);
    active(&conditions.datacenters, &health)
}

pub(super) fn active(states: &[ServingState], health: &[DatacenterHealth]) -> Vec<bool> {
    let pairs = states.iter().zip(health);
    pairs.map(|(state, health)| *state == ServingState::Active && health.is_sufficient()).collect()
}

/// The endpoints of each datacenter, counted under these health statuses.
pub(super) fn datacenter_health(
    topology: &Topology,
    statuses: &[HealthStatus],
) -> Vec<DatacenterHealth> {
    let mut found = vec![DatacenterHealth::default(); topology.datacenters.len()];
    let is_offered = offered_endpoints(topology);
    let endpoints = topology.endpoints.iter().zip(topology.endpoint_probes.iter());
    for ((endpoint, probes), is_offered) in endpoints.zip(is_offered) {
        if endpoint.state != ServingState::Active || !is_offered {
            continue;
        }
        let is_usable = is_usable(endpoint, probes, statuses);
        for id in &endpoint.datacenters {
            let Some(health) = found.get_mut(id.index()) else { continue };
            health.total += 1;
            health.usable += usize::from(is_usable);
        }
    }
    found
}

/// Whether each endpoint has a weight above 0 in any pool. An endpoint with weight 0 does not
/// count: like a standby, it is used only if no other member is usable.
fn offered_endpoints(topology: &Topology) -> Vec<bool> {
    let mut is_offered = vec![false; topology.endpoints.len()];
    for member in topology.pools.iter().flat_map(|pool| &pool.members) {
        if let MemberKind::Endpoint(id) = member.kind
            && let Some(flag) = is_offered.get_mut(id.index())
        {
            *flag |= member.weight > 0;
        }
    }
    is_offered
}

fn is_usable(endpoint: &Endpoint, probes: &[Option<ProbeId>], statuses: &[HealthStatus]) -> bool {
    let status = |id: ProbeId| statuses.get(id.index()).copied().unwrap_or_default();
    match endpoint.force {
        Some(HealthOverride::Up) => true,
        Some(HealthOverride::Down) => false,
        None => probes.iter().any(|probe| probe.is_none_or(|id| status(id).verdict.is_usable())),
    }
}
