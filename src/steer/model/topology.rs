//! The topology: every datacenter, monitor, endpoint, pool and service of one configuration, in
//! lists that ids index.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    combined_probe::CombinedProbe,
    datacenter::Datacenter,
    endpoint::{Endpoint, EndpointTarget},
    ids::{AliasId, DatacenterId, EndpointId, FeedId, PoolId, ProbeId, ServiceId},
    load_feeds::LoadFeeds,
    overrides::OverrideIndex,
    pool::{MemberKind, Pool},
    probes::{Probe, ProbeLists},
    service::{OnAllDown, Service},
};
use crate::{dns::Name, health::Monitor, load::LoadSource};

/// The configuration of steering, validated: every id is in range, pools form no cycle, names are
/// unique.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// The datacenters in order of name.
    pub datacenters: Vec<Datacenter>,
    /// The monitors in order of name.
    pub monitors: Vec<Monitor>,
    /// The load sources in order of name.
    pub load_sources: Vec<LoadSource>,
    /// The endpoints pool by pool, in the order written. The topologies of successive loads share
    /// those that are equal.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Named pools and the inline pools of services; shared like the endpoints.
    pub pools: Vec<Arc<Pool>>,
    /// The services in order of name. The topologies of successive loads share the list if it is
    /// equal.
    pub services: Arc<Vec<Service>>,
    /// The probes: each pair of monitor and target once, however many endpoints share it.
    pub probes: Arc<Vec<Probe>>,
    /// For each probe of a combined monitor: the probes that it combines, which precede it.
    pub combined_probes: Arc<Vec<Option<CombinedProbe>>>,
    /// For each endpoint, for each of its addresses (or its one CNAME or alias): the probe, if it
    /// is monitored.
    pub endpoint_probes: Arc<Vec<Vec<Option<ProbeId>>>>,
    /// The load feeds: each pair of source and target once, however many members share it.
    pub feeds: Arc<LoadFeeds>,
    /// The aliases to resolve: each once, however many endpoints share it.
    pub aliases: Vec<Name>,
    /// For each endpoint: its alias, if it has one instead of addresses.
    pub endpoint_alias: Vec<Option<AliasId>>,
    /// What operators set over the configuration; empty in a topology as configured.
    pub overrides: Arc<OverrideIndex>,
}

impl Topology {
    /// A topology without load sources ([`Topology::with_load_sources`] sets them), with its probes
    /// and aliases listed. The items refer to each other by position.
    pub fn new(
        datacenters: Vec<Datacenter>,
        monitors: Vec<Monitor>,
        endpoints: Vec<Endpoint>,
        pools: Vec<Pool>,
        services: Vec<Service>,
    ) -> Self {
        let endpoints = endpoints.into_iter().map(Arc::new).collect();
        let pools = pools.into_iter().map(Arc::new).collect();
        Self::from_shared(datacenters, monitors, endpoints, pools, services)
    }

    /// The same as [`Topology::new`], from endpoints and pools that other topologies may share.
    pub fn from_shared(
        datacenters: Vec<Datacenter>,
        monitors: Vec<Monitor>,
        endpoints: Vec<Arc<Endpoint>>,
        pools: Vec<Arc<Pool>>,
        services: Vec<Service>,
    ) -> Self {
        let ProbeLists { probes, combinations: combined_probes, probes_of: endpoint_probes } =
            ProbeLists::new(&monitors, &endpoints);
        let (load_sources, feeds) = (Vec::new(), LoadFeeds::default());
        let (aliases, endpoint_alias) = aliases(&endpoints);
        Self {
            datacenters,
            monitors,
            load_sources,
            endpoints,
            pools,
            services: Arc::new(services),
            probes,
            combined_probes,
            endpoint_probes,
            feeds: Arc::new(feeds),
            aliases,
            endpoint_alias,
            overrides: Arc::default(),
        }
    }

    /// Sets the load sources, which datacenters, endpoints and pools refer to by position.
    pub fn with_load_sources(mut self, load_sources: Vec<LoadSource>) -> Self {
        self.load_sources = load_sources;
        self.feeds = Arc::new(self.listed_feeds());
        self
    }

    /// A member's name: the endpoint's or the pool's.
    pub fn member_name(&self, kind: MemberKind) -> &str {
        match kind {
            MemberKind::Endpoint(id) => &self.endpoints[id.index()].name,
            MemberKind::Pool(id) => &self.pools[id.index()].name,
        }
    }

    /// The longest TTL of the services that have a member in a datacenter, in seconds; `None` if no
    /// service has.
    pub fn longest_ttl_secs(&self, datacenter: DatacenterId) -> Option<u32> {
        let mut known = vec![None; self.pools.len()];
        let mut longest = None;
        for service in self.services.iter() {
            if longest >= Some(service.ttl_secs) {
                continue;
            }
            if service.roots().any(|pool| self.has_endpoint_in(pool, datacenter, &mut known)) {
                longest = Some(service.ttl_secs);
            }
        }
        longest
    }

    /// Whether an endpoint below a pool is in a datacenter. Pools are at most 16 deep.
    fn has_endpoint_in(
        &self,
        pool: PoolId,
        datacenter: DatacenterId,
        known: &mut [Option<bool>],
    ) -> bool {
        if let Some(is_in) = known[pool.index()] {
            return is_in;
        }
        let is_in = self.pools[pool.index()].members.iter().any(|member| match member.kind {
            MemberKind::Endpoint(id) => {
                self.endpoints[id.index()].datacenters.contains(&datacenter)
            }
            MemberKind::Pool(inner) => self.has_endpoint_in(inner, datacenter, known),
        });
        known[pool.index()] = Some(is_in);
        is_in
    }

