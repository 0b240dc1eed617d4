//! The state that could not be saved: one records, shared by everything that saves.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{control::remedy, listing};

/// The outcomes of the latest attempts to save, by file. Cheap to clone; all clones share the
/// records.
#[derive(Debug, Clone)]
pub(in crate::control) struct SaveFailures {
    directory: PathBuf,
    records: Arc<Mutex<SaveRecords>>,
}

#[derive(Debug, Default)]
struct SaveRecords {
    /// For each file that is not saved: the number of the attempt, and why it failed.
    failed: BTreeMap<String, (u64, String)>,
    /// Files that were saved, and must exist since then.
    saved: BTreeSet<String>,
    attempts: u64,
}

impl SaveFailures {
    pub(super) fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), records: Arc::default() }
    }

    fn records(&self) -> MutexGuard<'_, SaveRecords> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an attempt to save a file. Only the first of several failures is logged.
    pub(super) fn record(&self, name: &str, outcome: io::Result<()>) {
        let mut records = self.records();
        records.attempts += 1;
        let attempt = records.attempts;
        let directory = self.directory.display();
        match outcome {
            Ok(()) => {
                records.saved.insert(name.to_owned());
                if records.failed.remove(name).is_some() && records.failed.is_empty() {
                    tracing::info!(%directory, "state saved again");
                }
            }
            Err(error) => {
                let text = format!("{error} (help: {})", remedy::write_remedy(&error));
                if records.failed.is_empty() {
                    tracing::warn!(%directory, file = name, error = %text, "state not saved: a restart will start without it");
                }
                records.failed.insert(name.to_owned(), (attempt, text));
            }
        }
    }

    /// Removes a file from the records: it is not to be saved now.
    pub(super) fn forget(&self, name: &str) {
        self.records().failed.remove(name);
        self.records().saved.remove(name);
    }

    /// Whether a file that was saved no longer exists.
    pub(in crate::control) fn is_any_lost(&self) -> bool {
        let is_gone = |name: &String| {
            let found = self.directory.join(name).symlink_metadata();
            found.is_err_and(|error| {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            })
        };
        let saved = self.records().saved.clone();
        saved.iter().any(is_gone)
    }

    /// The newest failure with its remedy; `None` if all is saved.
    pub(in crate::control) fn text(&self) -> Option<String> {
        let records = self.records();
        let (name, (_, error)) = records.failed.iter().max_by_key(|(_, (attempt, _))| *attempt)?;
        let path = self.directory.join(name);
        Some(match records.failed.len() - 1 {
            0 => format!("{}: {error}", path.display()),
            more => {
                format!("{}: {error}, and {}", path.display(), listing::counted(more, "more file"))
            }
        })
    }
}
