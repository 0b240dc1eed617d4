//! Where a zone or datacenter is defined, as commands that edit files need it.

use std::{fmt, ops::Range, path::PathBuf};

use super::{place::SourcePlace, position::position, quoted::escaped, sources::Sources};

/// Where something is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionOrigin {
    /// The file.
    pub path: PathBuf,
    /// The octets of its name there; empty at 0 for a file as such.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl DefinitionOrigin {
    pub(super) fn new(sources: &Sources, place: SourcePlace) -> Self {
        let (line, column) = position(&sources.files, place).line_column.unwrap_or((1, 1));
        let path = sources.file(place.file()).path.clone();
        Self { path, span: place.span().unwrap_or(0..0), line, column }
    }
}

impl fmt::Display for DefinitionOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = escaped(&self.path.to_string_lossy());
        write!(f, "{path}:{}:{}", self.line, self.column)
    }
}
