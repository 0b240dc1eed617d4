//! The endpoints that change the server: reload, drain, failback. `audit` logs each change, and
//! each change runs to its end even if the client disconnects.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    accepted_rules::accepted_rules,
    audit::{AuditedChange, Author},
    error::ApiError,
    held_files::describe_held_files,
    overrides::change_overrides,
    request_body::{read_body, run_to_completion},
    response::{JSON_TYPE, json_octets, uncached_response},
    state::{AdminState, SharedState},
};
use crate::{
    control::{
        DrainAction, DrainOptions, DrainRequest, OverrideAction, OverrideError, OverrideOptions,
        OverrideRequest, ReloadReport, ReloadRequest, RuleConsent,
    },
    steer::SafetyRule,
};

/// The body of a reload request; an empty body accepts no removal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReloadBody {
    /// Whether to apply files that remove more than a load removes without an operator: the same as
    /// the rule `max-removed`, without a reason.
    pub accept_removal: bool,
    /// The rules that the load goes around. They need a reason.
    #[serde(rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The reason for the journal: one line of at most 200 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

pub(super) async fn reload(
    State(state): SharedState,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: ReloadBody = read_body(&body, r#"{"accept-removal": true}"#)?;
    let mut accepted = accepted_rules(&body.rules, body.reason.as_deref(), false)?;
    if body.accept_removal {
        accepted.insert(SafetyRule::MaxRemoved);
    }
    let request = ReloadRequest::Apply(RuleConsent {
        accepted,
        reason: body.reason,
        author: author.of_override(),
    });
    let handle = state.context.controller.clone();
    let mut change = AuditedChange::new(
        if body.accept_removal { "reload accepting removals" } else { "reload" },
        author,
    );
    change.log_request(None);
    let report = run_to_completion(async move {
        let result = handle.reload(request).await;
        change.log_result(result.as_ref().map(|report| Some(report.generation)));
        if let Ok(report) = &result {
            change.record(Some(report.generation), &handle);
        }
        result
    });
    let report = report.await??;
    if report.is_complete() {
        Ok(uncached_response(JSON_TYPE, json_octets(&report)))
    } else {
        Err(partial_reload_error(&report))
    }
}

/// The error of a reload that applied only some of the files: a client that checks only the HTTP
/// status must not take it for complete.
fn partial_reload_error(report: &ReloadReport) -> ApiError {
    const MAX_LINES: usize = 20;
    let mut held = describe_held_files(&report.held);
    held.extend(
        report
            .certificates
            .iter()
            .map(|error| format!("the previous certificate stays in use: {error}")),
    );
    let more = held.len().saturating_sub(MAX_LINES);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let message = format!(
        "generation {} is in use, but some files are not in use as they are on disk:\n  {}{more}",
        report.generation,
        held.iter().take(MAX_LINES).cloned().collect::<Vec<_>>().join("\n  "),
    );
    let mut error = json!(report);
    let held_errors = report.held.iter().flat_map(|file| &file.errors);
    error["refused"] = held_errors.chain(&report.certificates).cloned().collect();
    ApiError { status: StatusCode::UNPROCESSABLE_ENTITY, message, error: Some(error) }
}

/// The body of a drain request; every field is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DrainBody {
    /// Duration of the drain in seconds; if absent, until `undrain`.
    pub for_secs: Option<u64>,
    /// Time over which clients move away, in seconds; if absent, the datacenter's `drain-over`, or
    /// at once.
    pub over_secs: Option<u64>,
    /// Reason for the drain, shown with the state: one line of at most 200 octets.
    pub reason: Option<String>,
    /// The rules that the request goes around. They need a reason.
    #[serde(rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The same as the rule `usable-member`, without a reason.
    pub force: bool,
    /// Whether to edit the file of the datacenter instead of setting an override.
    pub edit: bool,
}

pub(super) async fn drain(
    State(state): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    change_datacenter(&state, datacenter, OverrideAction::Drain, author, &body).await
}

pub(super) async fn undrain(
    State(state): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    change_datacenter(&state, datacenter, OverrideAction::Undrain, author, &body).await
}

pub(super) async fn pause(
    State(state): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    change_datacenter(&state, datacenter, OverrideAction::Pause, author, &body).await
}

pub(super) async fn resume(
    State(state): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    change_datacenter(&state, datacenter, OverrideAction::Resume, author, &body).await
}

