//! The difference between two versions of a file of tables: which tables have other octets, and how
//! far the tables after them moved.
//!
//! The start and the end that both texts share are compared as octets. Only the range between them
//! is cut into tables. It begins and ends where a table starts that both texts have, so that
//! neither end is inside a string or a list.
//!
//! The parser reads all of the new text that differs, comments and blanks included: these may hold
//! octets that are an error.

use std::{ops::Range, path::Path, sync::Arc};

use crate::config::{
    amendment_base::SourceVersion,
    limits::MAX_PARSE_OCTETS,
    place::{FileId, SourcePlace},
    sources::{SourceFile, Sources},
    spec::{TableContext, is_toml},
    table_slices::{self, TableSlice},
};

/// The difference between two versions of a file with the same tables in the same order.
#[derive(Debug)]
pub(super) struct FileEdit {
    pub(super) file: FileId,
    old_octets: Arc<Vec<u8>>,
    new_octets: Arc<Vec<u8>>,
    /// The ranges outside of which both texts are the same.
    old_range: Range<usize>,
    new_range: Range<usize>,
    /// The tables in these ranges.
    tables: Vec<TableChange>,
    /// The start of each table in the new text; `None` where the starts in the old text were not
    /// kept.
    new_table_starts: Option<Arc<[u32]>>,
}

/// A table in the old and in the new text.
#[derive(Debug)]
pub(super) struct TableChange {
    pub(super) old: TableRange,
    pub(super) new: TableRange,
    /// Whether the texts differ, apart from blanks and comments after the last value of the table.
    is_changed: bool,
}

/// The kind, name and range of a table in a text.
#[derive(Debug)]
pub(super) struct TableRange {
    kind: Box<str>,
    name: Box<str>,
    range: Range<usize>,
    values_end: usize,
}

impl TableRange {
    fn new(slice: &TableSlice<'_>, offset: usize) -> Self {
        Self {
            kind: slice.kind.into(),
            name: slice.name.into(),
            range: slice.range.start + offset..slice.range.end + offset,
            values_end: slice.values_end + offset,
        }
    }

    /// The table as a slice, as the reader of tables takes it.
    pub(super) fn as_slice(&self) -> TableSlice<'_> {
        TableSlice {
            kind: &self.kind,
            name: &self.name,
            range: self.range.clone(),
            values_end: self.values_end,
        }
    }

    /// The range from the header to the last value.
    fn values(&self) -> Range<usize> {
        self.range.start..self.values_end
    }
}

impl TableChange {
    /// Whether a place of the old file is in the table.
    pub(super) fn contains_old(&self, file: FileId, place: SourcePlace) -> bool {
        place.file() == file
            && place.span().is_some_and(|span| self.old.range.contains(&span.start))
    }
}

impl FileEdit {
    /// Compares two versions of a file. `None` where they do not have the same tables, or cannot be
    /// cut into tables.
    pub(super) fn between(file: FileId, old: &SourceVersion, new: &SourceFile) -> Option<Self> {
        let (old_octets, new_octets) =
            (Arc::clone(old.octets.as_ref()?), Arc::clone(new.content.as_ref().ok()?));
        let new_text = std::str::from_utf8(&new_octets).ok()?;
        let old_text = std::str::from_utf8(&old_octets).ok()?;
        let computed_starts;
        let starts = match &old.table_starts {
            Some(starts) => &starts[..],
            // A small file was read as a whole, so that it is cut into tables only now.
            None => {
                let tables = table_slices::sort_unique(table_slices::split_tables(old_text)?)?;
                let mut starts: Vec<u32> =
                    tables.iter().map(|slice| slice.range.start as u32).collect();
                starts.sort_unstable();
                computed_starts = starts;
                &computed_starts[..]
            }
        };
        let same = SharedEnds::measure(&old_octets, &new_octets);
        let (old_range, behind) = differing_range(starts, &same, old_octets.len());
        let new_range =
            old_range.start..(old_range.end + new_octets.len()).checked_sub(old_octets.len())?;
        let tables = pair_tables(
            tables_in(old_text, &old_range)?,
            tables_in(new_text, &new_range)?,
            old_octets.as_slice(),
            &new_octets,
        )?;
        are_gaps_toml(&tables, &old_octets, new_text, &new_range).then_some(())?;
        let starts = old.table_starts.as_ref().map(|starts| {
            let before =
                starts.iter().copied().take_while(|start| (*start as usize) < old_range.start);
            let between = tables.iter().map(|table| table.new.range.start as u32);
            let after = starts[behind..]
                .iter()
                .map(|start| (*start as usize - old_range.end + new_range.end) as u32);
            before.chain(between).chain(after).collect()
        });
        Some(Self {
            file,
            old_octets,
            new_octets,
            old_range,
            new_range,
            tables,
            new_table_starts: starts,
        })
    }

