//! The state of one connection in the table.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::Notify;

/// One connection in the table. Times are nanoseconds since the table was made.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    pub(super) client: IpAddr,
    /// The time when the connection was accepted, or last read or wrote a complete message.
    pub(super) last_progress_nanos: AtomicU64,
    /// Whether it has read or written a complete message.
    pub(super) has_progressed: AtomicBool,
    /// Whether a request is being answered during which the connection should not be evicted.
    pub(super) is_busy: AtomicBool,
    pub(super) is_ending: AtomicBool,
    /// Notified when `is_ending` becomes true.
    pub(super) end_request: Notify,
    /// Octets that the connection has reserved of the shared buffers.
    pub(super) buffered_octets: AtomicUsize,
    /// Whether its last attempt to reserve more octets was refused.
    pub(super) is_buffer_refused: AtomicBool,
    /// HTTP requests whose head was complete.
    pub(super) requests: AtomicU64,
    /// HTTP replies that are not written yet.
    pub(super) unsent_replies: AtomicUsize,
    /// The time since which replies have been unsent without one being written.
    pub(super) unsent_since_nanos: AtomicU64,
}

impl ConnectionSlot {
    pub(super) fn new(client: IpAddr, now_nanos: u64) -> Self {
        Self {
            client,
            last_progress_nanos: AtomicU64::new(now_nanos),
            has_progressed: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            end_request: Notify::new(),
            buffered_octets: AtomicUsize::new(0),
            is_buffer_refused: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            unsent_replies: AtomicUsize::new(0),
            unsent_since_nanos: AtomicU64::new(0),
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Relaxed)
    }

    /// Connections are evicted in ascending order of this: those that answer a request last, and
    /// among equals those without progress for the longest time first.
    pub(super) fn eviction_rank(&self) -> (bool, u64) {
        (self.is_busy.load(Relaxed), self.last_progress_nanos.load(Relaxed))
    }
}
