//! Feedback: from load reports, verdicts and states to what steering is to make of them. Pure:
//! reports and the time come in.
//!
//! | what | file |
//! |---|---|
//! | what the reports of one member come to | `measured_load` |
//! | the shares at which reports would rest | `equilibrium` |
//! | shares that follow slowly, and not for little | `damper` |
//! | the shares that the clients of a moment were answered by | `share_history` |
//! | what a full member loses at once | `relief` |
//! | one `source` pool | `balance` |
//! | pools with a capacity, and what they keep | `capped_pools`, `spill` |
//! | one member against its own usual time | `latency` |
//! | who holds the clients of a `failover` pool | `holder` |
//! | how they go back | `delayed_failback` |
//! | drains over a time and slow starts | `ramp`, `ramps` |
//! | whether a balancer's word is what our probes find | `agreement` |
//!
//! Invariants: a pool's shares are changed no more often than its longest TTL and twice its
//! reports' interval, and by a tenth at most, unless a member is full; a metric never empties a
//! member; if reports are missing or old, the configured weights apply.

mod agreement;
mod balance;
mod capped_pools;
mod damper;
mod delayed_failback;
mod equilibrium;
mod holder;
mod latency;
mod load_pool;
mod measured_load;
mod ramp;
mod ramps;
mod relief;
mod report;
mod share_history;
mod spill;

#[cfg(test)]
mod relief_simulation;
#[cfg(test)]
mod simulation;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

pub use agreement::Disagreement;
pub use balance::WeightFallback;
pub use ramps::RampKey;
pub use report::{
    FeedReport, FeedbackReport, PoolReport, RampReport, SavedFailback, SavedFeedback, SavedShares,
};

use crate::load::LoadReport;
use crate::steer::{
    compile::Compiler,
    model::{Adjustments, Conditions, FeedId, MemberKind, PoolId, ProbeId, Topology},
};
use agreement::{Agreement, find_disagreement};
use capped_pools::CappedPools;
use delayed_failback::DelayedFailback;
use load_pool::{LoadPool, RegulatedPools};
use ramps::Ramps;

/// What was last read from a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedReading {
    /// What it said.
    pub report: LoadReport,
    /// When, since the caller's epoch.
    pub read_at: Duration,
}

/// All that follows load reports and ramps. One owner feeds it and publishes what it comes to.
#[derive(Debug, Default)]
pub struct Feedback {
    topology: Arc<Topology>,
    /// By feed.
    readings: Vec<Option<FeedReading>>,
    agreements: Vec<Agreement>,
    /// By feed: whom it describes.
    endpoints_of_feed: Vec<Vec<super::EndpointId>>,
    /// By feed: the pools of `load_pools` that go by it.
    load_pools_by_feed: Vec<Vec<usize>>,
    /// By feed: the groups and pools of `capped_pools` that go by it.
    capped_pools_by_feed: Vec<Vec<(usize, usize)>>,
    disagreements: u64,
    load_pools: Vec<LoadPool>,
    capped_pools: CappedPools,
    delayed_failbacks: Vec<DelayedFailback>,
    ramps: Ramps,
    /// By probe that a pool is measured by: the pool and the member.
    timed_members_by_probe: HashMap<ProbeId, Vec<(usize, usize)>>,
}

impl Feedback {
    /// Goes on with another topology: what has the same name goes on where it was, and that is what
    /// comes back.
    pub fn apply_topology(&mut self, topology: &Arc<Topology>) -> Adjustments {
        let old = std::mem::replace(&mut self.topology, Arc::clone(topology));
        self.apply_feeds(&old);
        let watched = RegulatedPools::new(topology);
        let by_name =
            |id: PoolId, old: &Topology| old.pools.get(id.index()).map(|pool| pool.name.clone());
        let mut loaded: HashMap<_, _> = self
            .load_pools
            .drain(..)
            .filter_map(|one| Some((by_name(one.id, &old)?, one)))
            .collect();
        let mut held: HashMap<_, _> = self
            .delayed_failbacks
            .drain(..)
            .filter_map(|one| Some((by_name(one.id, &old)?, one)))
            .collect();
        let name = |id: &PoolId| &topology.pools[id.index()].name;
        self.load_pools = watched
            .load_pools
            .iter()
            .map(|id| {
                LoadPool::new(
                    topology,
                    *id,
                    &watched,
                    loaded.remove(name(id)).map(|one| (&*old, one)),
                )
            })
            .collect();
        self.capped_pools.apply_topology(topology, &watched, |id| by_name(id, &old));
        self.delayed_failbacks = watched
            .delayed_failbacks
            .iter()
            .map(|id| DelayedFailback::new(topology, *id, &old, held.remove(name(id))))
            .collect();
        self.ramps.apply_topology(topology, &old);
        let feeds = topology.feeds.list.len();
        self.load_pools_by_feed = vec![Vec::new(); feeds];
        for (at, one) in self.load_pools.iter().enumerate() {
            one.feeds().for_each(|feed| self.load_pools_by_feed[feed.index()].push(at));
        }
        self.capped_pools_by_feed = self.capped_pools.readers_by_feed(feeds);
        self.timed_members_by_probe.clear();
        for (at, one) in self.load_pools.iter().enumerate() {
            one.probes(topology).for_each(|(member, probe)| {
                self.timed_members_by_probe.entry(probe).or_default().push((at, member))
            });
        }
        self.steering()
    }

