//! Load feeds: the sources of load reports, and the endpoints, pools and datacenters they describe.

use std::{collections::HashMap, sync::Arc};

use super::{
    datacenter::Datacenter,
    endpoint::{Endpoint, EndpointTarget},
    ids::{DatacenterId, EndpointId, FeedId, LoadSourceId, PoolId},
    pool::Pool,
    probes::ProbeTarget,
};
use crate::load::LoadSource;

/// One series of load reports, from one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadFeed {
    /// The source that the reports come from.
    pub source: LoadSourceId,
    /// The address or name that the feed describes; `None` if the source reports on all together.
    pub target: Option<ProbeTarget>,
}

/// Every feed once, and which endpoints, pools and datacenters it describes.
#[derive(Debug, Clone, Default)]
pub struct LoadFeeds {
    /// The feeds, indexed by [`FeedId`].
    pub list: Vec<LoadFeed>,
    pub(super) by_endpoint: HashMap<EndpointId, Vec<FeedId>>,
    pub(super) by_pool: HashMap<PoolId, Vec<FeedId>>,
    pub(super) by_datacenter: HashMap<DatacenterId, Vec<FeedId>>,
}

impl LoadFeeds {
    /// Lists the feeds that endpoints, pools and datacenters name.
    pub(in crate::steer) fn new(
        load_sources: &[LoadSource],
        endpoints: &[Arc<Endpoint>],
        pools: &[Arc<Pool>],
        datacenters: &[Datacenter],
    ) -> Self {
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
            let source = &load_sources[load.index()];
            source.is_per_address() || !source.is_polled()
        };
        for (endpoint, id) in endpoints.iter().zip((0..).map(EndpointId)) {
            let Some(load) = endpoint.load else { continue };
            let described_by = if reports_by_target(load) {
                targets(&endpoint.target)
                    .into_iter()
                    .map(|target| feed(load, Some(target)))
                    .collect()
            } else {
                vec![feed(load, None)]
            };
            feeds.by_endpoint.insert(id, described_by);
        }
        for (pool, id) in pools.iter().zip((0..).map(PoolId)) {
            if let Some(load) = pool.regulation.load {
                feeds.by_pool.insert(id, vec![feed(load, None)]);
            }
        }
        for (datacenter, id) in datacenters.iter().zip((0..).map(DatacenterId)) {
            if let Some(load) = datacenter.load {
                feeds.by_datacenter.insert(id, vec![feed(load, None)]);
            }
        }
        feeds
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
