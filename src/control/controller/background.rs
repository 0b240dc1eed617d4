//! Work that the controller's task hands to other threads, and the wait for what comes of it.

use tokio::{sync::oneshot, task::spawn_blocking};

/// Drops a large value on another thread: freeing 100,000 charts would delay the next event.
pub(super) fn drop_in_background<T: Send + 'static>(value: T) {
    // The thread ends by itself, or with the runtime.
    drop(spawn_blocking(move || drop(value)));
}

/// Waits for the result of work in progress; `None` if its sender was dropped. Never ends without a
/// receiver.
pub(super) async fn received<T>(running: Option<&mut oneshot::Receiver<T>>) -> Option<T> {
    match running {
        Some(running) => running.await.ok(),
        None => std::future::pending().await,
    }
}
