//! Pools with a capacity, and the groups of those that give clients to each other.

use std::{collections::HashMap, time::Duration};

use super::{
    FeedReading,
    latency::Latency,
    load_pool::{RegulatedPools, fresh_reports, gauge_name, load_source},
    measured_load::MeasuredLoad,
    spill::{Neighbours, PoolLoad, Spill, step_group},
};
use crate::steer::model::{Capacity, FeedId, Fraction, MemberKind, PoolId, Topology};

/// How often is looked for the first reports after a start.
const STARTUP_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// All pools with a capacity.
#[derive(Debug, Default)]
pub(super) struct CappedPools {
    pools: Vec<CappedPool>,
    groups: Vec<SpillGroup>,
}

/// A pool with a capacity.
#[derive(Debug)]
pub(super) struct CappedPool {
    pub id: PoolId,
    spill: Spill,
    capacity: Capacity,
    feeds: Vec<FeedId>,
    latency: Latency,
    /// The level and the target at the last look.
    level_and_target: Option<(f64, f64)>,
}

/// Pools that give clients to each other, and are looked at together.
#[derive(Debug)]
struct SpillGroup {
    /// Positions among all pools with a capacity.
    pools: Vec<usize>,
    neighbours: Neighbours,
    period: Duration,
    due: Duration,
    /// A report came in since the last look.
    has_new_report: bool,
    /// By parent, whether each member answered clients at the last look.
    serving: Vec<Vec<bool>>,
    /// The last look took no step.
    has_skipped_step: bool,
    /// Until then, from the first look on, a report that is missing may still come.
    grace_ends: Option<Duration>,
    stale_after: Duration,
}

impl CappedPools {
    /// Goes on with another topology; `by_name` says what a pool of the old one is called.
    pub(super) fn apply_topology(
        &mut self,
        topology: &Topology,
        watched: &RegulatedPools,
        by_name: impl Fn(PoolId) -> Option<Box<str>>,
    ) {
        let old = std::mem::take(self);
        let dues = old
            .groups
            .iter()
            .flat_map(|group| group.pools.iter().map(|&at| (old.pools[at].id, group.due)));
        let dues: HashMap<Box<str>, Duration> =
            dues.filter_map(|(id, due)| Some((by_name(id)?, due))).collect();
        let mut known: HashMap<Box<str>, CappedPool> =
            old.pools.into_iter().filter_map(|pool| Some((by_name(pool.id)?, pool))).collect();
        let name = |id: PoolId| &topology.pools[id.index()].name;
        let pools = watched
            .capped_pools
            .iter()
            .map(|&id| CappedPool::new(topology, id, known.remove(name(id))));
        self.pools = pools.collect();
        let group = |(pools, neighbours): (Vec<usize>, Neighbours)| {
            let members = || pools.iter().map(|&at| &self.pools[at]);
            let period =
                members().map(|pool| watched.settled_period(topology, pool.id, &pool.feeds)).max();
            let due = members().filter_map(|pool| dues.get(name(pool.id))).max();
            let (period, due) = (period.unwrap_or_default(), due.copied().unwrap_or_default());
            let stale_after = members()
                .flat_map(|pool| &pool.feeds)
                .map(|feed| load_source(topology, *feed).stale_after)
                .max();
            SpillGroup {
                pools,
                neighbours,
                period,
                due,
                has_new_report: false,
                serving: Vec::new(),
                has_skipped_step: true,
                grace_ends: None,
                stale_after: stale_after.unwrap_or_default(),
            }
        };
        self.groups = Neighbours::group_pools(topology, &watched.capped_pools)
            .into_iter()
            .map(group)
            .collect();
    }

    /// Each pool with a capacity.
    pub(super) fn pools(&self) -> impl Iterator<Item = &CappedPool> {
        self.pools.iter()
    }

    /// The groups that go by each of so many feeds, and the pools in them, by position.
    pub(super) fn readers_by_feed(&self, feeds: usize) -> Vec<Vec<(usize, usize)>> {
        let mut readers = vec![Vec::new(); feeds];
        for (group, at) in self
            .groups
            .iter()
            .enumerate()
            .flat_map(|(at, group)| group.pools.iter().map(move |&pool| (at, pool)))
        {
            self.pools[at].feeds.iter().for_each(|feed| readers[feed.index()].push((group, at)));
        }
        readers
    }

    /// Takes note of a report that these go by.
    pub(super) fn record_report(
        &mut self,
        readers: &[(usize, usize)],
        reading: Option<&FeedReading>,
    ) {
        for &(group, pool) in readers {
            self.groups[group].has_new_report = true;
            let time =
                reading.and_then(|reading| Some((reading.report.response_time?, reading.read_at)));
            time.into_iter().for_each(|(time, at)| self.pools[pool].latency.record(time, at));
        }
    }

