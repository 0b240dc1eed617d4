//! The owner of everything that follows load reports and ramps. Events come in as method calls;
//! each update writes the resulting [`Adjustments`] and names the pools that they change.

mod reporting;
mod saving;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    agreement::{Agreement, Disagreement, DisagreementChange, find_disagreement},
    balance::WeightFallback,
    delayed_failback::DelayedFailback,
    feed_reading::FeedReading,
    load_pool::LoadPool,
    members::member_position,
    ramps::{RampKey, Ramps},
    regulated_pools::RegulatedPools,
    spill::{CappedPoolReader, CappedPools},
};
use crate::steer::{
    Adjustments, Compiler, Conditions, EndpointId, FeedId, MemberKind, PoolId, ProbeId, Topology,
};

/// The state of feedback. Lists by feed, pool or member are in the order of their numbers.
#[derive(Debug, Default)]
pub struct Feedback {
    topology: Arc<Topology>,
    /// By feed: the newest report.
    readings: Vec<Option<FeedReading>>,
    /// By feed: whether its reports agree with our probes.
    agreements: Vec<Agreement>,
    /// By feed: the endpoints that its reports describe.
    endpoints_by_feed: Vec<Vec<EndpointId>>,
    /// By feed: the positions in `load_pools` of the pools that use its reports.
    load_pools_by_feed: Vec<Vec<usize>>,
    /// By feed: the pools with a capacity that use its reports.
    capped_pools_by_feed: Vec<Vec<CappedPoolReader>>,
    /// By probe: the members whose response time is measured by it.
    timed_members_by_probe: HashMap<ProbeId, Vec<TimedMember>>,
    /// How many lasting disagreements have begun.
    disagreements: u64,
    load_pools: Vec<LoadPool>,
    capped_pools: CappedPools,
    delayed_failbacks: Vec<DelayedFailback>,
    ramps: Ramps,
}

/// A member of a `load` pool whose response time is measured by a probe.
#[derive(Debug)]
struct TimedMember {
    /// The pool's position in [`Feedback::load_pools`].
    load_pool: usize,
    /// The member's position in the pool.
    member: usize,
}

/// The pools whose update is due, by their positions in [`Feedback`].
struct DuePools {
    delayed_failbacks: Vec<usize>,
    load_pools: Vec<usize>,
}

impl Feedback {
    /// Continues with another topology. Pools, members, feeds and ramps that have the same name in
    /// both keep their state. Returns the adjustments of that state, except those of ramps, which
    /// [`Feedback::update`] derives from states and verdicts.
    pub fn apply_topology(&mut self, topology: &Arc<Topology>) -> Adjustments {
        let old = std::mem::replace(&mut self.topology, Arc::clone(topology));
        self.apply_feeds(&old);
        let regulated = RegulatedPools::new(topology);
        let old_name = |id: PoolId| old.pools.get(id.index()).map(|pool| pool.name.clone());
        let mut old_load_pools: HashMap<_, _> =
            self.load_pools.drain(..).filter_map(|pool| Some((old_name(pool.id)?, pool))).collect();
        let mut old_failbacks: HashMap<_, _> = self
            .delayed_failbacks
            .drain(..)
            .filter_map(|pool| Some((old_name(pool.id)?, pool)))
            .collect();
        let name = |id: &PoolId| &topology.pools[id.index()].name;
        let load_pool = |id: &PoolId| {
            let old_pool = old_load_pools.remove(name(id)).map(|pool| (&*old, pool));
            LoadPool::new(topology, *id, &regulated, old_pool)
        };
        self.load_pools = regulated.load_pools.iter().map(load_pool).collect();
        self.capped_pools.apply_topology(topology, &regulated, old_name);
        self.delayed_failbacks = regulated
            .delayed_failbacks
            .iter()
            .map(|id| DelayedFailback::new(topology, *id, &old, old_failbacks.remove(name(id))))
            .collect();
        self.ramps.apply_topology(topology, &old);
        self.index_readers();
        self.adjustments()
    }

