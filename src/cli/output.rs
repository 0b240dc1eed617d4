//! Where output goes and how it looks. Everything that a command prints passes here.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;

use super::args::{Arguments, Colour};
use crate::{config::Colours, printable};

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
        self.allows_colours(io::stdout().is_terminal())
    }

    /// How messages on stderr are coloured. With `--json` they stand in the document, too: plain.
    pub(super) fn message_colours(&self) -> Colours {
        if !self.json && self.allows_colours(io::stderr().is_terminal()) {
            Colours::Ansi
        } else {
            Colours::Plain
        }
    }

    fn allows_colours(&self, is_terminal: bool) -> bool {
        match self.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }

    /// A line of data, or several. A reader that has gone away ends nothing.
    pub(super) fn print_line(&self, line: &str) {
        self.print(&printable_text(line, self.is_coloured()));
    }

    /// A document of data.
    pub(super) fn print_document(&self, document: &impl Serialize) {
        // What we print has text keys and finite numbers.
        let json = serde_json::to_string_pretty(document).unwrap_or_default();
        self.print(&printable::safe_json(&json));
    }

    fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// A message.
    pub(super) fn print_message(&self, message: &str) {
        let is_coloured = self.message_colours() == Colours::Ansi;
        let _ =
            writeln!(io::stderr().lock(), "{}", printable_text(message.trim_end(), is_coloured));
    }

    /// A message that ends the command; with `--json` the document says it, for whoever reads
    /// stdout only.
    pub(super) fn fail(&self, error: &dyn fmt::Display) -> ExitCode {
        let text = error.to_string();
        if self.json {
            self.print_document(&json!({ "error": text.trim_end() }));
        }
        let is_rendered = text.trim_start_matches("\u{1b}[1m\u{1b}[91m").starts_with("error");
        self.print_message(&if is_rendered { text } else { format!("error: {text}") });
        ExitCode::FAILURE
    }
}

/// The text as the terminal gets it: without passwords of URLs,
/// and without control sequences except line ends and our colours.
fn printable_text(text: &str, is_coloured: bool) -> String {
    printable::escaped_lines(&printable::redacted(text), is_coloured).into_owned()
}
