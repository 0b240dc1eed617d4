//! The shares of one `load` pool, which follow the reports of its members.

use std::time::Duration;

use super::{
    damper::Damper,
    equilibrium::{LoadMember, equilibrium_shares, reported_shares},
    latency::Latency,
    measured_load::{MeasuredLoad, WeightedSignal},
    relief::{LoadEstimate, Relief},
    share_history::ShareHistory,
};
use crate::steer::model::{Fraction, LoadMeasure, LoadPolicy};

/// The assumed capacity of a member without a known limit, as a multiple of its fair share of all
/// connections.
const FAIR_SHARE_MULTIPLE: f64 = 2.0;

/// The shares of a `load` pool. Lists are in the order of the members.
#[derive(Debug, Clone)]
pub(super) struct Balance {
    policy: LoadPolicy,
    /// The configured weights; a member of weight 0 is a standby and has no share.
    weights: Vec<u16>,
    damper: Damper,
    /// The shares that have been answered during the last TTL and the reports' age before.
    share_history: ShareHistory,
    relief: Relief,
    /// How slow each member is compared with its own past.
    pub(super) latencies: Vec<Latency>,
    /// The time at which shares may change next.
    due: Duration,
    /// The time at which shares may change next while a member is full.
    urgent_due: Duration,
    /// Why the configured weights apply, if they do.
    fallback: Option<WeightFallback>,
}

/// How often shares may change, and how long answers and reports count.
#[derive(Debug, Clone, Copy)]
pub(super) struct BalanceTiming {
    /// The least time between two changes of shares.
    pub period: Duration,
    /// The least time between two changes while a member is full.
    pub urgent_period: Duration,
    /// The longest TTL of the pool's answers.
    pub ttl: Duration,
    /// The age at which reports expire.
    pub stale_after: Duration,
}

/// The reports of one member.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberReport {
    /// The load reports of the member, combined into one value.
    pub measured: MeasuredLoad,
    /// The latest moment whose load the reports show.
    pub load_at: Duration,
}

/// Why a pool uses its configured weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFallback {
    /// The member at this position has no report, or only an expired one.
    NoReport(u16),
    /// The report of the member at this position lacks the value that the policy measures.
    NoMeasure(u16),
}

impl Balance {
    pub(super) fn new(policy: LoadPolicy, weights: Vec<u16>) -> Self {
        let shares = configured_shares(&weights);
        let latencies = vec![Latency::default(); weights.len()];
        let (damper, share_history) = (Damper::new(shares.clone()), ShareHistory::new(shares));
        Self {
            policy,
            weights,
            damper,
            share_history,
            relief: Relief::default(),
            latencies,
            due: Duration::ZERO,
            urgent_due: Duration::ZERO,
            fallback: None,
        }
    }

    /// Takes over the state that the pool had before a reload; `new_position` maps the old position
    /// of a member to its new one, if it still exists. A new member starts with the share of its
    /// weight. Shares that were as configured stay as configured.
    pub(super) fn continue_from(
        &mut self,
        old: &Self,
        new_position: impl Fn(usize) -> Option<usize>,
    ) {
        let mut shares = configured_shares(&self.weights);
        for (old_member, share) in old.damper.shares().iter().enumerate() {
            if let Some(member) = new_position(old_member) {
                (shares[member], self.latencies[member]) = (*share, old.latencies[old_member]);
            }
        }
        (self.due, self.urgent_due) = (old.due, old.urgent_due);
        if old.weights().is_some() {
            self.damper = Damper::new_moving(normalized(shares, &self.weights));
        }
        let old_position = |member: usize| {
            (0..old.weights.len()).find(|&old_member| new_position(old_member) == Some(member))
        };
        self.share_history = old.share_history.remapped(self.damper.shares(), old_position);
    }

    /// Continues with the shares of a previous run. A member without a valid one gets the share of
    /// its weight.
    pub(super) fn restore(&mut self, saved: impl Iterator<Item = Option<f64>>) {
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        let shares = saved
            .zip(configured_shares(&self.weights))
            .map(|(saved, configured)| saved.filter(is_share).unwrap_or(configured))
            .collect();
        self.damper = Damper::new_moving(normalized(shares, &self.weights));
        self.share_history = ShareHistory::new(self.damper.shares().to_vec());
    }

    /// Why the configured weights apply, if they do.
    pub(super) fn fallback(&self) -> Option<WeightFallback> {
        self.fallback
    }

