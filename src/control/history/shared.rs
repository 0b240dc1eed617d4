//! What the history's thread shares with its handles: the queue, and what is known to both.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::oneshot;

use super::published::{PublishedConditions, PublishedConfiguration};
use crate::control::request_wait::wait_for_requests;

/// What the thread shares with the handles.
#[derive(Debug)]
pub(super) struct SharedHistory {
    /// The directory of the records.
    pub(super) directory: PathBuf,
    queue: Mutex<HistoryBatch>,
    has_requests: Condvar,
    /// The configuration of the newest record, with its digest.
    current: Mutex<Option<(Arc<PublishedConfiguration>, String)>>,
    /// Why records cannot be written.
    unsaved: Mutex<Option<String>>,
}

/// What the thread is asked to do.
#[derive(Debug, Default)]
pub(super) struct HistoryBatch {
    pub(super) published: VecDeque<PublishedConditions>,
    /// Those who wait until everything before is written.
    pub(super) replies: Vec<oneshot::Sender<()>>,
    pub(super) is_stopped: bool,
}

impl SharedHistory {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            queue: Mutex::default(),
            has_requests: Condvar::new(),
            current: Mutex::default(),
            unsaved: Mutex::default(),
        }
    }

    /// The directory of the files of configurations.
    pub(super) fn configurations(&self) -> PathBuf {
        self.directory.join("configurations")
    }

    // Each of these values is replaced whole: a panic leaves no half of one.

    /// Changes the queue, and wakes the thread up.
    pub(super) fn change(&self, change: impl FnOnce(&mut HistoryBatch)) {
        change(&mut self.lock());
        self.has_requests.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, HistoryBatch> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn current(&self) -> MutexGuard<'_, Option<(Arc<PublishedConfiguration>, String)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unsaved(&self) -> MutexGuard<'_, Option<String>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for requests, until `deadline` if there is one, and takes all of them.
    pub(super) fn take(&self, deadline: Option<Instant>) -> HistoryBatch {
        let is_idle = |queue: &mut HistoryBatch| {
            queue.published.is_empty() && queue.replies.is_empty() && !queue.is_stopped
        };
        let mut queue = wait_for_requests(&self.has_requests, self.lock(), deadline, is_idle);
        let is_stopped = queue.is_stopped;
        HistoryBatch { is_stopped, ..std::mem::take(&mut *queue) }
    }
}
