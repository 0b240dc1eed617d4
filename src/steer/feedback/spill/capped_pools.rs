//! All pools with a capacity, in groups of pools that may spill to each other.

use std::{collections::HashMap, time::Duration};

use super::{
    fullness::PoolLoad,
    group_step::step_group,
    kept_share::Spill,
    neighbours::{NeighbourGroup, Neighbours},
};
use crate::steer::{
    feedback::{
        feed_reading::{FeedReading, fresh_reports, load_source},
        latency::Latency,
        measured_load::{CapacityLevels, MeasuredLoad},
        regulated_pools::RegulatedPools,
    },
    model::Fraction,
    model::{Capacity, MemberKind},
    model::{FeedId, PoolId, Topology},
};

/// How often a group waits for its first reports after a start.
const STARTUP_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// All pools with a capacity.
#[derive(Debug, Default)]
pub(in crate::steer::feedback) struct CappedPools {
    pools: Vec<CappedPool>,
    groups: Vec<SpillGroup>,
}

/// A pool with a capacity.
#[derive(Debug)]
pub(in crate::steer::feedback) struct CappedPool {
    pub id: PoolId,
    spill: Spill,
    capacity: Capacity,
    feeds: Vec<FeedId>,
    latency: Latency,
    /// The load at the latest step; `None` if it was unknown.
    load: Option<PoolLoad>,
}

/// A pool that uses the reports of a feed.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer::feedback) struct CappedPoolReader {
    /// The position of the group of the pool in [`CappedPools::groups`].
    group: usize,
    /// The position of the pool in [`CappedPools::pools`].
    pool: usize,
}

/// Pools that may spill to each other, directly or through others. They take their steps together.
#[derive(Debug)]
struct SpillGroup {
    /// Positions of the pools in [`CappedPools::pools`].
    pools: Vec<usize>,
    neighbours: Neighbours,
    period: Duration,
    due: Duration,
    /// Whether a poll has ended since the latest step.
    has_new_report: bool,
    /// By parent: whether each member answered clients at the latest step.
    serving: Vec<Vec<bool>>,
    /// Whether the latest step was skipped.
    has_skipped_step: bool,
    /// The end of the grace period after the first step, in which missing reports may arrive.
    grace_ends: Option<Duration>,
    stale_after: Duration,
}

impl CappedPools {
    /// Continues with another topology; `old_name` returns the name of a pool of the old one.
    pub(in crate::steer::feedback) fn apply_topology(
        &mut self,
        topology: &Topology,
        regulated: &RegulatedPools,
        old_name: impl Fn(PoolId) -> Option<Box<str>>,
    ) {
        let old = std::mem::take(self);
        let due_by_id = old
            .groups
            .iter()
            .flat_map(|group| group.pools.iter().map(|&pool| (old.pools[pool].id, group.due)));
        let due_by_name: HashMap<Box<str>, Duration> =
            due_by_id.filter_map(|(id, due)| Some((old_name(id)?, due))).collect();
        let mut old_pools: HashMap<Box<str>, CappedPool> =
            old.pools.into_iter().filter_map(|pool| Some((old_name(pool.id)?, pool))).collect();
        let name = |id: PoolId| &topology.pools[id.index()].name;
        self.pools = regulated
            .capped_pools
            .iter()
            .map(|&id| CappedPool::new(topology, id, old_pools.remove(name(id))))
            .collect();
        self.groups = Neighbours::group_pools(topology, &regulated.capped_pools)
            .into_iter()
            .map(|group| self.spill_group(topology, regulated, &due_by_name, group))
            .collect();
    }

    fn spill_group(
        &self,
        topology: &Topology,
        regulated: &RegulatedPools,
        due_by_name: &HashMap<Box<str>, Duration>,
        NeighbourGroup { pools, neighbours }: NeighbourGroup,
    ) -> SpillGroup {
        let members = || pools.iter().map(|&pool| &self.pools[pool]);
        let period =
            members().map(|pool| regulated.settled_period(topology, pool.id, &pool.feeds)).max();
        let due = members()
            .filter_map(|pool| due_by_name.get(&topology.pools[pool.id.index()].name))
            .max();
        let feeds = members().flat_map(|pool| &pool.feeds);
        let stale_after = feeds.map(|feed| load_source(topology, *feed).stale_after).max();
        SpillGroup {
            period: period.unwrap_or_default(),
            due: due.copied().unwrap_or_default(),
            stale_after: stale_after.unwrap_or_default(),
            pools,
            neighbours,
            has_new_report: false,
            serving: Vec::new(),
            has_skipped_step: true,
            grace_ends: None,
        }
    }

    /// Every pool with a capacity.
    pub(in crate::steer::feedback) fn pools(&self) -> impl Iterator<Item = &CappedPool> {
        self.pools.iter()
    }

    /// For each of `feeds` feeds, the pools that use its reports.
    pub(in crate::steer::feedback) fn readers_by_feed(
        &self,
        feeds: usize,
    ) -> Vec<Vec<CappedPoolReader>> {
        let mut readers = vec![Vec::new(); feeds];
        for (group, spill_group) in self.groups.iter().enumerate() {
            for &pool in &spill_group.pools {
                for feed in &self.pools[pool].feeds {
                    readers[feed.index()].push(CappedPoolReader { group, pool });
                }
            }
        }
        readers
    }

    /// Records a report for the pools that use it, or `None` if a poll returned none.
    pub(in crate::steer::feedback) fn record_report(
        &mut self,
        readers: &[CappedPoolReader],
        reading: Option<&FeedReading>,
    ) {
        for reader in readers {
            self.groups[reader.group].has_new_report = true;
            let Some(reading) = reading else { continue };
            if let Some(response_time) = reading.report.response_time {
                self.pools[reader.pool].latency.record(response_time, reading.read_at);
            }
        }
    }

