//! One `load` pool: its members' reports, and the shares that follow them.

use std::time::Duration;

use super::{
    damper::Damper,
    equilibrium::{LoadMember, equilibrium_shares, reported_shares},
    latency::Latency,
    measured_load::MeasuredLoad,
    relief::{LoadEstimate, Relief},
    share_history::ShareHistory,
};
use crate::steer::model::{Fraction, LoadMeasure, LoadPolicy};

/// Where nobody says how many connections it can take, each counts as able to take so many times
/// its fair share of all.
const FAIR_SHARE_MULTIPLE: f64 = 2.0;

/// The shares of a `load` pool.
#[derive(Debug, Clone)]
pub(super) struct Balance {
    policy: LoadPolicy,
    /// As configured; 0 is a standby, which has no share.
    weights: Vec<u16>,
    damper: Damper,
    /// The shares that clients come by.
    share_history: ShareHistory,
    relief: Relief,
    /// By member: how slow it is against itself.
    pub(super) latencies: Vec<Latency>,
    /// Shares are looked at no earlier than this,
    due: Duration,
    /// or than this while a member is full.
    urgent_due: Duration,
    /// Why the configured weights rule, if they do.
    fallback: Option<WeightFallback>,
}

/// How often shares may change.
#[derive(Debug, Clone, Copy)]
pub(super) struct BalanceTiming {
    /// Between two looks.
    pub period: Duration,
    /// The same while a member is full.
    pub urgent_period: Duration,
    /// The longest that an answer of the pool is kept.
    pub ttl: Duration,
    /// No report that counts is older.
    pub stale_after: Duration,
}

/// What is known of a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberReport {
    /// Its reports.
    pub measured: MeasuredLoad,
    /// The latest moment whose load the reports show.
    pub load_at: Duration,
}

