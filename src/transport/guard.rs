//! The way from every transport into the engine, on which a panic costs one message and nothing
//! else.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::counters::Silence;
use crate::{
    engine::{self, Group, Query, Reply, Transport},
    snapshot::Snapshot,
    steer::Draws,
};

/// Answers one message.
///
/// # Errors
/// Why nothing is to be sent.
pub(super) fn answer(
    snapshot: &Snapshot,
    query: &Query<'_>,
    draws: &mut Draws,
    out: &mut [u8],
) -> Result<Reply, Silence> {
    let ask = || {
        #[cfg(test)]
        assert!(query.message != super::tests::POISON_FOR_THE_ENGINE, "a test asks for this panic");
        engine::answer(snapshot, query, draws, out).map_err(Silence::Ignored)
    };
    shielded(ask).unwrap_or_else(|| Err(panicked(query.transport, Some(query.source))))
}

/// Adds a message to a group, which somebody further up has [`shielded`].
///
/// # Errors
/// Why nothing is to be sent.
#[inline]
pub(super) fn add<'m>(
    group: &mut Group<'_, 'm>,
    mark: usize,
    query: Query<'m>,
    out: &'m mut [u8],
) -> Result<(), Silence> {
    #[cfg(test)]
    assert!(query.message != super::tests::POISON_FOR_THE_ENGINE, "a test asks for this panic");
    group.add(mark, query, out).map_err(Silence::Ignored)
}

/// Does what asks the engine; `None` where that panicked.
pub(super) fn shielded<T>(work: impl FnOnce() -> T) -> Option<T> {
    // Unwind safe: the snapshot is immutable; draws, counters and lists of replies are whole at
    // every moment; a name or a reply that was begun is overwritten, or not looked up and not sent.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Logs whose message it was that something panicked over, and says what it counts as.
#[cold]
pub(super) fn panicked(transport: Transport, source: Option<IpAddr>) -> Silence {
    static PANICS: Throttle = Throttle::new();
    if let Some(unsaid) = PANICS.admit() {
        let client = source.map(tracing::field::display);
        tracing::error!(
            client,
            transport = transport.word(),
            suppressed = unsaid,
            "answering a query panicked"
        );
    }
    Silence::Panicked
}

/// Logs that answering a group panicked. It counts as nothing: whose message it was is found by
/// answering one by one.
#[cold]
pub(super) fn panicked_together() {
    static PANICS: Throttle = Throttle::new();
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
pub(super) struct Throttle {
    /// The second the last line was let through, from the first use on, plus one.
    last: AtomicU64,
    unsaid: AtomicU64,
}

impl Throttle {
    pub(super) const fn new() -> Self {
        Self { last: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    /// `Some` with the number of lines held back before this one, or `None` to hold this one back,
    /// too.
    pub(super) fn admit(&self) -> Option<u64> {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let second = START.get_or_init(Instant::now).elapsed().as_secs() + 1;
        if self.last.swap(second, Relaxed) == second {
            self.unsaid.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Relaxed))
    }
}