    /// The pools whose members must be known before [`CappedPools::step_due_groups`]: those of the
    /// groups that are due.
    pub(super) fn parents_of_due_groups(&self, now: Duration) -> Vec<PoolId> {
        let due = self.groups.iter().filter(|group| self.is_due(group, now));
        due.flat_map(|group| group.neighbours.parents()).collect()
    }

    /// Looks at every group that is due, and moves a step. `serving` says of each member of each of
    /// [`CappedPools::parents_of_due_groups`] whether it answers clients. The pools that were
    /// looked at, and what each keeps.
    pub(super) fn step_due_groups(
        &mut self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        mut serving: &[Vec<bool>],
        holders: &HashMap<PoolId, u16>,
        now: Duration,
    ) -> Vec<(PoolId, Fraction)> {
        let due: Vec<usize> =
            (0..self.groups.len()).filter(|&at| self.is_due(&self.groups[at], now)).collect();
        let mut followed = Vec::new();
        for at in due {
            let group = &mut self.groups[at];
            let loads: Vec<Option<PoolLoad>> = group
                .pools
                .iter()
                .map(|&at| self.pools[at].load(topology, readings, now))
                .collect();
            let (own, others) =
                serving.split_at(group.neighbours.parents().count().min(serving.len()));
            serving = others;
            (group.has_new_report, group.due) = (false, now + group.period);
            // After a start, reports come in one by one.
            let grace = *group.grace_ends.get_or_insert(now + group.stale_after);
            if now < grace && loads.iter().any(Option::is_none) {
                group.due = grace.min(now + STARTUP_LOOK_INTERVAL);
                continue;
            }
            // After a change of the members in service, caches still send clients to the former
            // ones: reports do not show yet how the load will be.
            let has_changed = std::mem::replace(&mut group.serving, own.to_vec()) != own;
            group.has_skipped_step = has_changed && !group.has_skipped_step;
            if group.has_skipped_step {
                continue;
            }
            let flows = group.neighbours.spill_flows(group.pools.len(), own, holders);
            let mut spills: Vec<Option<&mut Spill>> =
                self.pools.iter_mut().map(|pool| Some(&mut pool.spill)).collect();
            let mut spills: Vec<&mut Spill> =
                group.pools.iter().filter_map(|&at| spills[at].take()).collect();
            step_group(&mut spills, &loads, &flows);
            for (position, &at) in group.pools.iter().enumerate() {
                let pool = &mut self.pools[at];
                pool.level_and_target = loads[position].map(|load| (load.level, load.target));
                followed.push((pool.id, pool.kept_fraction()));
            }
        }
        followed
    }

    /// When something is to be looked at; `None` while all keep all and no report comes in.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.groups.iter().filter(|group| self.is_active(group)).map(|group| group.due).min()
    }

    fn is_due(&self, group: &SpillGroup, now: Duration) -> bool {
        self.is_active(group) && group.due <= now
    }

    fn is_active(&self, group: &SpillGroup) -> bool {
        group.has_new_report
            || group.pools.iter().any(|&at| self.pools[at].spill.kept_share() < 1.0)
    }

    /// Restores what a pool kept in the previous run.
    pub(super) fn restore(&mut self, id: PoolId, keep: f64) {
        let pool = self.pools.iter_mut().find(|pool| pool.id == id);
        pool.into_iter().for_each(|pool| pool.spill = Spill::restored(keep));
    }
}

impl CappedPool {
    fn new(topology: &Topology, id: PoolId, old: Option<Self>) -> Self {
        let capacity = topology.pools[id.index()].regulation.capacity.clone();
        let Some(capacity) = capacity else {
            unreachable!("only pools with a capacity are watched for it")
        };
        let feeds = topology.feeds_of_member(MemberKind::Pool(id));
        let (spill, latency) = old.map_or_else(Default::default, |old| (old.spill, old.latency));
        Self { id, spill, capacity, feeds, latency, level_and_target: None }
    }

    /// What its reports say, if all of them are young enough.
    fn load(
        &self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        now: Duration,
    ) -> Option<PoolLoad> {
        let reports = fresh_reports(topology, readings, &self.feeds, now).unwrap_or_default();
        let measured = MeasuredLoad::from_reports(&reports, gauge_name(&self.capacity.measure))?;
        let (level, target, max) =
            measured.levels(&self.capacity, self.latency.slowdown_factor())?;
        Some(PoolLoad::new([level, target, max], measured.connections))
    }

    /// What it keeps of its clients at present.
    pub(super) fn kept_fraction(&self) -> Fraction {
        Fraction::from_share(self.kept_share())
    }

    /// The same, from 0 to 1.
    pub(super) fn kept_share(&self) -> f64 {
        self.spill.kept_share()
    }

    pub(super) fn level_and_target(&self) -> Option<(f64, f64)> {
        self.level_and_target
    }
}
