//! Feeds: where load reports come from, and whose they are.

use std::collections::HashMap;

use super::{
    endpoint::EndpointTarget,
    pool::MemberKind,
    topology::{DatacenterId, EndpointId, FeedId, LoadSourceId, PoolId, ProbeTarget, Topology},
};

/// One thing that reports its load.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadFeed {
    /// How it is read.
    pub source: LoadSourceId,
    /// Whose it is, where each endpoint's address reports by itself.
    pub target: Option<ProbeTarget>,
}

/// Every feed once, and who is described by which.
#[derive(Debug, Clone, Default)]
pub struct LoadFeeds {
    /// By [`FeedId`].
    pub list: Vec<LoadFeed>,
    by_endpoint: HashMap<EndpointId, Vec<FeedId>>,
    by_pool: HashMap<PoolId, Vec<FeedId>>,
    by_datacenter: HashMap<DatacenterId, Vec<FeedId>>,
}

impl LoadFeeds {
    /// Lists what endpoints, pools and datacenters name.
    pub(super) fn new(topology: &Topology) -> Self {
        let mut known: HashMap<LoadFeed, FeedId> = HashMap::new();
        let mut feeds = Self::default();
        let list = &mut feeds.list;
        let mut feed = |load: LoadSourceId, target: Option<ProbeTarget>| {
            let feed = LoadFeed { source: load, target };
            *known.entry(feed.clone()).or_insert_with(|| {
                list.push(feed);
                FeedId(list.len() as u32 - 1)
            })
        };
        let reports_by_target = |load: LoadSourceId| {
            let source = &topology.load_sources[load.index()];
            source.is_per_address() || !source.is_polled()
        };
        for (endpoint, id) in topology.endpoints.iter().zip((0..).map(EndpointId)) {
            let Some(load) = endpoint.load else { continue };
            let of = if reports_by_target(load) {
                targets(&endpoint.target)
                    .into_iter()
                    .map(|target| feed(load, Some(target)))
                    .collect()
            } else {
                vec![feed(load, None)]
            };
            feeds.by_endpoint.insert(id, of);
        }
        for (pool, id) in topology.pools.iter().zip((0..).map(PoolId)) {
            if let Some(load) = pool.regulation.load {
                feeds.by_pool.insert(id, vec![feed(load, None)]);
            }
        }
        for (datacenter, id) in topology.datacenters.iter().zip((0..).map(DatacenterId)) {
            if let Some(load) = datacenter.load {
                feeds.by_datacenter.insert(id, vec![feed(load, None)]);
            }
        }
        feeds
    }

    /// The feeds that describe a member, each once: a pool's own, else those of all below it; an
    /// endpoint's own, else those of its datacenters.
    pub fn describing(&self, topology: &Topology, kind: MemberKind) -> Vec<FeedId> {
        if self.list.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut open = vec![kind];
        while let Some(kind) = open.pop() {
            match kind {
                MemberKind::Pool(id) => match self.by_pool.get(&id) {
                    Some(own) => found.extend(own),
                    None => open.extend(
                        topology.pools[id.index()].members.iter().map(|member| member.kind),
                    ),
                },
                MemberKind::Endpoint(id) => match self.by_endpoint.get(&id) {
                    Some(own) => found.extend(own),
                    None => {
                        let places = &topology.endpoints[id.index()].datacenters;
                        found.extend(
                            places.iter().filter_map(|at| self.by_datacenter.get(at)).flatten(),
                        );
                    }
                },
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The endpoints that each feed describes by their own word, by their pool's or by their
    /// datacenter's.
    pub fn endpoints_of(&self, topology: &Topology) -> Vec<Vec<EndpointId>> {
        let mut endpoints: Vec<Vec<EndpointId>> = vec![Vec::new(); self.list.len()];
        if self.list.is_empty() {
            return endpoints;
        }
        for (pool, id) in topology.pools.iter().zip((0..).map(PoolId)) {
            for member in &pool.members {
                let MemberKind::Endpoint(endpoint) = member.kind else { continue };
                let own = self
                    .by_endpoint
                    .get(&endpoint)
                    .into_iter()
                    .chain(self.by_pool.get(&id))
                    .flatten();
                let places = &topology.endpoints[endpoint.index()].datacenters;
                let of_places = places.iter().filter_map(|at| self.by_datacenter.get(at)).flatten();
                own.chain(of_places).for_each(|feed| endpoints[feed.index()].push(endpoint));
            }
        }
        endpoints
    }
}

fn targets(target: &EndpointTarget) -> Vec<ProbeTarget> {
    match target {
        EndpointTarget::Addresses(addresses) => {
            addresses.iter().map(|&address| ProbeTarget::Address(address)).collect()
        }
        EndpointTarget::Cname(name) | EndpointTarget::Alias(name) => {
            vec![ProbeTarget::Host(name.clone())]
        }
        EndpointTarget::Host(host) => vec![ProbeTarget::Host(host.name.clone())],
    }
}
