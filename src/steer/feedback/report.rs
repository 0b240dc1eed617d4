//! What feedback says of itself, for people and for the state directory.

use std::time::Duration;

use super::{Disagreement, Fallback, Feedback, RampKey, Reading};
use crate::steer::{
    conditions::Steering,
    topology::{FeedId, PoolId},
};

/// All that is under way.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackReport<'a> {
    /// By feed.
    pub feeds: Vec<FeedReport<'a>>,
    /// Pools that feedback has a part in.
    pub pools: Vec<PoolReport<'a>>,
    /// Drains and slow starts under way.
    pub ramps: Vec<RampReport<'a>>,
    /// Lasting disagreements between balancers and our probes since the start.
    pub disagreements: u64,
}

/// A feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedReport<'a> {
    /// Which.
    pub id: FeedId,
    /// What was last read.
    pub reading: Option<&'a Reading>,
    /// Too old to say anything.
    pub is_stale: bool,
    /// How it differs from what our probes find, once that lasts.
    pub disagreement: Option<Disagreement>,
}

/// A pool that feedback has a part in.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolReport<'a> {
    /// Which.
    pub id: PoolId,
    /// Of a `load` pool: each member's share, before health has its say.
    pub shares: Option<&'a [f64]>,
    /// Why the configured weights rule, if they do.
    pub fallback: Option<Fallback>,
    /// Of a pool with a capacity: what it keeps of its clients, from 0 to 1.
    pub keep: Option<f64>,
    /// Its level and its target at the last look.
    pub levels: Option<(f64, f64)>,
    /// Of a `failover` pool: the member that clients stay with although one before it is usable.
    pub holder: Option<u16>,
}

/// A ramp under way.
#[derive(Debug, Clone, PartialEq)]
pub struct RampReport<'a> {
    /// Whose.
    pub key: &'a RampKey,
    /// From 0 to 1.
    pub at: f64,
    /// Where it goes.
    pub goal: f64,
    /// When it is there, since the caller's epoch.
    pub ends: Duration,
}

/// The members of a pool, and the share of each, from 0 to 1.
pub type SavedShares = Vec<(Box<str>, f64)>;

/// What must survive a restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedFeedback {
    /// Ramps that are not where they rest in service: from 0 to 1.
    pub ramps: Vec<(RampKey, f64)>,
    /// Pools and the names of the members that hold their clients.
    pub holders: Vec<(Box<str>, Box<str>)>,
    /// `load` pools whose shares are not as configured: their members and the share of each, from 0 to 1.
    pub shares: Vec<(Box<str>, SavedShares)>,
    /// Pools that keep less than all of their clients: from 0 to 1.
    pub keeps: Vec<(Box<str>, f64)>,
}

impl Feedback {
    /// All that is under way at `now`.
    pub fn report(&self, now: Duration) -> FeedbackReport<'_> {
        let feed = |at: usize| {
            let source = &self.topology.loads[self.topology.feeds.list[at].load.index()];
            let reading = self.readings[at].as_ref();
            FeedReport {
                id: FeedId(at as u32),
                reading,
                is_stale: reading.is_some_and(|reading| now.saturating_sub(reading.at) > source.stale_after),
                disagreement: self.agreements[at].lasting(),
            }
        };
        let nothing = |id| PoolReport { id, shares: None, fallback: None, keep: None, levels: None, holder: None };
        let loaded = self.loaded.iter().map(|one| PoolReport {
            shares: Some(one.shares()),
            fallback: one.fallback(),
            ..nothing(one.id)
        });
        let spilling = self.spilling.iter().map(|one| PoolReport {
            keep: Some(one.keep()),
            levels: one.levels(),
            ..nothing(one.id)
        });
        let held = self.held.iter().map(|one| PoolReport { holder: one.holder(), ..nothing(one.id) });
        FeedbackReport {
            feeds: (0..self.readings.len()).map(feed).collect(),
            pools: loaded.chain(spilling).chain(held).collect(),
            ramps: self.ramps.under_way(now).map(|(key, at, goal, ends)| RampReport { key, at, goal, ends }).collect(),
            disagreements: self.disagreements,
        }
    }

    /// What must survive a restart.
    pub fn saved(&self, now: Duration) -> SavedFeedback {
        let mut ramps: Vec<_> = self.ramps.unusual(now).map(|(key, at)| (key.clone(), at)).collect();
        ramps.sort_by(|a, b| a.0.cmp(&b.0));
        let holder = |one: &super::pools::Held| {
            let pool = &self.topology.pools[one.id.index()];
            let member = pool.members.get(usize::from(one.holder()?))?;
            Some((pool.name.clone(), self.topology.member_name(member.kind).into()))
        };
        let pool = |id: PoolId| &self.topology.pools[id.index()];
        let shares = |one: &super::pools::Loaded| {
            one.weights()?;
            let names = pool(one.id).members.iter().map(|member| self.topology.member_name(member.kind).into());
            Some((pool(one.id).name.clone(), names.zip(one.shares().iter().copied()).collect()))
        };
        let spilling = self.spilling.iter().filter(|one| one.keep() < 1.0);
        SavedFeedback {
            ramps,
            holders: self.held.iter().filter_map(holder).collect(),
            shares: self.loaded.iter().filter_map(shares).collect(),
            keeps: spilling.map(|one| (pool(one.id).name.clone(), one.keep())).collect(),
        }
    }

    /// Goes on where an earlier life ended.
    pub fn restore(&mut self, saved: SavedFeedback) -> Steering {
        for (key, at) in saved.ramps {
            self.ramps.restore(key, at.clamp(0.0, 1.0));
        }
        for (pool, shares) in saved.shares {
            let one = self.loaded.iter_mut().find(|one| self.topology.pools[one.id.index()].name == pool);
            one.into_iter().for_each(|one| one.restore(&self.topology, &shares));
        }
        for (pool, keep) in saved.keeps {
            let one = self.spilling.iter_mut().find(|one| self.topology.pools[one.id.index()].name == pool);
            one.into_iter().for_each(|one| one.restore(keep));
        }
        for (pool, member) in saved.holders {
            let one = self.held.iter_mut().find(|one| self.topology.pools[one.id.index()].name == pool);
            one.into_iter().for_each(|one| one.restore(&self.topology, &member));
        }
        self.steering()
    }
}
