//! A limit of one line a second for log events that a client or a fault could cause without end.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// Limits a log event to one line a second. Each event has a throttle of its own, usually a
/// `static` beside the call.
#[derive(Debug)]
pub(super) struct LogThrottle {
    /// The second of the last admitted line, counted from the first use of any throttle, plus one;
    /// 0 before the first line.
    last_second: AtomicU64,
    /// Lines suppressed since the last admitted one.
    suppressed: AtomicU64,
}

impl LogThrottle {
    pub(super) const fn new() -> Self {
        Self { last_second: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Returns the number of lines suppressed since the last admitted one, or `None` if this line
    /// is to be suppressed as well.
    pub(super) fn admit(&self) -> Option<u64> {
        static START: OnceLock<Instant> = OnceLock::new();
        let second = START.get_or_init(Instant::now).elapsed().as_secs() + 1;
        if self.last_second.swap(second, Relaxed) == second {
            self.suppressed.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, Relaxed))
    }
}
