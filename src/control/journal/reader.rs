//! The reader: finds events again, in memory and in the files.

use std::{collections::VecDeque, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    entry::{JournalEntry, decode},
    filter::EventFilter,
    segments,
};
use crate::files::{self, SymlinkPolicy};

/// The maximum size of a file that is read.
const MAX_FILE_OCTETS: u64 = 64 << 20;

/// The events that a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventPage {
    /// The events in order of id.
    pub events: Vec<JournalEntry>,
    /// Whether there are more: later ones if the search has an `after`, else earlier ones.
    pub has_more: bool,
    /// The id of the newest event of the journal, whatever the search asked for.
    pub newest: u64,
}

/// Collects the events that a search finds, up to a number.
struct PageBuilder<'f> {
    filter: &'f EventFilter,
    limit: usize,
    events: VecDeque<JournalEntry>,
    has_more: bool,
}

impl PageBuilder<'_> {
    /// Whether further events change nothing.
    fn is_complete(&self) -> bool {
        self.filter.after.is_some() && self.has_more
    }

    fn offer(&mut self, entry: &JournalEntry) {
        if self.is_complete() || !self.filter.matches(entry) {
            return;
        }
        if self.events.len() == self.limit {
            self.has_more = true;
            if self.filter.after.is_some() {
                return;
            }
            self.events.pop_front();
        }
        self.events.push_back(entry.clone());
    }
}

/// Finds the events that `filter` matches: the first `limit` after `filter.after`, else the last
/// `limit`. `recent` are the events in memory; older ones are read from the files of `directory`.
pub(super) fn find(
    directory: &Path,
    recent: &[Arc<JournalEntry>],
    filter: &EventFilter,
    limit: usize,
) -> EventPage {
    let mut page =
        PageBuilder { filter, limit: limit.max(1), events: VecDeque::new(), has_more: false };
    let first_recent = recent.first().map_or(u64::MAX, |entry| entry.id);
    let needs_files = filter.after.is_none_or(|after| after.saturating_add(1) < first_recent);
    if needs_files {
        offer_files(directory, first_recent, &mut page);
    }
    recent.iter().for_each(|entry| page.offer(entry));
    EventPage {
        events: page.events.into(),
        has_more: page.has_more,
        newest: recent.last().map_or(0, |entry| entry.id),
    }
}

/// Offers the events of the files whose ids are below `end`. A file that is removed meanwhile has
/// none.
fn offer_files(directory: &Path, end: u64, page: &mut PageBuilder<'_>) {
    for (_, path) in segments::list(directory) {
        let octets = files::read(&path, SymlinkPolicy::Refuse, MAX_FILE_OCTETS).unwrap_or_default();
        for (entry, _) in octets.split(|octet| *octet == b'\n').filter_map(decode) {
            if entry.id >= end || page.is_complete() {
                return;
            }
            page.offer(&entry);
        }
    }
}
