//! The past: finds the conditions and the configuration that were in force at a moment.

use std::path::{Path, PathBuf};

use super::{
    difference::Facts,
    record::{ConfigurationIdentity, HistoryGap, HistoryRecord},
    replay_error::ReplayError,
};
use crate::{
    control::journal::{list_segments, time_text},
    files::{self, SymlinkPolicy},
};

/// The maximum size of a file that is read.
const MAX_FILE_OCTETS: u64 = 512 << 20;

/// What was in force at a moment.
#[derive(Debug)]
pub(super) struct PastMoment {
    /// Since when, in milliseconds since 1970.
    pub(super) since_ms: i64,
    pub(super) generation: u64,
    pub(super) configuration: ConfigurationIdentity,
    pub(super) facts: Facts,
    /// What a reader should know about the moment.
    pub(super) notes: Vec<String>,
}

/// Finds what was in force at a time, in milliseconds since 1970: the last record that is not
/// later. If the clock was set back, so that times come twice, the later record counts.
///
/// # Errors
/// The time is before the first record, or was not recorded.
pub(super) fn find(directory: &Path, time_ms: i64) -> Result<PastMoment, ReplayError> {
    let segments = list_segments(directory);
    let mut next: Option<HistoryRecord> = None;
    let mut begins = None;
    for (_, path) in segments.into_iter().rev() {
        let FileRecords { records, end } = read(&path);
        let Some(first) = records.first() else { continue };
        begins = Some(first.time_ms);
        if let Some(index) = records.iter().rposition(|record| record.time_ms <= time_ms) {
            let is_last = index + 1 == records.len();
            if is_last && !end.is_followed_by(next.as_ref()) {
                return Err(ReplayError::NotRecorded(records[index].time_ms));
            }
            let after = records.get(index + 1).or(next.as_ref());
            return moment(&records[..=index], after);
        }
        next = records.into_iter().next();
    }
    Err(begins.map_or(ReplayError::NoHistory, ReplayError::BeforeHistory))
}

/// The moment of the last of these records, which are those of one file from its first on.
fn moment(
    records: &[HistoryRecord],
    after: Option<&HistoryRecord>,
) -> Result<PastMoment, ReplayError> {
    let (mut facts, mut configuration) = (Facts::new(), None);
    for record in records {
        record.apply_to(&mut facts);
        configuration = record.configuration.clone().or(configuration);
    }
    let last = records.last().ok_or(ReplayError::NoHistory)?;
    let configuration = configuration.ok_or(ReplayError::NotRecorded(last.time_ms))?;
    let mut notes = Vec::new();
    match after.and_then(|after| Some((after.gap?, after.time_ms))) {
        Some((HistoryGap::Lost, _)) => return Err(ReplayError::NotRecorded(last.time_ms)),
        Some((HistoryGap::Started, started_ms)) => notes.push(format!(
            "the server stopped after {} and started again at {}: these are the last conditions before",
            time_text(last.time_ms),
            time_text(started_ms)
        )),
        None => {}
    }
    let (since_ms, generation) = (last.time_ms, last.generation);
    Ok(PastMoment { since_ms, generation, configuration, facts, notes })
}

/// The octets of a file; none if it cannot be read.
fn octets(path: &Path) -> Vec<u8> {
    files::read(path, SymlinkPolicy::Refuse, MAX_FILE_OCTETS).unwrap_or_default()
}

/// The records of a file, up to the first one that is cut off or damaged.
struct FileRecords {
    records: Vec<HistoryRecord>,
    end: FileEnd,
}

/// What follows the records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileEnd {
    /// Nothing is after the last record.
    Whole,
    /// The beginning of a line: it is being written, or the process ended while it was.
    CutOff,
    /// Lines that are damaged, and those after them.
    Damaged,
}

impl FileEnd {
    /// Whether the last record is in force until `next`, the first record of the next file, or
    /// until now if there is none.
    fn is_followed_by(self, next: Option<&HistoryRecord>) -> bool {
        match self {
            Self::Whole => true,
            Self::CutOff => next.is_none_or(|next| next.gap.is_some()),
            Self::Damaged => false,
        }
    }
}

fn read(path: &Path) -> FileRecords {
    let octets = octets(path);
    let lines = octets.split_inclusive(|octet| *octet == b'\n');
    let (mut records, mut end) = (Vec::new(), FileEnd::Whole);
    for line in lines {
        match HistoryRecord::parse(line) {
            Some(record) => records.push(record),
            None => {
                end = if line.ends_with(b"\n") { FileEnd::Damaged } else { FileEnd::CutOff };
                break;
            }
        }
    }
    FileRecords { records, end }
}

/// For each file of records: its number and path, the time of its last record, and the digests of
/// the configurations that it names.
pub(super) fn references(directory: &Path) -> Vec<SegmentReferences> {
    let of = |(number, path): (u32, PathBuf)| {
        let octets = octets(&path);
        let lines: Vec<&[u8]> = octets.split_inclusive(|octet| *octet == b'\n').collect();
        // Few records name a configuration, and only those are parsed.
        let names_one = |line: &&&[u8]| {
            std::str::from_utf8(line).is_ok_and(|line| line.contains("\"configuration\":"))
        };
        let naming = lines.iter().filter(names_one).filter_map(|line| HistoryRecord::parse(line));
        let last = lines.iter().rev().find_map(|line| HistoryRecord::parse(line));
        SegmentReferences {
            number,
            last_ms: last.map_or(0, |record| record.time_ms),
            digests: naming.filter_map(|record| Some(record.configuration?.digest)).collect(),
            path,
        }
    };
    list_segments(directory).into_iter().map(of).collect()
}

/// A file of records, and the configurations that it names.
#[derive(Debug)]
pub(super) struct SegmentReferences {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    /// The time of the last record, in milliseconds since 1970.
    pub(super) last_ms: i64,
    pub(super) digests: Vec<String>,
}
