//! `explain` and `plan`: what clients get and why, and what a change would move.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    args::{Explain, Plan},
    output::Output,
    remote::{self, Answered, RemoteError, ask_at, encoded, server_url},
};
use crate::{
    config::SourceOptions,
    control::{LoadedConfig, ServerStatus},
    engine::{self, ExplainRequest, Explanation, PlanLimits},
};

/// The exit code of a plan that a rule forbids.
const FORBIDDEN: u8 = 3;

/// An explanation and where it comes from.
#[derive(Debug, Serialize)]
struct Sourced {
    source: Source,
    #[serde(flatten)]
    explanation: Explanation,
}

/// Where an explanation comes from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// A running server, with the health that it sees.
    Server(ServerStatus),
    /// The files, with every monitor unknown.
    #[serde(rename_all = "kebab-case")]
    Files {
        /// Why no server was asked, or none answered.
        because: String,
    },
}

pub(super) fn explain(explain: &Explain, output: &Output) -> ExitCode {
    match sourced(explain, output) {
        Ok(sourced) if output.json => output.document(&sourced),
        Ok(Sourced { source, explanation }) => {
            output.line(&match source {
                Source::Server(server) => format!("from the running {}", remote::source(&server)),
                Source::Files { because } => {
                    format!("from the files, with every monitor unknown: {because}")
                }
            });
            let explanation = remote::for_people(explanation);
            output.line(engine::render_text(&explanation, output.is_coloured()).trim_end());
        }
        Err(why) => return output.fail(&why),
    }
    ExitCode::SUCCESS
}

/// From the running server, if one answers; else from the files. A server that answers with an
/// error is not passed over, nor one that `--server` names.
fn sourced(explain: &Explain, output: &Output) -> Result<Sourced, String> {
    let from_files = |because: String| {
        let explanation = from_files(explain, output)?;
        Ok(Sourced { source: Source::Files { because }, explanation })
    };
    if explain.server.is_none()
        && (explain.files.zones.is_some() || !explain.files.geoip.is_empty())
    {
        return from_files("--zones or --geoip names them".to_owned());
    }
    let named = || std::env::var("PORTOLAN_SERVER").ok().filter(|server| !server.is_empty());
    let url = match explain.server.clone().or_else(named) {
        Some(server) => server_url(&server).map_err(|error| error.to_string())?,
        None => match remote::configured_url(&explain.files.locations()) {
            Ok(url) => url,
            Err(error) => {
                return from_files(error.to_string().lines().next().unwrap_or_default().to_owned());
            }
        },
    };
    match from_server(explain, &url) {
        Ok(Answered { server, document }) => {
            Ok(Sourced { source: Source::Server(server), explanation: document })
        }
        Err(RemoteError::Unreachable(url, why)) if explain.server.is_none() => {
            from_files(format!("no server answers at {url} ({why})"))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn from_files(explain: &Explain, output: &Output) -> Result<Explanation, String> {
    let loaded = LoadedConfig::load(&explain.files.locations(), output.message_colours());
    let mut world = loaded.map_err(|refusal| refusal.rendered)?;
    let (snapshot, conditions) = world.first_snapshot();
    let seen = engine::SnapshotContext {
        snapshot: &snapshot,
        databases: world.databases(),
        conditions: &conditions,
    };
    let request = ExplainRequest {
        name: explain.name.clone(),
        rtype: explain.rtype,
        client: explain.client,
        subnet: explain.subnet,
        seed: fastrand::u64(..),
    };
    engine::explain(&seen, &request).map_err(|not_ours| not_ours.to_string())
}

fn from_server(explain: &Explain, url: &str) -> Result<Answered<Explanation>, RemoteError> {
    let (name, rtype, client) = (encoded(&explain.name.to_string()), explain.rtype, explain.client);
    let subnet = explain
        .subnet
        .map(|subnet| format!("&subnet={}", encoded(&subnet.to_string())))
        .unwrap_or_default();
    let path = format!(
        "/api/v1/explain?name={name}&type={rtype}&client={}{subnet}",
        encoded(&client.to_string())
    );
    ask_at(url, &path, None)
}

pub(super) fn plan(plan: &Plan, output: &Output) -> ExitCode {
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
    let was = engine::SnapshotContext {
        snapshot: &old_snapshot,
        databases: before.databases(),
        conditions: &old_conditions,
    };
    let is = engine::SnapshotContext {
        snapshot: &new_snapshot,
        databases: after.databases(),
        conditions: &new_conditions,
    };
    let planned = engine::plan(&was, &is);
    let violations = planned
        .violations(&PlanLimits { max_moved_percent: plan.max_moved, ..PlanLimits::default() });
    if output.json {
        output.document(&serde_json::json!({ "plan": planned, "violations": violations }));
    } else {
        output.line(engine::render_plan(&planned, output.is_coloured()).trim_end());
    }
    violations.iter().for_each(|violation| output.message(&format!("forbidden: {violation}")));
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FORBIDDEN) }
}
