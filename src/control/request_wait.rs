//! The wait of a thread for requests in a queue that it shares with others.

use std::{
    sync::{Condvar, MutexGuard, PoisonError},
    time::Instant,
};

/// Waits while `is_idle` of the queue, until `deadline` if there is one. Threads that add a
/// request notify `has_requests`.
pub(super) fn wait_for_requests<'a, T>(
    has_requests: &Condvar,
    queue: MutexGuard<'a, T>,
    deadline: Option<Instant>,
    is_idle: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    match deadline {
        None => has_requests.wait_while(queue, is_idle).unwrap_or_else(PoisonError::into_inner),
        Some(deadline) => {
            let timeout = deadline.saturating_duration_since(Instant::now());
            let waited = has_requests.wait_timeout_while(queue, timeout, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}
