//! `check`: everything that `serve` would validate, and what it would serve.

use std::{fmt, process::ExitCode};

use serde_json::json;

use super::{args::CheckArguments, output::Output};
use crate::{
    config::{
        Config, Diagnostics, FileRole, ServerSettings, Severity, Sources, Summary, TlsSettings,
    },
    control::{CertificateStatus, LoadedConfig, unix_now},
    transport::CertificateRegistry,
};

pub(super) fn run(check: &CheckArguments, output: &Output) -> ExitCode {
    let locations = match check.locations() {
        Ok(locations) => locations,
        Err(error) => return output.fail(&error),
    };
    let sources = Sources::read(&locations);
    let checked = CheckedFiles::of(&sources);
    let (config, found) = match Config::load(&sources) {
        Ok(loaded) => loaded,
        Err(errors) => {
            if output.json {
                output.print_document(&json!({
                    "valid": false, "checked": checked.to_json(), "diagnostics": errors.to_json(),
                }));
            } else {
                output.print_message(&errors.render(output.message_colours()));
                output.print_message(&format!("{}; {checked}", count_text(&errors)));
            }
            return ExitCode::FAILURE;
        }
    };
    // What the files say fits together; whether databases and certificates can be read and all of
    // it compiles is known by doing it.
    let CertificateReport { mut errors, warnings: expiring } =
        CertificateReport::of(&config.server, unix_now());
    let mut rendered: String = errors.iter().map(|error| format!("error: {error}\n")).collect();
    let summary = Summary::new(&config, unix_now());
    let known: Vec<String> = found.lines().collect();
    let mut others = expiring;
    match LoadedConfig::from_config(sources, config, &found) {
        Ok(world) => {
            others.extend(world.warnings.into_iter().filter(|warning| !known.contains(warning)))
        }
        Err(refusal) => {
            errors.extend(refusal.lines);
            rendered.push_str(&refusal.rendered);
        }
    }
    if !errors.is_empty() {
        if output.json {
            output.print_document(
                &json!({ "valid": false, "checked": checked.to_json(), "errors": errors }),
            );
        } else {
            output.print_message(rendered.trim_end());
            output.print_message(&checked.to_string());
        }
        return ExitCode::FAILURE;
    }
    let warnings = found.count() + others.len();
    let is_valid = warnings == 0 || !check.strict;
    if output.json {
        output.print_document(&json!({
            "valid": is_valid, "checked": checked.to_json(), "diagnostics": found.to_json(), "warnings": others,
            "serves": summary.to_json(),
        }));
    } else {
        if !found.is_empty() {
            output.print_message(&found.render(output.message_colours()));
        }
        others.iter().for_each(|warning| output.print_message(&format!("warning: {warning}\n")));
        output.print_line(&checked.to_string());
        output.print_line(summary.to_string().trim_end());
        if !is_valid {
            output.print_message(&format!(
                "{}, and --strict allows none",
                counted(warnings, "warning")
            ));
        }
    }
    if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which files were read. Displays as a sentence.
struct CheckedFiles {
    config: Option<String>,
    zones: String,
    files: usize,
}

impl CheckedFiles {
    fn of(sources: &Sources) -> Self {
        let shown = |role| {
            sources.files().iter().find(|file| file.role == role).map(|file| file.shown.to_string())
        };
        let is_of_zones = |extension: &std::ffi::OsStr| {
            extension.eq_ignore_ascii_case("toml") || extension.eq_ignore_ascii_case("zone")
        };
        let below = sources
            .files()
            .iter()
            .filter(|file| matches!(file.role, FileRole::Tables | FileRole::Master));
        Self {
            config: shown(FileRole::Settings),
            zones: shown(FileRole::Directory).unwrap_or_default(),
            files: below.filter(|file| file.path.extension().is_some_and(is_of_zones)).count(),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        json!({ "config": self.config, "zones": self.zones, "files": self.files })
    }
}

impl fmt::Display for CheckedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checked {} in {}", counted(self.files, "file"), self.zones)?;
        match &self.config {
            Some(config) => write!(f, ", and {config}"),
            None => f.write_str("; there is no portolan.toml, so its defaults hold"),
        }
    }
}

/// How many errors and warnings there are.
fn count_text(found: &Diagnostics) -> String {
    let warnings =
        found.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning).count();
    let errors = counted(found.count() - warnings, "error");
    if warnings == 0 { errors } else { format!("{errors}, {}", counted(warnings, "warning")) }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// What becomes of the certificates that the settings name.
struct CertificateReport {
    /// Why `serve` could not use them; each error once, though two transports share a file.
    errors: Vec<String>,
    /// Those that have expired or soon will.
    warnings: Vec<String>,
}

impl CertificateReport {
    fn of(settings: &ServerSettings, now: i64) -> Self {
        let of_https = settings.https.as_ref().map(|https| &https.tls);
        let mut certificates = CertificateRegistry::default();
        let load = |tls: &TlsSettings| certificates.load(&tls.certificate, &tls.key).err();
        let mut errors: Vec<_> = settings
            .tls
            .iter()
            .chain(of_https)
            .filter_map(load)
            .map(|error| error.to_string())
            .collect();
        errors.dedup();
        let states = certificates.states().into_iter().map(CertificateStatus::from);
        let warnings =
            states.filter_map(|state| state.concern(now)).map(|concern| concern.text).collect();
        Self { errors, warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourceOptions;

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
        let locations =
            SourceOptions { config: Some(at("portolan.toml")), ..SourceOptions::default() };
        let (config, _) = Config::load(&Sources::read(&locations)).unwrap();
        let CertificateReport { errors, .. } = CertificateReport::of(&config.server, unix_now());
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("empty.pem: no certificate in it"), "{errors:?}");
    }
}
