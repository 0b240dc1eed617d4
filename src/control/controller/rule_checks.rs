//! Rule checks: whether a change that was tried keeps the safety rules, and what becomes of one
//! that does not.

use std::{collections::BTreeSet, time::Duration};

use super::{owner::Controller, trial_outcome::TrialOutcome};
use crate::{
    control::{
        journal::{Event, EventAuthor, EventKind},
        newly_distressed::{NewlyDistressed, newly_distressed_text},
        overrides::OverrideAuthor,
        safety::{
            JudgedChange, MeasuredMovement, RuleConsent, RuleViolation, active_names, ramp_time,
        },
    },
    listing,
    steer::{Conditions, SafetyRule, Topology, active_datacenters},
};

/// The maximum number of requirements, and of services, that a violation names.
const MAX_LISTED: usize = 3;

/// A change to judge.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckedChange<'a> {
    pub topology: &'a Topology,
    /// The conditions once all ramps have ended.
    pub settled: &'a Conditions,
    pub outcome: &'a TrialOutcome,
    /// The time over which clients move, if it is not that of the topology.
    pub over: Option<Duration>,
    /// Whether it moves nothing by itself: a freeze permits it.
    pub is_harmless: bool,
}

/// The clients that a change leaves without a usable member.
#[derive(Debug, Clone, Copy)]
pub(super) struct DistressRule<'a> {
    pub distressed: &'a [NewlyDistressed],
    /// Whether the change may leave no client so: it takes members away.
    pub protects_members: bool,
}

/// What refuses a change.
#[derive(Debug)]
pub(super) enum ChangeRefusal {
    /// Nothing but the clients without a usable member.
    Distress,
    /// Rules that the operator does not go around.
    Rules(Vec<RuleViolation>),
}

/// The rules that an operator goes around with a change.
///
/// # Errors
/// The change breaks rules that the operator does not go around.
pub(super) fn refused_by(
    violations: Vec<RuleViolation>,
    distress: DistressRule<'_>,
    consent: &RuleConsent,
) -> Result<Vec<RuleViolation>, ChangeRefusal> {
    let (overridden, mut refused): (Vec<_>, Vec<_>) =
        violations.into_iter().partition(|one| consent.accepts(one));
    let is_refused = distress.protects_members
        && !distress.distressed.is_empty()
        && !consent.accepted.contains(&SafetyRule::UsableMember);
    match (is_refused, refused.is_empty()) {
        (false, true) => Ok(overridden),
        (true, true) => Err(ChangeRefusal::Distress),
        (false, false) => Err(ChangeRefusal::Rules(refused)),
        (true, false) => {
            let text = newly_distressed_text(distress.distressed);
            refused.insert(0, RuleViolation::new(SafetyRule::UsableMember, text));
            Err(ChangeRefusal::Rules(refused))
        }
    }
}

impl Controller {
    /// Whether there are rules that a change by the clock could break.
    pub(super) fn has_rules(&self) -> bool {
        let config = &self.loaded.config;
        config.safety.rules.has_limits() || config.requirements.are_enforced
    }

    /// The rules that a change breaks, and what it moves.
    pub(super) fn judge(
        &self,
        change: CheckedChange<'_>,
    ) -> (Vec<RuleViolation>, Option<MeasuredMovement>) {
        let CheckedChange { topology, settled, outcome, over, is_harmless } = change;
        let safety = &self.loaded.config.safety;
        let conditions = self.publication.conditions();
        let old = self.publication.charts().map(|charts| charts.compiler().topology());
        let old = old.unwrap_or(&self.loaded.topology);
        let ramp = ramp_time((old, &conditions.datacenters), (topology, &settled.datacenters));
        let judged = JudgedChange {
            rules: &safety.rules,
            origin: safety.origin_text(),
            before: old,
            topology,
            active_before: &active_names(old, conditions),
            active_after: &active_names(topology, settled),
            moved: outcome.moved.as_ref(),
            over: over.unwrap_or(ramp),
            window: &self.conditions.safety().window,
            now: crate::control::unix_now(),
        };
        let mut violations = judged.violations(&BTreeSet::new());
        if safety.rules.is_frozen && !is_harmless {
            let origin = safety.origin_text();
            violations.push(RuleViolation { origin, ..RuleViolation::frozen() });
        }
        let known = self.requirement_check.failing();
        let failing: Vec<&String> =
            outcome.failing.iter().filter(|line| !known.contains(line)).collect();
        if !failing.is_empty() {
            let text = listing::join_first(&failing, MAX_LISTED, failing.len());
            violations.push(RuleViolation::new(SafetyRule::EnforceAsserts, text));
        }
        (violations, judged.as_movement())
    }

    /// Records the movement of a change that is in force now.
    pub(super) fn note_movement(&mut self, movement: Option<MeasuredMovement>) {
        let Some(limit) = self.loaded.config.safety.rules.movement else { return };
        if let Some(movement) = movement {
            self.conditions.safety_mut().window.add(movement, limit.within);
            self.persistence.save_safety(&self.conditions);
        }
    }

