//! The way from every transport into the engine, on which a panic costs one message and nothing
//! else.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::counters::NoReplyReason;
use crate::{
    engine::{self, Query, QueryGroup, Transport, WrittenReply},
    snapshot::Snapshot,
    steer::DrawState,
};

/// Answers one message.
///
/// # Errors
/// Why nothing is to be sent.
pub(super) fn answer(
    snapshot: &Snapshot,
    query: &Query<'_>,
    draws: &mut DrawState,
    out: &mut [u8],
) -> Result<WrittenReply, NoReplyReason> {
    let ask = || {
        #[cfg(test)]
        assert!(query.message != super::tests::ENGINE_PANIC_QUERY, "a test asks for this panic");
        engine::answer(snapshot, query, draws, out).map_err(NoReplyReason::Ignored)
    };
    catch_panic(ask).unwrap_or_else(|| Err(log_panic(query.transport, Some(query.source))))
}

/// Adds a message to a group, which somebody further up has [`catch_panic`].
///
/// # Errors
/// Why nothing is to be sent.
#[inline]
pub(super) fn add<'m>(
    group: &mut QueryGroup<'_, 'm>,
    mark: usize,
    query: Query<'m>,
    out: &'m mut [u8],
) -> Result<(), NoReplyReason> {
    #[cfg(test)]
    assert!(query.message != super::tests::ENGINE_PANIC_QUERY, "a test asks for this panic");
    group.add(mark, query, out).map_err(NoReplyReason::Ignored)
}

/// Does what asks the engine; `None` where that panicked.
pub(super) fn catch_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    // Unwind safe: the snapshot is immutable; draws, counters and lists of replies are whole at
    // every moment; a name or a reply that was begun is overwritten, or not looked up and not sent.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Logs whose message it was that something panicked over, and says what it counts as.
#[cold]
pub(super) fn log_panic(transport: Transport, source: Option<IpAddr>) -> NoReplyReason {
    static PANICS: LogThrottle = LogThrottle::new();
    if let Some(unsaid) = PANICS.admit() {
        let client = source.map(tracing::field::display);
        tracing::error!(
            client,
            transport = transport.word(),
            suppressed = unsaid,
            "answering a query panicked"
        );
    }
    NoReplyReason::Panicked
}

/// Logs that answering a group panicked. It counts as nothing: whose message it was is found by
/// answering one by one.
#[cold]
pub(super) fn log_group_panic() {
    static PANICS: LogThrottle = LogThrottle::new();
    if let Some(unsaid) = PANICS.admit() {
        tracing::error!(
            suppressed = unsaid,
            "answering a group of queries panicked: each is answered alone"
        );
    }
}

/// Seconds since 1970, modulo 2^32.
pub(super) fn now_secs() -> u32 {
    // Truncation is what server cookies want (RFC 9018 section 4.3); a clock before 1970 reads as
    // 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

/// Lets at most one message a second through, for log lines that a peer or a fault could repeat
/// without end.
#[derive(Debug)]
pub(super) struct LogThrottle {
    /// The second the last line was let through, from the first use on, plus one.
    last_second: AtomicU64,
    suppressed: AtomicU64,
}

impl LogThrottle {
    pub(super) const fn new() -> Self {
        Self { last_second: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// `Some` with the number of lines held back before this one, or `None` to hold this one back,
    /// too.
    pub(super) fn admit(&self) -> Option<u64> {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let second = START.get_or_init(Instant::now).elapsed().as_secs() + 1;
        if self.last_second.swap(second, Relaxed) == second {
            self.suppressed.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, Relaxed))
    }
}
