//! What is known of the journal's own state: counted by its thread, read by reports.

use std::{
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde::{Deserialize, Serialize};

/// Counts since the start, and what is wrong now.
#[derive(Debug, Default)]
pub(super) struct JournalCounts {
    pub(super) recorded: AtomicU64,
    pub(super) dropped: AtomicU64,
    faults: Mutex<JournalFaults>,
}

#[derive(Debug, Default)]
pub(super) struct JournalFaults {
    /// Why events are not on the disk, with the remedy.
    pub(super) unsaved: Option<String>,
    /// Files that were set aside because they are damaged.
    pub(super) damaged: Vec<PathBuf>,
}

/// The journal's own state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct JournalStatus {
    /// The number of events since the start.
    pub events: u64,
    /// The number of events that were lost since the start.
    pub dropped: u64,
    /// Why events cannot be written, if they cannot; the latest are in memory meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<String>,
    /// Damaged files, which were set aside.
    pub damaged: Vec<String>,
    /// Why the history cannot be written, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_unsaved: Option<String>,
}

impl JournalCounts {
    pub(super) fn faults(&self) -> MutexGuard<'_, JournalFaults> {
        // Both lists are replaced whole: a panic leaves no half of one.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state now. A damaged file that an operator has moved away is not reported.
    pub(super) fn status(&self) -> JournalStatus {
        let faults = self.faults();
        let damaged = faults.damaged.iter().filter(|path| path.symlink_metadata().is_ok());
        JournalStatus {
            events: self.recorded.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            unsaved: faults.unsaved.clone(),
            damaged: damaged.map(|path| path.display().to_string()).collect(),
            history_unsaved: None,
        }
    }
}

impl JournalStatus {
    /// What an operator should look at, one line each.
    pub fn concerns(&self) -> Vec<String> {
        let unsaved = self.unsaved.iter().map(|why| {
            format!("the journal is not written, so a restart would lose its latest events: {why}")
        });
        let damaged = self.damaged.iter().map(|file| {
            format!(
                "a file of the journal is damaged, and `portolan log` does not show its events: {file} \
                 (help: find out what changed it, then move it away)"
            )
        });
        let history = self.history_unsaved.iter().map(|why| {
            format!("the history is not written, so `explain --at` cannot repeat this time: {why}")
        });
        unsaved.chain(damaged).chain(history).collect()
    }
}
