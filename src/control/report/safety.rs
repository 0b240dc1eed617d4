//! The safety rules in the status document: which are broken, and what they hold.

use super::inputs::StatusInputs;
use crate::{
    control::{
        clock::unix_now,
        safety::{RuleStatus, RuleViolation, SafetyStatus},
    },
    steer::{Conditions, SafetyRules, active_datacenters},
};

/// A whole share, in percent.
const PERCENT: f64 = 100.0;

pub(super) fn safety(inputs: &StatusInputs<'_>) -> SafetyStatus {
    let rules = &inputs.loaded.config.safety.rules;
    let (holds, memory) = (inputs.rules.holds, inputs.rules.memory);
    let limit = rules.movement;
    let refusals = holds.refusals().iter().map(|(rule, count)| (rule.clone(), *count)).collect();
    SafetyStatus {
        is_frozen: rules.is_frozen,
        held_timers: holds.timer_violations().iter().map(rule_status).collect(),
        held_feedback: inputs.rules.feedback_held_by.map(rule_status).into_iter().collect(),
        moved_percent: limit
            .map(|limit| PERCENT * memory.window.used(unix_now(), limit.within) + 0.0),
        max_moved_percent: limit.map(|limit| PERCENT * limit.share),
        within_secs: limit.map(|limit| limit.within.as_secs()),
        refusals,
        ..active_status(inputs, rules)
    }
}

fn rule_status(violation: &RuleViolation) -> RuleStatus {
    RuleStatus { rule: violation.rule.clone(), text: violation.text.clone() }
}

/// From the snapshot in force: the active datacenters, those that are down but held by a rule, and
/// the minimums that are not met.
fn active_status(inputs: &StatusInputs<'_>, rules: &SafetyRules) -> SafetyStatus {
    if rules.minimums.is_empty() {
        return SafetyStatus::default();
    }
    let (topology, conditions) = (&inputs.snapshot.topology, inputs.conditions);
    let active = active_datacenters(topology, conditions);
    let names = |flags: &[bool]| -> Vec<String> {
        let all = topology.datacenters.iter().zip(flags);
        all.filter(|(_, flag)| **flag).map(|(one, _)| one.name.to_string()).collect()
    };
    let held = inputs.rules.memory.hold.held();
    let checked =
        Conditions { health_statuses: inputs.rules.checked.to_vec(), ..conditions.clone() };
    let up = active_datacenters(topology, &checked);
    let is_held: Vec<bool> = active
        .iter()
        .zip(&up)
        .zip(&topology.datacenters)
        .map(|((active, up), one)| *active && !up && held.contains(&one.name))
        .collect();
    let broken = rules.broken_minimums(&active);
    let broken = broken
        .iter()
        .map(|one| RuleStatus { rule: one.rule.as_str().to_owned(), text: one.present_text() });
    SafetyStatus {
        active_datacenters: names(&active),
        held_datacenters: names(&is_held),
        broken: broken.collect(),
        ..SafetyStatus::default()
    }
}