    /// Moves the state of feeds that both topologies have to their new numbers.
    fn apply_feeds(&mut self, old: &Topology) {
        let key = |topology: &Topology, position: usize| {
            let feed = &topology.feeds.list[position];
            (topology.load_sources[feed.source.index()].clone(), feed.target.clone())
        };
        let agreements = std::mem::take(&mut self.agreements);
        let old_feeds = std::mem::take(&mut self.readings).into_iter().zip(agreements);
        let mut old_feeds: HashMap<_, _> =
            old_feeds.enumerate().map(|(position, feed)| (key(old, position), feed)).collect();
        let topology = Arc::clone(&self.topology);
        for position in 0..topology.feeds.list.len() {
            let (reading, agreement) =
                old_feeds.remove(&key(&topology, position)).unwrap_or_default();
            self.readings.push(reading);
            self.agreements.push(agreement);
        }
        self.endpoints_by_feed = topology.endpoints_by_feed();
    }

    /// Lists which pools use which feeds and probes.
    fn index_readers(&mut self) {
        let feeds = self.topology.feeds.list.len();
        self.load_pools_by_feed = vec![Vec::new(); feeds];
        self.timed_members_by_probe.clear();
        for (load_pool, pool) in self.load_pools.iter().enumerate() {
            pool.feeds().for_each(|feed| self.load_pools_by_feed[feed.index()].push(load_pool));
            for (member, probe) in pool.probes(&self.topology) {
                let timed = self.timed_members_by_probe.entry(probe).or_default();
                timed.push(TimedMember { load_pool, member });
            }
        }
        self.capped_pools_by_feed = self.capped_pools.readers_by_feed(feeds);
    }

    /// The present adjustments, except those of ramps: these follow states and verdicts.
    fn adjustments(&self) -> Adjustments {
        let kept_fractions = self
            .capped_pools
            .pools()
            .map(|pool| (pool.id, pool.kept_fraction()))
            .filter(|(_, fraction)| !fraction.is_full());
        let weights = self.load_pools.iter().filter_map(|pool| Some((pool.id, pool.weights()?)));
        let failbacks = &self.delayed_failbacks;
        let holders = failbacks.iter().filter_map(|pool| Some((pool.id, pool.holder()?)));
        let progress =
            failbacks.iter().filter_map(|pool| Some((pool.id, pool.failback_progress()?)));
        Adjustments {
            kept_fractions: kept_fractions.collect(),
            weights: weights.collect(),
            holders: holders.collect(),
            failbacks: progress.collect(),
            ..Adjustments::default()
        }
    }

    /// Records a report. Returns the change if the report begins or ends a lasting disagreement
    /// with our probes.
    pub fn record_report(
        &mut self,
        feed: FeedId,
        reading: FeedReading,
        conditions: &Conditions,
    ) -> Option<DisagreementChange> {
        let index = feed.index();
        for &pool in &self.load_pools_by_feed[index] {
            self.load_pools[pool].record_report(&self.topology, feed, &reading);
        }
        self.capped_pools.record_report(&self.capped_pools_by_feed[index], Some(&reading));
        let found = find_disagreement(
            &self.topology,
            conditions,
            &self.endpoints_by_feed[index],
            &reading.report,
        );
        let change = self.agreements[index].record(found, reading.read_at);
        self.disagreements += u64::from(matches!(change, Some(DisagreementChange::Began(_))));
        self.readings[index] = Some(reading);
        change
    }

    /// Records that a poll of a feed returned no report.
    pub fn record_failure(&mut self, feed: FeedId) {
        for &pool in &self.load_pools_by_feed[feed.index()] {
            self.load_pools[pool].record_failure();
        }
        self.capped_pools.record_report(&self.capped_pools_by_feed[feed.index()], None);
    }

