//! `failback`: clients of a `failover` pool return to its first usable member.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::Value;

use super::{
    args::FailbackArguments,
    client::{ServerList, ServerReply, ServerReport, percent_encoded, report_each, send_change},
    exit::CommandExit,
    output::Output,
    override_args::RuleArguments,
};
use crate::admin::DrainBody;

pub(super) fn run(failback: &FailbackArguments, output: &Output) -> ExitCode {
    let list = match ServerList::new(&failback.remote) {
        Ok(list) => list,
        Err(error) => return output.fail(&error),
    };
    let path = format!("/api/v1/pools/{}/failback", percent_encoded(&failback.pool));
    let RuleArguments { reason, rules } = failback.rules.clone();
    let body = DrainBody { reason, rules, ..DrainBody::default() };
    let ask = |server: &_| send_change(server, Method::POST, &path, &body);
    report_each(&list.servers, output, ask, |reply, _| report(&failback.pool, &reply))
}

fn report(pool: &str, reply: &ServerReply<Value>) -> ServerReport {
    let was_held = reply.document.get("given-back").and_then(Value::as_bool) == Some(true);
    let what = if was_held {
        "clients return to the first usable member"
    } else {
        "no clients wait for a failback"
    };
    ServerReport {
        exit: CommandExit::Success,
        document: serde_json::to_value(reply).unwrap_or_default(),
        heading: reply.server_line(),
        text: format!("{pool}: {what}"),
        messages: Vec::new(),
    }
}
