//! The consent of an operator to break rules.

use std::collections::BTreeSet;

use super::violation::RuleViolation;
use crate::{control::OverrideAuthor, steer::SafetyRule};

/// The rules that an operator goes around with one change, and why. The default goes around none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleConsent {
    /// The rules that the change may break.
    pub accepted: BTreeSet<SafetyRule>,
    /// The reason for the journal.
    pub reason: Option<String>,
    /// The operator who gives the consent.
    pub author: OverrideAuthor,
}

impl RuleConsent {
    /// Whether the operator goes around the rule that a change breaks.
    pub(in crate::control) fn accepts(&self, violation: &RuleViolation) -> bool {
        SafetyRule::from_word(&violation.rule).is_some_and(|rule| self.accepted.contains(&rule))
    }

    /// Adds what another request goes around. Its author and reason stand for both.
    pub(in crate::control) fn merge(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.reason = other.reason.or(self.reason.take());
        self.author = other.author;
    }
}
