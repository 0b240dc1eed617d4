//! Feedback: from load reports, verdicts and states to what steering is to make of them. Pure:
//! reports and the time come in.
//!
//! | what | file |
//! |---|---|
//! | what the reports of one member come to | `measure` |
//! | the shares at which reports would rest | `equilibrium` |
//! | shares that follow slowly, and not for little | `damper` |
//! | the shares that the clients of a moment were answered by | `transit` |
//! | what a full member loses at once | `relief` |
//! | one `source` pool | `balance` |
//! | pools with a capacity, and what they keep | `spilling`, `spill` |
//! | one member against its own usual time | `latency` |
//! | who holds the clients of a `failover` pool | `holder` |
//! | how they go back | `held` |
//! | drains over a time and slow starts | `ramp`, `ramps` |
//! | whether a balancer's word is what our probes find | `agreement` |
//!
//! Invariants: a pool's shares are changed no more often than its longest TTL and twice its
//! reports' interval, and by a tenth at most, unless a member is full; a metric never empties a
//! member; if reports are missing or old, the configured weights apply.

mod agreement;
mod balance;
mod damper;
mod equilibrium;
mod held;
mod holder;
mod latency;
mod measure;
mod pools;
mod ramp;
mod ramps;
mod relief;
mod report;
mod spill;
mod spilling;
mod transit;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod urgency;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

pub use agreement::Disagreement;
pub use balance::Fallback;
pub use ramps::RampKey;
pub use report::{
    FeedReport, FeedbackReport, PoolReport, RampReport, SavedFeedback, SavedReturn, SavedShares,
};

use super::{
    compiler::Compiler,
    conditions::{Adjustments, Conditions},
    pool::MemberKind,
    topology::{FeedId, PoolId, ProbeId, Topology},
};
use crate::load::LoadReport;
use agreement::{Agreement, compare};
use held::Held;
use pools::{Loaded, Watched};
use ramps::Ramps;
use spilling::Spilling;

/// What was last read from a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What it said.
    pub report: LoadReport,
    /// When, since the caller's epoch.
    pub at: Duration,
}

/// All that follows load reports and ramps. One owner feeds it and publishes what it comes to.
#[derive(Debug, Default)]
pub struct Feedback {
    topology: Arc<Topology>,
    /// By feed.
    readings: Vec<Option<Reading>>,
    agreements: Vec<Agreement>,
    /// By feed: whom it describes.
    endpoints_of_feed: Vec<Vec<super::EndpointId>>,
    /// By feed: the pools of `loaded` that go by it.
    readers: Vec<Vec<usize>>,
    /// By feed: the groups and pools of `spilling` that go by it.
    spill_readers: Vec<Vec<(usize, usize)>>,
    disagreements: u64,
    loaded: Vec<Loaded>,
    spilling: Spilling,
    held: Vec<Held>,
    ramps: Ramps,
    /// By probe that a pool is measured by: the pool and the member.
    timed: HashMap<ProbeId, Vec<(usize, usize)>>,
}

impl Feedback {
    /// Goes on with another topology: what has the same name goes on where it was, and that is what
    /// comes back.
    pub fn adopt(&mut self, topology: &Arc<Topology>) -> Adjustments {
        let old = std::mem::replace(&mut self.topology, Arc::clone(topology));
        self.adopt_feeds(&old);
        let watched = Watched::of(topology);
        let by_name =
            |id: PoolId, old: &Topology| old.pools.get(id.index()).map(|pool| pool.name.clone());
        let mut loaded: HashMap<_, _> =
            self.loaded.drain(..).filter_map(|one| Some((by_name(one.id, &old)?, one))).collect();
        let mut held: HashMap<_, _> =
            self.held.drain(..).filter_map(|one| Some((by_name(one.id, &old)?, one))).collect();
        let name = |id: &PoolId| &topology.pools[id.index()].name;
        self.loaded = watched
            .loaded
            .iter()
            .map(|id| {
                Loaded::new(
                    topology,
                    *id,
                    &watched,
                    loaded.remove(name(id)).map(|one| (&*old, one)),
                )
            })
            .collect();
        self.spilling.adopt(topology, &watched, |id| by_name(id, &old));
        self.held = watched
            .held
            .iter()
            .map(|id| Held::new(topology, *id, &old, held.remove(name(id))))
            .collect();
        self.ramps.adopt(topology, &old);
        let feeds = topology.feeds.list.len();
        self.readers = vec![Vec::new(); feeds];
        for (at, one) in self.loaded.iter().enumerate() {
            one.feeds().for_each(|feed| self.readers[feed.index()].push(at));
        }
        self.spill_readers = self.spilling.readers(feeds);
        self.timed.clear();
        for (at, one) in self.loaded.iter().enumerate() {
            one.probes(topology).for_each(|(member, probe)| {
                self.timed.entry(probe).or_default().push((at, member))
            });
        }
        self.steering()
    }

