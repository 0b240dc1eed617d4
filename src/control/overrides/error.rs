//! Why a request for overrides changed nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::control::{
    newly_distressed::{DistressText, NewlyDistressed},
    safety::{RefusalText, RuleViolation},
};

/// Why no override was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverrideError {
    /// Nothing has this name. The second is the most similar name, if one is similar.
    Unknown(String, Option<String>),
    /// These clients would have no usable member.
    Distress(Vec<NewlyDistressed>),
    /// These rules forbid the change.
    Forbidden(Vec<RuleViolation>),
    /// The subject is not draining.
    NotDraining(String),
    /// The subject is disabled or a standby, so that there is nothing to drain.
    #[serde(rename_all = "kebab-case")]
    NotInService {
        /// The subject that cannot follow.
        subject: String,
        /// The state of the subject: `disabled` or `standby`.
        state: String,
        /// What says so: the place in a file, or an override.
        origin: String,
    },
    /// The subject is drained, and not by an override of its own.
    #[serde(rename_all = "kebab-case")]
    DrainedElsewhere {
        /// The subject that cannot follow.
        subject: String,
        /// What drains it: the place in a file, or another override.
        origin: String,
        /// What ends the drain.
        remedy: String,
    },
    /// The request has a value that makes no sense. The text names the value and the valid ones.
    Invalid(String),
    /// The overrides cannot be saved for this reason: a restart would lose them.
    NotSaved(String),
    /// The server is stopping.
    Gone,
}

impl fmt::Display for OverrideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name, nearest) => {
                write!(f, "there is no datacenter, region, pool or pool/member {name:?}")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
            }
            Self::Distress(distressed) => {
                DistressText { distressed, unchanged: "nothing was changed" }.fmt(f)
            }
            Self::Forbidden(violations) => {
                RefusalText { violations, unchanged: "nothing was changed" }.fmt(f)
            }
            Self::NotDraining(name) => {
                write!(f, "{name} is not draining: there is nothing to pause or to resume")
            }
            Self::NotInService { subject, state, origin } => {
                let remedy = match state.as_str() {
                    "standby" => {
                        "it is used only when nothing else is usable. `portolan disable` takes it out altogether"
                    }
                    _ => {
                        "no answer names it while anything else is left. To drain it, put it into service first: `portolan enable`"
                    }
                };
                write!(
                    f,
                    "{subject} is not in service: its state is {state} in {origin}, and {remedy}; nothing was changed"
                )
            }
            Self::DrainedElsewhere { subject, origin, remedy } => write!(
                f,
                "{subject} is drained by {origin}, and has no override of its own: {remedy}; nothing was changed"
            ),
            Self::Invalid(error) => write!(f, "{error}; nothing was changed"),
            Self::NotSaved(error) => write!(
                f,
                "nothing was changed: the state directory cannot keep the override, so that a restart would lose it: {error}"
            ),
            Self::Gone => f.write_str("the server is stopping"),
        }
    }
}

impl std::error::Error for OverrideError {}