/// Why a pool goes by its configured weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFallback {
    /// This member has no report that is young enough.
    NoReport(u16),
    /// Its report does not hold what the policy asks for.
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

    /// Goes on from the balance of the pool as it was; `now_at` says where each of its members is,
    /// if it is there still. Who is new starts with the share of its weight. Shares that were as
    /// configured are so again.
    pub(super) fn continue_from(&mut self, old: &Self, now_at: impl Fn(usize) -> Option<usize>) {
        let mut shares = configured_shares(&self.weights);
        for (was_at, share) in old.damper.shares().iter().enumerate() {
            if let Some(at) = now_at(was_at) {
                (shares[at], self.latencies[at]) = (*share, old.latencies[was_at]);
            }
        }
        (self.due, self.urgent_due) = (old.due, old.urgent_due);
        if old.weights().is_some() {
            self.damper = Damper::new_moving(normalized(shares, &self.weights));
        }
        let was_at = |at: usize| (0..old.weights.len()).find(|&was_at| now_at(was_at) == Some(at));
        self.share_history = old.share_history.remapped(self.damper.shares(), was_at);
    }

    /// Goes on with the shares of an earlier life, where a member has one.
    pub(super) fn restore(&mut self, saved: impl Iterator<Item = Option<f64>>) {
        let home = configured_shares(&self.weights);
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        let shares =
            saved.zip(home).map(|(saved, home)| saved.filter(is_share).unwrap_or(home)).collect();
        self.damper = Damper::new_moving(normalized(shares, &self.weights));
        self.share_history = ShareHistory::new(self.damper.shares().to_vec());
    }

    /// Why the configured weights rule, if they do.
    pub(super) fn fallback(&self) -> Option<WeightFallback> {
        self.fallback
    }

    /// When shares are looked at next.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// The same where a report says that a member is full.
    pub(super) fn urgent_due(&self) -> Duration {
        self.urgent_due
    }

    /// The shares at present.
    pub(super) fn shares(&self) -> &[f64] {
        self.damper.shares()
    }

    /// Looks at the reports and moves a step. `known` are the members whose reports are young
    /// enough, `usable` those that take part.
    pub(super) fn update(
        &mut self,
        known: &[Option<MemberReport>],
        usable: &[bool],
        pace: &BalanceTiming,
        now: Duration,
    ) {
        let is_due = self.due <= now;
        self.urgent_due = now + pace.urgent_period;
        let taking: Vec<usize> = (0..self.weights.len())
            .filter(|&at| self.weights[at] > 0 && usable.get(at) == Some(&true))
            .collect();
        match self.load_members(&taking, known, pace.ttl) {
            Ok(members) => {
                self.fallback = None;
                if self.relieve(&taking, &members, now, pace.ttl) {
                    self.due = now + pace.period;
                } else if is_due {
                    self.due = now + pace.period;
                    let wanted = self.as_pool_shares(&taking, equilibrium_shares(&members));
                    self.damper
                        .step(&wanted, &self.as_pool_shares(&taking, reported_shares(&members)));
                }
            }
            Err(fallback) if is_due => {
                self.due = now + pace.period;
                self.fallback = Some(fallback);
                self.damper.step_to_configured(&configured_shares(&self.weights));
            }
            Err(_) => {}
        }
        let oldest = now.saturating_sub(pace.ttl + pace.stale_after * 2);
        self.share_history.record(self.damper.shares(), now, oldest);
    }

    /// Takes from full members what others can take, without waiting until caches have followed the
    /// step before. Whether there is anything to take.
    fn relieve(
        &mut self,
        taking: &[usize],
        members: &[LoadMember],
        now: Duration,
        ttl: Duration,
    ) -> bool {
        let held = self.total_share(taking);
        let present: Vec<f64> = taking.iter().map(|&at| self.damper.shares()[at] / held).collect();
        let Some(wanted) = self.relief.shares(members, &present, now, ttl) else { return false };
        self.damper.step_urgently(&self.as_pool_shares(taking, wanted));
        true
    }

    /// Shares of those that take part, which add up to 1, as shares of all: what those that are
    /// away had stays theirs, and is shared out by the wheel while they are.
    fn as_pool_shares(&self, taking: &[usize], shares: Vec<f64>) -> Vec<f64> {
        let held = self.total_share(taking);
        let mut all = self.damper.shares().to_vec();
        taking.iter().zip(shares).for_each(|(&at, share)| all[at] = share * held);
        all
    }

    /// What those that take part have together; above 0.
    fn total_share(&self, taking: &[usize]) -> f64 {
        let held: f64 = taking.iter().map(|&at| self.damper.shares()[at]).sum();
        held.max(f64::MIN_POSITIVE)
    }

    fn load_members(
        &mut self,
        taking: &[usize],
        known: &[Option<MemberReport>],
        ttl: Duration,
    ) -> Result<Vec<LoadMember>, WeightFallback> {
        let weight_of = |at: usize| f64::from(self.weights[at]);
        let weights: f64 = taking.iter().map(|&at| weight_of(at)).sum();
        let connections =
            |at: &usize| known[*at].as_ref().and_then(|known| known.measured.connections);
        let all: f64 = taking.iter().filter_map(connections).sum();
        let knows_limits = taking
            .iter()
            .all(|&at| known[at].as_ref().is_some_and(|known| known.measured.limit.is_some()));
        let relief = &mut self.relief;
        let member = |&at: &usize| {
            let number = at as u16;
            let MemberReport { measured, load_at: of } =
                known[at].as_ref().ok_or(WeightFallback::NoReport(number))?;
            // Limits count where all have one, or none: guesses and numbers do not mix.
            let measured =
                MeasuredLoad { limit: measured.limit.filter(|_| knows_limits), ..*measured };
            let fair_capacity = (FAIR_SHARE_MULTIPLE * all * weight_of(at) / weights).max(1.0);
            let (left, demand) = measured
                .load_signal(&self.policy, fair_capacity, self.latencies[at].slowdown_factor())
                .ok_or(WeightFallback::NoMeasure(number))?;
            // A limit of connections weighs by itself; a guessed one holds the weight already.
            let is_weighed = self.policy.measure == LoadMeasure::Connections && !knows_limits;
            let weight = if is_weighed { 1.0 } else { weight_of(at) * left };
            let share_at = |at: usize| self.share_history.answered_share(at, ttl, *of);
            let held: f64 = taking.iter().map(|&at| share_at(at)).sum();
            let share = share_at(at) / held.max(f64::MIN_POSITIVE);
            let LoadEstimate { following_fraction: follows, may_exceed_report: may_exceed } =
                relief.record_report(at, share, demand);
            Ok(LoadMember {
                weight,
                share,
                following_fraction: follows,
                may_exceed_report: may_exceed,
                signal: demand,
            })
        };
        taking.iter().map(member).collect()
    }

    /// Each member's weight, out of 1024 together; who has a weight at all has one still. `None`
    /// while they are as configured.
    pub(super) fn weights(&self) -> Option<Vec<u32>> {
        let shares = self.damper.shares();
        let differs =
            |(share, home): (&f64, f64)| (share - home).abs() > 0.5 / f64::from(Fraction::STEPS);
        let has_moved = shares.iter().zip(configured_shares(&self.weights)).any(differs);
        let of = |(share, &weight): (&f64, &u16)| {
            let steps = (share * f64::from(Fraction::STEPS)).round() as u32;
            if weight > 0 { steps.max(1) } else { 0 }
        };
        has_moved.then(|| shares.iter().zip(&self.weights).map(of).collect())
    }
}

/// Shares by configured weight.
fn configured_shares(weights: &[u16]) -> Vec<f64> {
    let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    weights.iter().map(|&weight| if sum > 0.0 { f64::from(weight) / sum } else { 0.0 }).collect()
}

/// The same, adding up to 1; who has no weight has no share.
fn normalized(shares: Vec<f64>, weights: &[u16]) -> Vec<f64> {
    let held = |(share, &weight): (f64, &u16)| if weight > 0 { share } else { 0.0 };
    let shares: Vec<f64> = shares.into_iter().zip(weights).map(held).collect();
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
    fn a_member_keeps_its_share_wherever_it_is_written_and_whoever_joins() {
        let mut old = balance(&[1, 1]);
        old.damper = Damper::new_moving(vec![0.1, 0.9]);
        let mut swapped = balance(&[1, 1]);
        swapped.continue_from(&old, |at| Some(1 - at));
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
        assert_eq!(reweighed.shares(), [0.1, 0.9], "weights pull by steps, too");
    }

    #[test]
    fn shares_that_were_as_configured_are_so_again() {
        let mut heavier = balance(&[3, 1]);
        heavier.continue_from(&balance(&[1, 1]), Some);
        assert_eq!((heavier.shares(), heavier.weights()), (&[0.75, 0.25][..], None));
    }

    #[test]
    fn an_earlier_life_is_believed_where_it_can_be() {
        let mut restored = balance(&[1, 1]);
        restored.restore([Some(0.2), Some(0.8)].into_iter());
        assert_eq!(restored.shares(), [0.2, 0.8]);
        restored.restore([Some(f64::NAN), Some(7.0)].into_iter());
        assert_eq!(restored.shares(), [0.5, 0.5]);
    }
}