    /// What all comes to now, but for the ramps: those follow states and verdicts.
    fn steering(&self) -> Adjustments {
        let keeps = self
            .spilling
            .pools()
            .map(|one| (one.id, one.part()))
            .filter(|(_, keep)| !keep.is_full());
        Adjustments {
            kept_fractions: keeps.collect(),
            weights: self.loaded.iter().filter_map(|one| Some((one.id, one.weights()?))).collect(),
            holders: self.held.iter().filter_map(|one| Some((one.id, one.holder()?))).collect(),
            failbacks: self
                .held
                .iter()
                .filter_map(|one| Some((one.id, one.returning()?)))
                .collect(),
            ..Adjustments::default()
        }
    }

    /// Keeps what was read from feeds that are there still.
    fn adopt_feeds(&mut self, old: &Topology) {
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
        self.endpoints_of_feed = topology.feeds.endpoints_of(&topology);
    }

    /// Takes note of a report. Whether a lasting disagreement with our probes began with it, or
    /// ended (`Some(None)`).
    pub fn note(
        &mut self,
        feed: FeedId,
        reading: Reading,
        conditions: &Conditions,
    ) -> Option<Option<Disagreement>> {
        let at = feed.index();
        self.readers[at]
            .iter()
            .for_each(|&at| self.loaded[at].note(&self.topology, feed, &reading));
        self.spilling.note(&self.spill_readers[at], Some(&reading));
        let found =
            compare(&self.topology, conditions, &self.endpoints_of_feed[at], &reading.report);
        let told = self.agreements[at].note(found, reading.at);
        self.disagreements += u64::from(matches!(told, Some(Some(_))));
        self.readings[at] = Some(reading);
        told
    }

    /// Takes note that a feed brought nothing.
    pub fn note_failure(&mut self, feed: FeedId) {
        self.readers[feed.index()].iter().for_each(|&at| self.loaded[at].note_failure());
        self.spilling.note(&self.spill_readers[feed.index()], None);
    }

    /// Pools that go by their configured weights, and why.
    pub fn fallbacks(&self) -> impl Iterator<Item = (PoolId, Fallback)> {
        self.loaded.iter().filter_map(|one| Some((one.id, one.fallback()?)))
    }

    /// How much of its share somebody takes, from 0 to 1; `None` of whom no ramp is followed.
    pub fn ramp_at(&self, key: &RampKey, now: Duration) -> Option<f64> {
        let RampKey::Failback(pool, member) = key else { return self.ramps.at(key, now) };
        let held =
            self.held.iter().find(|held| self.topology.pools[held.id.index()].name == *pool)?;
        let members = &self.topology.pools[held.id.index()].members;
        let at = members.iter().position(|one| *self.topology.member_name(one.kind) == **member)?;
        Some(held.returned_to(at as u16, now).unwrap_or(0.0))
    }

    /// Takes note of how long a probe that passed took.
    pub fn note_latency(&mut self, probe: ProbeId, latency: Duration, now: Duration) {
        for &(pool, member) in self.timed.get(&probe).into_iter().flatten() {
            self.loaded[pool].note_latency(member, latency, now);
        }
    }

    /// Gives the clients of a `failover` pool back to its first usable member. `false` where no
    /// such pool holds any.
    pub fn give_back(&mut self, pool: PoolId) -> bool {
        let held = self.held.iter_mut().find(|held| held.id == pool);
        held.is_some_and(|held| held.give_back())
    }

