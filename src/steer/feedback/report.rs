//! What feedback says of itself, for people and for the state directory.

use std::{borrow::Cow, time::Duration};

use super::{Disagreement, FeedReading, Feedback, RampKey, WeightFallback};
use crate::steer::model::{Adjustments, FeedId, PoolId};

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
    pub reading: Option<&'a FeedReading>,
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
    /// Of a `source` pool: each member's share, before health has its say.
    pub shares: Option<&'a [f64]>,
    /// Why the configured weights rule, if they do.
    pub fallback: Option<WeightFallback>,
    /// Of a pool with a capacity: what it keeps of its clients, from 0 to 1.
    pub kept_share: Option<f64>,
    /// Its level and its target at the last look.
    pub level_and_target: Option<(f64, f64)>,
    /// Of a `failover` pool: the member that clients stay with although one before it is usable.
    pub holder: Option<u16>,
}

/// A ramp under way.
#[derive(Debug, Clone, PartialEq)]
pub struct RampReport<'a> {
    /// Whose.
    pub key: Cow<'a, RampKey>,
    /// From 0 to 1.
    pub value: f64,
    /// Where it goes.
    pub goal: f64,
    /// When it is there, since the caller's epoch.
    pub ends_at: Duration,
}

/// The members of a pool, and the share of each, from 0 to 1.
pub type SavedShares = Vec<(Box<str>, f64)>;

/// A `failover` pool whose clients are on their way back, by the names of the pool and its members.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedFailback {
    /// The pool.
    pub pool: Box<str>,
    /// The member that held the clients.
    pub from: Box<str>,
    /// The member that they return to.
    pub to: Box<str>,
    /// How many have returned: from 0 to 1.
    pub returned_fraction: f64,
}

/// What must survive a restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedFeedback {
    /// Ramps that are not where they rest in service: from 0 to 1.
    pub ramps: Vec<(RampKey, f64)>,
    /// Pools and the names of the members that hold their clients.
    pub holders: Vec<(Box<str>, Box<str>)>,
    /// Pools whose clients are on their way back.
    pub failbacks: Vec<SavedFailback>,
    /// `source` pools whose shares are not as configured: their members and the share of each, from
    /// 0 to 1.
    pub shares: Vec<(Box<str>, SavedShares)>,
    /// Pools that keep less than all of their clients: from 0 to 1.
    pub kept_shares: Vec<(Box<str>, f64)>,
}

