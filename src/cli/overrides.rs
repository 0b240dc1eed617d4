//! `drain`, `undrain`, `disable`, `enable`, `standby`, `force`, `weight`: overrides on every named
//! server, and their effect on the snapshot in force of each.

use std::{process::ExitCode, time::Duration};

use reqwest::Method;
use serde::Serialize;

use super::{
    args::{PlanArguments, ServerArguments},
    change_report,
    client::{
        RemoteError, RemoteServer, ServerList, ServerReply, ServerReport, ask_each,
        percent_encoded, report_replies, send_change,
    },
    drain_watch::{self, WatchedServer},
    exit::CommandExit,
    output::Output,
    override_args::{
        DrainArguments, ForcedHealth, ForcedHealthArguments, MemberWeight, OverrideArguments,
        RuleArguments, StateArguments, UndrainArguments, WeightArguments,
    },
    plan,
};
use crate::{
    admin::{DrainBody, OverrideBody, RemovalBody},
    control::DrainReport,
};

const PATH: &str = "/api/v1/overrides";

type ChangeReply = Result<ServerReply<DrainReport>, RemoteError>;

pub(super) fn drain(drain: &DrainArguments, output: &Output) -> ExitCode {
    if drain.dry_run {
        return dry_run(drain, output);
    }
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
            rules: drain.options.rules.clone(),
            force: drain.options.force,
            edit: true,
        };
        let watches = drain.watch;
        return edit(&drain.remote, &drain.subjects, action, &change, watches, output);
    }
    let body = OverrideBody {
        over_secs: secs(drain.over),
        ..override_body(action, &drain.subjects, &drain.options)
    };
    change_each(&drain.remote, Method::PUT, &body, drain.watch, output)
}

/// Plans the drain on each server, and changes nothing.
fn dry_run(drain: &DrainArguments, output: &Output) -> ExitCode {
    let list = match ServerList::new(&drain.remote) {
        Ok(list) => list,
        Err(error) => return output.fail(&error),
    };
    let plan_of = |server: &RemoteServer| PlanArguments {
        server: Some(server.url("")),
        ca: drain.remote.ca.clone(),
        drain: drain.subjects.clone(),
        ..PlanArguments::default()
    };
    let exits = list.servers.iter().map(|server| plan::run(&plan_of(server), output));
    exits.max().unwrap_or(CommandExit::Success).code()
}

pub(super) fn undrain(undrain: &UndrainArguments, output: &Output) -> ExitCode {
    if undrain.edit {
        let RuleArguments { reason, rules } = undrain.rules.clone();
        let change = DrainBody { reason, rules, edit: true, ..DrainBody::default() };
        return edit(&undrain.remote, &undrain.subjects, "undrain", &change, false, output);
    }
    let RuleArguments { reason, rules } = undrain.rules.clone();
    let options = OverrideArguments { reason, rules, ..OverrideArguments::default() };
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
            return remove(&force.remote, force.subjects.clone(), "force", &force.options, output);
        }
    };
    set(&force.remote, &override_body(action, &force.subjects, &force.options), output)
}

pub(super) fn weight(weight: &WeightArguments, output: &Output) -> ExitCode {
    let subjects = vec![weight.subject.clone()];
    let MemberWeight::Is(value) = weight.weight else {
        return remove(&weight.remote, subjects, "weight", &weight.options, output);
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

fn set(remote: &ServerArguments, body: &OverrideBody, output: &Output) -> ExitCode {
    change_each(remote, Method::PUT, body, false, output)
}

fn remove(
    remote: &ServerArguments,
    subjects: Vec<String>,
    kind: &str,
    options: &OverrideArguments,
    output: &Output,
) -> ExitCode {
    let body = RemovalBody {
        subjects,
        kind: kind.to_owned(),
        rules: options.rules.clone(),
        reason: options.reason.clone(),
    };
    change_each(remote, Method::DELETE, &body, false, output)
}

/// Sends the same request to every server, and reports the reply of each. With `watches`, it then
/// follows the drains.
fn change_each(
    remote: &ServerArguments,
    method: Method,
    body: &(impl Serialize + Sync),
    watches: bool,
    output: &Output,
) -> ExitCode {
    let ask = |server: &RemoteServer| vec![send_change(server, method.clone(), PATH, body)];
    report_changes(remote, ask, watches, output)
}

/// Edits the file of each datacenter on every server.
fn edit(
    remote: &ServerArguments,
    datacenters: &[String],
    verb: &str,
    change: &DrainBody,
    watches: bool,
    output: &Output,
) -> ExitCode {
    let edit_all = |server: &RemoteServer| -> Vec<ChangeReply> {
        let edit_one = |name: &String| {
            let path = format!("/api/v1/datacenters/{}/{verb}", percent_encoded(name));
            send_change(server, Method::POST, &path, change)
        };
        datacenters.iter().map(edit_one).collect()
    };
    report_changes(remote, edit_all, watches, output)
}

fn report_changes(
    remote: &ServerArguments,
    change: impl Fn(&RemoteServer) -> Vec<ChangeReply> + Sync,
    watches: bool,
    output: &Output,
) -> ExitCode {
    let list = match ServerList::new(remote) {
        Ok(list) => list,
        Err(error) => return output.fail(&error),
    };
    let replies = ask_each(&list.servers, change);
    let watched = |(server, replies): (&RemoteServer, &Vec<ChangeReply>)| {
        let reports = replies.iter().flatten().map(|reply| &reply.document);
        WatchedServer::new(server.clone(), reports)
    };
    let watched: Vec<_> = match watches {
        true => list.servers.iter().zip(&replies).map(watched).collect(),
        false => Vec::new(),
    };
    let exit = report_replies(replies.into_iter().flatten().collect(), output, report);
    match watches {
        // What some servers refused, others may have begun: that is followed.
        true => exit.max(drain_watch::run(watched, output)).code(),
        false => exit.code(),
    }
}

fn report(reply: ServerReply<DrainReport>, _: &Output) -> ServerReport {
    let document = serde_json::to_value(&reply).unwrap_or_default();
    let reply = reply.escaped();
    ServerReport {
        exit: CommandExit::Success,
        document,
        heading: reply.server_line(),
        text: change_report::text(&reply.document),
        messages: change_report::warnings(&reply.document),
    }
}