/// Changes a datacenter or region by an override or, with `edit`, by an edit of its file.
async fn change_datacenter(
    state: &AdminState,
    datacenter: String,
    action: OverrideAction,
    author: Author,
    body: &[u8],
) -> Result<Response, ApiError> {
    let body = drain_body(body)?;
    let DrainBody { for_secs, over_secs, reason, rules, force, edit } = body;
    let accepted = accepted_rules(&rules, reason.as_deref(), force)?;
    if edit {
        let consent_reason = reason.clone();
        let action = match action {
            OverrideAction::Undrain => {
                remove_drain(state, &datacenter, &accepted, &author).await?;
                DrainAction::Undrain
            }
            OverrideAction::Pause => DrainAction::Pause,
            OverrideAction::Resume => DrainAction::Resume,
            _ => DrainAction::Drain(DrainOptions { for_secs, over_secs, reason, force }),
        };
        let request = DrainRequest {
            datacenter,
            action,
            consent: RuleConsent { accepted, reason: consent_reason, author: author.of_override() },
        };
        return change_state(state, request, author).await;
    }
    let options =
        OverrideOptions { for_secs, over_secs, reason, accepted, ..OverrideOptions::default() };
    change_overrides(state, vec![datacenter], action, options, author).await
}

/// Removes the override that drains a datacenter, if there is one: an edit alone would not end the
/// drain.
async fn remove_drain(
    state: &AdminState,
    datacenter: &str,
    accepted: &BTreeSet<SafetyRule>,
    author: &Author,
) -> Result<(), ApiError> {
    let options = OverrideOptions { accepted: accepted.clone(), ..OverrideOptions::default() };
    let request = OverrideRequest {
        subjects: vec![datacenter.to_owned()],
        action: OverrideAction::Undrain,
        options,
        author: author.of_override(),
    };
    let handle = state.context.controller.clone();
    let removed = run_to_completion(async move { handle.set_overrides(request).await }).await?;
    match removed {
        Err(forbidden @ OverrideError::Forbidden(_)) => Err(forbidden.into()),
        // Without an override there is nothing to remove, and the reply is that of the edit.
        _ => Ok(()),
    }
}

/// Lets the clients of a `failover` pool return to its first usable member.
pub(super) async fn failback(
    State(state): SharedState,
    Path(pool): Path<String>,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    let DrainBody { reason, rules, .. } = drain_body(&body)?;
    let accepted = accepted_rules(&rules, reason.as_deref(), false)?;
    let consent = RuleConsent { accepted, reason, author: author.of_override() };
    let handle = state.context.controller.clone();
    let mut change = AuditedChange::of_pool("failback", &pool, author);
    change.log_request(None);
    let name = pool.clone();
    let was_held = run_to_completion(async move {
        let result = match handle.force_failback(name, consent).await {
            Ok(Err(violations)) => Err(OverrideError::Forbidden(violations).into()),
            Ok(Ok(Some(was_held))) => Ok(was_held),
            Ok(Ok(None)) => {
                Err(ApiError::new(StatusCode::NOT_FOUND, format!("there is no pool {pool:?}")))
            }
            Err(gone) => Err(gone.into()),
        };
        change.log_result(result.as_ref().map(|_| None));
        if let Ok(true) = result {
            change.record(None, &handle);
        }
        result.map(|was_held| json!({ "pool": pool, "given-back": was_held }))
    });
    Ok(uncached_response(JSON_TYPE, json_octets(&was_held.await??)))
}

fn drain_body(body: &[u8]) -> Result<DrainBody, ApiError> {
    read_body(body, r#"{"reason": "kernel upgrade", "for-secs": 7200, "force": false}"#)
}

async fn change_state(
    state: &AdminState,
    request: DrainRequest,
    author: Author,
) -> Result<Response, ApiError> {
    let handle = state.context.controller.clone();
    let mut change =
        AuditedChange::of_datacenter(request.action.as_str(), &request.datacenter, author);
    change.log_request(if let DrainAction::Drain(drain) = &request.action {
        Some(drain)
    } else {
        None
    });
    let report = run_to_completion(async move {
        let result = handle.set_state(request).await;
        change.log_result(result.as_ref().map(|report| Some(report.generation)));
        if let Some(report) = result.as_ref().ok().filter(|report| !report.files.is_empty()) {
            change.record(Some(report.generation), &handle);
        }
        result
    });
    Ok(uncached_response(JSON_TYPE, json_octets(&report.await??)))
}
