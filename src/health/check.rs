//! Checks: what one probe does, by kind, and what must come of it.

use std::{path::Path, time::Duration};

/// What one probe does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Check {
    /// An HTTP or HTTPS request and what the reply must be.
    Http(HttpCheck),
    /// A TCP connection that opens.
    Tcp(TcpCheck),
    /// A TLS handshake, and how long the certificate holds.
    Tls(TlsCheck),
    /// The gRPC health checking protocol.
    Grpc(GrpcCheck),
    /// A DNS query and what the reply must hold.
    Dns(DnsCheck),
    /// An ICMP echo that is replied to.
    Icmp,
    /// A program that ends well.
    Exec(ExecCheck),
    /// Other monitors of the same target, of which enough pass. Never on the wire itself.
    Combine(CombineCheck),
}

impl Check {
    /// What a check that speaks TLS trusts and shows.
    pub fn tls_options(&self) -> Option<&TlsOptions> {
        match self {
            Self::Http(check) => check.tls.as_ref(),
            Self::Tls(check) => Some(&check.tls),
            Self::Grpc(check) => check.tls.as_ref(),
            Self::Tcp(_) | Self::Dns(_) | Self::Icmp | Self::Exec(_) | Self::Combine(_) => None,
        }
    }

    /// The files of certificates and keys that the check needs.
    pub fn credentials(&self) -> Vec<&Path> {
        let terms = self.tls_options();
        let client = terms.and_then(|terms| terms.client_certificate.as_ref());
        let client = client.into_iter().flat_map(|files| [&*files.certificate, &*files.key]);
        terms.and_then(|terms| terms.authorities.as_deref()).into_iter().chain(client).collect()
    }
}

/// An HTTP request and what the reply must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// The request's method.
    pub method: Box<str>,
    /// The request target, starting with `/`.
    pub path: Box<str>,
    /// The TCP port.
    pub port: u16,
    /// The Host header and, over TLS, the name in SNI and in the certificate; default: the target
    /// itself.
    pub host: Option<Box<str>>,
    /// Further headers, which replace those that a probe sends of itself.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// What the request carries.
    pub request_body: Option<Box<str>>,
    /// The one version that is spoken.
    pub version: HttpVersion,
    /// How many redirects are followed, to the same origin at the same address; one more is a reply
    /// like any other.
    pub redirects: u8,
    /// The status codes that pass.
    pub status: Vec<StatusRange>,
    /// Text that the first 64 KiB of the body must hold.
    pub required_text: Option<Box<str>>,
    /// A regular expression that the first 64 KiB of the body must match.
    pub required_pattern: Option<Box<str>>,
    /// Speak TLS, in this way.
    pub tls: Option<TlsOptions>,
    /// Begin the connection with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl HttpCheck {
    /// The most memory that `required_pattern` may take when compiled, and that a search with it
    /// may.
    pub const MAX_PATTERN_OCTETS: usize = 1 << 20;
}

impl Default for HttpCheck {
    /// `GET /` on port 80, which passes with a status of 200 to 299.
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            port: 80,
            host: None,
            headers: Vec::new(),
            request_body: None,
            version: HttpVersion::One,
            redirects: 0,
            status: vec![StatusRange { first: 200, last: 299 }],
            required_text: None,
            required_pattern: None,
            tls: None,
            proxy_protocol: None,
        }
    }
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.1 (RFC 9112).
    One,
    /// HTTP/2 (RFC 9113): over TLS by ALPN, else with prior knowledge.
    Two,
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

/// A TLS handshake, and how long the certificate holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsCheck {
    /// The TCP port.
    pub port: u16,
    /// The name in SNI and in the certificate; default: the target itself.
    pub host: Option<Box<str>>,
    /// Whom to trust.
    pub tls: TlsOptions,
    /// How long the certificate must hold yet.
    pub expiry: Option<ExpiryLimit>,
    /// Begin the connection with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A call of `grpc.health.v1.Health/Check`, which passes while the service is SERVING.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrpcCheck {
    /// The TCP port.
    pub port: u16,
    /// The service asked after; empty: the server as such.
    pub service: Box<str>,
    /// The authority, and over TLS the name in SNI and in the certificate; default: the target
    /// itself.
    pub host: Option<Box<str>>,
    /// Speak TLS, in this way.
    pub tls: Option<TlsOptions>,
    /// Begin the connection with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A DNS query and what the reply must hold. Numbers are those of the protocol (RFC 1035, RFC
/// 6895).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsCheck {
    /// The UDP or TCP port.
    pub port: u16,
    /// The name asked for, in wire form.
    pub name: Box<[u8]>,
    /// The type asked for.
    pub rtype: u16,
    /// The rdata of records of that type that the answer must hold, each in wire form; it may hold
    /// others.
    pub required_rdata: Vec<Box<[u8]>>,
    /// The response code that passes.
    pub rcode: u16,
    /// Ask over TCP.
    pub tcp: bool,
    /// Ask for recursion.
    pub recursion: bool,
}

/// A program that ends well: with exit code 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecCheck {
    /// The program as the system finds it, and its arguments, in which `{address}` is the target.
    pub argv: Vec<Box<str>>,
}

/// Other monitors, of which so many must be up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CombineCheck {
    /// How many, from 1 to all of them.
    pub min_up: u32,
    /// Their names, each once; none of them leads back to this one.
    pub monitors: Vec<Box<str>>,
}

/// How TLS is spoken with a target, and whom to trust. Paths are absolute or relative to the
/// working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// Fail where the certificate is not valid for the name.
    pub verify: bool,
    /// A PEM file of authorities to trust instead of the system's.
    pub authorities: Option<Box<Path>>,
    /// What to show to a target that asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
}

impl Default for TlsOptions {
    /// What the system trusts, and no certificate of our own.
    fn default() -> Self {
        Self { verify: true, authorities: None, client_certificate: None }
    }
}

/// A certificate of our own, as two PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate, and those between it and an authority.
    pub certificate: Box<Path>,
    /// Its private key.
    pub key: Box<Path>,
}

/// How long a certificate must hold yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExpiryLimit {
    /// One that expires within this has not long enough.
    pub within: Duration,
    /// What that comes to.
    pub on_expiry: OnExpiry,
}

/// What a certificate that expires soon comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnExpiry {
    /// The probe fails.
    Fail,
    /// The probe passes, with a note.
    Warn,
}

/// A version of the PROXY protocol, by which a balancer tells a target whose connection it
/// forwards; here it is our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}
