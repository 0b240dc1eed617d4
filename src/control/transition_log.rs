//! What the log was told of ramps, spilling pools and holders: each is told when it begins and when
//! it ends, and not in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::steer::{Feedback, FeedbackReport, Fraction, RampKey, Topology};

/// What goes on, as the log knows it. By name, for positions change with the files.
#[derive(Debug, Default)]
pub(super) struct TransitionLog {
    /// Ramps, and where they go in parts of a thousand.
    ramps: BTreeMap<RampKey, u16>,
    spilling: BTreeSet<Box<str>>,
    /// Pools, and the members that hold their clients.
    holders: BTreeMap<Box<str>, Box<str>>,
}

impl TransitionLog {
    /// Tells what began and what ended since the last time.
    pub(super) fn log_changes(&mut self, feedback: &Feedback, topology: &Topology, now: Duration) {
        let report = feedback.report(now);
        self.ramps(feedback, &report, now);
        self.spilling(&report, topology);
        self.holders(&report, topology);
    }

    fn ramps(&mut self, feedback: &Feedback, report: &FeedbackReport<'_>, now: Duration) {
        let mut under_way = BTreeMap::new();
        for ramp in &report.ramps {
            let goal = (ramp.goal * 1000.0).round() as u16;
            under_way.insert(ramp.key.clone().into_owned(), goal);
            if self.ramps.get(&*ramp.key) == Some(&goal) {
                continue;
            }
            let RampFields { datacenter, pool, endpoint, member } = RampFields::of(&ramp.key);
            let (share_percent, secs_left) =
                (percent(ramp.value), ramp.ends_at.saturating_sub(now).as_secs());
            match goal {
                _ if member.is_some() => {
                    tracing::info!(
                        pool,
                        member,
                        share_percent,
                        secs_left,
                        "clients began to return after failback"
                    )
                }
                1..1000 if ramp.value == ramp.goal || secs_left == 0 => {
                    tracing::info!(datacenter, pool, endpoint, share_percent, "drain held")
                }
                0 => tracing::info!(
                    datacenter,
                    pool,
                    endpoint,
                    share_percent,
                    secs_left,
                    "gradual drain started"
                ),
                1000 => tracing::info!(
                    datacenter,
                    pool,
                    endpoint,
                    share_percent,
                    secs_left,
                    "slow start started"
                ),
                _ => {
                    let held_percent = percent(ramp.goal);
                    tracing::info!(
                        datacenter,
                        pool,
                        endpoint,
                        share_percent,
                        held_percent,
                        secs_left,
                        "gradual drain started towards its held share"
                    );
                }
            }
        }
        for (key, goal) in self.ramps.iter().filter(|(key, _)| !under_way.contains_key(*key)) {
            let RampFields { datacenter, pool, endpoint, member } = RampFields::of(key);
            match feedback.ramp_value_at(key, now) {
                Some(1.0..) if member.is_some() => {
                    tracing::info!(pool, member, "all clients returned after failback")
                }
                _ if member.is_some() => {
                    tracing::info!(pool, member, "return of clients after failback interrupted")
                }
                None => tracing::info!(
                    datacenter,
                    pool,
                    endpoint,
                    "gradual change no longer configured"
                ),
                Some(1.0..) => tracing::info!(datacenter, pool, endpoint, "full share reached"),
                Some(_) if *goal == 1000 => {
                    tracing::info!(datacenter, pool, endpoint, "slow start interrupted")
                }
                Some(_) => tracing::info!(datacenter, pool, endpoint, "gradual drain finished"),
            }
        }
        self.ramps = under_way;
    }

    fn spilling(&mut self, report: &FeedbackReport<'_>, topology: &Topology) {
        let mut spilling = BTreeSet::new();
        for one in report.pools.iter().filter(|one| one.kept_share.is_some_and(|keep| keep < 1.0)) {
            let pool = &topology.pools[one.id.index()].name;
            if !self.spilling.contains(pool) {
                let (load_level, target_level) = (one.level, one.target);
                tracing::info!(%pool, load_level, target_level, "pool above its target: excess clients go to the next choice");
            }
            spilling.insert(pool.clone());
        }
        for pool in self.spilling.difference(&spilling) {
            tracing::info!(%pool, "pool keeps all of its clients again");
        }
        self.spilling = spilling;
    }

    fn holders(&mut self, report: &FeedbackReport<'_>, topology: &Topology) {
        let mut holders = BTreeMap::new();
        for one in &report.pools {
            let pool = &topology.pools[one.id.index()];
            let member = one.holder.and_then(|at| pool.members.get(usize::from(at)));
            let Some(holder) = member.map(|member| topology.member_name(member.kind)) else {
                continue;
            };
            if self.holders.get(&pool.name).is_none_or(|told| **told != *holder) {
                tracing::info!(pool = %pool.name, member = %holder, "failover pool stays with this member until failback");
            }
            holders.insert(pool.name.clone(), holder.into());
        }
        for pool in self.holders.keys().filter(|pool| !holders.contains_key(*pool)) {
            tracing::info!(%pool, "failover pool uses its first usable member again");
        }
        self.holders = holders;
    }
}

/// The fields that name what a ramp moves: a datacenter, an endpoint of a pool, or the clients of a
/// pool back to a member.
#[derive(Default)]
struct RampFields<'a> {
    datacenter: Option<&'a str>,
    pool: Option<&'a str>,
    endpoint: Option<&'a str>,
    member: Option<&'a str>,
}

impl<'a> RampFields<'a> {
    fn of(key: &'a RampKey) -> Self {
        match key {
            RampKey::Datacenter(name) => Self { datacenter: Some(name), ..Self::default() },
            RampKey::Endpoint(pool, name) => {
                Self { pool: Some(pool), endpoint: Some(name), ..Self::default() }
            }
            RampKey::Failback(pool, name) => {
                Self { pool: Some(pool), member: Some(name), ..Self::default() }
            }
        }
    }
}

/// A share of 0 to 1 in per cent, as the answers have it, to a hundredth: 99.9 is not all.
fn percent(share: f64) -> f64 {
    (Fraction::from_share(share).share() * 10_000.0).round() / 100.0
}
