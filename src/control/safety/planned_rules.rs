//! The rules that a plan is judged by.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    judged_change::{JudgedChange, active_names},
    movement_window::{MeasuredMovement, MovementWindow},
    ramp_time::ramp_time,
    violation::RuleViolation,
};
use crate::{
    config::WrittenSafety,
    control::clock::unix_now,
    engine::MovedShare,
    steer::{CompiledCharts, SafetyRule, SafetyRules},
};

/// The safety rules of a server or of files, and what has moved lately.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedRules {
    /// The rules. Ids are positions in the list of datacenters.
    rules: SafetyRules,
    /// The file, line and column of the rules.
    origin: Option<String>,
    /// What has moved lately.
    movements: Vec<MeasuredMovement>,
}

impl PlannedRules {
    pub(in crate::control) fn new(safety: &WrittenSafety, window: &MovementWindow) -> Self {
        Self {
            rules: safety.rules.clone(),
            origin: safety.origin_text(),
            movements: window.movements().to_vec(),
        }
    }

    /// The rules of files that are to replace these: what has moved stays.
    #[must_use]
    pub fn replaced_by(self, safety: &WrittenSafety) -> Self {
        match &safety.origin {
            Some(_) => Self {
                rules: safety.rules.clone(),
                origin: safety.origin_text(),
                movements: self.movements,
            },
            None => self,
        }
    }

    /// The rules that would refuse a change between two compilations that are settled.
    pub fn violations(
        &self,
        before: &CompiledCharts,
        after: &CompiledCharts,
        moved: &MovedShare,
        changes_anything: bool,
    ) -> Vec<RuleViolation> {
        let topology = after.compiler().topology();
        let change = JudgedChange {
            rules: &self.rules,
            origin: self.origin.clone(),
            before: before.compiler().topology(),
            topology,
            active_before: &active_names(before.compiler().topology(), before.conditions()),
            active_after: &active_names(topology, after.conditions()),
            moved: Some(moved),
            over: ramp_time(
                (before.compiler().topology(), &before.conditions().datacenters),
                (topology, &after.conditions().datacenters),
            ),
            window: &MovementWindow::restored(self.movements.clone()),
            now: unix_now(),
        };
        let mut violations = change.violations(&BTreeSet::new());
        if self.rules.is_frozen && changes_anything {
            violations
                .push(RuleViolation { origin: self.origin.clone(), ..RuleViolation::frozen() });
        }
        violations
    }
}

impl RuleViolation {
    /// The violation of `freeze`, by any change.
    pub(in crate::control) fn frozen() -> Self {
        let text = "the rules say freeze = true, so that only health changes answers";
        Self::new(SafetyRule::Freeze, text.to_owned())
    }
}
