//! Where output goes and how it looks.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::args::{Arguments, Colour, LogFormat};
use crate::config::Colours;

/// Where output goes and how it looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    colour: Colour,
    pub json: bool,
}

impl Output {
    pub(super) fn new(arguments: &Arguments) -> Self {
        Self { colour: arguments.color, json: arguments.json }
    }

    /// Whether data on stdout is coloured.
    pub(super) fn is_coloured(&self) -> bool {
        self.colours(io::stdout().is_terminal())
    }

    /// How messages on stderr are coloured. With `--json` they stand in the document, too: plain.
    pub(super) fn message_colours(&self) -> Colours {
        if !self.json && self.colours(io::stderr().is_terminal()) { Colours::Ansi } else { Colours::Plain }
    }

    fn colours(&self, is_terminal: bool) -> bool {
        match self.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// A line of data. A reader that has gone away ends nothing.
    pub(super) fn line(&self, line: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// A document of data.
    pub(super) fn document(&self, document: &impl Serialize) {
        // What we print has text keys and finite numbers.
        self.line(&serde_json::to_string_pretty(document).unwrap_or_default());
    }

    /// A message.
    pub(super) fn message(&self, message: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", message.trim_end());
    }

    /// A message that ends the command; with `--json` the document says it, for whoever reads stdout only.
    pub(super) fn fail(&self, error: &dyn fmt::Display) -> ExitCode {
        let text = error.to_string();
        if self.json {
            self.document(&json!({ "error": text.trim_end() }));
        }
        let is_rendered = text.trim_start_matches("\u{1b}[1m\u{1b}[91m").starts_with("error");
        self.message(&if is_rendered { text } else { format!("error: {text}") });
        ExitCode::FAILURE
    }
}

/// What is logged unless `PORTOLAN_LOG` says otherwise. hickory warns of each request that it dislikes, paths and names
/// included: who sends them would fill the log and choose its words.
const DEFAULT_LOGS: &str = "info,notify=warn,hickory_server=off,hickory_net=off";

/// Logs to stderr, filtered by `PORTOLAN_LOG`.
pub(super) fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_env("PORTOLAN_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOGS));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second subscriber cannot be set, and there is none: this runs once.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use tracing::Level;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn what_clients_make_hickory_say_is_not_logged() {
        let subscriber = tracing_subscriber::registry().with(EnvFilter::new(DEFAULT_LOGS));
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::enabled!(target: "portolan::app", Level::INFO));
            assert!(!tracing::enabled!(target: "hickory_server::server::h2_handler", Level::ERROR));
            assert!(!tracing::enabled!(target: "hickory_net::h2", Level::ERROR));
        });
    }
}
