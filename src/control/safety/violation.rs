//! A rule that a change breaks, and the refusal that names it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::steer::SafetyRule;

/// A rule that a change would break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RuleViolation {
    /// The name of the rule: `min-active-datacenters`.
    pub rule: String,
    /// What the rule demands, and what would be: who would move, and where to.
    pub text: String,
    /// The file, line and column of the rules; `None` for a rule that no file has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
}

impl RuleViolation {
    pub(in crate::control) fn new(rule: SafetyRule, text: String) -> Self {
        Self { rule: rule.as_str().to_owned(), text, origin: None }
    }
}

impl fmt::Display for RuleViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)?;
        self.origin.as_ref().map_or(Ok(()), |origin| write!(f, " (the rule is in {origin})"))
    }
}

/// The refusal of a change, in words.
pub(in crate::control) struct RefusalText<'a> {
    pub violations: &'a [RuleViolation],
    /// What did not happen: `nothing was edited`.
    pub unchanged: &'a str,
}

impl fmt::Display for RefusalText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { violations, unchanged } = self;
        let plural =
            if violations.len() == 1 { "a safety rule forbids" } else { "safety rules forbid" };
        write!(f, "{plural} this change; {unchanged}")?;
        for violation in *violations {
            write!(f, "\n  {violation}")?;
        }
        f.write_str("\n  to apply it anyway:")?;
        for violation in *violations {
            write!(f, " --override {}", violation.rule)?;
        }
        f.write_str(" --reason TEXT")
    }
}
