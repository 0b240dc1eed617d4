//! The safety rules that a request goes around, read from its body.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use super::error::ApiError;
use crate::{listing, steer::SafetyRule};

/// The rules of these names. `force` stands for the rule `usable-member`, without a reason.
///
/// # Errors
/// There is no such rule, or no reason to go around it.
pub(super) fn accepted_rules(
    names: &[String],
    reason: Option<&str>,
    force: bool,
) -> Result<BTreeSet<SafetyRule>, ApiError> {
    let bad_request = |text: String| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("{text}; nothing was changed"))
    };
    let rule = |name: &String| {
        SafetyRule::from_word(name).ok_or_else(|| {
            let known = SafetyRule::ALL.map(SafetyRule::as_str);
            let known = listing::join_first(known, known.len(), known.len());
            bad_request(format!("there is no rule {name:?} to override; the rules are {known}"))
        })
    };
    let rules: BTreeSet<SafetyRule> = names.iter().map(rule).collect::<Result<_, _>>()?;
    if !rules.is_empty() && reason.is_none_or(|reason| reason.trim().is_empty()) {
        return Err(bad_request("to override a rule needs a `reason`".to_owned()));
    }
    let forced = force.then_some(SafetyRule::UsableMember);
    Ok(rules.into_iter().chain(forced).collect())
}
