//! Saves the last good set on a task of its own: a large set takes seconds to reach the disk.

use std::sync::Arc;

use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    last_good::{LastGood, LastGoodOrigin},
    state::StateDirectory,
};

/// Saves the newest set. Sets that are replaced before their save begins are skipped.
#[derive(Debug)]
pub(super) struct LastGoodSaver {
    newest: watch::Sender<Arc<LastGood>>,
    task: JoinHandle<()>,
}

impl LastGoodSaver {
    /// Starts the task, which saves to `state` until [`LastGoodSaver::finish`].
    pub(super) fn start(state: StateDirectory, origin: LastGoodOrigin) -> Self {
        let (newest, sets) = watch::channel(Arc::default());
        Self { newest, task: tokio::spawn(save(sets, Arc::new((state, origin)))) }
    }

    /// Saves this set once the save in progress has ended.
    pub(super) fn save(&self, set: &Arc<LastGood>) {
        self.newest.send_replace(Arc::clone(set));
    }

    /// Waits until the newest set is saved.
    pub(super) async fn finish(self) {
        drop(self.newest);
        // The task ends by itself, or with the runtime.
        let _ = self.task.await;
    }
}

async fn save(mut sets: watch::Receiver<Arc<LastGood>>, to: Arc<(StateDirectory, LastGoodOrigin)>) {
    // A set that was sent before the sender was dropped is still seen.
    while sets.changed().await.is_ok() {
        let set = Arc::clone(&sets.borrow_and_update());
        let to = Arc::clone(&to);
        // A panic is logged, and the next set is saved all the same.
        let _ = spawn_blocking(move || to.0.save_last_good(&set, &to.1)).await;
    }
}
