//! A query as a transport hands it over, and the two reasons for which it gets no reply.

use std::net::IpAddr;

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

/// Why a message gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IgnoreReason {
    /// Shorter than a header.
    Short,
    /// A response (QR = 1).
    Response,
}