    /// Records how long a probe that passed took.
    pub fn record_latency(&mut self, probe: ProbeId, latency: Duration, now: Duration) {
        for timed in self.timed_members_by_probe.get(&probe).into_iter().flatten() {
            self.load_pools[timed.load_pool].record_latency(timed.member, latency, now);
        }
    }

    /// The `load` pools that use their configured weights because of missing reports, each with the
    /// reason.
    pub fn fallbacks(&self) -> impl Iterator<Item = (PoolId, WeightFallback)> {
        self.load_pools.iter().filter_map(|pool| Some((pool.id, pool.fallback()?)))
    }

    /// The present fraction of a ramp, from 0 to 1; `None` if there is no ramp with this key.
    pub fn ramp_value_at(&self, key: &RampKey, now: Duration) -> Option<f64> {
        let RampKey::Failback { pool, member } = key else { return self.ramps.value_at(key, now) };
        let failback = self.delayed_failback(pool)?;
        let position = member_position(&self.topology, failback.id, member)?;
        Some(failback.returned_fraction(position as u16, now).unwrap_or(0.0))
    }

    fn delayed_failback(&self, pool: &str) -> Option<&DelayedFailback> {
        self.delayed_failbacks.iter().find(|failback| *self.pool_name(failback.id) == *pool)
    }

    fn pool_name(&self, id: PoolId) -> &str {
        &self.topology.pools[id.index()].name
    }

    fn member_name(&self, pool: PoolId, position: u16) -> Option<Box<str>> {
        let member = self.topology.pools[pool.index()].members.get(usize::from(position))?;
        Some(self.topology.member_name(member.kind).into())
    }

    /// Lets the clients of a `failover` pool return to its first usable member, on an operator's
    /// command. `false` if no member of this pool held any.
    pub fn fail_back(&mut self, pool: PoolId) -> bool {
        let failback = self.delayed_failbacks.iter_mut().find(|failback| failback.id == pool);
        failback.is_some_and(|failback| failback.fail_back())
    }

    /// Updates everything that is due at `now` and writes the result into the adjustments of
    /// `conditions`. Returns the pools whose adjustments changed, in ascending order. `has_news`
    /// says that verdicts or states changed since the last update.
    pub fn update(
        &mut self,
        compiler: &Compiler,
        conditions: &mut Conditions,
        has_news: bool,
        now: Duration,
    ) -> Vec<PoolId> {
        let mut changed = HashSet::new();
        if has_news || self.ramps.is_due(now) {
            self.update_ramps(conditions, now, &mut changed);
        }
        let due = self.due_pools(has_news, now);
        let failback_ids =
            due.delayed_failbacks.iter().map(|&pool| self.delayed_failbacks[pool].id);
        let load_ids = due.load_pools.iter().map(|&pool| self.load_pools[pool].id);
        let ids: Vec<PoolId> = failback_ids.chain(load_ids).collect();
        let usable =
            if ids.is_empty() { Vec::new() } else { compiler.usable_members(conditions, &ids) };
        let parents = self.capped_pools.parents_of_due_groups(now);
        let serving = if parents.is_empty() {
            Vec::new()
        } else {
            compiler.serving_members(conditions, &parents)
        };
        let adjustments = &mut conditions.adjustments;
        let (failback_usable, load_usable) = usable.split_at(due.delayed_failbacks.len());
        for (&pool, usable) in due.delayed_failbacks.iter().zip(failback_usable) {
            let pool = &mut self.delayed_failbacks[pool];
            let holder = pool.update(usable, now);
            set_adjustment(&mut adjustments.holders, pool.id, holder, &mut changed);
            let progress = pool.failback_progress();
            set_adjustment(&mut adjustments.failbacks, pool.id, progress, &mut changed);
        }
        for (&pool, usable) in due.load_pools.iter().zip(load_usable) {
            let pool = &mut self.load_pools[pool];
            let weights = pool.update(&self.topology, &self.readings, usable, now);
            set_adjustment(&mut adjustments.weights, pool.id, weights, &mut changed);
        }
        for (id, kept) in self.capped_pools.step_due_groups(
            &self.topology,
            &self.readings,
            &serving,
            &adjustments.holders,
            now,
        ) {
            let kept = (!kept.is_full()).then_some(kept);
            set_adjustment(&mut adjustments.kept_fractions, id, kept, &mut changed);
        }
        let mut changed: Vec<PoolId> = changed.into_iter().collect();
        changed.sort_unstable();
        changed
    }

