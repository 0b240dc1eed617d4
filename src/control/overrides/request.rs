//! What an operator asks for: an action, its subjects and its options.

use std::{collections::BTreeSet, time::Duration};

use super::{author::OverrideAuthor, error::OverrideError};
use crate::{
    config::{REASON_HELP, reason_fault},
    control::safety::RuleConsent,
    steer::{OverrideKind, RampTimes, SafetyRule},
};

/// The maximum number of subjects of one request.
const MAX_SUBJECTS: usize = 1000;

/// A request to set or remove overrides of some subjects: all of them or, if one cannot follow it,
/// none.
#[derive(Debug, Clone, PartialEq)]
pub struct OverrideRequest {
    /// The subjects as the operator wrote them.
    pub subjects: Vec<String>,
    /// What is to happen.
    pub action: OverrideAction,
    /// The options of the action.
    pub options: OverrideOptions,
    /// The operator who asks.
    pub author: OverrideAuthor,
}

/// What an operator can do with overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideAction {
    /// Clients leave; a drain in progress gets the options that the request names.
    Drain,
    /// The drain ends, and what the file says is in force again.
    Undrain,
    /// The drain is held at the share that is drained now.
    Pause,
    /// A paused drain continues.
    Resume,
    /// No clients and no health checks.
    Disable,
    /// In service, whatever the file says.
    Enable,
    /// Used only when nothing else is usable.
    Standby,
    /// Usable, whatever the health checks say.
    ForceUp,
    /// Not usable, whatever the health checks say.
    ForceDown,
    /// Another weight of a member.
    Weight(u16),
    /// What the file says is in force again: the state, the health or the weight.
    Remove(OverrideKind),
}

impl OverrideAction {
    /// The action of this name in the API; `weight` is the value of the action `weight`. `None` if
    /// there is no such action, or the weight is missing.
    pub fn of_word(word: &str, weight: Option<u16>) -> Option<Self> {
        let plain = [
            Self::Drain,
            Self::Undrain,
            Self::Pause,
            Self::Resume,
            Self::Disable,
            Self::Enable,
            Self::Standby,
            Self::ForceUp,
            Self::ForceDown,
        ];
        let weighted = weight.map(Self::Weight);
        plain.into_iter().chain(weighted).find(|action| action.as_str() == word)
    }

    /// The name of the action in the API and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Standby => "standby",
            Self::ForceUp => "force-up",
            Self::ForceDown => "force-down",
            Self::Weight(_) => "weight",
            Self::Remove(_) => "remove",
        }
    }

    /// Whether the action sets a value, which can begin later and end by itself.
    fn sets_a_value(self) -> bool {
        !matches!(self, Self::Undrain | Self::Pause | Self::Resume | Self::Remove(_))
    }

    /// Whether clients can leave or return over a time.
    fn is_gradual(self) -> bool {
        matches!(self, Self::Drain | Self::Undrain | Self::Enable)
    }

    /// Whether the action can take members from clients, so that it is checked first.
    pub(in crate::control) fn may_take_away(self) -> bool {
        match self {
            Self::Drain
            | Self::Disable
            | Self::Standby
            | Self::ForceDown
            | Self::Resume
            | Self::Weight(_) => true,
            Self::Undrain | Self::Pause | Self::Enable | Self::ForceUp | Self::Remove(_) => false,
        }
    }
}

/// The options of a request. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OverrideOptions {
    /// How long the override lasts, in seconds from its start.
    pub for_secs: Option<u64>,
    /// When the override ends.
    pub until: Option<i64>,
    /// When the override starts; `None` for at once.
    pub at: Option<i64>,
    /// The time over which clients leave or return, in seconds.
    pub over_secs: Option<u64>,
    /// The reason, shown with the override: one line of at most 200 octets.
    pub reason: Option<String>,
    /// The rules that the request goes around.
    pub accepted: BTreeSet<SafetyRule>,
}

impl OverrideOptions {
    /// Whether the request names nothing that an override in force could get.
    pub(super) fn is_empty(&self) -> bool {
        let Self { for_secs, until, at, over_secs, reason, accepted: _ } = self;
        for_secs.is_none()
            && until.is_none()
            && at.is_none()
            && over_secs.is_none()
            && reason.is_none()
    }

    /// When an override ends that starts at `start`.
    pub(super) fn ends(&self, start: i64) -> Option<i64> {
        self.until.or_else(|| Some(start.saturating_add_unsigned(self.for_secs?)))
    }

    /// The time over which clients leave or return.
    pub(super) fn over(&self) -> Option<Duration> {
        self.over_secs.map(Duration::from_secs)
    }
}

