//! `reload`: makes the running server read its files now.

use std::process::ExitCode;

use super::{
    args::ReloadArguments,
    client::{ServerReply, request_with_body},
    output::Output,
};
use crate::{admin::ReloadBody, control::ReloadReport};

pub(super) fn run(reload: &ReloadArguments, output: &Output) -> ExitCode {
    let body = ReloadBody { accept_removal: reload.accept_removal };
    let body = serde_json::to_vec(&body).ok();
    let reply: ServerReply<ReloadReport> =
        match request_with_body(&reload.remote, "/api/v1/reload", body) {
            Ok(reply) => reply,
            Err(error) => return error.report(output),
        };
    if output.json {
        output.print_document(&reply);
    } else {
        output.print_line(&reply.server_line());
        output
            .print_line(&format!("all files are in use; generation {}", reply.document.generation));
    }
    ExitCode::SUCCESS
}
