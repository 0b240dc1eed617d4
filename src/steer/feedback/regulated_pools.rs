//! The pools that feedback regulates, and how often their shares may change.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::feed_reading::load_source;
use crate::steer::{
    model::{Failback, Policy, Pool},
    model::{FeedId, PoolId, Topology},
};

/// How often a pool without reports is updated.
pub(super) const IDLE_UPDATE_INTERVAL: Duration = Duration::from_secs(5);
/// The maximum number of changes of shares within a TTL while a member is full. It bounds the
/// length of the share history.
const MAX_URGENT_STEPS_PER_TTL: u32 = 32;

/// The pools of a topology that feedback regulates.
pub(super) struct RegulatedPools {
    pub load_pools: Vec<PoolId>,
    pub capped_pools: Vec<PoolId>,
    pub delayed_failbacks: Vec<PoolId>,
    /// For load pools and pools with a capacity: the longest TTL of any service that answers from
    /// the pool.
    longest_ttls: HashMap<PoolId, Duration>,
}

impl RegulatedPools {
    pub(super) fn new(topology: &Topology) -> Self {
        let select = |is_selected: fn(&Pool) -> bool| -> Vec<PoolId> {
            let pools = topology.pools.iter().zip((0..).map(PoolId));
            pools.filter(|(pool, _)| is_selected(pool)).map(|(_, id)| id).collect()
        };
        let load_pools = select(|pool| matches!(pool.policy, Policy::Load(_)));
        let capped_pools = select(|pool| pool.regulation.capacity.is_some());
        let delayed_failbacks = select(|pool| pool.regulation.failback != Failback::Auto);
        let stepped: HashSet<PoolId> = load_pools.iter().chain(&capped_pools).copied().collect();
        Self {
            longest_ttls: longest_ttls(topology, &stepped),
            load_pools,
            capped_pools,
            delayed_failbacks,
        }
    }

    /// The least time between two changes of a pool's shares: its longest TTL, but at least twice
    /// the interval of its reports. `probe_interval` is the interval of the probes whose response
    /// time is used, if any.
    pub(super) fn period(
        &self,
        topology: &Topology,
        id: PoolId,
        feeds: &[FeedId],
        probe_interval: Option<Duration>,
    ) -> Duration {
        self.longest_ttl(id).max(report_period(topology, feeds, probe_interval))
    }

    /// The least time between two changes of a pool's kept share: until the previous change has
    /// reached every cache, and a report that began after that has arrived.
    pub(super) fn settled_period(
        &self,
        topology: &Topology,
        id: PoolId,
        feeds: &[FeedId],
    ) -> Duration {
        self.longest_ttl(id) + report_period(topology, feeds, None)
    }

    /// The least time between two changes of a pool's shares while a member is full.
    pub(super) fn urgent_period(
        &self,
        topology: &Topology,
        id: PoolId,
        feeds: &[FeedId],
        probe_interval: Option<Duration>,
    ) -> Duration {
        (self.longest_ttl(id) / MAX_URGENT_STEPS_PER_TTL).max(report_period(
            topology,
            feeds,
            probe_interval,
        ))
    }

    /// The longest TTL of any service that answers from the pool; zero if there is none.
    pub(super) fn longest_ttl(&self, id: PoolId) -> Duration {
        self.longest_ttls.get(&id).copied().unwrap_or_default()
    }
}

/// Twice the interval of the reports, so that the effect of a step is reported before the next
/// step.
fn report_period(
    topology: &Topology,
    feeds: &[FeedId],
    probe_interval: Option<Duration>,
) -> Duration {
    let feed_intervals = feeds.iter().map(|feed| load_source(topology, *feed).interval);
    let interval = feed_intervals.chain(probe_interval).max();
    interval.map_or(IDLE_UPDATE_INTERVAL, |interval| interval * 2).max(Duration::from_secs(1))
}

/// The longest TTL of the services that answer from each of these pools.
fn longest_ttls(topology: &Topology, pools: &HashSet<PoolId>) -> HashMap<PoolId, Duration> {
    let mut longest = HashMap::new();
    if pools.is_empty() {
        return longest;
    }
    let mut ttl_secs_by_root: HashMap<PoolId, u32> = HashMap::new();
    for service in topology.services.iter() {
        for root in service.roots() {
            let ttl_secs = ttl_secs_by_root.entry(root).or_default();
            *ttl_secs = service.ttl_secs.max(*ttl_secs);
        }
    }
    for (root, ttl_secs) in ttl_secs_by_root {
        let ttl = Duration::from_secs(ttl_secs.into());
        for id in topology.pools_below([root]).into_iter().filter(|id| pools.contains(id)) {
            let longest: &mut Duration = longest.entry(id).or_insert(ttl);
            *longest = ttl.max(*longest);
        }
    }
    longest
}
