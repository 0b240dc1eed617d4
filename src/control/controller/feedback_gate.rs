//! The gate of load feedback: the weights and kept fractions that feedback wants come into force
//! only as far as the safety rules permit.
//!
//! Invariant: the conditions have the shares of `allowed`. `wanted` is what feedback continues
//! from, so that it never takes a hold for the effect of its own steps.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant as TokioInstant};

use super::{background::received, trial_outcome::TrialOutcome};
use crate::{
    control::safety::RuleViolation,
    steer::{Adjustments, Fraction, Member, PoolId, SavedFeedback, SavedShares, Topology},
};

/// How long a hold lasts before the next attempt.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// The shares that load feedback sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FeedbackShares {
    kept_fractions: HashMap<PoolId, Fraction>,
    weights: HashMap<PoolId, Arc<[u32]>>,
}

/// Holds load feedback back.
#[derive(Debug, Default)]
pub(super) struct FeedbackGate {
    allowed: FeedbackShares,
    wanted: FeedbackShares,
    /// The shares that are tried, and the receiver of the outcome.
    trial: Option<(FeedbackShares, oneshot::Receiver<TrialOutcome>)>,
    /// The rule that holds feedback, and when to try again.
    hold: Option<(RuleViolation, TokioInstant)>,
}

impl FeedbackShares {
    fn of(adjustments: &Adjustments) -> Self {
        Self {
            kept_fractions: adjustments.kept_fractions.clone(),
            weights: adjustments.weights.clone(),
        }
    }

    fn put_into(&self, adjustments: &mut Adjustments) {
        adjustments.kept_fractions.clone_from(&self.kept_fractions);
        adjustments.weights.clone_from(&self.weights);
    }

    /// The shares at a fraction (0 to 1) of the way to `other`. Pools that only one side has follow
    /// it at once.
    fn toward(&self, other: &Self, fraction: f64) -> Self {
        let blend = |from: f64, to: f64| from + (to - from) * fraction;
        let kept = other.kept_fractions.iter().map(|(pool, to)| {
            let from = self.kept_fractions.get(pool).copied().unwrap_or(Fraction::FULL);
            (*pool, Fraction::from_share(blend(from.share(), to.share())))
        });
        let weights = other.weights.iter().map(|(pool, to)| {
            let from = self.weights.get(pool).filter(|from| from.len() == to.len());
            (*pool, from.map_or_else(|| Arc::clone(to), |from| blended(from, to, fraction)))
        });
        Self { kept_fractions: kept.collect(), weights: weights.collect() }
    }
}

/// Weights at a fraction of the way between two lists with the same sum, with that sum.
fn blended(from: &[u32], to: &[u32], fraction: f64) -> Arc<[u32]> {
    let blend = |(from, to): (&u32, &u32)| {
        let (from, to) = (f64::from(*from), f64::from(*to));
        (from + (to - from) * fraction).round() as u32
    };
    let mut weights: Vec<u32> = from.iter().zip(to).map(blend).collect();
    let (sum, wanted): (u32, u32) = (weights.iter().sum(), to.iter().sum());
    if let Some(largest) = weights.iter_mut().max() {
        *largest = (*largest + wanted).saturating_sub(sum);
    }
    weights.into()
}

impl FeedbackGate {
    /// Has the conditions contain what feedback wants, for its next step.
    pub(super) fn open(&self, adjustments: &mut Adjustments) {
        self.wanted.put_into(adjustments);
    }

    /// Takes what feedback wants out of the conditions. `is_limited` says whether a rule may hold
    /// it; otherwise it is allowed at once.
    pub(super) fn close(&mut self, adjustments: &mut Adjustments, is_limited: bool) {
        self.wanted = FeedbackShares::of(adjustments);
        if !is_limited {
            self.allow(self.wanted.clone());
        }
        self.allowed.put_into(adjustments);
    }

    /// Adopts what feedback has after a load or a restart: what a previous configuration allowed
    /// for pools that are the same, and everything for others.
    pub(super) fn adopt(&mut self, adjustments: &mut Adjustments, topology: &Topology) {
        self.wanted = FeedbackShares::of(adjustments);
        let is_same = |pool: &PoolId, weights: &Arc<[u32]>| {
            let members = topology.pools.get(pool.index()).map(|pool| pool.members.len());
            members == Some(weights.len())
        };
        let mut allowed = self.wanted.clone();
        for (pool, weights) in &self.allowed.weights {
            if allowed.weights.contains_key(pool) && is_same(pool, weights) {
                allowed.weights.insert(*pool, Arc::clone(weights));
            }
        }
        for (pool, kept) in &self.allowed.kept_fractions {
            if pool.index() < topology.pools.len() {
                allowed.kept_fractions.insert(*pool, *kept);
            }
        }
        self.allowed = allowed;
        self.trial = None;
        self.allowed.put_into(adjustments);
    }

    /// The adjustments to try next; `None` if nothing waits, or if a trial or a hold is in
    /// progress.
    pub(super) fn next_trial(&self, adjustments: &Adjustments) -> Option<Adjustments> {
        let is_held = self.hold.as_ref().is_some_and(|(_, until)| *until > TokioInstant::now());
        if self.trial.is_some() || is_held || self.wanted == self.allowed {
            return None;
        }
        let mut adjustments = adjustments.clone();
        self.wanted.put_into(&mut adjustments);
        Some(adjustments)
    }

