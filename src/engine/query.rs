//! A query as a transport hands it over, and the two reasons for which it gets no reply.

use std::net::IpAddr;

/// A query, and what the transport knows of its sender.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The whole DNS message, without a TCP length prefix.
    pub message: &'a [u8],
    /// The address that the query came from: as a rule that of the client's resolver.
    pub source: IpAddr,
    /// The transport that the query came over.
    pub transport: Transport,
    /// The present time, in seconds since 1970 modulo 2^32 (server cookies, RFC 9018 section 4.3).
    pub now_secs: u32,
}

/// The transport of a query and its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP. Replies are truncated to the payload size that EDNS allows, at most 1232 octets.
    Udp,
    /// DNS over TCP, unencrypted (RFC 7766).
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484), over HTTP/3 too.
    Https,
}

impl Transport {
    /// The name of the transport in metrics, in log records and in `whoami`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }
}

/// Why a message gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IgnoreReason {
    /// The message is shorter than a DNS header.
    Short,
    /// The message is a response (QR = 1).
    Response,
}
