//! `reload`: makes running servers read their files now.

use std::process::ExitCode;

use reqwest::Method;

use super::{
    args::ReloadArguments,
    client::{ServerList, ServerReply, ServerReport, report_each, send_change},
    exit::CommandExit,
    output::Output,
};
use crate::{admin::ReloadBody, control::ReloadReport};

pub(super) fn run(reload: &ReloadArguments, output: &Output) -> ExitCode {
    let list = match ServerList::new(&reload.remote) {
        Ok(list) => list,
        Err(error) => return output.fail(&error),
    };
    let body = ReloadBody {
        accept_removal: reload.accept_removal,
        rules: reload.rules.rules.clone(),
        reason: reload.rules.reason.clone(),
    };
    let report = |reply: ServerReply<ReloadReport>, _: &Output| ServerReport {
        exit: CommandExit::Success,
        heading: reply.server_line(),
        text: format!("all files are in use; generation {}", reply.document.generation),
        document: serde_json::to_value(&reply).unwrap_or_default(),
        messages: Vec::new(),
    };
    let ask = |server: &_| send_change(server, Method::POST, "/api/v1/reload", &body);
    report_each(&list.servers, output, ask, report)
}