    /// What all comes to now, but for the ramps: those follow states and verdicts.
    fn steering(&self) -> Adjustments {
        let keeps = self
            .capped_pools
            .pools()
            .map(|one| (one.id, one.kept_fraction()))
            .filter(|(_, keep)| !keep.is_full());
        Adjustments {
            kept_fractions: keeps.collect(),
            weights: self
                .load_pools
                .iter()
                .filter_map(|one| Some((one.id, one.weights()?)))
                .collect(),
            holders: self
                .delayed_failbacks
                .iter()
                .filter_map(|one| Some((one.id, one.holder()?)))
                .collect(),
            failbacks: self
                .delayed_failbacks
                .iter()
                .filter_map(|one| Some((one.id, one.failback_progress()?)))
                .collect(),
            ..Adjustments::default()
        }
    }

    /// Keeps what was read from feeds that are there still.
    fn apply_feeds(&mut self, old: &Topology) {
        let key = |topology: &Topology, at: usize| {
            let feed = &topology.feeds.list[at];
            (topology.load_sources[feed.source.index()].clone(), feed.target.clone())
        };
        let agreements = std::mem::take(&mut self.agreements);
        let old_readings = std::mem::take(&mut self.readings).into_iter().zip(agreements);
        let mut known: HashMap<_, _> =
            old_readings.enumerate().map(|(at, kept)| (key(old, at), kept)).collect();
        let topology = Arc::clone(&self.topology);
        for at in 0..topology.feeds.list.len() {
            let (reading, agreement) = known.remove(&key(&topology, at)).unwrap_or_default();
            self.readings.push(reading);
            self.agreements.push(agreement);
        }
        self.endpoints_of_feed = topology.endpoints_by_feed();
    }

    /// Takes note of a report. Whether a lasting disagreement with our probes began with it, or
    /// ended (`Some(None)`).
    pub fn record_report(
        &mut self,
        feed: FeedId,
        reading: FeedReading,
        conditions: &Conditions,
    ) -> Option<Option<Disagreement>> {
        let at = feed.index();
        self.load_pools_by_feed[at]
            .iter()
            .for_each(|&at| self.load_pools[at].record_report(&self.topology, feed, &reading));
        self.capped_pools.record_report(&self.capped_pools_by_feed[at], Some(&reading));
        let found = find_disagreement(
            &self.topology,
            conditions,
            &self.endpoints_of_feed[at],
            &reading.report,
        );
        let told = self.agreements[at].record(found, reading.read_at);
        self.disagreements += u64::from(matches!(told, Some(Some(_))));
        self.readings[at] = Some(reading);
        told
    }

    /// Takes note that a feed brought nothing.
    pub fn record_failure(&mut self, feed: FeedId) {
        self.load_pools_by_feed[feed.index()]
            .iter()
            .for_each(|&at| self.load_pools[at].record_failure());
        self.capped_pools.record_report(&self.capped_pools_by_feed[feed.index()], None);
    }

    /// Pools that go by their configured weights, and why.
    pub fn fallbacks(&self) -> impl Iterator<Item = (PoolId, WeightFallback)> {
        self.load_pools.iter().filter_map(|one| Some((one.id, one.fallback()?)))
    }

    /// How much of its share somebody takes, from 0 to 1; `None` of whom no ramp is followed.
    pub fn ramp_value_at(&self, key: &RampKey, now: Duration) -> Option<f64> {
        let RampKey::Failback(pool, member) = key else { return self.ramps.value_at(key, now) };
        let held = self
            .delayed_failbacks
            .iter()
            .find(|held| self.topology.pools[held.id.index()].name == *pool)?;
        let members = &self.topology.pools[held.id.index()].members;
        let at = members.iter().position(|one| *self.topology.member_name(one.kind) == **member)?;
        Some(held.returned_fraction(at as u16, now).unwrap_or(0.0))
    }

    /// Takes note of how long a probe that passed took.
    pub fn record_latency(&mut self, probe: ProbeId, latency: Duration, now: Duration) {
        for &(pool, member) in self.timed_members_by_probe.get(&probe).into_iter().flatten() {
            self.load_pools[pool].record_latency(member, latency, now);
        }
    }

    /// Gives the clients of a `failover` pool back to its first usable member. `false` where no
    /// such pool holds any.
    pub fn fail_back(&mut self, pool: PoolId) -> bool {
        let held = self.delayed_failbacks.iter_mut().find(|held| held.id == pool);
        held.is_some_and(|held| held.fail_back())
    }