    /// The endpoints all of whose datacenters are among these.
    pub fn endpoints_in(&self, datacenters: &[DatacenterId]) -> Vec<EndpointId> {
        let is_in = |endpoint: &Endpoint| {
            !endpoint.datacenters.is_empty()
                && endpoint.datacenters.iter().all(|id| datacenters.contains(id))
        };
        let endpoints = self.endpoints.iter().zip((0..).map(EndpointId));
        endpoints.filter(|(endpoint, _)| is_in(endpoint)).map(|(_, id)| id).collect()
    }

    /// For each datacenter: the services that have a member in it, in order.
    pub fn services_by_datacenter(&self) -> Vec<Vec<ServiceId>> {
        let mut known: Vec<Option<BTreeSet<DatacenterId>>> = vec![None; self.pools.len()];
        let mut services = vec![Vec::new(); self.datacenters.len()];
        for (service, id) in self.services.iter().zip((0..).map(ServiceId)) {
            let mut datacenters = self.datacenters_below(service.pool, &mut known);
            if let OnAllDown::Pool(other) = service.on_all_down {
                datacenters.extend(self.datacenters_below(other, &mut known));
            }
            datacenters.iter().for_each(|datacenter| services[datacenter.index()].push(id));
        }
        services
    }

    /// The feeds that describe a member, each once: the pool's, else those of all members below it;
    /// the endpoint's, else those of its datacenters.
    pub fn feeds_of_member(&self, kind: MemberKind) -> Vec<FeedId> {
        if self.feeds.list.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut open = vec![kind];
        while let Some(kind) = open.pop() {
            match kind {
                MemberKind::Pool(id) => match self.feeds.by_pool.get(&id) {
                    Some(feeds) => found.extend(feeds),
                    None => {
                        open.extend(self.pools[id.index()].members.iter().map(|member| member.kind))
                    }
                },
                MemberKind::Endpoint(id) => match self.feeds.by_endpoint.get(&id) {
                    Some(feeds) => found.extend(feeds),
                    None => found.extend(self.feeds_of_datacenters(id)),
                },
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// By feed: the endpoints that it describes, as the feed of the endpoint, of its pool or of one
    /// of its datacenters.
    pub fn endpoints_by_feed(&self) -> Vec<Vec<EndpointId>> {
        let mut endpoints: Vec<Vec<EndpointId>> = vec![Vec::new(); self.feeds.list.len()];
        if self.feeds.list.is_empty() {
            return endpoints;
        }
        for (pool, id) in self.pools.iter().zip((0..).map(PoolId)) {
            for member in &pool.members {
                let MemberKind::Endpoint(endpoint) = member.kind else { continue };
                let of_endpoint = self.feeds.by_endpoint.get(&endpoint).into_iter();
                let feeds = of_endpoint.chain(self.feeds.by_pool.get(&id)).flatten();
                feeds
                    .chain(self.feeds_of_datacenters(endpoint))
                    .for_each(|feed| endpoints[feed.index()].push(endpoint));
            }
        }
        endpoints
    }

    fn feeds_of_datacenters(&self, endpoint: EndpointId) -> impl Iterator<Item = &FeedId> {
        let datacenters = self.endpoints[endpoint.index()].datacenters.iter();
        datacenters.filter_map(|id| self.feeds.by_datacenter.get(id)).flatten()
    }

    /// Lists the feeds of the load sources.
    pub(super) fn listed_feeds(&self) -> LoadFeeds {
        LoadFeeds::new(&self.load_sources, &self.endpoints, &self.pools, &self.datacenters)
    }

    fn datacenters_below(
        &self,
        pool: PoolId,
        known: &mut Vec<Option<BTreeSet<DatacenterId>>>,
    ) -> BTreeSet<DatacenterId> {
        if let Some(datacenters) = &known[pool.index()] {
            return datacenters.clone();
        }
        let mut datacenters = BTreeSet::new();
        for member in &self.pools[pool.index()].members {
            match member.kind {
                MemberKind::Endpoint(id) => {
                    datacenters.extend(&self.endpoints[id.index()].datacenters)
                }
                MemberKind::Pool(inner) => datacenters.extend(self.datacenters_below(inner, known)),
            }
        }
        known[pool.index()] = Some(datacenters.clone());
        datacenters
    }
}

/// The list of aliases, each once, and the alias of each endpoint.
fn aliases(endpoints: &[Arc<Endpoint>]) -> (Vec<Name>, Vec<Option<AliasId>>) {
    let mut known = HashMap::new();
    let mut list = Vec::new();
    let mut id_of = |name: &Name| {
        *known.entry(name.clone()).or_insert_with(|| {
            list.push(name.clone());
            AliasId(list.len() as u32 - 1)
        })
    };
    let by_endpoint = endpoints.iter().map(|endpoint| match &endpoint.target {
        EndpointTarget::Alias(name) => Some(id_of(name)),
        EndpointTarget::Addresses(_) | EndpointTarget::Cname(_) | EndpointTarget::Host(_) => None,
    });
    let by_endpoint = by_endpoint.collect();
    (list, by_endpoint)
}
