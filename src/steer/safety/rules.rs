//! The safety rules of `[safety]`, and their names.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::steer::DatacenterId;

/// The rules that every change of the answers must keep. The default has none but
/// that of removals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SafetyRules {
    /// How many datacenters must stay active: `min-active-datacenters` and `at-least`.
    pub minimums: Vec<ActiveMinimum>,
    /// How much demand may get other answers within a time.
    pub movement: Option<MovementLimit>,
    /// The share of the zones, or of the services, that one load may remove, in percent.
    pub max_removed_percent: f64,
    /// Whether nothing but health may change answers.
    pub is_frozen: bool,
}

/// A number of datacenters that must stay active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActiveMinimum {
    /// The key of the rule.
    pub rule: SafetyRule,
    /// The number of datacenters; at least 1.
    pub count: usize,
    /// The datacenters that count.
    pub of: Vec<DatacenterId>,
    /// Those datacenters and regions as written; empty for all.
    pub names: Box<str>,
}

/// How much demand may get other answers within a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MovementLimit {
    /// The share of the demand, above 0 and at most 1.
    pub share: f64,
    /// The time over which movements add up.
    pub within: Duration,
}

/// A rule that an operator can go around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SafetyRule {
    /// Each service keeps a usable member. This rule needs no key.
    UsableMember,
    /// The key `min-active-datacenters`: so many datacenters stay active.
    MinActiveDatacenters,
    /// The key `at-least`: so many of some datacenters stay active.
    AtLeast,
    /// The key `max-moved`: at most this share of the demand moves.
    MaxMoved,
    /// The key `max-removed`: at most this share of the names goes.
    MaxRemoved,
    /// The key `freeze`: nothing but health changes answers.
    Freeze,
    /// The key `enforce-asserts`: the requirements hold.
    EnforceAsserts,
}

/// A minimum that is not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenMinimum {
    /// The key of the rule.
    pub rule: SafetyRule,
    /// How many datacenters are active of those that count.
    pub active: usize,
    /// How many must be.
    pub required: usize,
    /// The datacenters and regions that count, as written; empty for all.
    pub names: Box<str>,
}

/// The default of `max-removed`, in percent.
const DEFAULT_MAX_REMOVED_PERCENT: f64 = 50.0;

impl Default for SafetyRules {
    fn default() -> Self {
        Self {
            minimums: Vec::new(),
            movement: None,
            max_removed_percent: DEFAULT_MAX_REMOVED_PERCENT,
            is_frozen: false,
        }
    }
}

impl SafetyRules {
    /// Whether any rule concerns changes that are no removals.
    pub fn has_limits(&self) -> bool {
        !self.minimums.is_empty() || self.movement.is_some() || self.is_frozen
    }

    /// The minimums that are not reached if exactly these datacenters are active, by
    /// [`DatacenterId`].
    pub fn broken_minimums(&self, active: &[bool]) -> Vec<BrokenMinimum> {
        self.minimums.iter().filter_map(|minimum| minimum.broken(active)).collect()
    }
}

impl ActiveMinimum {
    /// How many of its datacenters are active.
    pub(super) fn active_count(&self, active: &[bool]) -> usize {
        let is_active = |id: &&DatacenterId| active.get(id.index()).copied().unwrap_or_default();
        self.of.iter().filter(is_active).count()
    }

    fn broken(&self, active: &[bool]) -> Option<BrokenMinimum> {
        let found = self.active_count(active);
        (found < self.count).then(|| BrokenMinimum {
            rule: self.rule,
            active: found,
            required: self.count,
            names: self.names.clone(),
        })
    }
}

impl BrokenMinimum {
    /// The minimum, and what is active at present.
    pub fn present_text(&self) -> String {
        let active = match self.active {
            0 => "none is".to_owned(),
            1 => "1 is".to_owned(),
            active => format!("{active} are"),
        };
        format!("{}, and {active}", self.demand())
    }

    /// What the rule demands.
    fn demand(&self) -> String {
        let Self { required, names, .. } = self;
        match (names.is_empty(), *required) {
            (true, 1) => "1 datacenter must be active".to_owned(),
            (true, _) => format!("{required} datacenters must be active"),
            (false, _) => format!("{required} of {names} must be active"),
        }
    }
}

impl SafetyRule {
    /// Every rule, in the order in which messages list them.
    pub const ALL: [Self; 7] = [
        Self::UsableMember,
        Self::MinActiveDatacenters,
        Self::AtLeast,
        Self::MaxMoved,
        Self::MaxRemoved,
        Self::Freeze,
        Self::EnforceAsserts,
    ];

    /// The name of the rule: its key, where it has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsableMember => "usable-member",
            Self::MinActiveDatacenters => "min-active-datacenters",
            Self::AtLeast => "at-least",
            Self::MaxMoved => "max-moved",
            Self::MaxRemoved => "max-removed",
            Self::Freeze => "freeze",
            Self::EnforceAsserts => "enforce-asserts",
        }
    }

    /// The rule of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == word)
    }
}

impl fmt::Display for BrokenMinimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, and {} would be", self.demand(), self.active)
    }
}
