//! The conditions under assumed states, and the outages that can change an endpoint.
//!
//! Every target is up, but those of datacenters that are down. An endpoint of several datacenters
//! is down if all of them are. An endpoint without a monitor never goes down, as in the running
//! server. An alias counts as having addresses of both families.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::model::AssumedStates;
use crate::{
    health::{HealthStatus, Verdict},
    steer::{
        compile::OutageSet,
        model::{Conditions, DatacenterId, ResolvedAlias, ServingState, Topology},
    },
};

/// The TTL of the addresses that stand for those of an alias.
const ALIAS_TTL_SECS: u32 = 60;

const fn status(verdict: Verdict) -> HealthStatus {
    HealthStatus { verdict, flips_in_secs: None, is_pending: false, is_held: false }
}

/// The conditions at `now` (seconds since 1970) under assumed states.
pub(super) fn conditions(topology: &Topology, now: i64, assumed: &AssumedStates) -> Conditions {
    let mut conditions = Conditions::unprobed(topology, now);
    conditions.health_statuses.fill(status(Verdict::Up));
    let alias =
        vec![Ipv4Addr::new(192, 0, 0, 0).into(), Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0).into()];
    conditions.aliases.fill(Arc::new(ResolvedAlias::new(alias, ALIAS_TTL_SECS)));
    let is_down = |datacenters: &[DatacenterId]| {
        !datacenters.is_empty() && datacenters.iter().all(|id| assumed.down.contains(id))
    };
    for (endpoint, probes) in topology.endpoints.iter().zip(topology.endpoint_probes.iter()) {
        if is_down(&endpoint.datacenters) {
            for probe in probes.iter().flatten() {
                conditions.health_statuses[probe.index()] = status(Verdict::Down);
            }
        }
    }
    for id in &assumed.drained {
        let state = &mut conditions.datacenters[id.index()];
        if *state != ServingState::Disabled {
            *state = ServingState::Draining;
        }
        conditions.adjustments.datacenter_fractions.remove(id);
    }
    conditions
}

/// By endpoint: the datacenters whose outage can change its health. Endpoints that share a probe
/// share its outages.
pub(super) fn outages_by_endpoint(topology: &Topology) -> Vec<OutageSet> {
    let mut by_probe = vec![OutageSet::default(); topology.probes.len()];
    let endpoints = || topology.endpoints.iter().zip(topology.endpoint_probes.iter());
    for (endpoint, probes) in endpoints() {
        for probe in probes.iter().flatten() {
            endpoint.datacenters.iter().for_each(|id| by_probe[probe.index()].insert(*id));
        }
    }
    endpoints()
        .map(|(_, probes)| {
            let mut outages = OutageSet::default();
            probes.iter().flatten().for_each(|probe| outages.extend(by_probe[probe.index()]));
            outages
        })
        .collect()
}