impl Feedback {
    /// All that is under way at `now`.
    pub fn report(&self, now: Duration) -> FeedbackReport<'_> {
        let feed = |at: usize| {
            let source = &self.topology.load_sources[self.topology.feeds.list[at].source.index()];
            let reading = self.readings[at].as_ref();
            FeedReport {
                id: FeedId(at as u32),
                reading,
                is_stale: reading.is_some_and(|reading| {
                    now.saturating_sub(reading.read_at) > source.stale_after
                }),
                disagreement: self.agreements[at].lasting_disagreement(),
            }
        };
        let nothing = |id| PoolReport {
            id,
            shares: None,
            fallback: None,
            kept_share: None,
            level_and_target: None,
            holder: None,
        };
        let loaded = self.load_pools.iter().map(|one| PoolReport {
            shares: Some(one.shares()),
            fallback: one.fallback(),
            ..nothing(one.id)
        });
        let spilling = self.capped_pools.pools().map(|one| PoolReport {
            kept_share: Some(one.kept_share()),
            level_and_target: one.level_and_target(),
            ..nothing(one.id)
        });
        let held = self
            .delayed_failbacks
            .iter()
            .map(|one| PoolReport { holder: one.holder(), ..nothing(one.id) });
        FeedbackReport {
            feeds: (0..self.readings.len()).map(feed).collect(),
            pools: loaded.chain(spilling).chain(held).collect(),
            ramps: self.ramp_reports(now),
            disagreements: self.disagreements,
        }
    }

    fn ramp_reports(&self, now: Duration) -> Vec<RampReport<'_>> {
        let ramps = self.ramps.in_progress(now);
        let ramps = ramps.map(|(key, at, goal, ends)| RampReport {
            key: Cow::Borrowed(key),
            value: at,
            goal,
            ends_at: ends,
        });
        let returns = self.delayed_failbacks.iter().filter_map(|one| {
            let (to, at, ends) = one.failback_report(now)?;
            let key = RampKey::Failback(
                self.topology.pools[one.id.index()].name.clone(),
                self.member_name(one.id, to)?,
            );
            Some(RampReport { key: Cow::Owned(key), value: at, goal: 1.0, ends_at: ends })
        });
        ramps.chain(returns).collect()
    }

    /// The name of a pool's member.
    fn member_name(&self, pool: PoolId, at: u16) -> Option<Box<str>> {
        let member = self.topology.pools[pool.index()].members.get(usize::from(at))?;
        Some(self.topology.member_name(member.kind).into())
    }

    /// What must survive a restart.
    pub fn to_saved(&self, now: Duration) -> SavedFeedback {
        let mut ramps: Vec<_> =
            self.ramps.below_full(now).map(|(key, at)| (key.clone(), at)).collect();
        ramps.sort_by(|a, b| a.0.cmp(&b.0));
        let holder = |one: &super::DelayedFailback| {
            Some((
                self.topology.pools[one.id.index()].name.clone(),
                self.member_name(one.id, one.holder()?)?,
            ))
        };
        let returning = |one: &super::DelayedFailback| {
            let (from, (to, at, _)) = (one.failback_progress()?.from, one.failback_report(now)?);
            let pool = self.topology.pools[one.id.index()].name.clone();
            Some(SavedFailback {
                pool,
                from: self.member_name(one.id, from)?,
                to: self.member_name(one.id, to)?,
                returned_fraction: at,
            })
        };
        let pool = |id: PoolId| &self.topology.pools[id.index()];
        let shares = |one: &super::load_pool::LoadPool| {
            one.weights()?;
            let names = pool(one.id)
                .members
                .iter()
                .map(|member| self.topology.member_name(member.kind).into());
            Some((pool(one.id).name.clone(), names.zip(one.shares().iter().copied()).collect()))
        };
        let spilling = self.capped_pools.pools().filter(|one| one.kept_share() < 1.0);
        SavedFeedback {
            ramps,
            holders: self.delayed_failbacks.iter().filter_map(holder).collect(),
            failbacks: self.delayed_failbacks.iter().filter_map(returning).collect(),
            shares: self.load_pools.iter().filter_map(shares).collect(),
            kept_shares: spilling
                .map(|one| (pool(one.id).name.clone(), one.kept_share()))
                .collect(),
        }
    }

    /// Goes on where an earlier life ended.
    pub fn restore(&mut self, saved: SavedFeedback) -> Adjustments {
        for (key, at) in saved.ramps {
            self.ramps.restore(key, at.clamp(0.0, 1.0));
        }
        for (pool, shares) in saved.shares {
            let one = self
                .load_pools
                .iter_mut()
                .find(|one| self.topology.pools[one.id.index()].name == pool);
            one.into_iter().for_each(|one| one.restore(&self.topology, &shares));
        }
        for (pool, keep) in saved.kept_shares {
            let at = self.topology.pools.iter().position(|one| one.name == pool);
            at.into_iter().for_each(|at| self.capped_pools.restore(PoolId(at as u32), keep));
        }
        for (pool, member) in saved.holders {
            let one = self
                .delayed_failbacks
                .iter_mut()
                .find(|one| self.topology.pools[one.id.index()].name == pool);
            one.into_iter().for_each(|one| one.restore(&self.topology, &member));
        }
        for SavedFailback { pool, from, to, returned_fraction: at } in saved.failbacks {
            let one = self
                .delayed_failbacks
                .iter_mut()
                .find(|one| self.topology.pools[one.id.index()].name == pool);
            one.into_iter().for_each(|one| {
                one.restore_failback(&self.topology, (&from, &to), at.clamp(0.0, 1.0))
            });
        }
        self.steering()
    }
}