    /// The new file as the base of the amended configuration keeps it.
    pub(super) fn new_version(&self) -> SourceVersion {
        SourceVersion {
            octets: Some(Arc::clone(&self.new_octets)),
            table_starts: self.new_table_starts.clone(),
        }
    }

    /// The old text and the new one, each with what reading a table needs.
    pub(super) fn texts<'e>(&'e self, sources: &'e Sources) -> [Option<TableContext<'e>>; 2] {
        let directory = sources.file(self.file).path.parent().unwrap_or(Path::new(""));
        [&self.old_octets, &self.new_octets].map(|octets| {
            let text = std::str::from_utf8(octets).ok()?;
            Some(TableContext { file: self.file, text, directory })
        })
    }

    /// The tables whose content differs.
    pub(super) fn changed_tables(&self) -> impl Iterator<Item = &TableChange> {
        self.tables.iter().filter(|table| table.is_changed)
    }

    /// Converts a place in the old file to one in the new file. `None` where it is in a table whose
    /// content differs.
    pub(super) fn moved_place(&self, place: SourcePlace) -> Option<SourcePlace> {
        match self.table_at(place) {
            Some(table) if table.is_changed => None,
            Some(table) => Some(shifted(place, table.old.range.start, table.new.range.start)),
            None => Some(self.moved_outside(place)),
        }
    }

    /// Converts the place of a table's name, which is in the table's header.
    pub(super) fn moved_name_place(&self, place: SourcePlace) -> Option<SourcePlace> {
        let Some(table) = self.table_at(place) else { return Some(self.moved_outside(place)) };
        // The header may have other blanks or quotes, so that the name is elsewhere in it.
        let is_same = header(&self.old_octets[table.old.range.clone()])
            == header(&self.new_octets[table.new.range.clone()]);
        is_same.then(|| shifted(place, table.old.range.start, table.new.range.start))
    }

    fn table_at(&self, place: SourcePlace) -> Option<&TableChange> {
        let start = place.span()?.start;
        let behind = self.tables.partition_point(|table| table.old.range.start <= start);
        self.tables.get(behind.checked_sub(1)?).filter(|table| table.contains_old(self.file, place))
    }

    fn moved_outside(&self, place: SourcePlace) -> SourcePlace {
        match place.span() {
            Some(span) if span.start >= self.old_range.end => {
                shifted(place, self.old_range.end, self.new_range.end)
            }
            _ => place,
        }
    }
}

/// The header of a table, without a comment after it.
fn header(table: &[u8]) -> Option<&[u8]> {
    let line = table.split(|octet| *octet == b'\n').next()?;
    line.split(|octet| *octet == b'#').next().map(<[u8]>::trim_ascii_end)
}

/// A place at or after the octet `old`, where `old` is now at `new`.
fn shifted(place: SourcePlace, old: usize, new: usize) -> SourcePlace {
    match place.span() {
        Some(span) => SourcePlace::new(place.file(), span.start - old + new..span.end - old + new),
        None => place,
    }
}

/// How many octets two texts share at their start, and at their end.
struct SharedEnds {
    prefix_octets: usize,
    suffix_octets: usize,
}