    /// The time at which shares may change next.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// The time at which shares may change next while a member is full.
    pub(super) fn urgent_due(&self) -> Duration {
        self.urgent_due
    }

    /// The present shares, which add up to 1.
    pub(super) fn shares(&self) -> &[f64] {
        self.damper.shares()
    }

    /// Moves the shares one step, as far as that is due. `reports` holds the reports of each member
    /// unless they are missing or expired; `usable` says of each member whether clients may be sent
    /// to it.
    pub(super) fn update(
        &mut self,
        reports: &[Option<MemberReport>],
        usable: &[bool],
        timing: &BalanceTiming,
        now: Duration,
    ) {
        let is_due = self.due <= now;
        self.urgent_due = now + timing.urgent_period;
        let active: Vec<usize> = (0..self.weights.len())
            .filter(|&member| self.weights[member] > 0 && usable.get(member) == Some(&true))
            .collect();
        match self.load_members(&active, reports, timing.ttl) {
            Ok(members) => {
                self.fallback = None;
                if self.relieve(&active, &members, now, timing.ttl) {
                    self.due = now + timing.period;
                } else if is_due {
                    self.due = now + timing.period;
                    let target = self.as_pool_shares(&active, equilibrium_shares(&members));
                    let reported = self.as_pool_shares(&active, reported_shares(&members));
                    self.damper.step(&target, &reported);
                }
            }
            Err(fallback) if is_due => {
                self.due = now + timing.period;
                self.fallback = Some(fallback);
                self.damper.step_to_configured(&configured_shares(&self.weights));
            }
            Err(_) => {}
        }
        let oldest = now.saturating_sub(timing.ttl + timing.stale_after * 2);
        self.share_history.record(self.damper.shares(), now, oldest);
    }

    /// Moves share from full members to others without waiting until caches have followed the
    /// previous step. `false` if no share needs to move.
    fn relieve(
        &mut self,
        active: &[usize],
        members: &[LoadMember],
        now: Duration,
        ttl: Duration,
    ) -> bool {
        let total = self.total_share(active);
        let present: Vec<f64> =
            active.iter().map(|&member| self.damper.shares()[member] / total).collect();
        let Some(target) = self.relief.shares(members, &present, now, ttl) else { return false };
        self.damper.step_urgently(&self.as_pool_shares(active, target));
        true
    }

    /// Turns shares of the active members, which add up to 1, into shares of all members. Inactive
    /// members keep their shares; the wheel distributes their clients among the active ones.
    fn as_pool_shares(&self, active: &[usize], shares: Vec<f64>) -> Vec<f64> {
        let total = self.total_share(active);
        let mut pool_shares = self.damper.shares().to_vec();
        active.iter().zip(shares).for_each(|(&member, share)| pool_shares[member] = share * total);
        pool_shares
    }

    /// The sum of the shares of the active members, above 0.
    fn total_share(&self, active: &[usize]) -> f64 {
        let total: f64 = active.iter().map(|&member| self.damper.shares()[member]).sum();
        total.max(f64::MIN_POSITIVE)
    }

    /// The active members as the equilibrium needs them, or why their reports do not suffice.
    fn load_members(
        &mut self,
        active: &[usize],
        reports: &[Option<MemberReport>],
        ttl: Duration,
    ) -> Result<Vec<LoadMember>, WeightFallback> {
        let report = |member: usize| reports[member].as_ref();
        let weight = |member: usize| f64::from(self.weights[member]);
        let total_weight: f64 = active.iter().map(|&member| weight(member)).sum();
        let total_connections: f64 =
            active.iter().filter_map(|&member| report(member)?.measured.connections).sum();
        let has_all_limits = active
            .iter()
            .all(|&member| report(member).is_some_and(|report| report.measured.limit.is_some()));
        let relief = &mut self.relief;
        let load_member = |&member: &usize| {
            let number = member as u16;
            let MemberReport { measured, load_at } =
                report(member).ok_or(WeightFallback::NoReport(number))?;
            // Limits count only if all members have one: known and assumed limits are not
            // comparable.
            let limit = measured.limit.filter(|_| has_all_limits);
            let measured = MeasuredLoad { limit, ..*measured };
            let fair_connections = total_connections * weight(member) / total_weight;
            let fair_capacity = (FAIR_SHARE_MULTIPLE * fair_connections).max(1.0);
            let slowdown = self.latencies[member].slowdown_factor();
            let WeightedSignal { capacity_left, signal } = measured
                .load_signal(&self.policy, fair_capacity, slowdown)
                .ok_or(WeightFallback::NoMeasure(number))?;
            // An assumed limit contains the weight already.
            let has_assumed_limit =
                self.policy.measure == LoadMeasure::Connections && !has_all_limits;
            let weight = if has_assumed_limit { 1.0 } else { weight(member) * capacity_left };
            let answered_share =
                |member: usize| self.share_history.answered_share(member, ttl, *load_at);
            let total: f64 = active.iter().map(|&member| answered_share(member)).sum();
            let share = answered_share(member) / total.max(f64::MIN_POSITIVE);
            let LoadEstimate { following_fraction, may_exceed_report } =
                relief.record_report(member, share, signal);
            Ok(LoadMember { weight, share, following_fraction, may_exceed_report, signal })
        };
        active.iter().map(load_member).collect()
    }

