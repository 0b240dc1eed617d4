//! One `load` pool: its members' reports, and the shares that follow them.

use std::time::Duration;

use super::{
    damper::Damper,
    equilibrium::{Member, equilibrium, reported},
    latency::Latency,
    measure::Measured,
};
use crate::steer::{
    part::Part,
    pool::{LoadPolicy, Measure},
};

/// Where nobody says how many connections it can take, each counts as able to take so many times its fair share of all.
const FAIR_TIMES: f64 = 2.0;

/// The shares of a `load` pool.
#[derive(Debug, Clone)]
pub(super) struct Balance {
    policy: LoadPolicy,
    /// As configured; 0 is a standby, which has no share.
    weights: Vec<u16>,
    damper: Damper,
    /// By member: how slow it is against itself.
    pub(super) latencies: Vec<Latency>,
    /// Shares are looked at no earlier than this.
    due: Duration,
    /// Why the configured weights rule, if they do.
    fallback: Option<Fallback>,
}

/// Why a pool goes by its configured weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This member has no report that is young enough.
    NoReport(u16),
    /// Its report does not hold what the policy asks for.
    NoMeasure(u16),
}

impl Balance {
    pub(super) fn new(policy: LoadPolicy, weights: Vec<u16>) -> Self {
        let damper = Damper::new(configured(&weights));
        let latencies = vec![Latency::default(); weights.len()];
        Self { policy, weights, damper, latencies, due: Duration::ZERO, fallback: None }
    }

    /// Whether it is for the same pool still.
    pub(super) fn fits(&self, policy: &LoadPolicy, weights: &[u16]) -> bool {
        self.policy == *policy && self.weights == weights
    }

    /// Why the configured weights rule, if they do.
    pub(super) fn fallback(&self) -> Option<Fallback> {
        self.fallback
    }

    /// When shares are looked at next.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// The shares at present.
    pub(super) fn shares(&self) -> &[f64] {
        self.damper.shares()
    }

    /// Looks at the reports and moves a step. `measured` are the reports that are young enough, `usable` who
    /// takes part. The next look is a `period` away.
    pub(super) fn follow(&mut self, measured: &[Option<Measured>], usable: &[bool], period: Duration, now: Duration) {
        self.due = now + period;
        let taking: Vec<usize> =
            (0..self.weights.len()).filter(|&at| self.weights[at] > 0 && usable.get(at) == Some(&true)).collect();
        match self.members(&taking, measured) {
            Ok(members) => {
                self.fallback = None;
                // What those who are away had stays theirs: it is shared out by the wheel while they are.
                let held: f64 = taking.iter().map(|&at| self.damper.shares()[at]).sum();
                let of_all = |shares: Vec<f64>| {
                    let mut all = self.damper.shares().to_vec();
                    taking.iter().zip(shares).for_each(|(&at, share)| all[at] = share * held);
                    all
                };
                let (wanted, reported) = (of_all(equilibrium(&members)), of_all(reported(&members)));
                self.damper.step(&wanted, &reported);
            }
            Err(fallback) => {
                self.fallback = Some(fallback);
                self.damper.step_home(&configured(&self.weights));
            }
        }
    }

    fn members(&self, taking: &[usize], measured: &[Option<Measured>]) -> Result<Vec<Member>, Fallback> {
        let held: f64 = taking.iter().map(|&at| self.damper.shares()[at]).sum();
        let weight_of = |at: usize| f64::from(self.weights[at]);
        let weights: f64 = taking.iter().map(|&at| weight_of(at)).sum();
        let connections = |at: &usize| measured[*at].as_ref().and_then(|measured| measured.connections);
        let all: f64 = taking.iter().filter_map(connections).sum();
        let knows_limits =
            taking.iter().all(|&at| measured[at].as_ref().is_some_and(|measured| measured.limit.is_some()));
        let member = |&at: &usize| {
            let number = at as u16;
            let measured = measured[at].as_ref().ok_or(Fallback::NoReport(number))?;
            // Limits count where all have one, or none: guesses and numbers do not mix.
            let measured = Measured { limit: measured.limit.filter(|_| knows_limits), ..*measured };
            let fair_capacity = (FAIR_TIMES * all * weight_of(at) / weights).max(1.0);
            let (left, demand) = measured
                .demand(&self.policy, fair_capacity, self.latencies[at].times_usual())
                .ok_or(Fallback::NoMeasure(number))?;
            // A limit of connections weighs by itself; a guessed one holds the weight already.
            let is_weighed = self.policy.by == Measure::Connections && !knows_limits;
            let weight = if is_weighed { 1.0 } else { weight_of(at) * left };
            Ok(Member { weight, share: self.damper.shares()[at] / held.max(f64::MIN_POSITIVE), demand })
        };
        taking.iter().map(member).collect()
    }

    /// Each member's weight, out of 1024 together; who has a weight at all has one still. `None` while they are as configured.
    pub(super) fn weights(&self) -> Option<Vec<u32>> {
        let shares = self.damper.shares();
        let differs = |(share, home): (&f64, f64)| (share - home).abs() > 0.5 / f64::from(Part::WHOLE);
        let has_moved = shares.iter().zip(configured(&self.weights)).any(differs);
        let of = |(share, &weight): (&f64, &u16)| {
            let steps = (share * f64::from(Part::WHOLE)).round() as u32;
            if weight > 0 { steps.max(1) } else { 0 }
        };
        has_moved.then(|| shares.iter().zip(&self.weights).map(of).collect())
    }
}

/// Shares by configured weight.
fn configured(weights: &[u16]) -> Vec<f64> {
    let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    weights.iter().map(|&weight| if sum > 0.0 { f64::from(weight) / sum } else { 0.0 }).collect()
}
