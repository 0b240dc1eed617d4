//! The state of feedback that survives a restart.

use std::time::Duration;

use super::Feedback;
use crate::steer::{
    Adjustments, PoolId,
    feedback::{
        delayed_failback::DelayedFailback,
        load_pool::LoadPool,
        saved::{SavedFailback, SavedFeedback, SavedHolder, SavedShares},
    },
};

impl Feedback {
    /// The state at `now` that must survive a restart.
    pub fn to_saved(&self, now: Duration) -> SavedFeedback {
        let mut ramps: Vec<_> =
            self.ramps.below_full(now).map(|(key, value)| (key.clone(), value)).collect();
        ramps.sort_by(|a, b| a.0.cmp(&b.0));
        let holder = |pool: &DelayedFailback| {
            Some(SavedHolder {
                pool: self.pool_name(pool.id).into(),
                member: self.member_name(pool.id, pool.holder()?)?,
            })
        };
        let failback = |pool: &DelayedFailback| {
            let status = pool.failback_status(now)?;
            Some(SavedFailback {
                pool: self.pool_name(pool.id).into(),
                from: self.member_name(pool.id, status.from)?,
                to: self.member_name(pool.id, status.to)?,
                returned_fraction: status.returned_fraction,
            })
        };
        let spilling = self.capped_pools.pools().filter(|pool| pool.kept_share() < 1.0);
        SavedFeedback {
            ramps,
            holders: self.delayed_failbacks.iter().filter_map(holder).collect(),
            failbacks: self.delayed_failbacks.iter().filter_map(failback).collect(),
            shares: self.load_pools.iter().filter_map(|pool| self.saved_shares(pool)).collect(),
            kept_shares: spilling
                .map(|pool| (self.pool_name(pool.id).into(), pool.kept_share()))
                .collect(),
        }
    }

    /// The shares of a pool; `None` while they are as configured.
    fn saved_shares(&self, pool: &LoadPool) -> Option<SavedShares> {
        pool.weights()?;
        let members = self.topology.pools[pool.id.index()].members.iter();
        let names = members.map(|member| self.topology.member_name(member.kind).into());
        Some(SavedShares {
            pool: self.pool_name(pool.id).into(),
            members: names.zip(pool.shares().iter().copied()).collect(),
        })
    }

    /// Continues with the state of a previous run. Pools and members that no longer exist are left
    /// out. Returns the adjustments of that state, except those of ramps.
    pub fn restore(&mut self, saved: SavedFeedback) -> Adjustments {
        for (key, value) in saved.ramps {
            self.ramps.restore(key, value.clamp(0.0, 1.0));
        }
        for saved in saved.shares {
            let Some(id) = self.pool_id(&saved.pool) else { continue };
            let pool = self.load_pools.iter_mut().find(|pool| pool.id == id);
            pool.into_iter().for_each(|pool| pool.restore(&self.topology, &saved.members));
        }
        for (pool, kept_share) in saved.kept_shares {
            let Some(id) = self.pool_id(&pool) else { continue };
            self.capped_pools.restore(id, kept_share);
        }
        for saved in saved.holders {
            let Some(id) = self.pool_id(&saved.pool) else { continue };
            let pool = self.delayed_failbacks.iter_mut().find(|pool| pool.id == id);
            pool.into_iter().for_each(|pool| pool.restore_holder(&self.topology, &saved.member));
        }
        for saved in saved.failbacks {
            let Some(id) = self.pool_id(&saved.pool) else { continue };
            let pool = self.delayed_failbacks.iter_mut().find(|pool| pool.id == id);
            pool.into_iter().for_each(|pool| pool.restore_failback(&self.topology, &saved));
        }
        self.adjustments()
    }

    fn pool_id(&self, name: &str) -> Option<PoolId> {
        let position = self.topology.pools.iter().position(|pool| *pool.name == *name)?;
        Some(PoolId(position as u32))
    }
}
