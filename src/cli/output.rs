//! The output of commands: colours, JSON, stdout and stderr. Everything that a command prints goes
//! through this module.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;

use super::args::{Arguments, Colour};
use crate::{config::Colours, printable};

/// The format of the output.
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

    /// Whether messages on stderr are coloured. With `--json` they are plain, because the document
    /// repeats them.
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

    /// Prints one or more lines of data to stdout. A closed pipe is no error.
    pub(super) fn print_line(&self, line: &str) {
        self.print(&self.printable(line));
    }

    /// A text that is safe to print to stdout: without passwords of URLs and control sequences.
    pub(super) fn printable(&self, text: &str) -> String {
        printable_text(text, self.is_coloured())
    }

    /// Prints a JSON document to stdout.
    pub(super) fn print_document(&self, document: &impl Serialize) {
        // Documents have text keys and finite numbers, so this cannot fail.
        let json = serde_json::to_string_pretty(document).unwrap_or_default();
        self.print(&printable::safe_json(&json));
    }

    fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Prints a message to stderr.
    pub(super) fn print_message(&self, message: &str) {
        let is_coloured = self.message_colours() == Colours::Ansi;
        let _ =
            writeln!(io::stderr().lock(), "{}", printable_text(message.trim_end(), is_coloured));
    }

    /// Prints the error that ends the command; with `--json` also as a document, for programs that
    /// read only stdout.
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

/// A text that is safe to print: without passwords of URLs, and without control sequences except
/// line ends and, if `is_coloured`, colours.
fn printable_text(text: &str, is_coloured: bool) -> String {
    printable::escaped_lines(&printable::redacted(text), is_coloured).into_owned()
}
