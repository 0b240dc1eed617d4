//! The events that are counted: outcomes of messages, events of connections, and the rcodes, types
//! and statuses that have a count of their own.

use crate::{dns::Rtype, engine::IgnoreReason};

/// The number of counts by rcode: one for each rcode from 0 to 23, and one for all above.
pub(super) const RCODE_CELLS: usize = 25;

/// The HTTP statuses that have a count of their own; all others share one.
pub(super) const COUNTED_STATUSES: [u16; 8] = [200, 400, 404, 405, 408, 413, 415, 503];

/// The query types that have a count of their own; all others share one.
pub(super) const COUNTED_TYPES: [Rtype; 19] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::PTR,
    Rtype::MX,
    Rtype::TXT,
    Rtype::SRV,
    Rtype::NAPTR,
    Rtype::DS,
    Rtype::DNSKEY,
    Rtype::TLSA,
    Rtype::SVCB,
    Rtype::HTTPS,
    Rtype::ANY,
    Rtype::CAA,
    Rtype::AXFR,
    Rtype::IXFR,
];

/// Why a message that was received gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoReplyReason {
    /// The engine ignores the message.
    Ignored(IgnoreReason),
    /// The datagram is longer than the receive buffer.
    Oversized,
    /// No reply can be sent to the source: its port is 0, or the kernel gave no address.
    Unanswerable,
    /// Answering it panicked: a defect of this program, which is logged.
    Panicked,
}

impl NoReplyReason {
    /// Each reason, in the order of the metrics page.
    pub const ALL: [Self; 5] = [
        Self::Ignored(IgnoreReason::Short),
        Self::Ignored(IgnoreReason::Response),
        Self::Oversized,
        Self::Unanswerable,
        Self::Panicked,
    ];

    /// The label on the metrics page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ignored(IgnoreReason::Short) => "short",
            Self::Ignored(IgnoreReason::Response) => "response",
            Self::Oversized => "oversized",
            Self::Unanswerable => "unanswerable",
            Self::Panicked => "panicked",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Ignored(IgnoreReason::Short) => 0,
            Self::Ignored(IgnoreReason::Response) => 1,
            Self::Oversized => 2,
            Self::Unanswerable => 3,
            Self::Panicked => 4,
        }
    }
}

/// An event of a connection, as opposed to its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionEvent {
    /// The connection was accepted.
    Opened,
    /// The connection ended, for any reason.
    Closed,
    /// The connection was closed to make room for another.
    Evicted,
    /// The connection was closed because the client sent nothing, or sent or read too slowly.
    TimedOut,
    /// The connection could not be accepted: descriptors or memory ran out.
    AcceptFailed,
    /// The TLS handshake of the connection failed.
    HandshakeFailed,
    /// The connection was closed because all connections together buffered as much as they may.
    BuffersFull,
}

impl ConnectionEvent {
    /// Each event, in the order of the metrics page.
    pub const ALL: [Self; 7] = [
        Self::Opened,
        Self::Closed,
        Self::Evicted,
        Self::TimedOut,
        Self::AcceptFailed,
        Self::HandshakeFailed,
        Self::BuffersFull,
    ];

    /// The label on the metrics page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Evicted => "evicted",
            Self::TimedOut => "timed-out",
            Self::AcceptFailed => "accept-failed",
            Self::HandshakeFailed => "handshake-failed",
            Self::BuffersFull => "buffers-full",
        }
    }
}
