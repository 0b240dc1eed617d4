//! Trials of load feedback: its shares come into force as far as the safety rules permit, and the
//! rest is held.

use std::sync::Arc;

use super::{
    owner::Controller,
    trial_outcome::{TrialOutcome, TrialRequest},
};
use crate::{
    control::{
        clock::unix_now,
        journal::{Event, EventKind},
        safety::{MeasuredMovement, RuleViolation},
    },
    number_format::percent,
    steer::{Conditions, SafetyRule},
};

/// Where less than this share of the demand may still move, feedback waits.
const MIN_STEP: f64 = 0.01;
/// The part of what may still move that a step uses: weights are rounded.
const STEP_MARGIN: f64 = 0.95;

impl Controller {
    /// Tries what load feedback wants, if a rule may hold it.
    pub(super) fn try_feedback(&mut self) {
        let current = self.conditions.current();
        let Some(adjustments) = self.conditions.feedback_gate().next_trial(&current.adjustments)
        else {
            return;
        };
        if self.loaded.config.safety.rules.is_frozen {
            let text = "load feedback would change shares".to_owned();
            let frozen = RuleViolation::new(SafetyRule::Freeze, text);
            return self.hold_feedback(frozen, 0.0);
        }
        let wanted = Conditions { adjustments, ..current.clone() };
        let request =
            TrialRequest { topology: None, settled: wanted.clone(), measured: Some(wanted) };
        let outcome = self.begin_trial(request);
        self.conditions.feedback_gate_mut().begin(outcome);
    }

    /// Puts in force what a rule permits of the shares that were tried.
    pub(super) fn end_feedback_trial(&mut self, outcome: Option<TrialOutcome>) {
        let Some(shares) = self.conditions.feedback_gate_mut().end_trial() else { return };
        let is_current =
            |outcome: &TrialOutcome| Arc::ptr_eq(outcome.charts.compiler(), &self.loaded.compiler);
        let Some(outcome) = outcome.filter(is_current) else { return };
        let now = unix_now();
        let moved = outcome.moved.map_or(0.0, |moved| moved.share);
        let Some(limit) = self.loaded.config.safety.rules.movement else {
            self.allow_feedback(|gate| gate.allow(shares));
            return;
        };
        let used = self.conditions.safety().window.used(now, limit.within);
        if moved + used <= limit.share {
            self.allow_feedback(|gate| gate.allow(shares));
            self.note_movement(Some(MeasuredMovement { at: now, over_secs: 0, share: moved }));
            return;
        }
        let text = format!(
            "{} of the demand would move to other members, and {} of the limit is in use; the limit is {}",
            percent(moved),
            percent(used),
            percent(limit.share)
        );
        let violation = RuleViolation::new(SafetyRule::MaxMoved, text);
        let step = STEP_MARGIN * (limit.share - used).max(0.0);
        if step < MIN_STEP {
            return self.hold_feedback(violation, 0.0);
        }
        self.conditions.feedback_gate_mut().allow_toward(&shares, step / moved);
        self.hold_feedback(violation, step);
        self.put_feedback_in_force();
    }

    /// Puts shares in force, and reports the end of a hold.
    fn allow_feedback(
        &mut self,
        allow: impl FnOnce(&mut super::feedback_gate::FeedbackGate) -> Option<RuleViolation>,
    ) {
        if let Some(RuleViolation { rule, .. }) = allow(self.conditions.feedback_gate_mut()) {
            tracing::info!(%rule, "load feedback no longer held");
            self.journaling.journal().append(Event {
                action: Some("load feedback".to_owned()),
                before: Some("held".to_owned()),
                after: Some("in force".to_owned()),
                ..Event::new(EventKind::Safety, rule)
            });
        }
        self.put_feedback_in_force();
    }

    fn put_feedback_in_force(&mut self) {
        self.conditions.follow_feedback_gate();
        self.request_compile();
    }

    /// Holds what feedback wants, of which `step` (a share of all demand) comes into force.
    fn hold_feedback(&mut self, violation: RuleViolation, step: f64) {
        let RuleViolation { rule, text, .. } = violation.clone();
        self.note_movement(Some(MeasuredMovement { at: unix_now(), over_secs: 0, share: step }));
        if !self.conditions.feedback_gate_mut().hold_with(violation.clone()) {
            return;
        }
        self.rule_holds.note_refusal(std::slice::from_ref(&violation));
        tracing::error!(%rule, %text, "load feedback held by a safety rule");
        self.journaling.journal().append(Event {
            action: Some("load feedback".to_owned()),
            after: Some("held".to_owned()),
            cause: Some(text),
            generation: Some(self.publication.generation()),
            ..Event::new(EventKind::Safety, rule)
        });
    }
}
