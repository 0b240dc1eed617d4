//! Where something is written: a file and the octets in it. Everything a specification holds
//! remembers its place, so that each mistake is shown where it was made.

use std::ops::Range;

/// A position in [`super::Sources::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(super) u32);

impl FileId {
    /// As a position in the list of files.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file, and which octets of it where there are such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePlace {
    file: FileId,
    start: u32,
    end: u32,
}

/// No octet of a file is there: files are far smaller than 4 GiB.
const WHOLE_FILE: u32 = u32::MAX;

impl SourcePlace {
    /// The octets `span` of a file. Files hold at most 64 MiB, so that 32 bits are enough.
    pub fn new(file: FileId, span: Range<usize>) -> Self {
        let bounded = |at: usize| u32::try_from(at).unwrap_or(WHOLE_FILE - 1);
        Self { file, start: bounded(span.start), end: bounded(span.end.max(span.start)) }
    }

    /// A file as such: that it cannot be read, say.
    pub fn whole_file(file: FileId) -> Self {
        Self { file, start: WHOLE_FILE, end: WHOLE_FILE }
    }

    /// The file.
    pub fn file(self) -> FileId {
        self.file
    }

    /// The octets; `None` for a file as such.
    pub fn span(self) -> Option<Range<usize>> {
        (self.start != WHOLE_FILE).then_some(self.start as usize..self.end as usize)
    }
}

/// A part of a file that was parsed by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileOffset {
    file: FileId,
    start: u32,
}

impl FileOffset {
    /// The part that starts at this octet; 0 for the whole.
    pub(super) fn new(file: FileId, start: usize) -> Self {
        // As in places: files hold at most 64 MiB.
        Self { file, start: u32::try_from(start).unwrap_or(WHOLE_FILE - 1) }
    }

    /// Octets of the part, as octets of the file.
    pub(super) fn place(self, span: Range<usize>) -> SourcePlace {
        let start = self.start as usize;
        SourcePlace::new(
            self.file,
            start.saturating_add(span.start)..start.saturating_add(span.end),
        )
    }
}

/// A value and where it is written.
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
