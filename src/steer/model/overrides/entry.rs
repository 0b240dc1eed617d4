//! One override: what an operator set, on which subject, and why.

use std::time::Duration;

use super::subject::OverrideSubject;
use crate::steer::{
    SafetyRule,
    model::{datacenter::ServingState, endpoint::HealthOverride, fraction::Fraction},
};

/// What an operator on duty set over the configuration. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// What the override concerns.
    pub subject: OverrideSubject,
    /// What the override sets.
    pub value: OverrideValue,
    /// The user who set it, as the client named them.
    pub author: Box<str>,
    /// The address that the request came from.
    pub peer: Option<Box<str>>,
    /// The reason that the operator gave.
    pub reason: Option<Box<str>>,
    /// When it was set.
    pub set_at: i64,
    /// When it starts; `None` for at once.
    pub starts: Option<i64>,
    /// When it ends; `None` for an override that an operator removes.
    pub ends: Option<i64>,
    /// The time over which clients leave or return; `None` for what the configuration says.
    pub over: Option<Duration>,
    /// The fraction of its clients that the subject keeps while its drain is paused.
    pub hold: Option<Fraction>,
    /// The safety rules that its author went around: it begins and ends although they forbid it.
    pub accepted: Vec<SafetyRule>,
}

/// What an override sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideValue {
    /// The serving state of the subject.
    State(ServingState),
    /// The serving state that the file says, to which clients return over a time.
    Return,
    /// The health, whatever the monitor says.
    Force(HealthOverride),
    /// The weight of a member.
    Weight(u16),
}

/// The kinds of values, of which a subject has one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideKind {
    /// The kind of serving states.
    State,
    /// The kind of forced health.
    Force,
    /// The kind of weights.
    Weight,
}

impl OverrideKind {
    /// The kind as documents name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Force => "force",
            Self::Weight => "weight",
        }
    }
}

impl OverrideValue {
    /// The kind of value.
    pub fn kind(self) -> OverrideKind {
        match self {
            Self::State(_) | Self::Return => OverrideKind::State,
            Self::Force(_) => OverrideKind::Force,
            Self::Weight(_) => OverrideKind::Weight,
        }
    }

    /// The value in words: `draining`, `forced down`, `weight 5`.
    pub fn text(self) -> String {
        match self {
            Self::State(state) => state.as_str().to_owned(),
            Self::Return => "returning".to_owned(),
            Self::Force(HealthOverride::Up) => "forced up".to_owned(),
            Self::Force(HealthOverride::Down) => "forced down".to_owned(),
            Self::Weight(weight) => format!("weight {weight}"),
        }
    }
}

impl Override {
    /// The kind of its value.
    pub fn kind(&self) -> OverrideKind {
        self.value.kind()
    }

    /// Whether it has started at `now` and has not ended.
    pub fn is_in_force(&self, now: i64) -> bool {
        self.starts.is_none_or(|starts| starts <= now) && !self.has_ended(now)
    }

    /// Whether its end has passed at `now`.
    pub fn has_ended(&self, now: i64) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}