impl OverrideRequest {
    /// The rules that the request goes around, and why.
    pub(in crate::control) fn consent(&self) -> RuleConsent {
        RuleConsent {
            accepted: self.options.accepted.clone(),
            reason: self.options.reason.clone(),
            author: self.author.clone(),
        }
    }

    /// Checks what does not depend on the configuration. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`OverrideError::Invalid`] names the value and the valid ones.
    pub(super) fn validate(&self, now: i64) -> Result<(), OverrideError> {
        let invalid = |text: String| Err(OverrideError::Invalid(text));
        let OverrideOptions { for_secs, until, at, over_secs, reason, accepted: _ } = &self.options;
        if self.subjects.is_empty() || self.subjects.len() > MAX_SUBJECTS {
            return invalid(format!(
                "the request names {} subjects; name 1 to {MAX_SUBJECTS}",
                self.subjects.len()
            ));
        }
        if let Some(fault) = reason.as_deref().and_then(reason_fault) {
            return invalid(format!("the reason {fault}; {REASON_HELP}"));
        }
        if !self.action.sets_a_value() && (for_secs.is_some() || until.is_some() || at.is_some()) {
            return invalid(format!(
                "`for-secs`, `until` and `at` belong to an override that is set; omit them for {}",
                self.action.as_str()
            ));
        }
        if over_secs.is_some() && !self.action.is_gradual() {
            return invalid(format!(
                "`over-secs` (`--over`) belongs to drain, undrain and enable; omit it for {}",
                self.action.as_str()
            ));
        }
        let longest = RampTimes::MAX_RAMP.as_secs();
        if let Some(secs) = over_secs.filter(|secs| *secs > longest) {
            return invalid(format!(
                "`over-secs` is {secs}; the maximum is {longest} ({} days)",
                longest / 86_400
            ));
        }
        if for_secs.is_some() && until.is_some() {
            return invalid(
                "both `for-secs` (`--for`) and `until` (`--until`) are given; omit one".to_owned(),
            );
        }
        if at.is_some_and(|at| at <= now) {
            return invalid("`at` (`--at`) is in the past; omit it to begin at once".to_owned());
        }
        let start = at.unwrap_or(now);
        let latest = jiff::Timestamp::MAX.as_second();
        match self.options.ends(start) {
            Some(ends) if ends <= start => invalid(
                "the end (`--for`, `--until`) is not after the start; omit it to last until an operator ends it".to_owned(),
            ),
            Some(ends) if ends > latest => invalid(format!(
                "the end would be after the year 9999; the longest `for-secs` is {}; omit it to last until an operator ends it",
                latest.saturating_sub(start)
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_cannot_be_meant_is_refused_with_the_value_and_the_valid_ones() {
        let now = 1_800_000_000;
        let options = OverrideOptions::default;
        for (action, options, wanted) in [
            (OverrideAction::Drain, options(), ""),
            (OverrideAction::Drain, OverrideOptions { for_secs: Some(1), ..options() }, ""),
            (
                OverrideAction::Drain,
                OverrideOptions { for_secs: Some(0), ..options() },
                "not after the start",
            ),
            (
                OverrideAction::Drain,
                OverrideOptions { until: Some(now), ..options() },
                "not after the start",
            ),
            (
                OverrideAction::Drain,
                OverrideOptions { for_secs: Some(u64::MAX), ..options() },
                "the year 9999",
            ),
            (OverrideAction::Drain, OverrideOptions { at: Some(now), ..options() }, "in the past"),
            (
                OverrideAction::Drain,
                OverrideOptions { at: Some(now + 9), until: Some(now + 9), ..options() },
                "not after the start",
            ),
            (
                OverrideAction::Drain,
                OverrideOptions { for_secs: Some(9), until: Some(now + 9), ..options() },
                "omit one",
            ),
            (
                OverrideAction::Drain,
                OverrideOptions { over_secs: Some(604_801), ..options() },
                "604800 (7 days)",
            ),
            (
                OverrideAction::Drain,
                OverrideOptions { reason: Some("a\u{1b}[2J".into()), ..options() },
                "holds the control character",
            ),
            (
                OverrideAction::Undrain,
                OverrideOptions { for_secs: Some(9), ..options() },
                "omit them for undrain",
            ),
            (OverrideAction::Undrain, OverrideOptions { over_secs: Some(9), ..options() }, ""),
            (
                OverrideAction::Disable,
                OverrideOptions { over_secs: Some(9), ..options() },
                "omit it for disable",
            ),
        ] {
            let shown = format!("{options:?}");
            let request = OverrideRequest {
                subjects: vec!["fra".into()],
                action,
                options,
                author: OverrideAuthor::default(),
            };
            let error = request.validate(now).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert_eq!(error.is_empty(), wanted.is_empty(), "{shown}: {error}");
            assert!(error.contains(wanted), "{shown}: {error}");
        }
    }
}
