//! The position of a place, as people name it: file, line and column.

use std::fmt;

use super::{place::SourcePlace, sources::SourceFile};

/// A file with line and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourcePosition<'f> {
    /// The path of the file, without control sequences.
    pub file: &'f str,
    /// The line and the column in characters, both from 1; `None` for a whole file.
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
    // In a longer line the column counts octets: counting its characters would cost time for
    // nothing.
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
