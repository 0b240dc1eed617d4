//! The present state of feedback, for operators.

use std::{borrow::Cow, time::Duration};

use super::Feedback;
use crate::steer::{
    FeedId,
    feedback::{
        ramps::RampKey,
        report::{FeedReport, FeedbackReport, PoolReport, RampReport},
    },
};

impl Feedback {
    /// The state of all feeds, pools and ramps at `now`.
    pub fn report(&self, now: Duration) -> FeedbackReport<'_> {
        let load_pools = self.load_pools.iter().map(|pool| PoolReport {
            shares: Some(pool.shares()),
            fallback: pool.fallback(),
            ..PoolReport::empty(pool.id)
        });
        let capped_pools = self.capped_pools.pools().map(|pool| PoolReport {
            kept_share: Some(pool.kept_share()),
            level: pool.load().map(|load| load.level),
            target: pool.load().map(|load| load.target),
            ..PoolReport::empty(pool.id)
        });
        let failbacks = self
            .delayed_failbacks
            .iter()
            .map(|pool| PoolReport { holder: pool.holder(), ..PoolReport::empty(pool.id) });
        FeedbackReport {
            feeds: (0..self.readings.len())
                .map(|position| self.feed_report(FeedId(position as u32), now))
                .collect(),
            pools: load_pools.chain(capped_pools).chain(failbacks).collect(),
            ramps: self.ramp_reports(now),
            disagreements: self.disagreements,
        }
    }

    fn feed_report(&self, id: FeedId, now: Duration) -> FeedReport<'_> {
        let source = self.topology.feeds.list[id.index()].source;
        let stale_after = self.topology.load_sources[source.index()].stale_after;
        let reading = self.readings[id.index()].as_ref();
        FeedReport {
            id,
            reading,
            is_stale: reading
                .is_some_and(|reading| now.saturating_sub(reading.read_at) > stale_after),
            disagreement: self.lasting_disagreement(id),
        }
    }

    fn ramp_reports(&self, now: Duration) -> Vec<RampReport<'_>> {
        let ramps = self.ramps.in_progress(now).map(|(key, ramp)| RampReport {
            key: Cow::Borrowed(key),
            value: ramp.value_at(now),
            goal: ramp.goal(),
            ends_at: ramp.ends_at(),
        });
        let failbacks = self.delayed_failbacks.iter().filter_map(|pool| {
            let status = pool.failback_status(now)?;
            let member = self.member_name(pool.id, status.to)?;
            Some(RampReport {
                key: Cow::Owned(RampKey::Failback { pool: self.pool_name(pool.id).into(), member }),
                value: status.returned_fraction,
                goal: 1.0,
                ends_at: status.ends_at,
            })
        });
        ramps.chain(failbacks).collect()
    }
}