    /// Looks at everything whose time has come, and writes into the conditions what it comes to.
    /// The pools for which that differs from before. `has_news` says that verdicts or states
    /// changed since the last look.
    pub fn update(
        &mut self,
        compiler: &Compiler,
        conditions: &mut Conditions,
        has_news: bool,
        now: Duration,
    ) -> Vec<PoolId> {
        let topology = Arc::clone(&self.topology);
        let mut changed = HashSet::new();
        if has_news || self.ramps.is_due(now) {
            self.update_ramps(&topology, conditions, now, &mut changed);
        }
        let is_due = |due: Option<Duration>| due.is_some_and(|due| due <= now);
        let held: Vec<usize> = (0..self.delayed_failbacks.len())
            .filter(|&at| has_news || is_due(self.delayed_failbacks[at].next_due()))
            .collect();
        let loaded: Vec<usize> =
            (0..self.load_pools.len()).filter(|&at| is_due(self.load_pools[at].due())).collect();
        let ids = held
            .iter()
            .map(|&at| self.delayed_failbacks[at].id)
            .chain(loaded.iter().map(|&at| self.load_pools[at].id));
        let ids: Vec<PoolId> = ids.collect();
        let usable =
            if ids.is_empty() { Vec::new() } else { compiler.usable_members(conditions, &ids) };
        let parents = self.capped_pools.parents_of_due_groups(now);
        let serving = if parents.is_empty() {
            Vec::new()
        } else {
            compiler.serving_members(conditions, &parents)
        };
        let steering = &mut conditions.adjustments;
        for (&at, usable) in held.iter().zip(&usable) {
            let one = &mut self.delayed_failbacks[at];
            set_and_note_change(
                &mut steering.holders,
                one.id,
                one.update(usable, now),
                &mut changed,
            );
            set_and_note_change(
                &mut steering.failbacks,
                one.id,
                one.failback_progress(),
                &mut changed,
            );
        }
        for (&at, usable) in loaded.iter().zip(&usable[held.len()..]) {
            let one = &mut self.load_pools[at];
            set_and_note_change(
                &mut steering.weights,
                one.id,
                one.update(&topology, &self.readings, usable, now),
                &mut changed,
            );
        }
        for (id, keep) in self.capped_pools.step_due_groups(
            &topology,
            &self.readings,
            &serving,
            &steering.holders,
            now,
        ) {
            set_and_note_change(
                &mut steering.kept_fractions,
                id,
                (!keep.is_full()).then_some(keep),
                &mut changed,
            );
        }
        let mut changed: Vec<PoolId> = changed.into_iter().collect();
        changed.sort_unstable();
        changed
    }

    fn update_ramps(
        &mut self,
        topology: &Topology,
        conditions: &mut Conditions,
        now: Duration,
        changed: &mut HashSet<PoolId>,
    ) {
        let steering = &conditions.adjustments;
        let (datacenters, endpoints) =
            (steering.datacenter_fractions.clone(), steering.endpoint_fractions.clone());
        self.ramps.update(topology, conditions, now);
        let (mut of_places, mut own) = (HashSet::new(), HashSet::new());
        collect_differing(
            &datacenters,
            &conditions.adjustments.datacenter_fractions,
            &mut of_places,
        );
        collect_differing(&endpoints, &conditions.adjustments.endpoint_fractions, &mut own);
        if of_places.is_empty() && own.is_empty() {
            return;
        }
        let has_changed = |id: super::EndpointId| {
            own.contains(&id)
                || topology.endpoints[id.index()]
                    .datacenters
                    .iter()
                    .any(|at| of_places.contains(at))
        };
        for (pool, id) in topology.pools.iter().zip((0..).map(PoolId)) {
            if pool
                .members
                .iter()
                .any(|member| matches!(member.kind, MemberKind::Endpoint(id) if has_changed(id)))
            {
                changed.insert(id);
            }
        }
    }

    /// When [`Feedback::step_due_groups`] has something to look at again, beside news; `None` where
    /// nothing is under way.
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        let held = self.delayed_failbacks.iter().filter_map(DelayedFailback::next_due);
        let loaded = self.load_pools.iter().filter_map(LoadPool::due);
        held.chain(loaded)
            .chain(self.capped_pools.next_due())
            .chain(self.ramps.next_step_at())
            .min()
            .map(|due| due.max(now))
    }
}

/// Makes `value` what stands at `id`, and notes where that is a change.
fn set_and_note_change<V: PartialEq>(
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

fn collect_differing<K: Copy + Eq + std::hash::Hash, V: PartialEq>(
    before: &HashMap<K, V>,
    after: &HashMap<K, V>,
    found: &mut HashSet<K>,
) {
    found.extend(
        before.iter().filter(|(key, value)| after.get(key) != Some(value)).map(|(key, _)| *key),
    );
    found.extend(after.keys().filter(|key| !before.contains_key(key)).copied());
}
