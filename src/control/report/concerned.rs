//! What a name means, and the overrides that concern it.

use std::{collections::BTreeSet, sync::Arc};

use super::{inputs::StatusInputs, overrides::override_status};
use crate::{
    control::{handle::ListDetail, overrides::OverrideStatus},
    dns::Name,
    steer::{DatacenterId, EndpointId, Override, OverrideSubject, PoolId, ProbeId, Topology},
};

/// The name of the pool or service that has a member, for the name of the member: `web` for
/// `web/web-1`, `www.example.com` for `service:www.example.com/192.0.2.1`. Every other name is
/// returned as it is.
pub(super) fn owner_name(topology: &Topology, name: &str) -> String {
    match OverrideSubject::find(name, topology) {
        Some(OverrideSubject::Member { pool, .. }) => pool.into(),
        Some(OverrideSubject::ServiceMember { service, .. }) => service.into(),
        _ => name.to_owned(),
    }
}

/// The overrides of what a name means, of its parts, and of what it is a part of.
pub(super) fn overrides_concerning(inputs: &StatusInputs<'_>, name: &str) -> Vec<OverrideStatus> {
    let overrides = &inputs.loaded.overrides;
    if overrides.is_empty() {
        return Vec::new();
    }
    let named = SubjectScope::new(inputs, name);
    let concerning = overrides.iter().filter(|one| named.is_concerned_by(one));
    concerning.map(|one| override_status(inputs, one, ListDetail::Full)).collect()
}

/// What a name means: datacenters and endpoints of a topology.
struct SubjectScope<'a> {
    topology: &'a Topology,
    name: &'a str,
    datacenters: BTreeSet<DatacenterId>,
    endpoints: BTreeSet<EndpointId>,
}

impl<'a> SubjectScope<'a> {
    fn new(inputs: &StatusInputs<'a>, name: &'a str) -> Self {
        let topology = &inputs.loaded.topology;
        let datacenters: BTreeSet<DatacenterId> = datacenters_named(topology, name).collect();
        let mut endpoints: BTreeSet<EndpointId> = match OverrideSubject::find(name, topology) {
            Some(member) if member.member(topology).is_some() => {
                member.endpoints(topology).into_iter().collect()
            }
            _ => topology.endpoints_below(roots_named(topology, name)).into_iter().collect(),
        };
        let targets: Vec<ProbeId> = targets_named(inputs, name).collect();
        let all = topology
            .endpoints
            .iter()
            .zip(topology.endpoint_probes.iter())
            .zip((0..).map(EndpointId));
        for ((endpoint, probes), id) in all {
            let is_inside = endpoint.datacenters.iter().any(|at| datacenters.contains(at));
            let is_probed = targets.iter().any(|target| probes.contains(&Some(*target)));
            if is_inside || is_probed {
                endpoints.insert(id);
            }
        }
        Self { topology, name, datacenters, endpoints }
    }

    fn is_concerned_by(&self, one: &Arc<Override>) -> bool {
        let Self { topology, datacenters, endpoints, .. } = self;
        let is_in = |id: &DatacenterId| {
            let mut inside = endpoints.iter();
            datacenters.contains(id)
                || inside.any(|at| topology.endpoints[at.index()].datacenters.contains(id))
        };
        one.subject.to_string() == self.name
            || one.subject.datacenters(topology).iter().any(is_in)
            || one.subject.endpoints(topology).iter().any(|id| endpoints.contains(id))
    }
}

/// The datacenter of a name, or those of the region of that name.
fn datacenters_named<'a>(
    topology: &'a Topology,
    name: &'a str,
) -> impl Iterator<Item = DatacenterId> + 'a {
    let all = topology.datacenters.iter().zip((0..).map(DatacenterId));
    let named = all.filter(move |(datacenter, _)| {
        *datacenter.name == *name || datacenter.region.as_deref() == Some(name)
    });
    named.map(|(_, id)| id)
}

/// The pools of the service of a name, and the pool of that name.
fn roots_named(topology: &Topology, name: &str) -> Vec<PoolId> {
    let service: Option<Name> = name.parse().ok();
    let services = topology.services.iter().filter(|found| Some(&found.name) == service.as_ref());
    let pools = topology.pools.iter().zip((0..).map(PoolId));
    let pools = pools.filter(|(pool, _)| *pool.name == *name).map(|(_, id)| id);
    services.flat_map(|service| service.roots()).chain(pools).collect()
}

/// The targets with an address or name, as `TARGET` or `MONITOR/TARGET`.
fn targets_named<'a>(
    inputs: &StatusInputs<'a>,
    name: &'a str,
) -> impl Iterator<Item = ProbeId> + 'a {
    let all = inputs.probes.keys.iter().zip((0..).map(ProbeId));
    let named = all.filter(move |(key, _)| {
        let target = key.target.to_string();
        target == name || name.split_once('/').is_some_and(|(_, rest)| target == rest)
    });
    named.map(|(_, id)| id)
}
