//! All errors and warnings of one run, for people and for programs, each with its place and remedy.
//! No text of a file reaches a terminal or a log unchanged: control characters are escaped when a
//! diagnostic is made.

use std::{fmt, sync::Arc};

use super::{
    diagnostic::{Diagnostic, Severity},
    place::SourcePlace,
    position::{SourcePosition, position},
    render::{self, Colours},
    sources::{SourceFile, Sources},
};

/// All errors and warnings of one run. Displays as one line for each.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    files: Arc<[SourceFile]>,
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// Sorts the list: errors before warnings, then by file and line; repetitions are removed.
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

    /// A single error that was found only after the configuration had been checked.
    pub fn single_error(sources: &Sources, place: SourcePlace, message: &str, help: &str) -> Self {
        let mut error = Diagnostic::new(Severity::Error, place, message);
        error.help(help);
        Self::new(Arc::clone(&sources.files), vec![error], 0)
    }

    /// The diagnostics, errors first.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The number of diagnostics, including those that were not kept.
    pub fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Whether there is neither an error nor a warning.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The position of a place, as `file:line:column`, or `file` for a whole file. Lines and
    /// columns count from 1, columns in characters.
    pub fn position(&self, place: SourcePlace) -> SourcePosition<'_> {
        position(&self.files, place)
    }

    /// The diagnostics as a compiler shows them: the line, a caret, the help. Ends in a newline
    /// unless there is none.
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

    /// The diagnostics as one line each, for logs: `file:line:column: message (help: ...)`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|diagnostic| self.line(diagnostic))
    }

    /// One diagnostic on one line, as in [`Diagnostics::lines`].
    pub fn line(&self, diagnostic: &Diagnostic) -> String {
        let help =
            diagnostic.help.as_ref().map(|help| format!(" (help: {help})")).unwrap_or_default();
        format!("{}: {}{help}", self.position(diagnostic.place), diagnostic.message)
    }

    /// The diagnostics that are errors, without the warnings.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The diagnostics for programs: a list of objects with `severity`, `file`, `line`, `column`,
    /// `message`, `help`, `others`.
    pub fn to_json(&self) -> serde_json::Value {
        let position = |place: SourcePlace| {
            let position = self.position(place);
            serde_json::json!({ "file": position.file, "line": position.line_column.map(|p| p.0), "column": position.line_column.map(|p| p.1) })
        };
        let list = self.list.iter().map(|diagnostic| {
            let mut object = position(diagnostic.place);
            object["severity"] = diagnostic.severity.as_str().into();
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
