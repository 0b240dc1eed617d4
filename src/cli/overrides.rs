//! `drain`, `undrain`, `disable`, `enable`, `standby`, `force`, `weight`: overrides on every named
//! server, and their effect on the snapshot in force of each.

use std::{process::ExitCode, time::Duration};

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::{
    args::ServerArguments,
    change_report,
    client::{RemoteError, ServerReply, percent_encoded, request, request_with_method},
    output::Output,
    override_args::{
        DrainArguments, ForcedHealth, ForcedHealthArguments, MemberWeight, OverrideArguments,
        RemoteArguments, StateArguments, UndrainArguments, WeightArguments,
    },
};
use crate::{
    admin::{DrainBody, OverrideBody, RemovalBody},
    control::DrainReport,
};

const PATH: &str = "/api/v1/overrides";

type ChangeReply = Result<ServerReply<DrainReport>, RemoteError>;

pub(super) fn drain(drain: &DrainArguments, output: &Output) -> ExitCode {
    let action = match (drain.pause, drain.resume) {
        (true, _) => "pause",
        (_, true) => "resume",
        _ => "drain",
    };
    if drain.edit {
        let change = DrainBody {
            for_secs: secs(drain.options.duration),
            over_secs: secs(drain.over),
            reason: drain.options.reason.clone(),
            force: drain.options.force || !drain.options.rules.is_empty(),
            edit: true,
        };
        return edit(&drain.remote, &drain.subjects, action, &change, output);
    }
    let body = OverrideBody {
        over_secs: secs(drain.over),
        ..override_body(action, &drain.subjects, &drain.options)
    };
    set(&drain.remote, &body, output)
}

pub(super) fn undrain(undrain: &UndrainArguments, output: &Output) -> ExitCode {
    if undrain.edit {
        let change = DrainBody { edit: true, ..DrainBody::default() };
        return edit(&undrain.remote, &undrain.subjects, "undrain", &change, output);
    }
    let options = OverrideArguments::default();
    let body = OverrideBody {
        over_secs: secs(undrain.over),
        ..override_body("undrain", &undrain.subjects, &options)
    };
    set(&undrain.remote, &body, output)
}

pub(super) fn set_state(action: &str, state: &StateArguments, output: &Output) -> ExitCode {
    let body = OverrideBody {
        over_secs: secs(state.over),
        ..override_body(action, &state.subjects, &state.options)
    };
    set(&state.remote, &body, output)
}

pub(super) fn force(force: &ForcedHealthArguments, output: &Output) -> ExitCode {
    let action = match force.health {
        ForcedHealth::Up => "force-up",
        ForcedHealth::Down => "force-down",
        ForcedHealth::None => {
            return remove(&force.remote, force.subjects.clone(), "force", output);
        }
    };
    set(&force.remote, &override_body(action, &force.subjects, &force.options), output)
}

pub(super) fn weight(weight: &WeightArguments, output: &Output) -> ExitCode {
    let subjects = vec![weight.subject.clone()];
    let MemberWeight::Is(value) = weight.weight else {
        return remove(&weight.remote, subjects, "weight", output);
    };
    let body =
        OverrideBody { weight: Some(value), ..override_body("weight", &subjects, &weight.options) };
    set(&weight.remote, &body, output)
}

fn secs(duration: Option<Duration>) -> Option<u64> {
    duration.map(|duration| duration.as_secs())
}

fn override_body(action: &str, subjects: &[String], options: &OverrideArguments) -> OverrideBody {
    OverrideBody {
        action: action.to_owned(),
        subjects: subjects.to_vec(),
        for_secs: secs(options.duration),
        until: options.until.clone(),
        at: options.at.clone(),
        reason: options.reason.clone(),
        rules: options.rules.clone(),
        force: options.force,
        ..OverrideBody::default()
    }
}

fn set(remote: &RemoteArguments, body: &OverrideBody, output: &Output) -> ExitCode {
    change_each(remote, Method::PUT, body, output)
}

fn remove(
    remote: &RemoteArguments,
    subjects: Vec<String>,
    kind: &str,
    output: &Output,
) -> ExitCode {
    let body = RemovalBody { subjects, kind: kind.to_owned() };
    change_each(remote, Method::DELETE, &body, output)
}

/// Sends the same request to every server, and reports the reply of each.
fn change_each(
    remote: &RemoteArguments,
    method: Method,
    body: &impl Serialize,
    output: &Output,
) -> ExitCode {
    let servers = remote.each();
    let change = |server: &ServerArguments| request_with_method(server, method.clone(), PATH, body);
    report_each(servers.iter().map(change), output)
}

/// Edits the file of each datacenter on every server.
fn edit(
    remote: &RemoteArguments,
    datacenters: &[String],
    verb: &str,
    change: &DrainBody,
    output: &Output,
) -> ExitCode {
    let servers = remote.each();
    let each = servers.iter().flat_map(|server| datacenters.iter().map(move |name| (server, name)));
    let replies = each.map(|(server, name)| {
        let path = format!("/api/v1/datacenters/{}/{verb}", percent_encoded(name));
        request(server, &path, Some(change))
    });
    report_each(replies, output)
}

/// Reports each reply as it comes. With `--json`, one reply is one document, and several are a
/// list. The exit code is the greatest one of all.
fn report_each(replies: impl Iterator<Item = ChangeReply>, output: &Output) -> ExitCode {
    let mut documents: Vec<Value> = Vec::new();
    let mut exit_code = 0;
    for reply in replies {
        if let Err(error) = &reply {
            exit_code = exit_code.max(error.exit_code());
        }
        match reply {
            Ok(reply) if output.json => {
                documents.push(serde_json::to_value(&reply).unwrap_or_default());
            }
            Err(error) if output.json => {
                documents.push(error.document());
                output.print_message(&format!("error: {error}"));
            }
            Ok(reply) => {
                let reply = reply.escaped();
                output.print_line(&reply.server_line());
                change_report::print(&reply.document, output);
            }
            Err(error) => _ = output.fail(&error),
        }
    }
    match (output.json, documents.as_slice()) {
        (true, [one]) => output.print_document(one),
        (true, several) => output.print_document(&several),
        (false, _) => {}
    }
    ExitCode::from(exit_code)
}
