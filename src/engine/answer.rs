//! From request bytes to reply bytes: a pure function of a snapshot, a question and a client.

use std::net::IpAddr;

use super::parsed_query::ParsedQuery;
use crate::{
    dns::{LookupName, Rcode, Rtype},
    snapshot::Snapshot,
    steer::{DatacenterId, DrawState, ServiceId},
};

/// A request and what is known of who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The whole DNS message, without a TCP length prefix.
    pub message: &'a [u8],
    /// The address it came from: the client's resolver.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// The time, in seconds since 1970 modulo 2^32 (server cookies, RFC 9018 section 4.3).
    pub now_secs: u32,
}

/// How a request came and how its reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams: replies are truncated to what EDNS allows, at most 1232 octets.
    Udp,
    /// TCP streams.
    Tcp,
    /// TLS (RFC 7858).
    Tls,
    /// HTTPS (RFC 8484).
    Https,
}

impl Transport {
    /// Its name in metrics and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }
}

/// A reply that was written.
#[derive(Debug, Clone, Copy)]
pub struct WrittenReply {
    /// How many octets of `out` it fills.
    pub length: usize,
    /// What to count it as.
    pub labels: ReplyLabels,
}

/// What a reply counts as.
#[derive(Debug, Clone, Copy)]
pub struct ReplyLabels {
    /// The type asked for; 0 where the question could not be read.
    pub rtype: Rtype,
    /// The reply's code, the extended bits included.
    pub rcode: Rcode,
    /// The service that chose, if one did.
    pub service: Option<ServiceId>,
    /// The datacenter of the first endpoint answered.
    pub datacenter: Option<DatacenterId>,
    /// TC is set.
    pub truncated: bool,
}

/// Why a message gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IgnoreReason {
    /// Shorter than a header.
    Short,
    /// A response (QR = 1).
    Response,
}

/// Answers one request into `out`, which holds at least 65535 octets for streams and 1232 for
/// datagrams.
///
/// No allocation, no lock, no clock. A chain of at most 16 aliases is followed.
///
/// # Errors
/// [`IgnoreReason`] says why nothing is to be sent.
pub fn answer(
    snapshot: &Snapshot,
    query: &Query<'_>,
    draws: &mut DrawState,
    out: &mut [u8],
) -> Result<WrittenReply, IgnoreReason> {
    let mut name = LookupName::root();
    let parsed = ParsedQuery::read(*query, &mut name)?;
    let lead = parsed.start_lookup(&snapshot.zones, &name);
    let finding = parsed.finish_lookup(&snapshot.zones, &name, lead);
    Ok(parsed.answer(snapshot, &mut name, finding, draws, out))
}
