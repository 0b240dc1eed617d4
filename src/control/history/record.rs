//! A record: one line of the history's files, for one published snapshot.

use serde::{Deserialize, Serialize};

use super::{
    difference::Facts,
    fact::{FactChange, FactKey, FactValue},
    published::DatabaseIdentity,
};

/// What changed with one snapshot; the first record of each file has everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HistoryRecord {
    /// When the snapshot was published, in milliseconds since 1970.
    pub time_ms: i64,
    /// The generation of the snapshot.
    pub generation: u64,
    /// Whether `set` has all facts, and the facts before do not count.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_complete: bool,
    /// Whether nothing is known about the time since the record before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gap: Option<HistoryGap>,
    /// The configuration, if it is another one than before or the record is complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub configuration: Option<ConfigurationIdentity>,
    /// The facts that have these values now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub set: Vec<(FactKey, FactValue)>,
    /// The facts that are plain now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unset: Vec<FactKey>,
}

/// Why the time before a record is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HistoryGap {
    /// The server started with this record.
    Started,
    /// Records of that time were lost.
    Lost,
}

/// The configuration of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ConfigurationIdentity {
    /// The digest of its files and serials.
    pub digest: String,
    pub databases: Vec<DatabaseIdentity>,
    /// The overrides in the form of their file; `None` if there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overrides: Option<String>,
    /// When the overrides were applied, in seconds since 1970.
    #[serde(default)]
    pub overrides_at: i64,
}

impl HistoryRecord {
    /// Adds facts that differ.
    pub(super) fn add_changes(&mut self, changes: Vec<FactChange>) {
        for (key, value) in changes {
            match value {
                Some(value) => self.set.push((key, value)),
                None => self.unset.push(key),
            }
        }
    }

    /// Applies the record to the facts of the record before.
    pub(super) fn apply_to(&self, facts: &mut Facts) {
        if self.is_complete {
            facts.clear();
        }
        for key in &self.unset {
            facts.remove(key);
        }
        facts.extend(self.set.iter().cloned());
    }

    /// The record as a line.
    pub(super) fn line(&self) -> Vec<u8> {
        // Numbers, texts and lists always have a form in JSON.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The record of a line; `None` if the line is cut off or damaged.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_suffix(b"\n")?).ok()
    }
}