    /// The parents of all pools in groups that are due: [`CappedPools::step_due_groups`] needs to
    /// know which of their members answer clients.
    pub(in crate::steer::feedback) fn parents_of_due_groups(&self, now: Duration) -> Vec<PoolId> {
        let due = self.groups.iter().filter(|group| self.is_due(group, now));
        due.flat_map(|group| group.neighbours.parents()).collect()
    }

    /// Takes a step with every group that is due. `serving` says of each member of each of
    /// [`CappedPools::parents_of_due_groups`] whether it answers clients. Returns the pools of the
    /// groups that took a step, each with the fraction of its clients that it keeps.
    pub(in crate::steer::feedback) fn step_due_groups(
        &mut self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        mut serving: &[Vec<bool>],
        holders: &HashMap<PoolId, u16>,
        now: Duration,
    ) -> Vec<(PoolId, Fraction)> {
        let due: Vec<usize> =
            (0..self.groups.len()).filter(|&group| self.is_due(&self.groups[group], now)).collect();
        let mut stepped = Vec::new();
        for index in due {
            let group = &mut self.groups[index];
            let loads: Vec<Option<PoolLoad>> = group
                .pools
                .iter()
                .map(|&pool| self.pools[pool].present_load(topology, readings, now))
                .collect();
            let parents = group.neighbours.parents().count().min(serving.len());
            let (group_serving, rest) = serving.split_at(parents);
            serving = rest;
            if !group.begin_step(&loads, group_serving, now) {
                continue;
            }
            let flows = group.neighbours.spill_flows(group.pools.len(), group_serving, holders);
            let mut spills: Vec<Option<&mut Spill>> =
                self.pools.iter_mut().map(|pool| Some(&mut pool.spill)).collect();
            let mut spills: Vec<&mut Spill> =
                group.pools.iter().filter_map(|&pool| spills[pool].take()).collect();
            step_group(&mut spills, &loads, &flows);
            for (&pool, load) in group.pools.iter().zip(loads) {
                let pool = &mut self.pools[pool];
                pool.load = load;
                stepped.push((pool.id, pool.kept_fraction()));
            }
        }
        stepped
    }

    /// When the next step of any group is due; `None` while every pool keeps all of its clients and
    /// no poll has ended.
    pub(in crate::steer::feedback) fn next_due(&self) -> Option<Duration> {
        self.groups.iter().filter(|group| self.is_active(group)).map(|group| group.due).min()
    }

    fn is_due(&self, group: &SpillGroup, now: Duration) -> bool {
        self.is_active(group) && group.due <= now
    }

    fn is_active(&self, group: &SpillGroup) -> bool {
        group.has_new_report
            || group.pools.iter().any(|&pool| self.pools[pool].spill.kept_share() < 1.0)
    }

    /// Continues with the kept share of a previous run, from 0 to 1.
    pub(in crate::steer::feedback) fn restore(&mut self, id: PoolId, kept_share: f64) {
        let pool = self.pools.iter_mut().find(|pool| pool.id == id);
        pool.into_iter().for_each(|pool| pool.spill = Spill::restored(kept_share));
    }
}

impl SpillGroup {
    /// Schedules the next step. `false` if this one must be skipped.
    fn begin_step(
        &mut self,
        loads: &[Option<PoolLoad>],
        serving: &[Vec<bool>],
        now: Duration,
    ) -> bool {
        (self.has_new_report, self.due) = (false, now + self.period);
        // After a start, reports arrive one by one.
        let grace_ends = *self.grace_ends.get_or_insert(now + self.stale_after);
        if now < grace_ends && loads.iter().any(Option::is_none) {
            self.due = grace_ends.min(now + STARTUP_RETRY_INTERVAL);
            return false;
        }
        // After the members in service have changed, caches still send clients to the former ones:
        // reports do not show the new load yet.
        let has_changed = std::mem::replace(&mut self.serving, serving.to_vec()) != serving;
        self.has_skipped_step = has_changed && !self.has_skipped_step;
        !self.has_skipped_step
    }
}

impl CappedPool {
    fn new(topology: &Topology, id: PoolId, old: Option<Self>) -> Self {
        let Some(capacity) = topology.pools[id.index()].regulation.capacity.clone() else {
            unreachable!("`RegulatedPools::capped_pools` holds pools with a capacity only")
        };
        let feeds = topology.feeds_of_member(MemberKind::Pool(id));
        let (spill, latency) = old.map_or_else(Default::default, |old| (old.spill, old.latency));
        Self { id, spill, capacity, feeds, latency, load: None }
    }

    /// The load that the reports show; `None` if any of them is missing or expired, or lacks the
    /// value that the capacity measures.
    fn present_load(
        &self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        now: Duration,
    ) -> Option<PoolLoad> {
        let reports = fresh_reports(topology, readings, &self.feeds, now).unwrap_or_default();
        let measured = MeasuredLoad::from_reports(&reports, &self.capacity.measure)?;
        let levels: CapacityLevels =
            measured.capacity_levels(&self.capacity, self.latency.slowdown_factor())?;
        Some(PoolLoad::new(levels, measured.connections))
    }

    /// The fraction of its clients that the pool keeps at present.
    pub(in crate::steer::feedback) fn kept_fraction(&self) -> Fraction {
        Fraction::from_share(self.kept_share())
    }

    /// The share of its clients that the pool keeps at present, from 0 to 1.
    pub(in crate::steer::feedback) fn kept_share(&self) -> f64 {
        self.spill.kept_share()
    }

    /// The load at the latest step; `None` if it was unknown.
    pub(in crate::steer::feedback) fn load(&self) -> Option<&PoolLoad> {
        self.load.as_ref()
    }
}
