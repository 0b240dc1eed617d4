//! What is wrong with the files, for people and for programs: the whole list of one run, each with
//! its place, what and how to mend. Nothing that a file holds reaches a terminal or a log raw:
//! control characters are escaped on the way in.

use std::{fmt, sync::Arc};

use super::{
    definitions::Definition,
    place::SourcePlace,
    render,
    sources::{SourceFile, Sources},
};
use crate::printable;

/// Whether the configuration can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What has to be known to find a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// One file by itself.
    #[default]
    Reading,
    /// What several files say together.
    Checking,
}

/// What a mistake says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// No table defines the name.
    Missing(Definition),
    /// Two places define it.
    Duplicate(Definition),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the configuration can be used in spite of it.
    pub severity: Severity,
    /// Where.
    pub place: SourcePlace,
    /// What is wrong, on one line.
    pub message: String,
    /// What the marked place is, in a few words.
    pub label: Option<String>,
    /// Other places that belong to it: where the first of two was defined.
    pub related: Vec<(SourcePlace, String)>,
    /// How to fix it, on one line.
    pub help: Option<String>,
    /// What has to be known to find it.
    pub stage: Stage,
    /// The name that it is about, where it is about one.
    pub name_fault: Option<NameFault>,
}

impl Diagnostic {
    pub(super) fn new(severity: Severity, place: SourcePlace, message: impl AsRef<str>) -> Self {
        Self {
            severity,
            place,
            message: escaped(message.as_ref()),
            label: None,
            related: Vec::new(),
            help: None,
            stage: Stage::Reading,
            name_fault: None,
        }
    }

    pub(super) fn about(&mut self, fault: NameFault) -> &mut Self {
        self.name_fault = Some(fault);
        self
    }

    pub(super) fn help(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.help = Some(escaped(text.as_ref()));
        self
    }

    pub(super) fn label(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.label = Some(escaped(text.as_ref()));
        self
    }

    pub(super) fn also(&mut self, place: SourcePlace, text: impl AsRef<str>) -> &mut Self {
        self.related.push((place, escaped(text.as_ref())));
        self
    }
}

/// Whether rendered text carries terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Text alone.
    Plain,
    /// With ANSI colours.
    Ansi,
}

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

/// A place as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourcePosition<'f> {
    /// The path, as the reader would write it.
    pub file: &'f str,
    /// From 1; `None` for a file as such.
    pub line_column: Option<(usize, usize)>,
}

impl fmt::Display for SourcePosition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        if let Some((line, column)) = self.line_column {
            write!(f, ":{line}:{column}")?;
        }
        Ok(())
    }
}

/// The file, line and column of a place.
pub(super) fn position(files: &[SourceFile], place: SourcePlace) -> SourcePosition<'_> {
    // Of such a line nobody counts the characters; octets are told instead.
    const LONG_LINE: usize = 1 << 16;
    let Some(file) = files.get(place.file().index()) else {
        return SourcePosition { file: "", line_column: None };
    };
    let line_column = place.span().map(|span| {
        let start = span.start.min(file.octets().len());
        let (line, line_start) = file.line_at(start);
        let before = &file.octets()[line_start..start];
        match before.len() {
            0..LONG_LINE => (line, 1 + String::from_utf8_lossy(before).chars().count()),
            octets => (line, 1 + octets),
        }
    });
    SourcePosition { file: &file.shown, line_column }
}

/// The text on one line, without control sequences and passwords of URLs; a very long text is cut.
pub(super) fn escaped(text: &str) -> String {
    const LONGEST: usize = 600;
    let redacted = printable::redacted(text);
    let clean = printable::escaped(&redacted);
    match clean.char_indices().find(|(at, _)| *at >= LONGEST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean.into_owned(),
    }
}

/// A word of a file in quotes, short enough to be read.
pub(super) struct Quoted<'t>(pub(super) &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 80;
        // Before the text is cut: half of a URL does not show what is secret.
        let text = printable::redacted(self.0);
        match text.char_indices().nth(LONGEST) {
            None => write!(f, "\"{text}\""),
            Some((end, _)) => write!(f, "\"{}…\"", &text[..end]),
        }
    }
}
