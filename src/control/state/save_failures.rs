//! What of the state could not be saved, shared by everything that saves.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{control::remedy, listing};

/// What became of the latest attempts to save, by file. Cheap to clone; all clones are the same
/// list.
#[derive(Debug, Clone)]
pub(in crate::control) struct SaveFailures {
    directory: PathBuf,
    records: Arc<Mutex<SaveRecords>>,
}

#[derive(Debug, Default)]
struct SaveRecords {
    /// In which order the failures came, and why each file is not saved.
    failed: BTreeMap<String, (u64, String)>,
    /// Files that were saved and must be there since.
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

    /// Takes note of an attempt to save a file. Only the first of several failures is logged.
    pub(super) fn record(&self, name: &str, outcome: io::Result<()>) {
        let mut list = self.records();
        list.attempts += 1;
        let attempt = list.attempts;
        let directory = self.directory.display();
        match outcome {
            Ok(()) => {
                list.saved.insert(name.to_owned());
                if list.failed.remove(name).is_some() && list.failed.is_empty() {
                    tracing::info!(%directory, "state saved again");
                }
            }
            Err(error) => {
                let text = format!("{error} (help: {})", remedy::write_remedy(&error));
                if list.failed.is_empty() {
                    tracing::warn!(%directory, file = name, error = %text, "state not saved: a restart will start without it");
                }
                list.failed.insert(name.to_owned(), (attempt, text));
            }
        }
    }

    /// Nothing is to be saved in this file now.
    pub(super) fn forget(&self, name: &str) {
        self.records().failed.remove(name);
        self.records().saved.remove(name);
    }

    /// Whether a file that was saved is gone.
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

    /// Why something is not saved, if anything is not: the newest failure, with its remedy.
    pub(in crate::control) fn text(&self) -> Option<String> {
        let list = self.records();
        let (name, (_, error)) = list.failed.iter().max_by_key(|(_, (attempt, _))| *attempt)?;
        let path = self.directory.join(name);
        Some(match list.failed.len() - 1 {
            0 => format!("{}: {error}", path.display()),
            more => {
                format!("{}: {error}, and {}", path.display(), listing::counted(more, "more file"))
            }
        })
    }
}
