//! The scan: what a start finds in the files of the journal. It verifies the chain, drops a line
//! that the end of the previous run cut off, and sets damaged files aside.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    chain::LineHash,
    entry::{JournalEntry, decode},
    event::{Event, EventKind},
    segments::{self, SegmentPosition},
};
use crate::files::{self, SymlinkPolicy};

/// The maximum size of a file that is read. This program never writes a larger one.
const MAX_FILE_OCTETS: u64 = 64 << 20;

/// The highest id that a line may have: a damaged one must not use all of them up.
const MAX_ID: u64 = 1 << 53;

/// What the files hold.
#[derive(Debug)]
pub(super) struct Scan {
    /// The id of the next event.
    pub(super) next_id: u64,
    /// The hash of the last line.
    pub(super) last_hash: LineHash,
    pub(super) position: SegmentPosition,
    /// The latest entries, the oldest first.
    pub(super) recent: VecDeque<Arc<JournalEntry>>,
    /// The damaged files, of earlier starts too.
    pub(super) damaged: Vec<PathBuf>,
    /// What this scan found wrong, to be recorded.
    pub(super) findings: Vec<Event>,
}

/// The content of one file.
#[derive(Debug, Default)]
pub(super) struct SegmentContent {
    pub(super) entries: Vec<JournalEntry>,
    pub(super) last_hash: LineHash,
    /// The octets of the lines that are right.
    pub(super) valid_octets: u64,
    /// The first line that is wrong, from 1, and why.
    pub(super) fault: Option<(usize, &'static str)>,
    /// Whether only the last line is wrong: the process or the host ended while it was written.
    pub(super) is_torn: bool,
}

/// Scans the files of a directory, which need not exist. The last `max_recent` entries are
/// returned.
pub(super) fn scan(directory: &Path, max_recent: usize) -> Scan {
    let mut scan = Scan {
        next_id: 1,
        last_hash: LineHash::default(),
        position: SegmentPosition { number: 1, octets: 0 },
        recent: VecDeque::new(),
        damaged: Vec::new(),
        findings: Vec::new(),
    };
    let files = segments::list(directory);
    let last = files.last().map(|(number, _)| *number);
    // The file before the first one may have been removed, so that nothing precedes its first line.
    let mut expected = None;
    let mut next_number = None;
    for (number, path) in files {
        if next_number.is_some_and(|next| next != number) {
            tracing::warn!(file = %path.display(), "journal files before this one are missing");
            expected = None;
        }
        next_number = Some(number + 1);
        let octets = match files::read(&path, SymlinkPolicy::Refuse, MAX_FILE_OCTETS) {
            Ok(octets) => octets,
            Err(error) => {
                match error.kind() {
                    // Too large, a link, or no file at all: not what this program left.
                    io::ErrorKind::Other => scan.set_aside(&path, &error.to_string()),
                    _ => scan.note(&path, &error.to_string()),
                }
                scan.position = SegmentPosition { number: number + 1, octets: 0 };
                expected = None;
                continue;
            }
        };
        let content = check(&octets, expected);
        let highest = match content.fault {
            Some(_) => highest_id(&octets),
            None => content.entries.last().map_or(0, |entry| entry.id),
        };
        scan.next_id = scan.next_id.max(highest + 1);
        let is_cut = content.is_torn && Some(number) == last;
        if let Some((line, why)) = content.fault {
            if is_cut {
                tracing::warn!(file = %path.display(), line, "last event of the journal is incomplete: it is dropped");
            } else {
                scan.set_aside(&path, &format!("line {line}: {why}"));
                scan.position = SegmentPosition { number: number + 1, octets: 0 };
                expected = None;
                continue;
            }
        }
        scan.position = SegmentPosition { number, octets: content.valid_octets };
        scan.last_hash = content.last_hash;
        expected = Some(content.last_hash);
        scan.recent.extend(content.entries.into_iter().map(Arc::new));
        let excess = scan.recent.len().saturating_sub(max_recent);
        scan.recent.drain(..excess);
    }
    scan.damaged = segments::list_damaged(directory);
    scan
}

impl Scan {
    fn set_aside(&mut self, path: &Path, why: &str) {
        tracing::error!(file = %path.display(), why, "journal file is damaged: it is set aside");
        let what = match segments::set_aside(path) {
            Ok(aside) => format!("{why}; kept as {}", aside.display()),
            Err(error) => format!("{why}; it cannot be renamed: {error}"),
        };
        self.note(path, &what);
    }

    fn note(&mut self, path: &Path, what: &str) {
        let cause = Some(format!("the file is damaged: {what}"));
        self.findings
            .push(Event { cause, ..Event::new(EventKind::Journal, path.display().to_string()) });
    }
}

/// Checks the lines of a file. `expected` is the hash of the line before its first one; `None` if
/// that is unknown.
pub(super) fn check(octets: &[u8], mut expected: Option<LineHash>) -> SegmentContent {
    let mut content =
        SegmentContent { last_hash: expected.unwrap_or_default(), ..SegmentContent::default() };
    let mut last_id = 0;
    for (line, number) in octets.split_inclusive(|octet| *octet == b'\n').zip(1..) {
        let fault = match (line.strip_suffix(b"\n"), line.strip_suffix(b"\n").and_then(decode)) {
            (None, _) => Some("its end is missing"),
            (Some(_), None) => Some("it is no event"),
            (Some(_), Some((_, previous))) if expected.is_some_and(|hash| hash != previous) => {
                Some("the line before it was changed or removed")
            }
            (Some(_), Some((entry, _))) if entry.id <= last_id || entry.id > MAX_ID => {
                Some("its id is not ascending")
            }
            (Some(text), Some((entry, _))) => {
                last_id = entry.id;
                content.last_hash = LineHash::of(text);
                expected = Some(content.last_hash);
                content.valid_octets += line.len() as u64;
                content.entries.push(entry);
                None
            }
        };
        if let Some(why) = fault {
            let rest = &octets[content.valid_octets as usize + line.len()..];
            // A file system may fill the end of a file with zeros after a power failure.
            let is_end = rest.is_empty();
            content.fault = Some((number, why));
            content.is_torn = is_end && why != "the line before it was changed or removed";
            break;
        }
    }
    content
}

/// The highest id of any line, in a damaged file too: ids are never given twice.
fn highest_id(octets: &[u8]) -> u64 {
    let ids = octets.split(|octet| *octet == b'\n').filter_map(decode);
    ids.map(|(entry, _)| entry.id).filter(|id| *id <= MAX_ID).max().unwrap_or(0)
}
