//! Work that the controller's task hands to a blocking thread.

use tokio::task::spawn_blocking;

/// Drops a large value on another thread: freeing 100,000 charts would delay the next event.
pub(super) fn drop_in_background<T: Send + 'static>(value: T) {
    // The thread ends by itself, or with the runtime.
    drop(spawn_blocking(move || drop(value)));
}
