//! The endpoints of overrides: what operators set over the configuration files.

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    accepted_rules::accepted_rules,
    audit::{AuditedChange, Author},
    error::ApiError,
    request_body::{read_body, run_to_completion},
    response::{JSON_TYPE, json_octets, uncached_response},
    state::{AdminState, SharedState},
};
use crate::{
    control::{DrainOptions, ListDetail, OverrideAction, OverrideOptions, OverrideRequest},
    steer::{OverrideKind, SafetyRule},
};

/// The body of a request that sets overrides. Every field but `action` and `subjects` is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OverrideBody {
    /// `drain`, `undrain`, `pause`, `resume`, `disable`, `enable`, `standby`, `force-up`,
    /// `force-down` or `weight`.
    pub action: String,
    /// What it concerns: datacenters, regions, pools, `POOL/MEMBER`, `service:NAME/MEMBER`.
    pub subjects: Vec<String>,
    /// The weight of the action `weight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// How long the override lasts, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_secs: Option<u64>,
    /// When the override ends (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// When the override starts (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The time over which clients leave or return, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_secs: Option<u64>,
    /// The reason, shown with the override: one line of at most 200 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rules that the request goes around: `usable-member`, `max-moved`. They need a reason.
    #[serde(rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The same as the rule `usable-member`, without a reason.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// The body of a request that removes overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RemovalBody {
    /// The subjects of the overrides.
    pub subjects: Vec<String>,
    /// What the files decide on again: `state`, `force` or `weight`.
    pub kind: String,
    /// The rules that the request goes around. They need a reason.
    #[serde(rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The reason for the journal: one line of at most 200 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The overrides in force, those that begin later, and those that name nothing at present.
pub(super) async fn list(State(state): SharedState) -> Result<Response, ApiError> {
    let status = state.fetch_status(ListDetail::Full).await?;
    let document = json!({ "generation": status.generation, "overrides": status.overrides });
    Ok(uncached_response(JSON_TYPE, json_octets(&document)))
}

pub(super) async fn set(
    State(state): SharedState,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: OverrideBody = read_body(
        &body,
        r#"{"action": "drain", "subjects": ["fra"], "reason": "kernel upgrade"}"#,
    )?;
    let action = OverrideAction::of_word(&body.action, body.weight).ok_or_else(|| {
        bad_request(format!(
            "the action is {:?}; write drain, undrain, pause, resume, disable, enable, standby, force-up, force-down, \
             or weight with \"weight\": 0 to 65535",
            body.action
        ))
    })?;
    let accepted = accepted_rules(&body.rules, body.reason.as_deref(), body.force)?;
    let options = OverrideOptions {
        for_secs: body.for_secs,
        until: timestamp("until", body.until.as_deref())?,
        at: timestamp("at", body.at.as_deref())?,
        over_secs: body.over_secs,
        reason: body.reason,
        accepted,
    };
    change_overrides(&state, body.subjects, action, options, author).await
}

pub(super) async fn remove(
    State(state): SharedState,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    let RemovalBody { subjects, kind, rules, reason } =
        read_body(&body, r#"{"subjects": ["web/a"], "kind": "force"}"#)?;
    let kinds = [OverrideKind::State, OverrideKind::Force, OverrideKind::Weight];
    let kind = kinds.into_iter().find(|known| known.as_str() == kind).ok_or_else(|| {
        bad_request(format!("the kind is {kind:?}; write state, force or weight"))
    })?;
    let action = OverrideAction::Remove(kind);
    let accepted = accepted_rules(&rules, reason.as_deref(), false)?;
    let options = OverrideOptions { accepted, reason, ..OverrideOptions::default() };
    change_overrides(&state, subjects, action, options, author).await
}

/// Has the controller carry out an action, and replies with its report.
pub(super) async fn change_overrides(
    state: &AdminState,
    subjects: Vec<String>,
    action: OverrideAction,
    options: OverrideOptions,
    author: Author,
) -> Result<Response, ApiError> {
    let handle = state.context.controller.clone();
    let author_of_override = author.of_override();
    let mut change = AuditedChange::of_subjects(action.as_str(), &subjects, author);
    change.log_request(Some(&DrainOptions {
        for_secs: options.for_secs,
        over_secs: options.over_secs,
        reason: options.reason.clone(),
        force: options.accepted.contains(&SafetyRule::UsableMember),
    }));
    let request = OverrideRequest { subjects, action, options, author: author_of_override };
    let report = run_to_completion(async move {
        let result = handle.set_overrides(request).await;
        change.log_result(result.as_ref().map(|report| Some(report.generation)));
        result
    });
    Ok(uncached_response(JSON_TYPE, json_octets(&report.await??)))
}

fn timestamp(field: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let time = text.parse::<jiff::Timestamp>().map_err(|_| {
        bad_request(format!(
            "`{field}` is {text:?}, which is no time of RFC 3339; write 2026-12-01T06:00:00Z"
        ))
    })?;
    Ok(Some(time.as_second()))
}

fn bad_request(text: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, format!("{text}; nothing was changed"))
}