    /// Logs, counts and journals the rules that a change broke with an operator's consent.
    pub(super) fn report_overridden(&self, overridden: &[RuleViolation], consent: &RuleConsent) {
        let OverrideAuthor { user, peer } = consent.author.clone();
        for RuleViolation { rule, text, .. } in overridden {
            let reason = consent.reason.as_deref();
            tracing::warn!(%rule, %text, user = user.as_deref(), reason, "safety rule overridden");
            self.journaling.journal().append(Event {
                action: Some("override".to_owned()),
                after: Some(format!("overridden: {text}")),
                author: Some(EventAuthor { user: user.clone(), peer: peer.clone() }),
                cause: consent.reason.clone(),
                generation: Some(self.publication.generation()),
                ..Event::new(EventKind::Safety, rule.as_str())
            });
        }
    }

    /// Counts and journals a change that rules refused.
    pub(super) fn report_refused(&mut self, what: &str, violations: &[RuleViolation]) {
        self.rule_holds.note_refusal(violations);
        for RuleViolation { rule, text, .. } in violations {
            tracing::warn!(change = what, %rule, %text, "change refused by a safety rule");
            self.journaling.journal().append(Event {
                action: Some(what.to_owned()),
                after: Some("refused".to_owned()),
                cause: Some(text.clone()),
                generation: Some(self.publication.generation()),
                ..Event::new(EventKind::Safety, rule.as_str())
            });
        }
    }

    /// Holds a change by the clock that rules refuse.
    pub(super) fn hold_timers(&mut self, violations: Vec<RuleViolation>) {
        self.override_changes.pop_first();
        let held_time = self.rule_holds.last_time();
        self.conditions.safety_mut().held_time = Some(held_time);
        if self.rule_holds.hold_timer(violations.clone()) {
            self.persistence.save_safety(&self.conditions);
            for RuleViolation { rule, text, .. } in &violations {
                tracing::error!(%rule, %text, "change by the clock held by a safety rule");
                self.journaling.journal().append(Event {
                    action: Some("clock".to_owned()),
                    after: Some("held at the last allowed state".to_owned()),
                    cause: Some(text.clone()),
                    generation: Some(self.publication.generation()),
                    ..Event::new(EventKind::Safety, rule.as_str())
                });
            }
        }
    }

    /// Saves the time that overrides and states are in force for: what falls due while no server
    /// runs is judged at the next start.
    pub(super) fn remember_time(&mut self) {
        let time = self.has_rules().then(|| self.rule_holds.last_time());
        if std::mem::replace(&mut self.conditions.safety_mut().held_time, time) != time {
            self.persistence.save_safety(&self.conditions);
        }
    }

    /// Logs and journals that changes by the clock are no longer held.
    pub(super) fn end_timer_hold(&mut self) {
        let Some(ended) = self.rule_holds.end_timer() else { return };
        self.remember_time();
        for RuleViolation { rule, .. } in ended {
            tracing::info!(%rule, "change by the clock no longer held");
            self.journaling.journal().append(Event {
                action: Some("clock".to_owned()),
                before: Some("held at the last allowed state".to_owned()),
                after: Some("in force".to_owned()),
                generation: Some(self.publication.generation()),
                ..Event::new(EventKind::Safety, rule.as_str())
            });
        }
    }

    /// Logs and journals the datacenters that the rules began or ceased to hold against their
    /// health checks. `before` are those that were held.
    pub(super) fn report_health_hold(&mut self, before: &BTreeSet<Box<str>>) {
        let held = self.conditions.safety().hold.held().clone();
        if held == *before {
            return;
        }
        self.persistence.save_safety(&self.conditions);
        let rule = self.health_rule();
        let event = |name: &str| Event {
            generation: Some(self.publication.generation()),
            ..Event::new(EventKind::Safety, name)
        };
        for datacenter in held.difference(before) {
            tracing::error!(%datacenter, %rule, "datacenter is down and held in the answers by a safety rule");
            self.journaling.journal().append(Event {
                after: Some("held in the answers".to_owned()),
                cause: Some(format!("health checks take it out, and {rule} forbids it")),
                ..event(datacenter)
            });
        }
        for datacenter in before.difference(&held) {
            tracing::info!(%datacenter, "datacenter no longer held in the answers");
            self.journaling.journal().append(Event {
                before: Some("held in the answers".to_owned()),
                after: Some("as its health checks say".to_owned()),
                ..event(datacenter)
            });
        }
    }

    /// The minimums that health checks alone would break, by name.
    fn health_rule(&self) -> String {
        let topology = &self.loaded.topology;
        let checked = Conditions {
            health_statuses: self.conditions.checked().to_vec(),
            ..self.conditions.current().clone()
        };
        let active = active_datacenters(topology, &checked);
        let broken = self.loaded.config.safety.rules.broken_minimums(&active);
        let mut names: Vec<&str> = broken.iter().map(|one| one.rule.as_str()).collect();
        names.dedup();
        names.join(", ")
    }
}
