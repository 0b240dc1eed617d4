//! The filter of a search for events.

use super::{entry::JournalEntry, event::EventKind};

/// What a search for events asks for. The default asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The earliest time, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// The latest time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// A subject, or a part of one between spaces and slashes.
    pub subject: Option<String>,
    /// The kind of the events.
    pub kind: Option<EventKind>,
    /// The id that all events must exceed.
    pub after: Option<u64>,
}

impl EventFilter {
    /// Whether the search finds this entry.
    pub fn matches(&self, entry: &JournalEntry) -> bool {
        let JournalEntry { id, time_ms, event } = entry;
        self.after.is_none_or(|after| *id > after)
            && self.since_ms.is_none_or(|since| *time_ms >= since)
            && self.until_ms.is_none_or(|until| *time_ms <= until)
            && self.kind.is_none_or(|kind| event.kind == kind)
            && self.subject.as_deref().is_none_or(|wanted| concerns(&event.subject, wanted))
    }
}

/// Whether a subject is the wanted one, or has it as a part: `fra`, `web/fra` and `http fra`.
fn concerns(subject: &str, wanted: &str) -> bool {
    subject == wanted || subject.split([' ', '/']).any(|part| part == wanted)
}