    /// Looks at everything whose time has come, and writes into the conditions what it comes to.
    /// The pools for which that differs from before. `has_news` says that verdicts or states
    /// changed since the last look.
    pub fn follow(
        &mut self,
        compiler: &Compiler,
        conditions: &mut Conditions,
        has_news: bool,
        now: Duration,
    ) -> Vec<PoolId> {
        let topology = Arc::clone(&self.topology);
        let mut changed = HashSet::new();
        if has_news || self.ramps.is_due(now) {
            self.follow_ramps(&topology, conditions, now, &mut changed);
        }
        let is_due = |due: Option<Duration>| due.is_some_and(|due| due <= now);
        let held: Vec<usize> = (0..self.held.len())
            .filter(|&at| has_news || is_due(self.held[at].next_due()))
            .collect();
        let loaded: Vec<usize> =
            (0..self.loaded.len()).filter(|&at| is_due(self.loaded[at].due())).collect();
        let ids = held
            .iter()
            .map(|&at| self.held[at].id)
            .chain(loaded.iter().map(|&at| self.loaded[at].id));
        let ids: Vec<PoolId> = ids.collect();
        let usable =
            if ids.is_empty() { Vec::new() } else { compiler.usable_members(conditions, &ids) };
        let parents = self.spilling.parents_of_due(now);
        let serving = if parents.is_empty() {
            Vec::new()
        } else {
            compiler.serving_members(conditions, &parents)
        };
        let steering = &mut conditions.adjustments;
        for (&at, usable) in held.iter().zip(&usable) {
            let one = &mut self.held[at];
            set(&mut steering.holders, one.id, one.follow(usable, now), &mut changed);
            set(&mut steering.failbacks, one.id, one.returning(), &mut changed);
        }
        for (&at, usable) in loaded.iter().zip(&usable[held.len()..]) {
            let one = &mut self.loaded[at];
            set(
                &mut steering.weights,
                one.id,
                one.follow(&topology, &self.readings, usable, now),
                &mut changed,
            );
        }
        for (id, keep) in
            self.spilling.follow(&topology, &self.readings, &serving, &steering.holders, now)
        {
            set(&mut steering.kept_fractions, id, (!keep.is_full()).then_some(keep), &mut changed);
        }
        let mut changed: Vec<PoolId> = changed.into_iter().collect();
        changed.sort_unstable();
        changed
    }

    fn follow_ramps(
        &mut self,
        topology: &Topology,
        conditions: &mut Conditions,
        now: Duration,
        changed: &mut HashSet<PoolId>,
    ) {
        let steering = &conditions.adjustments;
        let (datacenters, endpoints) =
            (steering.datacenter_fractions.clone(), steering.endpoint_fractions.clone());
        self.ramps.follow(topology, conditions, now);
        let (mut of_places, mut own) = (HashSet::new(), HashSet::new());
        differing(&datacenters, &conditions.adjustments.datacenter_fractions, &mut of_places);
        differing(&endpoints, &conditions.adjustments.endpoint_fractions, &mut own);
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

    /// When [`Feedback::follow`] has something to look at again, beside news; `None` where nothing
    /// is under way.
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        let held = self.held.iter().filter_map(Held::next_due);
        let loaded = self.loaded.iter().filter_map(Loaded::due);
        held.chain(loaded)
            .chain(self.spilling.next_due())
            .chain(self.ramps.next_step())
            .min()
            .map(|due| due.max(now))
    }
}

/// Makes `value` what stands at `id`, and notes where that is a change.
fn set<V: PartialEq>(
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

fn differing<K: Copy + Eq + std::hash::Hash, V: PartialEq>(
    before: &HashMap<K, V>,
    after: &HashMap<K, V>,
    found: &mut HashSet<K>,
) {
    found.extend(
        before.iter().filter(|(key, value)| after.get(key) != Some(value)).map(|(key, _)| *key),
    );
    found.extend(after.keys().filter(|key| !before.contains_key(key)).copied());
}
