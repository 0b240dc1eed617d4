//! Checks: what a probe does, by kind, and which result passes.

use std::{path::Path, time::Duration};

/// What a probe does and which result passes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Check {
    /// An HTTP or HTTPS request, with conditions on the reply.
    Http(HttpCheck),
    /// A TCP connection, which must open.
    Tcp(TcpCheck),
    /// A TLS handshake, with a condition on the certificate's expiry.
    Tls(TlsCheck),
    /// The gRPC health checking protocol.
    Grpc(GrpcCheck),
    /// A DNS query, with conditions on the reply.
    Dns(DnsCheck),
    /// An ICMP echo request, which must be answered.
    Icmp,
    /// A program, which must end with exit code 0.
    Exec(ExecCheck),
    /// Other monitors of the same target, of which enough must be up. It sends nothing itself.
    Combine(CombineCheck),
}

impl Check {
    /// The TLS options of the check; `None` if it does not use TLS.
    pub fn tls_options(&self) -> Option<&TlsOptions> {
        match self {
            Self::Http(check) => check.tls.as_ref(),
            Self::Tls(check) => Some(&check.tls),
            Self::Grpc(check) => check.tls.as_ref(),
            Self::Tcp(_) | Self::Dns(_) | Self::Icmp | Self::Exec(_) | Self::Combine(_) => None,
        }
    }

    /// The files of certificates and keys that the check reads.
    pub fn credentials(&self) -> Vec<&Path> {
        let options = self.tls_options();
        let client = options.and_then(|options| options.client_certificate.as_ref());
        let client = client.into_iter().flat_map(|files| [&*files.certificate, &*files.key]);
        options
            .and_then(|options| options.authorities.as_deref())
            .into_iter()
            .chain(client)
            .collect()
    }
}

/// An HTTP request, with conditions on the reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// The method of the request.
    pub method: Box<str>,
    /// The request target, starting with `/`.
    pub path: Box<str>,
    /// The TCP port to connect to.
    pub port: u16,
    /// The Host header and, with TLS, the name in SNI and in the certificate. Default: the target.
    pub host: Option<Box<str>>,
    /// Further headers. They replace the headers that a probe sends by default.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The body of the request.
    pub request_body: Option<Box<str>>,
    /// The version of HTTP; no other is tried.
    pub version: HttpVersion,
    /// The maximum number of redirects that are followed, to the same origin at the same address.
    /// The next one is compared with `status` like any other reply.
    pub redirects: u8,
    /// The status codes that pass.
    pub status: Vec<StatusRange>,
    /// Text that the first 64 KiB of the body must contain.
    pub required_text: Option<Box<str>>,
    /// A regular expression that the first 64 KiB of the body must match.
    pub required_pattern: Option<Box<str>>,
    /// The TLS options; `None` uses no TLS.
    pub tls: Option<TlsOptions>,
    /// The version of the PROXY header that starts the connection; `None` sends none.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl HttpCheck {
    /// The maximum memory, in octets, of the compiled `required_pattern`, and of a search with it.
    pub const MAX_PATTERN_OCTETS: usize = 1 << 20;
}

impl Default for HttpCheck {
    /// `GET /` on port 80. It passes with a status from 200 to 299.
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

/// The version of HTTP that a check uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.1, one request per connection (RFC 9112).
    One,
    /// HTTP/2 (RFC 9113): with TLS by ALPN, otherwise with prior knowledge.
    Two,
}

/// An inclusive range of HTTP status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusRange {
    /// The lowest status code that passes.
    pub first: u16,
    /// The highest status code that passes.
    pub last: u16,
}

/// A TCP connection, which must open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpCheck {
    /// The TCP port to connect to.
    pub port: u16,
}

/// A TLS handshake, with a condition on the certificate's expiry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsCheck {
    /// The TCP port to connect to.
    pub port: u16,
    /// The name in SNI and in the certificate. Default: the target.
    pub host: Option<Box<str>>,
    /// The options of the TLS connection.
    pub tls: TlsOptions,
    /// The time for which the certificate must remain valid; `None` checks its validity alone.
    pub expiry: Option<ExpiryLimit>,
    /// The version of the PROXY header that starts the connection; `None` sends none.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A call of `grpc.health.v1.Health/Check`, which passes while the service is SERVING.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrpcCheck {
    /// The TCP port to connect to.
    pub port: u16,
    /// The name of the service; empty for the server as a whole.
    pub service: Box<str>,
    /// The authority and, with TLS, the name in SNI and in the certificate. Default: the target.
    pub host: Option<Box<str>>,
    /// The TLS options; `None` uses no TLS.
    pub tls: Option<TlsOptions>,
    /// The version of the PROXY header that starts the connection; `None` sends none.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A DNS query, with conditions on the reply. Numbers are those of the protocol (RFC 1035, RFC
/// 6895).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsCheck {
    /// The UDP or TCP port.
    pub port: u16,
    /// The name in the question, in wire format.
    pub name: Box<[u8]>,
    /// The type in the question.
    pub rtype: u16,
    /// The rdata, in wire format, of records of that type that the answer must contain. It may
    /// contain others.
    pub required_rdata: Vec<Box<[u8]>>,
    /// The response code that passes.
    pub rcode: u16,
    /// Whether the query is sent over TCP instead of UDP.
    pub tcp: bool,
    /// Whether the query asks for recursion (RD).
    pub recursion: bool,
}

/// A program, which must end with exit code 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecCheck {
    /// The program, found through `PATH`, and its arguments, in which `{address}` is the target.
    pub argv: Vec<Box<str>>,
}

/// Other monitors of the same target, of which enough must be up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CombineCheck {
    /// The least number that must be up, from 1 to all of them.
    pub min_up: u32,
    /// The names of the monitors, each once. None of them contains this one, directly or not.
    pub monitors: Vec<Box<str>>,
}

/// TLS with a target. Paths are absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// Whether a certificate that is not valid for the name makes the probe fail.
    pub verify: bool,
    /// A PEM file of authorities to trust instead of the system's.
    pub authorities: Option<Box<Path>>,
    /// The certificate for a target that asks for one.
    pub client_certificate: Option<ClientCertificate>,
}

impl Default for TlsOptions {
    /// The system's authorities, and no client certificate.
    fn default() -> Self {
        Self { verify: true, authorities: None, client_certificate: None }
    }
}

/// A client certificate, in two PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The file of the certificate and of the intermediate ones.
    pub certificate: Box<Path>,
    /// The file of its private key.
    pub key: Box<Path>,
}

/// The time for which a certificate must remain valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExpiryLimit {
    /// A certificate that expires within this time expires too soon.
    pub within: Duration,
    /// The result of a probe that finds such a certificate.
    pub on_expiry: OnExpiry,
}

/// The result of a probe that finds a certificate that expires too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnExpiry {
    /// The probe counts as failed.
    Fail,
    /// The probe passes, with a note.
    Warn,
}

/// The version of the PROXY protocol, in which a balancer passes on the address of its client. A
/// probe sends its own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// Version 1: a line of text.
    V1,
    /// Version 2, in binary form.
    V2,
}
