//! The place of the definition of a zone or datacenter, for commands that edit files.

use std::{fmt, ops::Range, path::PathBuf};

use super::{place::SourcePlace, position::position, quoted::escaped, sources::Sources};

/// The place of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionOrigin {
    /// The path of the file, as it is named in the configuration.
    pub path: PathBuf,
    /// The octets of the defined name in the file; an empty range at 0 where the whole file is the
    /// definition.
    pub span: Range<usize>,
    /// The line number, from 1.
    pub line: usize,
    /// The column in characters, from 1.
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
