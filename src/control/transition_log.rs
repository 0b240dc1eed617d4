//! Log records about ramps, spilling pools and holders: one at the beginning and one at the end of
//! each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::steer::{Feedback, FeedbackReport, Fraction, RampKey, RampReport, Topology};

/// The transitions whose beginning was logged and whose end was not. They are kept by name, because
/// positions change with the files.
#[derive(Debug, Default)]
pub(super) struct TransitionLog {
    /// The goal of each ramp, as a share in thousandths.
    ramps: BTreeMap<RampKey, u16>,
    spilling: BTreeSet<Box<str>>,
    /// For each pool with a holder: the member that holds its clients.
    holders: BTreeMap<Box<str>, Box<str>>,
}

impl TransitionLog {
    /// Logs what began and what ended since the last call.
    pub(super) fn log_changes(&mut self, feedback: &Feedback, topology: &Topology, now: Duration) {
        let report = feedback.report(now);
        self.ramps(feedback, &report, now);
        self.spilling(&report, topology);
        self.holders(&report, topology);
    }

    fn ramps(&mut self, feedback: &Feedback, report: &FeedbackReport<'_>, now: Duration) {
        let mut active = BTreeMap::new();
        for ramp in &report.ramps {
            let goal = (ramp.goal * 1000.0).round() as u16;
            active.insert(ramp.key.clone().into_owned(), goal);
            if self.ramps.get(&*ramp.key) == Some(&goal) {
                continue;
            }
            log_ramp_begin(ramp, goal, now);
        }
        for (key, goal) in self.ramps.iter().filter(|(key, _)| !active.contains_key(*key)) {
            log_ramp_end(key, *goal, feedback.ramp_value_at(key, now));
        }
        self.ramps = active;
    }

    fn spilling(&mut self, report: &FeedbackReport<'_>, topology: &Topology) {
        let mut spilling = BTreeSet::new();
        for status in
            report.pools.iter().filter(|status| status.kept_share.is_some_and(|keep| keep < 1.0))
        {
            let pool = &topology.pools[status.id.index()].name;
            if !self.spilling.contains(pool) {
                let (load_level, target_level) = (status.level, status.target);
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
        for status in &report.pools {
            let pool = &topology.pools[status.id.index()];
            let member = status.holder.and_then(|index| pool.members.get(usize::from(index)));
            let Some(holder) = member.map(|member| topology.member_name(member.kind)) else {
                continue;
            };
            if self.holders.get(&pool.name).is_none_or(|logged| **logged != *holder) {
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

/// Logs that a ramp began, or that its goal changed. `goal` is in thousandths.
fn log_ramp_begin(ramp: &RampReport<'_>, goal: u16, now: Duration) {
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
            tracing::info!(datacenter, pool, endpoint, share_percent, "drain paused")
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
            let pause_percent = percent(ramp.goal);
            tracing::info!(
                datacenter,
                pool,
                endpoint,
                share_percent,
                pause_percent,
                secs_left,
                "gradual drain started: it will pause at its configured share"
            );
        }
    }
}

/// Logs that a ramp ended. `value` is the share that it reached; `None` if it is no longer
/// configured.
fn log_ramp_end(key: &RampKey, goal: u16, value: Option<f64>) {
    let RampFields { datacenter, pool, endpoint, member } = RampFields::of(key);
    match value {
        Some(1.0..) if member.is_some() => {
            tracing::info!(pool, member, "all clients returned after failback")
        }
        _ if member.is_some() => {
            tracing::info!(pool, member, "return of clients after failback interrupted")
        }
        None => tracing::info!(datacenter, pool, endpoint, "gradual change no longer configured"),
        Some(1.0..) => tracing::info!(datacenter, pool, endpoint, "full share reached"),
        Some(_) if goal == 1000 => {
            tracing::info!(datacenter, pool, endpoint, "slow start interrupted")
        }
        Some(_) => tracing::info!(datacenter, pool, endpoint, "gradual drain finished"),
    }
}

/// The log fields that name the subject of a ramp: a datacenter, an endpoint of a pool, or a member
/// of a pool that clients return to.
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
            RampKey::Endpoint { pool, endpoint } => {
                Self { pool: Some(pool), endpoint: Some(endpoint), ..Self::default() }
            }
            RampKey::Failback { pool, member } => {
                Self { pool: Some(pool), member: Some(member), ..Self::default() }
            }
        }
    }
}

/// A share from 0 to 1 in per cent, in the steps of answers, rounded to hundredths: 99.9 % must not
/// look like 100 %.
fn percent(share: f64) -> f64 {
    (Fraction::from_share(share).share() * 10_000.0).round() / 100.0
}
