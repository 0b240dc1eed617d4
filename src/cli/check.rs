//! `check`: everything that `serve` would validate, and what it would serve.

use std::process::ExitCode;

use serde_json::json;

use super::{args::Files, output::Output};
use crate::{
    config::{Colours, Config, ServerSettings, Sources, Summary},
    control::World,
    transport::Certificate,
};

pub(super) fn run(files: &Files, output: &Output) -> ExitCode {
    let locations = files.locations();
    let loaded = Config::load(&Sources::read(&locations));
    let (config, warnings) = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            if output.json {
                output.document(&json!({ "valid": false, "diagnostics": errors.to_json() }));
            } else {
                output.message(&errors.render(output.message_colours()));
            }
            return ExitCode::FAILURE;
        }
    };
    // What the files say fits together; whether the databases can be read and all of it compiles is known by doing it.
    if let Err(refusal) = World::load(&locations, Colours::Plain) {
        if output.json {
            output.document(&json!({ "valid": false, "errors": refusal.lines }));
        } else {
            output.message(&refusal.rendered);
        }
        return ExitCode::FAILURE;
    }
    let errors = certificate_errors(&config.server);
    if !errors.is_empty() {
        if output.json {
            output.document(&json!({ "valid": false, "errors": errors }));
        }
        errors.iter().for_each(|error| output.message(&format!("error: {error}")));
        return ExitCode::FAILURE;
    }
    let summary = Summary::new(&config);
    if output.json {
        output.document(&json!({ "valid": true, "diagnostics": warnings.to_json(), "serves": summary.to_json() }));
    } else {
        if !warnings.is_empty() {
            output.message(&warnings.render(output.message_colours()));
        }
        output.line(summary.to_string().trim_end());
    }
    ExitCode::SUCCESS
}

/// Why certificates cannot be used that are to be served.
fn certificate_errors(server: &ServerSettings) -> Vec<String> {
    let secure = server.tls.iter().chain(server.https.as_ref().map(|https| &https.tls));
    secure
        .filter_map(|tls| Certificate::load(&tls.certificate, &tls.key).err())
        .map(|error| error.to_string())
        .collect()
}