impl SharedEnds {
    fn measure(old: &[u8], new: &[u8]) -> Self {
        let prefix_octets =
            shared_octets(old, new, |text, start, length| text.get(start..start + length));
        let (old, new) = (&old[prefix_octets..], &new[prefix_octets..]);
        let suffix_octets = shared_octets(old, new, |text, skipped, length| {
            let end = text.len().checked_sub(skipped)?;
            text.get(end.checked_sub(length)?..end)
        });
        Self { prefix_octets, suffix_octets }
    }
}

/// How many octets two texts share, counted from one end. `range(text, skipped, length)` gives the
/// `length` octets after `skipped` octets from that end.
fn shared_octets<'t>(
    old: &'t [u8],
    new: &'t [u8],
    range: impl Fn(&'t [u8], usize, usize) -> Option<&'t [u8]>,
) -> usize {
    let mut same = 0;
    // Whole blocks first, which are compared as fast as they can be read, then single octets.
    for length in [4096, 64, 1] {
        while let (Some(old_block), Some(new_block)) =
            (range(old, same, length), range(new, same, length))
            && old_block == new_block
        {
            same += length;
        }
    }
    same
}

/// The range of the old text that holds every table that differs. It starts where a table or the
/// text starts, and ends where another table starts or the text ends. The second value is the
/// position of that other table in `table_starts`.
fn differing_range(
    table_starts: &[u32],
    same: &SharedEnds,
    octets: usize,
) -> (Range<usize>, usize) {
    // What is inserted in front of a header belongs to the table before it.
    let first =
        table_starts.partition_point(|start| (*start as usize) < same.prefix_octets).checked_sub(1);
    let behind =
        table_starts.partition_point(|start| (*start as usize) < octets - same.suffix_octets);
    // At least one table: an insertion has no octet in the old text.
    let behind = behind.max(first.map_or(0, |first| first + 1));
    let start = first.map_or(0, |first| table_starts[first] as usize);
    let end = table_starts.get(behind).map_or(octets, |start| *start as usize);
    (start..end, behind)
}

/// The tables in a range. `None` where it cannot be cut, or where the next table does not start on
/// its own line.
fn tables_in(text: &str, range: &Range<usize>) -> Option<Vec<TableRange>> {
    let part = text.get(range.clone())?;
    let is_last = range.end == text.len();
    let ends_in_line = part.trim_end_matches([' ', '\t']).ends_with('\n');
    let starts_text = part.is_empty()
        || range.start == 0 && part.trim_matches([' ', '\t', '\u{feff}']).is_empty();
    if !is_last && !ends_in_line && !starts_text {
        return None;
    }
    Some(
        table_slices::split_tables(part)?
            .iter()
            .map(|slice| TableRange::new(slice, range.start))
            .collect(),
    )
}

/// Pairs the tables of two ranges. `None` where they are not the same tables.
fn pair_tables(
    old: Vec<TableRange>,
    new: Vec<TableRange>,
    old_text: &[u8],
    new_text: &[u8],
) -> Option<Vec<TableChange>> {
    if old.len() != new.len() {
        return None;
    }
    let pair = |(old, new): (TableRange, TableRange)| {
        let is_same = old.kind == new.kind && old.name == new.name;
        let is_changed = old_text[old.values()] != new_text[new.values()];
        is_same.then_some(TableChange { old, new, is_changed })
    };
    old.into_iter().zip(new).map(pair).collect()
}

/// Whether the parser accepts the text that is read as part of no table: the text before the first
/// table, and comments and blanks after the values of tables whose values are the same.
fn are_gaps_toml(
    tables: &[TableChange],
    old_octets: &[u8],
    new_text: &str,
    range: &Range<usize>,
) -> bool {
    let heading_end = tables.first().map_or(range.end, |table| table.new.range.start);
    let is_accepted = |table: &TableChange| {
        let slice = &new_text[table.new.range.clone()];
        table.is_changed
            || old_octets[table.old.range.clone()] == *slice.as_bytes()
            || slice.len() <= MAX_PARSE_OCTETS && is_toml(slice)
    };
    is_toml(&new_text[range.start..heading_end]) && tables.iter().all(is_accepted)
}