    /// Each member's weight; together they are about [`Fraction::STEPS`]. A member with a
    /// configured weight has at least 1. `None` while the shares are as configured.
    pub(super) fn weights(&self) -> Option<Vec<u32>> {
        let shares = self.damper.shares();
        let steps = f64::from(Fraction::STEPS);
        let has_moved = shares
            .iter()
            .zip(configured_shares(&self.weights))
            .any(|(share, configured)| (share - configured).abs() > 0.5 / steps);
        let steered_weight = |(share, &weight): (&f64, &u16)| {
            let weight_steps = (share * steps).round() as u32;
            if weight > 0 { weight_steps.max(1) } else { 0 }
        };
        has_moved.then(|| shares.iter().zip(&self.weights).map(steered_weight).collect())
    }
}

/// The shares in proportion to the configured weights, which add up to 1 unless all weights are 0.
fn configured_shares(weights: &[u16]) -> Vec<f64> {
    let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    weights.iter().map(|&weight| if sum > 0.0 { f64::from(weight) / sum } else { 0.0 }).collect()
}

/// The same shares, scaled to add up to 1. A member of weight 0 gets no share.
fn normalized(shares: Vec<f64>, weights: &[u16]) -> Vec<f64> {
    let weighted = |(share, &weight): (f64, &u16)| if weight > 0 { share } else { 0.0 };
    let shares: Vec<f64> = shares.into_iter().zip(weights).map(weighted).collect();
    let sum: f64 = shares.iter().sum();
    if sum > 0.0 {
        shares.iter().map(|share| share / sum).collect()
    } else {
        configured_shares(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(weights: &[u16]) -> Balance {
        Balance::new(
            LoadPolicy { measure: LoadMeasure::Connections, soft: 0.7, hard: 0.9 },
            weights.to_vec(),
        )
    }

    #[test]
    fn a_member_keeps_its_share_when_members_are_reordered_or_added() {
        let mut old = balance(&[1, 1]);
        old.damper = Damper::new_moving(vec![0.1, 0.9]);
        let mut swapped = balance(&[1, 1]);
        swapped.continue_from(&old, |member| Some(1 - member));
        assert_eq!(swapped.shares(), [0.9, 0.1]);
        let mut joined = balance(&[1, 1, 1]);
        joined.continue_from(&old, Some);
        let shares = joined.shares();
        assert!(
            (shares[1] / shares[0] - 9.0).abs() < 1e-9 && (shares[2] - 0.25).abs() < 1e-9,
            "{shares:?}"
        );
        let mut reweighed = balance(&[4, 1]);
        reweighed.continue_from(&old, Some);
        assert_eq!(reweighed.shares(), [0.1, 0.9], "new weights take effect step by step");
    }

    #[test]
    fn shares_that_were_as_configured_follow_new_weights_at_once() {
        let mut heavier = balance(&[3, 1]);
        heavier.continue_from(&balance(&[1, 1]), Some);
        assert_eq!((heavier.shares(), heavier.weights()), (&[0.75, 0.25][..], None));
    }

    #[test]
    fn saved_shares_are_restored_unless_they_are_invalid() {
        let mut restored = balance(&[1, 1]);
        restored.restore([Some(0.2), Some(0.8)].into_iter());
        assert_eq!(restored.shares(), [0.2, 0.8]);
        restored.restore([Some(f64::NAN), Some(7.0)].into_iter());
        assert_eq!(restored.shares(), [0.5, 0.5]);
    }
}
