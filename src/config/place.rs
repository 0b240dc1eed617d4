//! The place where a value is written: a file and a range of octets in it. Every value of a
//! specification has its place, so that each mistake is shown where it was made.

use std::ops::Range;

/// The number of a file: its position in [`super::Sources::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(super) u32);

impl FileId {
    /// The position in the list of files.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file, and the octets in it unless the whole file is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePlace {
    file: FileId,
    start: u32,
    end: u32,
}

/// The start of a place that is a whole file. No octet has this position: files are far smaller
/// than 4 GiB.
const WHOLE_FILE: u32 = u32::MAX;

impl SourcePlace {
    /// The octets `span` of a file. Files hold at most 64 MiB, so that 32 bits are enough.
    pub fn new(file: FileId, span: Range<usize>) -> Self {
        let bounded = |octet: usize| u32::try_from(octet).unwrap_or(WHOLE_FILE - 1);
        Self { file, start: bounded(span.start), end: bounded(span.end.max(span.start)) }
    }

    /// A whole file, for mistakes without a line: the file cannot be read, for example.
    pub fn whole_file(file: FileId) -> Self {
        Self { file, start: WHOLE_FILE, end: WHOLE_FILE }
    }

    /// The file in which the place is.
    pub fn file(self) -> FileId {
        self.file
    }

    /// The octets; `None` for a whole file.
    pub fn span(self) -> Option<Range<usize>> {
        (self.start != WHOLE_FILE).then_some(self.start as usize..self.end as usize)
    }
}

/// The start of a text that was cut out of a file and parsed by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileOffset {
    file: FileId,
    start: u32,
}

impl FileOffset {
    /// The text that starts at the octet `start`; 0 for the whole file.
    pub(super) fn new(file: FileId, start: usize) -> Self {
        // Files hold at most 64 MiB, as in `SourcePlace::new`.
        Self { file, start: u32::try_from(start).unwrap_or(WHOLE_FILE - 1) }
    }

    /// Converts octets of the text to octets of the file.
    pub(super) fn place(self, span: Range<usize>) -> SourcePlace {
        let start = self.start as usize;
        SourcePlace::new(
            self.file,
            start.saturating_add(span.start)..start.saturating_add(span.end),
        )
    }
}

/// A value and the place where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: SourcePlace,
}

impl<T> Placed<T> {
    pub(super) fn new(value: T, place: SourcePlace) -> Self {
        Self { value, place }
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Placed<U> {
        Placed { value: change(self.value), place: self.place }
    }
}
