//! `check`: everything that `serve` would validate, and what it would serve.

use std::process::ExitCode;

use serde_json::json;

use super::{args::Files, output::Output};
use crate::{
    config::{Config, ServerSettings, Sources, Summary},
    control::{World, unix_now},
    transport::Certificate,
};

pub(super) fn run(files: &Files, output: &Output) -> ExitCode {
    let locations = files.locations();
    let sources = Sources::read(&locations);
    let (config, warnings) = match Config::load(&sources) {
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
    // What the files say fits together; whether databases and certificates can be read and all of it compiles is known by
    // doing it.
    let mut errors = certificate_errors(&config.server);
    let mut rendered: String = errors.iter().map(|error| format!("error: {error}\n")).collect();
    let summary = Summary::new(&config, unix_now());
    if let Err(refusal) = World::of(sources, config, &warnings) {
        errors.extend(refusal.lines);
        rendered.push_str(&refusal.rendered);
    }
    if !errors.is_empty() {
        if output.json {
            output.document(&json!({ "valid": false, "errors": errors }));
        } else {
            output.message(rendered.trim_end());
        }
        return ExitCode::FAILURE;
    }
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

/// Why `serve` could not show the certificates that the settings name; each error once, though two transports share a file.
fn certificate_errors(settings: &ServerSettings) -> Vec<String> {
    let of_https = settings.https.as_ref().map(|https| &https.tls);
    let named = settings.tls.iter().chain(of_https);
    let mut errors: Vec<_> = named
        .filter_map(|tls| Certificate::load(&tls.certificate, &tls.key).err())
        .map(|error| error.to_string())
        .collect();
    errors.dedup();
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Locations;

    #[test]
    fn certificates_that_serve_would_refuse_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let settings = "[server]
            tls   = { listen = [\"127.0.0.1:0\"], certificate = \"empty.pem\", key = \"key.pem\" }
            https = { listen = [\"127.0.0.1:0\"], certificate = \"empty.pem\", key = \"key.pem\" }\n";
        std::fs::write(at("portolan.toml"), settings).unwrap();
        std::fs::write(at("empty.pem"), "").unwrap();
        std::fs::create_dir(at("zones")).unwrap();
        let locations = Locations { config: Some(at("portolan.toml")), ..Locations::default() };
        let (config, _) = Config::load(&Sources::read(&locations)).unwrap();
        let errors = certificate_errors(&config.server);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("empty.pem: no certificate in it"), "{errors:?}");
    }
}
