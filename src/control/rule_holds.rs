//! Holds of the safety rules: what the clock would change, which a rule keeps as it is, and how
//! often each rule has refused a change.
//!
//! Invariant: while a change by the clock is held, overrides and the states of datacenters are
//! those of `steered_at`, also after a load.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant as TokioInstant;

use super::{clock::unix_now, safety::RuleViolation};
use crate::steer::SafetyRule;

/// How long a change that is held waits for the second attempt; the pause doubles.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// What the rules hold.
#[derive(Debug)]
pub(super) struct RuleHolds {
    timer: Option<TimerHold>,
    /// The rules that an operator goes around for what is held.
    consent: BTreeSet<SafetyRule>,
    /// The rules that the files on disk would break.
    refused_load: Vec<String>,
    /// The time that overrides and the states of datacenters were applied for, in seconds since
    /// 1970.
    steered_at: i64,
    /// By rule: the number of changes that it has refused since the start.
    refusals: BTreeMap<String, u64>,
}

/// A change by the clock that is held.
#[derive(Debug)]
struct TimerHold {
    violations: Vec<RuleViolation>,
    retry_at: TokioInstant,
    delay: Duration,
}

impl RuleHolds {
    /// Continues with what a previous run held: the time of the last allowed state, if there is
    /// one.
    pub(super) fn new(now: i64, held_at: Option<i64>) -> Self {
        let hold = |_| TimerHold {
            violations: Vec::new(),
            retry_at: TokioInstant::now(),
            delay: RETRY_DELAY,
        };
        Self {
            timer: held_at.map(hold),
            consent: BTreeSet::new(),
            refused_load: Vec::new(),
            steered_at: held_at.unwrap_or(now),
            refusals: BTreeMap::new(),
        }
    }

    /// The time that overrides and states are to be applied for: the present, or that of the last
    /// allowed state.
    pub(super) fn steering_time(&mut self) -> i64 {
        if self.timer.is_none() {
            self.steered_at = unix_now();
        }
        self.steered_at
    }

    /// Records the time that overrides and states were applied for.
    pub(super) fn set_last_time(&mut self, time: i64) {
        self.steered_at = time;
    }

    /// The time that overrides and states were applied for last.
    pub(super) fn last_time(&self) -> i64 {
        self.steered_at
    }

    /// The time of the last allowed state, while a change by the clock is held.
    pub(super) fn held_time(&self) -> Option<i64> {
        self.timer.as_ref().map(|_| self.steered_at)
    }

    /// Whether a change by the clock may be attempted now.
    pub(super) fn may_attempt(&self) -> bool {
        self.timer.as_ref().is_none_or(|hold| hold.retry_at <= TokioInstant::now())
    }

    /// When a change that is held is attempted again.
    pub(super) fn retry_at(&self) -> Option<TokioInstant> {
        self.timer.as_ref().map(|hold| hold.retry_at)
    }

    /// Records rules that an operator goes around: the next attempt may break them.
    pub(super) fn accept(&mut self, accepted: &BTreeSet<SafetyRule>) {
        if self.timer.is_some() {
            self.consent.extend(accepted);
            self.retry_now();
        }
    }

    /// The rules that the next attempt may break.
    pub(super) fn consent(&self) -> &BTreeSet<SafetyRule> {
        &self.consent
    }

    /// Makes the next attempt of a held change due now.
    pub(super) fn retry_now(&mut self) {
        if let Some(hold) = &mut self.timer {
            hold.retry_at = TokioInstant::now();
        }
    }

    /// Holds a change by the clock. Returns whether the reasons are new.
    pub(super) fn hold_timer(&mut self, violations: Vec<RuleViolation>) -> bool {
        let rules = |list: &[RuleViolation]| -> Vec<String> {
            list.iter().map(|one| one.rule.clone()).collect()
        };
        let is_new =
            self.timer.as_ref().map(|hold| rules(&hold.violations)) != Some(rules(&violations));
        if is_new {
            self.note_refusal(&violations);
        }
        let delay = match &self.timer {
            Some(hold) if !is_new => (hold.delay * 2).min(MAX_RETRY_DELAY),
            _ => RETRY_DELAY,
        };
        let retry_at = TokioInstant::now() + delay;
        self.timer = Some(TimerHold { violations, retry_at, delay });
        is_new
    }

    /// Ends the hold of changes by the clock: they are in force. Returns why they were held.
    pub(super) fn end_timer(&mut self) -> Option<Vec<RuleViolation>> {
        self.consent.clear();
        self.timer.take().map(|hold| hold.violations)
    }

    /// Why changes by the clock are held.
    pub(super) fn timer_violations(&self) -> &[RuleViolation] {
        self.timer.as_ref().map_or(&[], |hold| &hold.violations)
    }

    /// Records the rules that a load would break. Returns whether it breaks one that the load
    /// before kept.
    pub(super) fn set_refused_load(&mut self, violations: &[RuleViolation]) -> bool {
        let rules = violations.iter().map(|one| one.rule.clone()).collect();
        let before: Vec<String> = std::mem::replace(&mut self.refused_load, rules);
        self.refused_load.iter().any(|rule| !before.contains(rule))
    }

    /// Counts a refused change.
    pub(super) fn note_refusal(&mut self, violations: &[RuleViolation]) {
        for violation in violations {
            *self.refusals.entry(violation.rule.clone()).or_default() += 1;
        }
    }

    /// By rule: the number of changes that it has refused since the start.
    pub(super) fn refusals(&self) -> &BTreeMap<String, u64> {
        &self.refusals
    }
}