    /// Waits for the trial of what feedback wants now.
    pub(super) fn begin(&mut self, outcome: oneshot::Receiver<TrialOutcome>) {
        self.trial = Some((self.wanted.clone(), outcome));
    }

    /// Waits for the outcome of the trial; `None` if the worker dropped it. Never ends while there
    /// is no trial.
    pub(super) async fn next_outcome(&mut self) -> Option<TrialOutcome> {
        received(self.trial.as_mut().map(|(_, outcome)| outcome)).await
    }

    /// Ends the trial, and returns the shares that it was of.
    pub(super) fn end_trial(&mut self) -> Option<FeedbackShares> {
        self.trial.take().map(|(shares, _)| shares)
    }

    /// Allows shares that a rule permits. Returns the rule that held feedback before.
    pub(super) fn allow(&mut self, shares: FeedbackShares) -> Option<RuleViolation> {
        self.allowed = shares;
        self.hold.take().map(|(violation, _)| violation)
    }

    /// Allows a fraction (0 to 1) of the way to the shares.
    pub(super) fn allow_toward(&mut self, shares: &FeedbackShares, fraction: f64) {
        self.allowed = self.allowed.toward(shares, fraction);
    }

    /// Holds what feedback wants. Returns whether another rule than before does.
    pub(super) fn hold_with(&mut self, violation: RuleViolation) -> bool {
        let is_new = self.hold.as_ref().is_none_or(|(known, _)| known.rule != violation.rule);
        self.hold = Some((violation, TokioInstant::now() + RETRY_DELAY));
        is_new
    }

    /// The rule that holds feedback.
    pub(super) fn held_by(&self) -> Option<&RuleViolation> {
        self.hold.as_ref().map(|(violation, _)| violation)
    }

    /// When to try again what is held.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        let is_waiting = self.trial.is_none() && self.wanted != self.allowed;
        self.hold.as_ref().map(|(_, until)| *until).filter(|_| is_waiting)
    }

    /// Writes the allowed shares into the saved state: a restart must not release a hold.
    pub(super) fn put_allowed_into_saved(&self, saved: &mut SavedFeedback, topology: &Topology) {
        if self.wanted == self.allowed {
            return;
        }
        let shares = self.allowed.weights.iter().filter_map(|(pool, weights)| {
            let pool = topology.pools.get(pool.index())?;
            let sum = f64::from(weights.iter().sum::<u32>().max(1));
            let member = |(member, weight): (&Member, &u32)| {
                (topology.member_name(member.kind).into(), f64::from(*weight) / sum)
            };
            let members = pool.members.iter().zip(&**weights).map(member).collect();
            Some(SavedShares { pool: pool.name.clone(), members })
        });
        let kept = self.allowed.kept_fractions.iter().filter_map(|(pool, kept)| {
            Some((topology.pools.get(pool.index())?.name.clone(), kept.share()))
        });
        (saved.shares, saved.kept_shares) = (shares.collect(), kept.collect());
    }

    /// Has the conditions contain what is allowed.
    pub(super) fn put_allowed_into(&self, adjustments: &mut Adjustments) {
        self.allowed.put_into(adjustments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(kept: f64, weights: &[u32]) -> FeedbackShares {
        FeedbackShares {
            kept_fractions: [(PoolId(0), Fraction::from_share(kept))].into(),
            weights: [(PoolId(1), weights.into())].into(),
        }
    }

    #[test]
    fn a_part_of_the_way_keeps_the_sum_of_the_weights() {
        let (from, to) = (shares(1.0, &[512, 512]), shares(0.5, &[100, 924]));
        for (fraction, kept, weights, why) in [
            (0.0, 1.0, [512, 512], "nothing"),
            (0.5, 0.75, [306, 718], "half"),
            (0.1, 0.95, [471, 553], "a tenth, rounded"),
            (1.0, 0.5, [100, 924], "all"),
        ] {
            let found = from.toward(&to, fraction);
            assert!((found.kept_fractions[&PoolId(0)].share() - kept).abs() < 0.001, "{why}");
            assert_eq!(*found.weights[&PoolId(1)], weights, "{why}");
        }
        let found = from.toward(&shares(0.5, &[300, 300, 424]), 0.5);
        assert_eq!(*found.weights[&PoolId(1)], [300, 300, 424], "another number of members");
    }

    #[test]
    fn feedback_continues_from_what_it_wants_and_the_conditions_have_what_is_allowed() {
        let mut gate = FeedbackGate::default();
        let mut adjustments = Adjustments::default();
        shares(1.0, &[512, 512]).put_into(&mut adjustments);
        gate.close(&mut adjustments, false);
        assert_eq!(gate.next_trial(&adjustments), None, "without a limit all is allowed");
        gate.open(&mut adjustments);
        shares(0.5, &[100, 924]).put_into(&mut adjustments);
        gate.close(&mut adjustments, true);
        assert_eq!(FeedbackShares::of(&adjustments), shares(1.0, &[512, 512]));
        let tried = gate.next_trial(&adjustments).unwrap();
        assert_eq!(FeedbackShares::of(&tried), shares(0.5, &[100, 924]));
        gate.open(&mut adjustments);
        assert_eq!(FeedbackShares::of(&adjustments), shares(0.5, &[100, 924]));
        gate.close(&mut adjustments, true);
        gate.allow(shares(0.5, &[100, 924]));
        gate.put_allowed_into(&mut adjustments);
        assert_eq!(FeedbackShares::of(&adjustments), shares(0.5, &[100, 924]));
        assert_eq!(gate.next_trial(&adjustments), None);
    }
}
