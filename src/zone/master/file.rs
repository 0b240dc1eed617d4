//! The result of reading a master file: its records, the files that it includes, and its errors.

use std::{ops::Range, sync::Arc};

use crate::zone::Record;

/// The content of a zone's master file and of the files that it includes.
#[derive(Debug, Default)]
pub struct MasterFile {
    /// The records, in the order in which they are written.
    pub entries: Vec<LocatedRecord>,
    /// The included files, in the order in which they were read; [`FilePosition::file`] counts them
    /// from 1.
    pub included: Vec<IncludedFile>,
    /// The errors, in the order in which they were found. If there is any, the records are not the
    /// zone that the author meant.
    pub errors: Vec<MasterError>,
    /// The first `$ORIGIN` that repeats the origin in force because its name lacks the final dot:
    /// the position of the name, and its octets in that file.
    pub doubled_origin: Option<(FilePosition, Range<usize>)>,
    /// Whether the reading ended early because a limit was exceeded. If an earlier zone of the load
    /// exceeded it, there is no error for it here.
    pub is_truncated: bool,
}

/// A record and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedRecord {
    /// The record, with owner and TTL completed.
    pub record: Record,
    /// The position of its first field.
    pub position: FilePosition,
}

/// A position in a master file or in a file that it includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePosition {
    /// 0 for the master file itself, n for the n-th of [`MasterFile::included`].
    pub file: u32,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
}

/// A file that `$INCLUDE` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// The path, as messages show it. Files with equal paths are the same file.
    pub path: String,
    /// The text, shared, since one file may be included a thousand times.
    pub bytes: Arc<Vec<u8>>,
}

/// An error in a master file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterError {
    /// The position of the first wrong octet.
    pub position: FilePosition,
    /// The range of wrong octets in that file.
    pub span: Range<usize>,
    /// The text of the error, without its position.
    pub message: String,
    /// How to fix the error.
    pub help: Option<String>,
    /// The path of the included file that the error is about, if it is about one.
    pub about_path: Option<String>,
    /// Whether all zones of the load together exceed a limit. The cause may then be in other files.
    pub is_load_budget: bool,
}
