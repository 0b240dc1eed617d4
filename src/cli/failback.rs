//! `failback`: clients of a `failover` pool return to its first usable member.

use std::process::ExitCode;

use super::{
    args::FailbackArguments,
    client::{ServerReply, percent_encoded, request},
    output::Output,
};
use crate::admin::DrainBody;

pub(super) fn run(failback: &FailbackArguments, output: &Output) -> ExitCode {
    let path = format!("/api/v1/pools/{}/failback", percent_encoded(&failback.pool));
    let reply: ServerReply<serde_json::Value> =
        match request(&failback.remote, &path, Some(&DrainBody::default())) {
            Ok(reply) => reply,
            Err(error) => return error.report(output),
        };
    if output.json {
        output.print_document(&reply);
        return ExitCode::SUCCESS;
    }
    let was_held =
        reply.document.get("given-back").and_then(serde_json::Value::as_bool) == Some(true);
    let what = if was_held {
        "clients return to the first usable member"
    } else {
        "no clients wait for a failback"
    };
    output.print_line(&reply.server_line());
    output.print_line(&format!("{}: {what}", failback.pool));
    ExitCode::SUCCESS
}
