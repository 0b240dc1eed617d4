//! The handle of the history: takes what is published, without waiting. Cheap to clone.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::{
    published::{PublishedConditions, PublishedConfiguration},
    recorder::HistoryRecorder,
    shared::SharedHistory,
};
use crate::control::journal::Journal;

/// The maximum number of snapshots that wait. A further one replaces the last.
const MAX_WAITING: usize = 32;
/// The longest time that the end of the process waits for the disk.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Takes the conditions of published snapshots. The thread that writes ends with the last handle.
#[derive(Debug, Clone)]
pub(in crate::control) struct History {
    shared: Arc<SharedHistory>,
    _thread: Arc<HistoryThread>,
}

/// Stops the thread when it is dropped.
#[derive(Debug)]
struct HistoryThread(Arc<SharedHistory>);

impl Drop for HistoryThread {
    fn drop(&mut self) {
        self.0.change(|queue| queue.is_stopped = true);
    }
}

impl History {
    /// Starts the thread that writes to the files in `directory`, which need not exist and need not
    /// be writable. Events of what differs go to `journal`.
    ///
    /// # Errors
    /// The system cannot start the thread.
    pub(in crate::control) fn start(directory: PathBuf, journal: Journal) -> io::Result<Self> {
        let shared = Arc::new(SharedHistory::new(directory));
        let of_thread = Arc::clone(&shared);
        let run = move || HistoryRecorder::open(of_thread, journal).run();
        // The thread ends by itself once the queue is stopped.
        thread::Builder::new().name("history".to_owned()).spawn(run)?;
        Ok(Self { _thread: Arc::new(HistoryThread(Arc::clone(&shared))), shared })
    }

    /// Records a snapshot. If too many wait, it replaces the one before: the time between them is
    /// then known by the later one's difference alone.
    pub(in crate::control) fn publish(&self, mut published: PublishedConditions) {
        self.shared.change(|queue| {
            if queue.published.len() >= MAX_WAITING
                && let Some(last) = queue.published.pop_back()
                && Arc::ptr_eq(&last.configuration, &published.configuration)
            {
                published.causes.splice(0..0, last.causes);
            }
            queue.published.push_back(published);
        });
    }

    /// The directory of the records.
    pub(super) fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// The directory of the files of configurations.
    pub(super) fn configurations(&self) -> PathBuf {
        self.shared.configurations()
    }

    /// The digest of this configuration, if it is the newest that was recorded.
    pub(super) fn digest_of(&self, configuration: &Arc<PublishedConfiguration>) -> Option<String> {
        let current = self.shared.current();
        let (known, digest) = current.as_ref()?;
        Arc::ptr_eq(known, configuration).then(|| digest.clone())
    }

    /// Why records cannot be written, if they cannot.
    pub(in crate::control) fn unsaved(&self) -> Option<String> {
        self.shared.unsaved().clone()
    }

    /// Waits until everything published before is written, for at most a second.
    pub(in crate::control) async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        self.shared.change(|queue| queue.replies.push(reply));
        let _ = timeout(FLUSH_TIMEOUT, done).await;
    }
}
