//! What of the state could not be saved, shared by everything that saves.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::listing;

/// The failures of the latest attempts, by file. Cheap to clone; all clones are the same list.
#[derive(Debug, Clone)]
pub(in crate::control) struct Faults {
    directory: PathBuf,
    list: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Faults {
    pub(super) fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), list: Arc::default() }
    }

    /// Takes note of an attempt to save a file. Only the first of several failures is logged.
    pub(super) fn note(&self, name: &str, outcome: Result<(), impl Display>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = self.directory.display();
        match outcome {
            Ok(()) => {
                if list.remove(name).is_some() && list.is_empty() {
                    tracing::info!(%directory, "state saved again");
                }
            }
            Err(error) => {
                if list.is_empty() {
                    tracing::warn!(%directory, file = name, %error, "state not saved: a restart will start without it");
                }
                list.insert(name.to_owned(), error.to_string());
            }
        }
    }

    /// Why something is not saved, if anything is not.
    pub(in crate::control) fn text(&self) -> Option<String> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, error) = list.first_key_value()?;
        let path = self.directory.join(name);
        Some(match list.len() - 1 {
            0 => format!("{}: {error}", path.display()),
            more => format!("{}: {error}, and {}", path.display(), listing::counted(more, "more file")),
        })
    }
}
