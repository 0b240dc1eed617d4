//! What a change that was accepted breaks and moves.

use crate::control::{
    newly_distressed::NewlyDistressed,
    safety::{MeasuredMovement, RuleViolation},
};

/// What an accepted change breaks and moves.
#[derive(Debug, Clone, Default)]
pub(super) struct Acceptance {
    /// The clients that it leaves without a usable member.
    pub distressed: Vec<NewlyDistressed>,
    /// The rules that an operator went around.
    pub overridden: Vec<RuleViolation>,
    /// What it moves, where a rule limits that.
    pub movement: Option<MeasuredMovement>,
}
