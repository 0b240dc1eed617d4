//! The inputs and the result of judging a load by the safety rules.

use std::collections::HashMap;

use crate::control::{
    demand_tracker::DemandHandle,
    safety::{MeasuredMovement, MovementWindow, RuleConsent, RuleViolation},
};

/// What a load is judged with, besides the rules and the charts in force.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct JudgementBase {
    /// What an operator goes around.
    pub consent: RuleConsent,
    /// What moved before this load.
    pub window: MovementWindow,
    /// The answers counted for each service, which weigh it.
    pub answers: HashMap<String, u64>,
    /// Asks for the observed demand, which weighs clients.
    pub demand: Option<DemandHandle>,
}

/// A load that was judged.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct Judgement {
    /// The rules that it breaks.
    pub violations: Vec<RuleViolation>,
    /// What it moves, where a rule limits that.
    pub movement: Option<MeasuredMovement>,
}

impl Judgement {
    /// Whether the load breaks a rule that an operator does not accept.
    pub(super) fn is_refused(&self, consent: &RuleConsent) -> bool {
        !self.refused(consent).is_empty()
    }

    /// The violations that an operator does not accept.
    pub(super) fn refused(&self, consent: &RuleConsent) -> Vec<RuleViolation> {
        self.violations.iter().filter(|one| !consent.accepts(one)).cloned().collect()
    }
}
