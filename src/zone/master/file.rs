//! A master file as it was read: its records, what it included, its errors.

use std::{ops::Range, sync::Arc};

use crate::zone::Record;

/// What a zone's master file, and the files it includes, say.
#[derive(Debug, Default)]
pub struct MasterFile {
    /// The records, in the order they were written in.
    pub entries: Vec<LocatedRecord>,
    /// The files that were included, in the order they were reached; [`FilePosition::read_file`]
    /// counts them from 1.
    pub included: Vec<IncludedFile>,
    /// What is wrong, in the order it was found; if anything is, the records are not the zone that
    /// was meant.
    pub errors: Vec<MasterError>,
    /// The first `$ORIGIN` that repeats the origin in force because its name lacks the final dot:
    /// where the name is, and the octets of that file.
    pub doubled_origin: Option<(FilePosition, Range<usize>)>,
    /// Whether the reading ended early, at a bound. Where that was met by an earlier zone, there is
    /// no error here.
    pub is_truncated: bool,
}

/// A record, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedRecord {
    /// The record.
    pub record: Record,
    /// Where its first field stands.
    pub position: FilePosition,
}

/// A place in a master file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePosition {
    /// 0: the file itself; n: the n-th of [`MasterFile::included`].
    pub file: u32,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
}

/// A file that was included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// Its path, as messages show it; two of one path are one file.
    pub path: String,
    /// Its text, shared: one file may be included a thousand times.
    pub bytes: Arc<Vec<u8>>,
}

/// One thing that is wrong in a master file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterError {
    /// Where.
    pub position: FilePosition,
    /// The octets of that file that are wrong.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// The other file that it is about: its path.
    pub about_path: Option<String>,
    /// Whether all zones of the load together pass a bound. Other files may be the cause then.
    pub is_load_budget: bool,
}
