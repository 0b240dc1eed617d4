//! The watch over files: reports when an edit is complete.
//!
//! | step | file |
//! |---|---|
//! | which paths a load would read | `scope` |
//! | what a kernel event says about such a path | `events` |
//! | directories are watched; paths are compared with what was read, each second | `patrol` |
//! | what is mounted on a file | `mounts` |
//! | when an edit is complete | `settle` |
//!
//! The footprint of each load (`config::Footprint`) says what to watch. Kernel events report most
//! edits within milliseconds. The patrol reports what causes no event: a link or a mount that is
//! swapped above a directory, a file system without events (NFS, FUSE), a directory for which the
//! kernel has no watch left.

mod events;
mod mounts;
mod patrol;
mod scope;
mod settle;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use self::{
    patrol::{Order, Patrol},
    scope::Scope,
};
use crate::config::Footprint;

/// How long a reload that was asked for waits for files that are open for writing.
pub(super) use settle::IMPATIENCE;

/// As many signs of edits wait to be looked at.
const SIGNS: usize = 1024;

/// Watches files until dropped.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    orders: std::sync::mpsc::Sender<Order>,
    open: Arc<ArcSwap<BTreeSet<PathBuf>>>,
}

impl Watch {
    /// Sends `()` after each edit; while one is unread the next is not sent.
    pub(super) fn start(settled: mpsc::Sender<()>) -> Self {
        let (sign, signs) = mpsc::channel(SIGNS);
        let (orders, inbox) = std::sync::mpsc::channel();
        let scope: Arc<ArcSwap<Scope>> = Arc::default();
        let open: Arc<ArcSwap<BTreeSet<PathBuf>>> = Arc::default();
        tokio::spawn(settle::run(signs, settled, Arc::clone(&scope), Arc::clone(&open)));
        Patrol::start(inbox, sign, scope);
        Self { orders, open }
    }

    /// Watches what a load depended on, instead of what was watched before. Differences since that
    /// load are reported.
    pub(super) fn follow(&self, footprint: Footprint) {
        // The patrol ends with the last watch.
        let _ = self.orders.send(Order { footprint, begun: None });
    }

    /// The same; returns once it is watched.
    pub(super) async fn begin(&self, footprint: Footprint) {
        let (begun, wait) = oneshot::channel();
        let _ = self.orders.send(Order { footprint, begun: Some(begun) });
        // Without a thread to watch with there is nothing to wait for.
        let _ = wait.await;
    }

    /// The files that programs have open and have written to, without links. Each causes a report
    /// when it is closed.
    pub(super) fn open_files(&self) -> Arc<BTreeSet<PathBuf>> {
        self.open.load_full()
    }

    /// Whether a program has a file open and has written to it.
    pub(super) fn is_being_written(&self) -> bool {
        !self.open.load().is_empty()
    }
}

#[cfg(test)]
mod tests;
