//! The watch over files: reports when an edit is complete.
//!
//! | step | file |
//! |---|---|
//! | which paths a load would read | `watch_scope` |
//! | what a kernel event says about such a path | `events` |
//! | directories are watched; paths are compared with what was read, each second | `path_poller` |
//! | what is mounted on a file | `mounts` |
//! | when an edit is complete | `debounce` |
//!
//! The footprint of each load (`config::Footprint`) says what to watch. Kernel events report most
//! edits within milliseconds. The path poller reports changes without an event: a link or a mount
//! that is swapped above a directory, a file system without events (NFS, FUSE), a directory for
//! which the kernel has no watch left.

mod debounce;
mod events;
mod mounts;
mod path_poller;
mod watch_scope;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use self::{
    path_poller::{PathPoller, WatchRequest},
    watch_scope::WatchScope,
};
use crate::config::Footprint;

/// The time for which a requested reload waits for files that are open for writing.
pub(super) use debounce::MAX_REPORT_DELAY;

/// The maximum number of events that wait for `debounce`.
const EVENT_QUEUE_LEN: usize = 1024;

/// Watches files until dropped.
#[derive(Debug, Clone)]
pub(super) struct FileWatch {
    requests: std::sync::mpsc::Sender<WatchRequest>,
    open_files: Arc<ArcSwap<BTreeSet<PathBuf>>>,
}

impl FileWatch {
    /// Starts the watch, which sends `()` to `reports` after each edit. While one is unread, the
    /// next is not sent.
    pub(super) fn start(reports: mpsc::Sender<()>) -> Self {
        let (event_sender, events) = mpsc::channel(EVENT_QUEUE_LEN);
        let (requests, inbox) = std::sync::mpsc::channel();
        let scope: Arc<ArcSwap<WatchScope>> = Arc::default();
        let open_files: Arc<ArcSwap<BTreeSet<PathBuf>>> = Arc::default();
        tokio::spawn(debounce::run(events, reports, Arc::clone(&scope), Arc::clone(&open_files)));
        PathPoller::start(inbox, event_sender, scope);
        Self { requests, open_files }
    }

    /// Watches what a load depended on, instead of what was watched before. Changes since that load
    /// are reported.
    pub(super) fn follow(&self, footprint: Footprint) {
        // Sending fails only if the thread of the path poller could not be started.
        let _ = self.requests.send(WatchRequest { footprint, started: None });
    }

    /// Does the same as [`FileWatch::follow`], and returns once the paths are watched.
    pub(super) async fn follow_and_wait(&self, footprint: Footprint) {
        let (started, wait) = oneshot::channel();
        let _ = self.requests.send(WatchRequest { footprint, started: Some(started) });
        // If the thread could not be started, there is nothing to wait for.
        let _ = wait.await;
    }

    /// The files that programs have open and have written to, by paths without links. Each causes a
    /// report when it is closed.
    pub(super) fn open_files(&self) -> Arc<BTreeSet<PathBuf>> {
        self.open_files.load_full()
    }

    /// Whether a program has a file open and has written to it.
    pub(super) fn is_being_written(&self) -> bool {
        !self.open_files.load().is_empty()
    }
}

#[cfg(test)]
mod tests;
