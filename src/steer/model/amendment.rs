//! A topology that differs from another one in values of a few parts: everything else is shared
//! with it.

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

/// Parts that replace those of the same position. They refer to the same other parts as the
/// replaced ones, and no alias differs.
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
    /// Whether no part differs.
    pub fn is_empty(&self) -> bool {
        let Self { datacenters, endpoints, pools, services } = self;
        datacenters.is_empty() && endpoints.is_empty() && pools.is_empty() && services.is_empty()
    }
}

impl Topology {
    /// The same topology with other parts. Probes and feeds are listed again only where they
    /// differ.
    pub fn amended(&self, by: Amendment) -> Self {
        let mut amended = self.clone();
        let (mut has_other_probes, mut has_other_feeds) = (false, false);
        for (id, endpoint) in by.endpoints {
            let old = &self.endpoints[id.index()];
            let is_elsewhere = old.target != endpoint.target;
            let is_probed = old.monitor.is_some() || endpoint.monitor.is_some();
            has_other_probes |= old.monitor != endpoint.monitor || is_elsewhere && is_probed;
            has_other_probes |= addresses(&old.target) != addresses(&endpoint.target);
            has_other_feeds |= old.load != endpoint.load || is_elsewhere && endpoint.load.is_some();
            amended.endpoints[id.index()] = Arc::new(endpoint);
        }
        for (id, pool) in by.pools {
            has_other_feeds |= self.pools[id.index()].regulation.load != pool.regulation.load;
            amended.pools[id.index()] = Arc::new(pool);
        }
        for (id, datacenter) in by.datacenters {
            has_other_feeds |= self.datacenters[id.index()].load != datacenter.load;
            amended.datacenters[id.index()] = datacenter;
        }
        if !by.services.is_empty() {
            let services = Arc::make_mut(&mut amended.services);
            by.services.into_iter().for_each(|(id, service)| services[id.index()] = service);
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

/// How many addresses a target names.
fn addresses(target: &EndpointTarget) -> usize {
    match target {
        EndpointTarget::Addresses(addresses) => addresses.len(),
        EndpointTarget::Cname(_) | EndpointTarget::Alias(_) | EndpointTarget::Host(_) => 1,
    }
}
