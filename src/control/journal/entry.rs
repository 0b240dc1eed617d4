//! An entry: an event with its id and time, and its form as one line of a file.

use serde::{Deserialize, Serialize};

use super::{chain::LineHash, event::Event};

/// An event of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JournalEntry {
    /// The number of the event; grows with each one, and gives the order of events.
    pub id: u64,
    /// When the event was recorded, in milliseconds since 1970-01-01T00:00:00Z; RFC 3339 in JSON.
    #[serde(rename = "time", with = "rfc_3339")]
    pub time_ms: i64,
    /// The event as it was reported.
    #[serde(flatten)]
    pub event: Event,
}

/// A line of a journal file: an entry, and the hash of the line before.
#[derive(Debug, Serialize, Deserialize)]
struct ChainedLine {
    #[serde(flatten)]
    entry: JournalEntry,
    previous: LineHash,
}

/// The line of an entry that follows the line with the hash `previous`, without its end.
pub(super) fn encode(entry: &JournalEntry, previous: LineHash) -> Vec<u8> {
    // Numbers, texts and options always have a form in JSON.
    serde_json::to_vec(&ChainedLine { entry: entry.clone(), previous }).unwrap_or_default()
}

/// The entry of a line, and the hash of the line before; `None` if it is no line of a journal.
pub(super) fn decode(line: &[u8]) -> Option<(JournalEntry, LineHash)> {
    let ChainedLine { entry, previous } = serde_json::from_slice(line).ok()?;
    Some((entry, previous))
}

/// A time in milliseconds since 1970 by RFC 3339: `2026-12-01T06:00:00.250Z`.
pub fn time_text(time_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(time_ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{time_ms} ms after 1970"),
    }
}

mod rfc_3339 {
    //! Milliseconds since 1970 as text.

    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time_ms: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::time_text(*time_ms))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(time.as_millisecond())
    }
}
