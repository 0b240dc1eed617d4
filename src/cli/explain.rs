//! `explain`: the answer that a client gets, and the reason for it.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    args::ExplainArguments,
    client::{
        self, RemoteError, RemoteServer, ServerList, ServerReply, ServerReport, ServerSource,
        ask_each, percent_encoded, read_document, report_replies,
    },
    exit::CommandExit,
    output::Output,
};
use crate::{
    admin::ReplayedExplanation,
    control::{LoadedConfig, Replay, ServerStatus, time_text},
    engine::{self, ExplainRequest, Explanation},
};

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
    let has_file_flags = explain.files.zones.is_some() || !explain.files.geoip.is_empty();
    if explain.server.is_empty() && has_file_flags {
        return explain_by_files(explain, "--zones or --geoip is given".to_owned(), output);
    }
    let list = match ServerList::new(&explain.remote()) {
        Ok(list) => list,
        Err(error) => {
            let because = error.to_string().lines().next().unwrap_or_default().to_owned();
            return match explain.server.is_empty() {
                true if !ServerList::is_named_by_environment() => {
                    explain_by_files(explain, because, output)
                }
                _ => output.fail(&error),
            };
        }
    };
    let replies = ask_each(&list.servers, |server| explain_from_server(explain, server));
    // The failure to reach servers that `--server` names is reported.
    if list.source != ServerSource::Flag
        && let Some(because) = unreachable_servers(&replies)
    {
        return explain_by_files(explain, because, output);
    }
    report_replies(replies, output, report).code()
}

/// Why no server answers, if none does. An error reply of a server is an answer.
fn unreachable_servers(
    replies: &[Result<ServerReply<ReplayedExplanation>, RemoteError>],
) -> Option<String> {
    let cause = |reply: &Result<_, _>| match reply {
        Err(RemoteError::Unreachable { url, cause }) => Some(format!("{url} ({cause})")),
        _ => None,
    };
    let causes: Option<Vec<String>> = replies.iter().map(cause).collect();
    causes.map(|causes| format!("no server answers at {}", causes.join(", ")))
}

fn report(reply: ServerReply<ReplayedExplanation>, output: &Output) -> ServerReport {
    let line = format!("from the running {}", reply.server_line());
    let ServerReply { server, document } = reply;
    sourced_report(line, ExplanationSource::Server(server), document, output)
}

fn explain_by_files(explain: &ExplainArguments, because: String, output: &Output) -> ExitCode {
    if explain.at.is_some() {
        let why = format!("{because}: only a running server has the history that --at needs");
        return output.fail(&why);
    }
    let explanation = match explain_from_files(explain, output) {
        Ok(explanation) => explanation,
        Err(why) => return output.fail(&why),
    };
    let line = format!("from the files, with the health of all targets unknown: {because}");
    let source = ExplanationSource::Files { because };
    let replayed = ReplayedExplanation { replay: None, explanation };
    let report = sourced_report(line, source, replayed, output);
    if output.json {
        output.print_document(&report.document);
    } else {
        output.print_line(&report.heading);
        output.print_line(report.text.trim_end());
    }
    ExitCode::SUCCESS
}

fn sourced_report(
    heading: String,
    source: ExplanationSource,
    replayed: ReplayedExplanation,
    output: &Output,
) -> ServerReport {
    let text = replay_text(replayed.replay.as_ref())
        + &engine::render_text(
            &client::escape_document(replayed.explanation.clone()),
            output.is_coloured(),
        );
    let sourced = SourcedExplanation { source, replayed };
    ServerReport {
        exit: CommandExit::Success,
        heading,
        document: serde_json::to_value(&sourced).unwrap_or_default(),
        text,
        messages: Vec::new(),
    }
}

/// The moment of an explanation of the past, and what may differ from it; a line each.
fn replay_text(replay: Option<&Replay>) -> String {
    let Some(Replay { at, since, notes }) = replay else { return String::new() };
    let moment = format!("as it was at {at}, under conditions in force since {since}\n");
    let notes = notes.iter().map(|note| format!("note: {note}\n"));
    std::iter::once(moment).chain(notes).collect()
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
    server: &RemoteServer,
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
    read_document(server, &path)
}
