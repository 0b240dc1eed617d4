//! An amendment: the few datacenters, endpoints, pools and services in which a new topology differs
//! from an old one. The two topologies share everything else.

use std::sync::Arc;

use super::{
    datacenter::Datacenter,
    endpoint::{Endpoint, EndpointTarget},
    ids::{DatacenterId, EndpointId, PoolId, ServiceId},
    pool::Pool,
    probes::ProbeLists,
    service::Service,
    topology::Topology,
};

/// Items of a topology that replace those at the same positions. A new item refers to the same
/// other items as the one that it replaces, and to the same aliases.
#[derive(Debug, Default)]
pub struct Amendment {
    /// New datacenters, each with its position.
    pub datacenters: Vec<(DatacenterId, Datacenter)>,
    /// New endpoints, each with its position.
    pub endpoints: Vec<(EndpointId, Endpoint)>,
    /// New pools, each with its position.
    pub pools: Vec<(PoolId, Pool)>,
    /// New services, each with its position.
    pub services: Vec<(ServiceId, Service)>,
}

impl Amendment {
    /// Whether the amendment replaces nothing.
    pub fn is_empty(&self) -> bool {
        let Self { datacenters, endpoints, pools, services } = self;
        datacenters.is_empty() && endpoints.is_empty() && pools.is_empty() && services.is_empty()
    }
}

impl Topology {
    /// This topology with the items of `amendment` in place of the old ones. Probes and feeds are
    /// listed again only if they differ.
    pub fn amended(&self, amendment: Amendment) -> Self {
        let mut amended = self.clone();
        let (mut has_other_probes, mut has_other_feeds) = (false, false);
        for (id, endpoint) in amendment.endpoints {
            let old = &self.endpoints[id.index()];
            let has_moved = old.target != endpoint.target;
            let is_probed = old.monitor.is_some() || endpoint.monitor.is_some();
            has_other_probes |= old.monitor != endpoint.monitor || has_moved && is_probed;
            has_other_probes |= count_addresses(&old.target) != count_addresses(&endpoint.target);
            has_other_feeds |= old.load != endpoint.load || has_moved && endpoint.load.is_some();
            amended.endpoints[id.index()] = Arc::new(endpoint);
        }
        for (id, pool) in amendment.pools {
            has_other_feeds |= self.pools[id.index()].regulation.load != pool.regulation.load;
            amended.pools[id.index()] = Arc::new(pool);
        }
        for (id, datacenter) in amendment.datacenters {
            has_other_feeds |= self.datacenters[id.index()].load != datacenter.load;
            amended.datacenters[id.index()] = datacenter;
        }
        if !amendment.services.is_empty() {
            let services = Arc::make_mut(&mut amended.services);
            amendment.services.into_iter().for_each(|(id, service)| services[id.index()] = service);
        }
        if has_other_probes {
            let ProbeLists { probes, combinations, probes_of } =
                ProbeLists::new(&amended.monitors, &amended.endpoints);
            amended = Self {
                probes,
                combined_probes: combinations,
                endpoint_probes: probes_of,
                ..amended
            };
        }
        if has_other_feeds {
            amended.feeds = Arc::new(amended.listed_feeds());
        }
        amended
    }
}

/// The number of addresses that a target names; a name counts as one.
fn count_addresses(target: &EndpointTarget) -> usize {
    match target {
        EndpointTarget::Addresses(addresses) => addresses.len(),
        EndpointTarget::Cname(_) | EndpointTarget::Alias(_) | EndpointTarget::Host(_) => 1,
    }
}
