//! `explain` and `plan`: the answer that a client gets and the reason, and what a change would
//! move.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    args::{ExplainArguments, PlanArguments},
    client::{self, RemoteError, ServerReply, percent_encoded, request_at, server_url},
    output::Output,
};
use crate::{
    admin::ReplayedExplanation,
    config::SourceOptions,
    control::{LoadedConfig, Replay, ServerStatus, time_text},
    engine::{self, ExplainRequest, Explanation, PlanLimits},
};

/// The exit code of a plan that violates a limit.
const EXIT_FORBIDDEN: u8 = 3;

/// An explanation and its source.
#[derive(Debug, Serialize)]
struct SourcedExplanation {
    source: ExplanationSource,
    #[serde(flatten)]
    replayed: ReplayedExplanation,
}

/// The source of an explanation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ExplanationSource {
    /// A running server, with its health status.
    Server(ServerStatus),
    /// The files, with the health of all targets unknown.
    #[serde(rename_all = "kebab-case")]
    Files {
        /// Why no server was used.
        because: String,
    },
}

pub(super) fn explain(explain: &ExplainArguments, output: &Output) -> ExitCode {
    match explain_with_source(explain, output) {
        Ok(sourced) if output.json => output.print_document(&sourced),
        Ok(SourcedExplanation {
            source,
            replayed: ReplayedExplanation { replay, explanation },
        }) => {
            output.print_line(&match source {
                ExplanationSource::Server(server) => {
                    format!("from the running {}", client::server_line(&server))
                }
                ExplanationSource::Files { because } => {
                    format!("from the files, with the health of all targets unknown: {because}")
                }
            });
            if let Some(Replay { at, since, notes }) = replay {
                output.print_line(&format!(
                    "as it was at {at}, under conditions in force since {since}"
                ));
                notes.iter().for_each(|note| output.print_line(&format!("note: {note}")));
            }
            let explanation = client::escape_document(explanation);
            output.print_line(engine::render_text(&explanation, output.is_coloured()).trim_end());
        }
        Err(why) => return output.fail(&why),
    }
    ExitCode::SUCCESS
}

/// An explanation from the running server if one answers, else from the files. An error reply of a
/// server is reported, and so is the failure to reach one that `--server` names.
fn explain_with_source(
    explain: &ExplainArguments,
    output: &Output,
) -> Result<SourcedExplanation, String> {
    let from_files = |because: String| {
        if explain.at.is_some() {
            return Err(format!(
                "{because}: only a running server has the history that --at needs"
            ));
        }
        let explanation = explain_from_files(explain, output)?;
        let replayed = ReplayedExplanation { replay: None, explanation };
        Ok(SourcedExplanation { source: ExplanationSource::Files { because }, replayed })
    };
    if explain.server.is_none()
        && (explain.files.zones.is_some() || !explain.files.geoip.is_empty())
    {
        return from_files("--zones or --geoip is given".to_owned());
    }
    let from_environment =
        || std::env::var("PORTOLAN_SERVER").ok().filter(|server| !server.is_empty());
    let url = match explain.server.clone().or_else(from_environment) {
        Some(server) => server_url(&server).map_err(|error| error.to_string())?,
        None => match client::configured_url(&explain.files.locations()) {
            Ok(url) => url,
            Err(error) => {
                return from_files(error.to_string().lines().next().unwrap_or_default().to_owned());
            }
        },
    };
    match explain_from_server(explain, &url) {
        Ok(ServerReply { server, document }) => {
            Ok(SourcedExplanation { source: ExplanationSource::Server(server), replayed: document })
        }
        Err(RemoteError::Unreachable { url, cause }) if explain.server.is_none() => {
            from_files(format!("no server answers at {url} ({cause})"))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn explain_from_files(explain: &ExplainArguments, output: &Output) -> Result<Explanation, String> {
    let result = LoadedConfig::load(&explain.files.locations(), output.message_colours());
    let mut loaded = result.map_err(|refusal| refusal.rendered)?;
    let (snapshot, conditions) = loaded.first_snapshot();
    let context = engine::SnapshotContext {
        snapshot: &snapshot,
        databases: loaded.databases(),
        conditions: &conditions,
    };
    let request = ExplainRequest {
        name: explain.name.clone(),
        rtype: explain.rtype,
        client: explain.client,
        subnet: explain.subnet,
        seed: fastrand::u64(..),
    };
    engine::explain(&context, &request).map_err(|error| error.to_string())
}

fn explain_from_server(
    explain: &ExplainArguments,
    url: &str,
) -> Result<ServerReply<ReplayedExplanation>, RemoteError> {
    let (name, rtype, client) =
        (percent_encoded(&explain.name.to_string()), explain.rtype, explain.client);
    let subnet = explain
        .subnet
        .map(|subnet| format!("&subnet={}", percent_encoded(&subnet.to_string())))
        .unwrap_or_default();
    let at = explain.at.map(|at| format!("&at={}", percent_encoded(&time_text(at))));
    let path = format!(
        "/api/v1/explain?name={name}&type={rtype}&client={}{subnet}{}",
        percent_encoded(&client.to_string()),
        at.unwrap_or_default()
    );
    request_at(url, &path, None)
}

pub(super) fn plan(plan: &PlanArguments, output: &Output) -> ExitCode {
    let after = plan.files.locations();
    let before = SourceOptions { zones: Some(plan.against.clone()), ..after.clone() };
    let load = |locations: &SourceOptions| LoadedConfig::load(locations, output.message_colours());
    let (mut before, mut after) = match (load(&before), load(&after)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            let refusals = [before.err(), after.err()].into_iter().flatten();
            return output.fail(&refusals.map(|refusal| refusal.rendered).collect::<String>());
        }
    };
    let (old_snapshot, old_conditions) = before.first_snapshot();
    let (new_snapshot, new_conditions) = after.first_snapshot();
    let old = engine::SnapshotContext {
        snapshot: &old_snapshot,
        databases: before.databases(),
        conditions: &old_conditions,
    };
    let new = engine::SnapshotContext {
        snapshot: &new_snapshot,
        databases: after.databases(),
        conditions: &new_conditions,
    };
    let planned = engine::plan(&old, &new);
    let violations = planned
        .violations(&PlanLimits { max_moved_percent: plan.max_moved, ..PlanLimits::default() });
    if output.json {
        output.print_document(&serde_json::json!({ "plan": planned, "violations": violations }));
    } else {
        output.print_line(engine::render_plan(&planned, output.is_coloured()).trim_end());
    }
    violations
        .iter()
        .for_each(|violation| output.print_message(&format!("forbidden: {violation}")));
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FORBIDDEN) }
}
