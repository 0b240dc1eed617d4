//! `check`: validates everything that `serve` would, and shows what it would serve.

use std::{fmt, process::ExitCode};

use serde_json::json;

use super::{args::CheckArguments, output::Output};
use crate::{
    config::{
        Config, Diagnostics, FileRole, ServerSettings, Severity, Sources, Summary, TlsSettings,
    },
    control::{CertificateStatus, LoadedConfig, unix_now},
    listing::counted,
    transport::CertificateRegistry,
};

pub(super) fn run(check: &CheckArguments, output: &Output) -> ExitCode {
    let locations = match check.locations() {
        Ok(locations) => locations,
        Err(error) => return output.fail(&error),
    };
    let sources = Sources::read(&locations);
    let checked = CheckedFiles::of(&sources);
    let (config, diagnostics) = match Config::load(&sources) {
        Ok(loaded) => loaded,
        Err(errors) => {
            report_diagnostics(&errors, &checked, output);
            return ExitCode::FAILURE;
        }
    };
    // The files are consistent. Whether databases and certificates can be read and everything
    // compiles is found by doing it.
    let CertificateReport { mut errors, warnings: expiring } =
        CertificateReport::of(&config.server, unix_now());
    let mut rendered: String = errors.iter().map(|error| format!("error: {error}\n")).collect();
    let summary = Summary::new(&config, unix_now());
    let known_warnings: Vec<String> = diagnostics.lines().collect();
    let mut other_warnings = expiring;
    match LoadedConfig::from_config(sources, config, &diagnostics) {
        Ok(loaded) => other_warnings.extend(
            loaded.warnings.into_iter().filter(|warning| !known_warnings.contains(warning)),
        ),
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
    let warnings = diagnostics.count() + other_warnings.len();
    let is_valid = warnings == 0 || !check.strict;
    if output.json {
        output.print_document(&json!({
            "valid": is_valid, "checked": checked.to_json(), "diagnostics": diagnostics.to_json(), "warnings": other_warnings,
            "serves": summary.to_json(),
        }));
    } else {
        if !diagnostics.is_empty() {
            output.print_message(&diagnostics.render(output.message_colours()));
        }
        other_warnings
            .iter()
            .for_each(|warning| output.print_message(&format!("warning: {warning}\n")));
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

/// Reports files that are invalid in themselves.
fn report_diagnostics(errors: &Diagnostics, checked: &CheckedFiles, output: &Output) {
    if output.json {
        output.print_document(&json!({
            "valid": false, "checked": checked.to_json(), "diagnostics": errors.to_json(),
        }));
    } else {
        output.print_message(&errors.render(output.message_colours()));
        output.print_message(&format!("{}; {checked}", count_text(errors)));
    }
}

/// The files that were read; displays as a sentence.
struct CheckedFiles {
    config: Option<String>,
    zones: String,
    files: usize,
}

impl CheckedFiles {
    fn of(sources: &Sources) -> Self {
        let display_path = |role| {
            sources.files().iter().find(|file| file.role == role).map(|file| file.shown.to_string())
        };
        let is_zone_file = |extension: &std::ffi::OsStr| {
            extension.eq_ignore_ascii_case("toml") || extension.eq_ignore_ascii_case("zone")
        };
        let zone_files = sources
            .files()
            .iter()
            .filter(|file| matches!(file.role, FileRole::Tables | FileRole::Master));
        Self {
            config: display_path(FileRole::Settings),
            zones: display_path(FileRole::Directory).unwrap_or_default(),
            files: zone_files
                .filter(|file| file.path.extension().is_some_and(is_zone_file))
                .count(),
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
            None => f.write_str("; there is no portolan.toml, so the defaults apply"),
        }
    }
}

/// The number of errors and warnings: `1 error, 2 warnings`.
fn count_text(diagnostics: &Diagnostics) -> String {
    let warnings =
        diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning).count();
    let errors = counted(diagnostics.count() - warnings, "error");
    if warnings == 0 { errors } else { format!("{errors}, {}", counted(warnings, "warning")) }
}

/// Problems of the certificates that the settings name.
struct CertificateReport {
    /// Why `serve` could not use them; one error per file, even if two transports share it.
    errors: Vec<String>,
    /// Warnings about certificates that have expired or expire soon.
    warnings: Vec<String>,
}

impl CertificateReport {
    fn of(settings: &ServerSettings, now: i64) -> Self {
        let https = settings.https.as_ref().map(|https| &https.tls);
        let mut certificates = CertificateRegistry::default();
        let load = |tls: &TlsSettings| certificates.load(&tls.certificate, &tls.key).err();
        let mut errors: Vec<_> = settings
            .tls
            .iter()
            .chain(https)
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
        let path = |name: &str| directory.path().join(name);
        let settings = "[server]
            tls   = { listen = [\"127.0.0.1:0\"], certificate = \"empty.pem\", key = \"key.pem\" }
            https = { listen = [\"127.0.0.1:0\"], certificate = \"empty.pem\", key = \"key.pem\" }\n";
        std::fs::write(path("portolan.toml"), settings).unwrap();
        std::fs::write(path("empty.pem"), "").unwrap();
        std::fs::create_dir(path("zones")).unwrap();
        let locations =
            SourceOptions { config: Some(path("portolan.toml")), ..SourceOptions::default() };
        let (config, _) = Config::load(&Sources::read(&locations)).unwrap();
        let CertificateReport { errors, .. } = CertificateReport::of(&config.server, unix_now());
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("empty.pem: no certificate in it"), "{errors:?}");
    }
}
