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
//! edits within milliseconds. The patrol reports what causes no event: a link or a mount that is
//! swapped above a directory, a file system without events (NFS, FUSE), a directory for which the
//! kernel has no watch left.

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

/// How long a reload that was asked for waits for files that are open for writing.
pub(super) use debounce::MAX_REPORT_DELAY;

/// As many signs of edits wait to be looked at.
const EVENT_QUEUE_LEN: usize = 1024;

/// Watches files until dropped.
#[derive(Debug, Clone)]
pub(super) struct FileWatch {
    requests: std::sync::mpsc::Sender<WatchRequest>,
    open_files: Arc<ArcSwap<BTreeSet<PathBuf>>>,
}

impl FileWatch {
    /// Sends `()` after each edit; while one is unread the next is not sent.
    pub(super) fn start(settled: mpsc::Sender<()>) -> Self {
        let (sign, signs) = mpsc::channel(EVENT_QUEUE_LEN);
        let (requests, inbox) = std::sync::mpsc::channel();
        let scope: Arc<ArcSwap<WatchScope>> = Arc::default();
        let open_files: Arc<ArcSwap<BTreeSet<PathBuf>>> = Arc::default();
        tokio::spawn(debounce::run(signs, settled, Arc::clone(&scope), Arc::clone(&open_files)));
        PathPoller::start(inbox, sign, scope);
        Self { requests, open_files }
    }

    /// Watches what a load depended on, instead of what was watched before. Differences since that
    /// load are reported.
    pub(super) fn follow(&self, footprint: Footprint) {
        // The patrol ends with the last watch.
        let _ = self.requests.send(WatchRequest { footprint, started: None });
    }

    /// The same; returns once it is watched.
    pub(super) async fn follow_and_wait(&self, footprint: Footprint) {
        let (begun, wait) = oneshot::channel();
        let _ = self.requests.send(WatchRequest { footprint, started: Some(begun) });
        // Without a thread to watch with there is nothing to wait for.
        let _ = wait.await;
    }

    /// The files that programs have open and have written to, without links. Each causes a report
    /// when it is closed.
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
