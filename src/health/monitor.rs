//! Monitors: what to probe and how often.

use std::{num::NonZeroU8, time::Duration};

/// What to probe and how often. Names no target: the endpoints that use it do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Monitor {
    /// The name in `[monitor.NAME]`.
    pub name: Box<str>,
    /// What one probe does.
    pub check: Check,
    /// From the start of one probe to the start of the next, jittered ±10 %.
    pub interval: Duration,
    /// A probe that has no outcome after this has failed. Shorter than `interval`.
    pub timeout: Duration,
    /// Passes in a row before up.
    pub rise: NonZeroU8,
    /// Failures in a row before down.
    pub fall: NonZeroU8,
}

/// What one probe does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Check {
    /// An HTTP/1.1 or HTTPS request and what the reply must be.
    Http(HttpCheck),
    /// A TCP connection that opens.
    Tcp(TcpCheck),
}

/// An HTTP request and what the reply must be. A redirect is a reply like any other: it is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// The request target, starting with `/`.
    pub path: Box<str>,
    /// The TCP port.
    pub port: u16,
    /// The Host header and, over TLS, the name in SNI and in the certificate; default: the target itself.
    pub host: Option<Box<str>>,
    /// The status codes that pass.
    pub status: Vec<StatusRange>,
    /// Text that the first 64 KiB of the body must hold.
    pub body: Option<Box<str>>,
    /// Speak TLS.
    pub tls: bool,
    /// Over TLS: fail where the certificate is not valid for `host`.
    pub verify: bool,
    /// Over TLS: a PEM file of authorities to trust instead of the system's, as an absolute path or relative to the working directory.
    pub authorities: Option<Box<std::path::Path>>,
}

/// An inclusive range of HTTP status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusRange {
    /// The lowest that passes.
    pub first: u16,
    /// The highest that passes.
    pub last: u16,
}

/// A TCP connection that opens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpCheck {
    /// The TCP port.
    pub port: u16,
}
