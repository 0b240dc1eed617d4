//! What the log was told of ramps, spilling pools and holders: each is told when it begins and when it ends, and not in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::steer::{Feedback, FeedbackReport, RampKey, Topology};

/// What goes on, as the log knows it. By name, for positions change with the files.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Ramps, and where they go in parts of a thousand.
    ramps: BTreeMap<RampKey, u16>,
    spilling: BTreeSet<Box<str>>,
    /// Pools, and the members that hold their clients.
    holders: BTreeMap<Box<str>, Box<str>>,
}

impl Told {
    /// Tells what began and what ended since the last time.
    pub(super) fn tell(&mut self, feedback: &Feedback, topology: &Topology, now: Duration) {
        let report = feedback.report(now);
        self.ramps(feedback, &report, now);
        self.spilling(&report, topology);
        self.holders(&report, topology);
    }

    fn ramps(&mut self, feedback: &Feedback, report: &FeedbackReport<'_>, now: Duration) {
        let mut under_way = BTreeMap::new();
        for ramp in &report.ramps {
            let goal = (ramp.goal * 1000.0).round() as u16;
            under_way.insert(ramp.key.clone(), goal);
            if self.ramps.get(ramp.key) == Some(&goal) {
                continue;
            }
            let (of, takes, secs) = (name(ramp.key), percent(ramp.at), ramp.ends.saturating_sub(now).as_secs());
            match goal {
                _ if ramp.at == ramp.goal => tracing::info!(of, takes, "its drain is held"),
                0 => tracing::info!(of, takes, secs, "its clients leave bit by bit"),
                1000 => tracing::info!(of, takes, secs, "its clients come bit by bit"),
                _ => tracing::info!(of, takes, secs, until = percent(ramp.goal), "its drain goes to where it is held"),
            }
        }
        for (key, goal) in self.ramps.iter().filter(|(key, _)| !under_way.contains_key(*key)) {
            let of = name(key);
            match feedback.ramp_at(key, now) {
                None => tracing::info!(of, "it comes and goes at once now"),
                Some(1.0..) => tracing::info!(of, "it takes its whole share"),
                Some(_) if *goal == 1000 => tracing::info!(of, "its slow start was broken off"),
                Some(_) => tracing::info!(of, "its drain is over"),
            }
        }
        self.ramps = under_way;
    }

    fn spilling(&mut self, report: &FeedbackReport<'_>, topology: &Topology) {
        let mut spilling = BTreeSet::new();
        for one in report.pools.iter().filter(|one| one.keep.is_some_and(|keep| keep < 1.0)) {
            let pool = &topology.pools[one.id.index()].name;
            if !self.spilling.contains(pool) {
                let (level, target) = one.levels.unzip();
                tracing::info!(%pool, level, target, "above its target: the excess goes to the next choice");
            }
            spilling.insert(pool.clone());
        }
        for pool in self.spilling.difference(&spilling) {
            tracing::info!(%pool, "keeps all of its clients again");
        }
        self.spilling = spilling;
    }

    fn holders(&mut self, report: &FeedbackReport<'_>, topology: &Topology) {
        let mut holders = BTreeMap::new();
        for one in &report.pools {
            let pool = &topology.pools[one.id.index()];
            let member = one.holder.and_then(|at| pool.members.get(usize::from(at)));
            let Some(holder) = member.map(|member| topology.member_name(member.kind)) else { continue };
            if self.holders.get(&pool.name).is_none_or(|told| **told != *holder) {
                tracing::info!(pool = %pool.name, %holder, "clients stay with it until failback, though one before it is usable");
            }
            holders.insert(pool.name.clone(), holder.into());
        }
        for pool in self.holders.keys().filter(|pool| !holders.contains_key(*pool)) {
            tracing::info!(%pool, "nobody holds its clients any more");
        }
        self.holders = holders;
    }
}

fn name(key: &RampKey) -> &str {
    match key {
        RampKey::Datacenter(name) | RampKey::Endpoint(_, name) => name,
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}
