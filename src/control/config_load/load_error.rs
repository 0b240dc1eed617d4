//! Why configuration files are refused as a whole.

use crate::config::{Colours, Diagnostics, Sources};

/// The errors that refuse a load: nothing of the files is applied.
#[derive(Debug)]
pub struct ConfigLoadError {
    /// One line for each error: `file:line:column: what (help: how to fix it)`.
    pub lines: Vec<String>,
    /// All errors with the lines of the files that they are about, as a compiler shows them.
    pub rendered: String,
    /// Whether reading the same files again can succeed.
    pub(in crate::control) is_transient: bool,
}

impl ConfigLoadError {
    pub(super) fn from_diagnostics(
        diagnostics: &Diagnostics,
        sources: &Sources,
        colours: Colours,
    ) -> Self {
        Self {
            lines: diagnostics.lines().collect(),
            rendered: diagnostics.render(colours),
            is_transient: sources.has_transient_error(),
        }
    }

    pub(in crate::control) fn from_lines(lines: Vec<String>) -> Self {
        let rendered = lines.iter().map(|line| format!("error: {line}\n")).collect();
        Self { lines, rendered, is_transient: false }
    }
}