    fn due_pools(&self, has_news: bool, now: Duration) -> DuePools {
        let is_due = |due: Option<Duration>| due.is_some_and(|due| due <= now);
        DuePools {
            delayed_failbacks: (0..self.delayed_failbacks.len())
                .filter(|&pool| has_news || is_due(self.delayed_failbacks[pool].next_due()))
                .collect(),
            load_pools: (0..self.load_pools.len())
                .filter(|&pool| is_due(self.load_pools[pool].next_due()))
                .collect(),
        }
    }

    fn update_ramps(
        &mut self,
        conditions: &mut Conditions,
        now: Duration,
        changed: &mut HashSet<PoolId>,
    ) {
        let old_datacenters = conditions.adjustments.datacenter_fractions.clone();
        let old_endpoints = conditions.adjustments.endpoint_fractions.clone();
        self.ramps.update(&self.topology, conditions, now);
        let adjustments = &conditions.adjustments;
        let datacenters = differing_keys(&old_datacenters, &adjustments.datacenter_fractions);
        let endpoints = differing_keys(&old_endpoints, &adjustments.endpoint_fractions);
        if datacenters.is_empty() && endpoints.is_empty() {
            return;
        }
        let has_changed = |id: EndpointId| {
            let endpoint = &self.topology.endpoints[id.index()];
            endpoints.contains(&id)
                || endpoint.datacenters.iter().any(|datacenter| datacenters.contains(datacenter))
        };
        for (pool, id) in self.topology.pools.iter().zip((0..).map(PoolId)) {
            let mut members = pool.members.iter();
            if members
                .any(|member| matches!(member.kind, MemberKind::Endpoint(id) if has_changed(id)))
            {
                changed.insert(id);
            }
        }
    }

    /// When [`Feedback::update`] is next due if no event arrives before, never earlier than `now`;
    /// `None` while nothing is in progress.
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        let failbacks = self.delayed_failbacks.iter().filter_map(DelayedFailback::next_due);
        let load_pools = self.load_pools.iter().filter_map(LoadPool::next_due);
        failbacks
            .chain(load_pools)
            .chain(self.capped_pools.next_due())
            .chain(self.ramps.next_step_at())
            .min()
            .map(|due| due.max(now))
    }

    /// The disagreement of a feed's reports with our probes, once it lasts.
    fn lasting_disagreement(&self, feed: FeedId) -> Option<Disagreement> {
        self.agreements[feed.index()].lasting_disagreement()
    }
}

/// Sets or removes the value of `id`, and adds `id` to `changed` if that is a change.
fn set_adjustment<V: PartialEq>(
    values: &mut HashMap<PoolId, V>,
    id: PoolId,
    value: Option<V>,
    changed: &mut HashSet<PoolId>,
) {
    if values.get(&id) == value.as_ref() {
        return;
    }
    changed.insert(id);
    match value {
        Some(value) => _ = values.insert(id, value),
        None => _ = values.remove(&id),
    }
}

/// The keys whose values differ between two maps, including those that only one of them has.
fn differing_keys<K: Copy + Eq + std::hash::Hash, V: PartialEq>(
    before: &HashMap<K, V>,
    after: &HashMap<K, V>,
) -> HashSet<K> {
    let removed_or_changed =
        before.iter().filter(|(key, value)| after.get(key) != Some(value)).map(|(key, _)| *key);
    let added = after.keys().filter(|key| !before.contains_key(key)).copied();
    removed_or_changed.chain(added).collect()
}
