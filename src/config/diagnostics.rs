//! What is wrong with the files, for people and for programs: the whole list of one run, each with
//! its place, what and how to mend. Nothing that a file holds reaches a terminal or a log raw:
//! control characters are escaped on the way in.

use std::{fmt, sync::Arc};

use super::{
    diagnostic::{Diagnostic, Severity},
    place::SourcePlace,
    position::{SourcePosition, position},
    render::{self, Colours},
    sources::{SourceFile, Sources},
};

/// All that is wrong, found in one run. Displays as one line each.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    files: Arc<[SourceFile]>,
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// In the order of files and of lines, errors before warnings; exact repetitions once.
    /// `omitted` more were found and not kept.
    pub(super) fn new(files: Arc<[SourceFile]>, mut list: Vec<Diagnostic>, omitted: usize) -> Self {
        list.sort_by_cached_key(|d| {
            let file = files
                .get(d.place.file().index())
                .map(|file| file.shown.clone())
                .unwrap_or_default();
            (d.severity == Severity::Warning, file, d.place, d.message.clone())
        });
        list.dedup();
        Self { files, list, omitted }
    }

    /// One error, which shows only after the configuration was checked.
    pub fn single_error(sources: &Sources, place: SourcePlace, message: &str, help: &str) -> Self {
        let mut error = Diagnostic::new(Severity::Error, place, message);
        error.help(help);
        Self::new(Arc::clone(&sources.files), vec![error], 0)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many there are, those not kept included.
    pub fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Where a diagnostic is, as `file:line:column`, or `file` where it is about a file as such.
    /// Lines and columns count from 1, columns in characters.
    pub fn position(&self, place: SourcePlace) -> SourcePosition<'_> {
        position(&self.files, place)
    }

    /// Each as a compiler shows it: the line, a caret, the help. Ends in a newline unless there is
    /// nothing.
    pub fn render(&self, colours: Colours) -> String {
        let mut text = String::new();
        for diagnostic in &self.list {
            render::render(&self.files, diagnostic, colours, &mut text);
            text.push_str("\n\n");
        }
        if self.omitted > 0 {
            text.push_str(&format!("and {} more like these\n", self.omitted));
        }
        text
    }

    /// Each on one line, for logs: `file:line:column: message (help: ...)`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|diagnostic| self.line(diagnostic))
    }

    /// One of them on one line.
    pub fn line(&self, diagnostic: &Diagnostic) -> String {
        let help =
            diagnostic.help.as_ref().map(|help| format!(" (help: {help})")).unwrap_or_default();
        format!("{}: {}{help}", self.position(diagnostic.place), diagnostic.message)
    }

    /// The diagnostics that are errors, without the warnings.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// For programs: a list of objects with `severity`, `file`, `line`, `column`, `message`,
    /// `help`, `related`.
    pub fn to_json(&self) -> serde_json::Value {
        let position = |place: SourcePlace| {
            let position = self.position(place);
            serde_json::json!({ "file": position.file, "line": position.line_column.map(|p| p.0), "column": position.line_column.map(|p| p.1) })
        };
        let list = self.list.iter().map(|diagnostic| {
            let mut object = position(diagnostic.place);
            object["severity"] = diagnostic.severity.word().into();
            object["message"] = diagnostic.message.as_str().into();
            object["help"] = diagnostic.help.as_deref().into();
            object["others"] = diagnostic
                .related
                .iter()
                .map(|(place, text)| {
                    let mut other = position(*place);
                    other["message"] = text.as_str().into();
                    other
                })
                .collect();
            object
        });
        list.collect()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more like these", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
