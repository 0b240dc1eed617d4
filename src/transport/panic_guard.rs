//! The call of every transport into the engine. A panic there costs one message, and the server
//! goes on.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{counters::NoReplyReason, engine::Engine, log_throttle::LogThrottle};
use crate::{
    engine::{Query, Transport, WrittenReply},
    snapshot::Snapshot,
    steer::DrawState,
};

/// Answers one message.
///
/// # Errors
/// The reason why no reply is to be sent.
pub(super) fn answer(
    engine: impl Engine,
    snapshot: &Snapshot,
    query: &Query<'_>,
    draws: &mut DrawState,
    out: &mut [u8],
) -> Result<WrittenReply, NoReplyReason> {
    let answer = || engine.answer(snapshot, query, draws, out).map_err(NoReplyReason::Ignored);
    catch_panic(answer).unwrap_or_else(|| Err(log_panic(query.transport, query.source)))
}

/// Calls the engine; `None` if it panicked.
pub(super) fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    // Unwind safe: the snapshot is immutable; draws, counters and lists of replies are complete
    // after every step; a name or a reply that was begun is overwritten, or neither looked up nor
    // sent.
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// Logs the client whose message made the engine panic, and returns the reason to count.
#[cold]
fn log_panic(transport: Transport, client: IpAddr) -> NoReplyReason {
    static PANICS: LogThrottle = LogThrottle::new();
    if let Some(suppressed) = PANICS.admit() {
        tracing::error!(
            %client,
            transport = transport.as_str(),
            suppressed,
            "answering a query panicked"
        );
    }
    NoReplyReason::Panicked
}

/// Logs that answering a group panicked. This is not counted: the message that caused it is found,
/// and counted, when each is answered alone.
#[cold]
pub(super) fn log_group_panic() {
    static PANICS: LogThrottle = LogThrottle::new();
    if let Some(suppressed) = PANICS.admit() {
        tracing::error!(
            suppressed,
            "answering a group of queries panicked: each is answered alone"
        );
    }
}
