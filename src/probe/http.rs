//! HTTP and HTTPS: a request on a fresh connection, and what the reply must be.
//!
//! On hyper's connection, not on reqwest's client: reqwest 0.13 reads a reply's head of up to
//! 417,792 octets, sets no linger on its sockets (each probe would leave a port in TIME_WAIT on one
//! side), and pins an address to a name only for a whole client, of which 10,000 targets would need
//! 10,000.
//!
//! Nothing is reused, decompressed or sent through a proxy. A redirect is followed only where the
//! check says how many, and only to the origin that was asked, at the address that was asked. A
//! target costs at most 16 KiB of head and 64 KiB of body for each request.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Bytes,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
        USER_AGENT,
    },
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    body::{BodyCondition, ResponseBody},
    check::{PassDetails, ProbeError},
    http1, http2, proxy,
    redirect::{HttpOrigin, redirect_target},
    tls::{self, LenientTlsStream, TlsClient},
};
use crate::health::{Failure, HttpCheck, HttpVersion, Outcome};

/// Where a target says its load (ORCA: Open Request Cost Aggregation).
const LOAD_METRICS: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// A check made ready: what does not depend on the target is parsed and read once.
#[derive(Debug)]
pub(super) struct HttpProbe {
    check: HttpCheck,
    method: Method,
    headers: HeaderMap,
    body_condition: BodyCondition,
    tls: Option<TlsClient>,
}

/// What is asked for: first as the check says, then as redirects do.
#[derive(Debug, Clone)]
struct PendingRequest {
    method: Method,
    path: Box<str>,
    body: Bytes,
    redirects_left: u8,
}

/// What came of an errand.
enum ExchangeResult {
    Passed(PassDetails),
    Redirected(PendingRequest),
}

impl HttpProbe {
    /// Reads the files that the check names: not for an async task.
    ///
    /// # Errors
    /// Why no probe of this check can pass.
    pub(super) fn new(check: &HttpCheck) -> Result<Self, Failure> {
        let protocol: &[u8] = match check.version {
            HttpVersion::One => b"http/1.1",
            HttpVersion::Two => b"h2",
        };
        Ok(Self {
            check: check.clone(),
            method: Method::from_bytes(check.method.as_bytes())
                .map_err(|_| Failure::MonitorUnusable("its method is none".into()))?,
            headers: request_headers(check)?,
            body_condition: BodyCondition::new(check)?,
            tls: check.tls.as_ref().map(|terms| TlsClient::new(terms, &[protocol])).transpose()?,
        })
    }

    /// Asks the target, whose own name or address as text is `literal`, at `address`.
    ///
    /// # Errors
    /// Why the target does not pass.
    pub(super) async fn probe(
        &self,
        literal: &str,
        address: SocketAddr,
    ) -> Result<PassDetails, ProbeError> {
        let mut errand = PendingRequest {
            method: self.method.clone(),
            path: self.check.path.clone(),
            body: self
                .check
                .request_body
                .as_deref()
                .map(|body| Bytes::copy_from_slice(body.as_bytes()))
                .unwrap_or_default(),
            redirects_left: self.check.redirects,
        };
        loop {
            match self.send(&errand, literal, address).await? {
                ExchangeResult::Passed(pass) => return Ok(pass),
                ExchangeResult::Redirected(next) => errand = next,
            }
        }
    }

    async fn send(
        &self,
        errand: &PendingRequest,
        literal: &str,
        address: SocketAddr,
    ) -> Result<ExchangeResult, ProbeError> {
        let host = match &self.check.host {
            Some(host) => host.to_string(),
            None => authority(literal, address, self.check.tls.is_some()),
        };
        let Some(security) = &self.tls else {
            let stream = proxy::open(address, self.check.proxy_protocol).await?;
            return self.exchange(errand, &host, stream).await;
        };
        let name = tls::server_name(self.check.host.as_deref(), literal)?;
        let stream = proxy::open(address, self.check.proxy_protocol).await?;
        let secured = security.connect(name, stream).await?;
        if self.check.version == HttpVersion::Two
            && secured.get_ref().1.alpn_protocol() != Some(b"h2")
        {
            return Err(Failure::NotHttp2.into());
        }
        self.exchange(errand, &host, LenientTlsStream(secured)).await
    }

    async fn exchange<S>(
        &self,
        errand: &PendingRequest,
        host: &str,
        stream: S,
    ) -> Result<ExchangeResult, ProbeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.check.version {
            HttpVersion::One => {
                let request = self.request(errand, host)?.map(Full::new);
                http1::exchange(stream, request, |reply| {
                    self.evaluate_reply(errand, host, reply.map(ResponseBody::Http1))
                })
                .await
            }
            HttpVersion::Two => {
                let request = self.request(errand, host)?;
                http2::exchange(stream, request, |reply| {
                    self.evaluate_reply(errand, host, reply.map(ResponseBody::Http2))
                })
                .await
            }
        }
    }

    fn request(&self, errand: &PendingRequest, host: &str) -> Result<Request<Bytes>, Failure> {
        let mut request = Request::new(errand.body.clone());
        *request.method_mut() = errand.method.clone();
        let no_target = |_| Failure::MonitorUnusable("its path is no request target".into());
        let no_host = "its host cannot stand in a Host header";
        match self.check.version {
            HttpVersion::One => {
                *request.uri_mut() = errand.path.parse().map_err(no_target)?;
                let host = HeaderValue::from_str(host)
                    .map_err(|_| Failure::MonitorUnusable(no_host.into()))?;
                // First of all (RFC 9110 section 7.2).
                request.headers_mut().insert(HOST, host);
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            HttpVersion::Two => {
                let uri = Uri::builder()
                    .scheme(self.scheme())
                    .authority(host)
                    .path_and_query(&*errand.path);
                *request.uri_mut() =
                    uri.build().map_err(|_| Failure::MonitorUnusable(no_host.into()))?;
            }
        }
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }

    fn scheme(&self) -> &'static str {
        if self.check.tls.is_some() { "https" } else { "http" }
    }

    async fn evaluate_reply(
        &self,
        errand: &PendingRequest,
        host: &str,
        reply: Response<ResponseBody>,
    ) -> Result<ExchangeResult, ProbeError> {
        let (head, body) = reply.into_parts();
        if errand.redirects_left > 0
            && let Some(location) = redirect_location(head.status, &head.headers)
        {
            return Ok(ExchangeResult::Redirected(self.redirected_request(
                errand,
                host,
                head.status,
                location,
            )?));
        }
        let got = head.status.as_u16();
        if !self.check.status.iter().any(|range| (range.first..=range.last).contains(&got)) {
            return Err(Failure::Status { got, want: self.check.status.as_slice().into() }.into());
        }
        self.body_condition.check(body).await?;
        Ok(ExchangeResult::Passed(PassDetails {
            load_metrics: load_metrics(&head.headers),
            ..PassDetails::default()
        }))
    }

    /// The errand that a redirect makes of this one (RFC 9110 section 15.4).
    fn redirected_request(
        &self,
        errand: &PendingRequest,
        host: &str,
        status: StatusCode,
        location: &[u8],
    ) -> Result<PendingRequest, Failure> {
        let location = std::str::from_utf8(location).map_err(|_| Failure::Redirect)?;
        let origin = HttpOrigin { scheme: self.scheme(), host, port: self.check.port };
        let path = redirect_target(location, origin, &errand.path).ok_or(Failure::Redirect)?;
        let redirects_left = errand.redirects_left - 1;
        let is_repeated =
            matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
                || matches!(errand.method, Method::GET | Method::HEAD);
        Ok(match is_repeated {
            true => PendingRequest { path, redirects_left, ..errand.clone() },
            false => {
                PendingRequest { method: Method::GET, path, body: Bytes::new(), redirects_left }
            }
        })
    }
}

/// What every request carries beside its host.
fn request_headers(check: &HttpCheck) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &check.headers {
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Failure::MonitorUnusable("its headers are none".into()));
        };
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Where a reply sends its client, if it is a redirect.
fn redirect_location(status: StatusCode, headers: &HeaderMap) -> Option<&[u8]> {
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    headers.get(LOCATION).filter(|_| is_redirect).map(HeaderValue::as_bytes)
}

/// What the reply says of the target's load, if it is text of a sane length.
fn load_metrics(headers: &HeaderMap) -> Option<Box<str>> {
    let value = headers.get(LOAD_METRICS)?.as_bytes();
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= Outcome::MAX_LOAD_METRICS_OCTETS).then(|| text.into())
}

/// The target as a Host header names it (RFC 9110 section 7.2): an IPv6 address in brackets, a port
/// that is not the scheme's.
pub(super) fn authority(literal: &str, address: SocketAddr, is_tls: bool) -> String {
    let host = if literal.contains(':') { format!("[{literal}]") } else { literal.to_owned() };
    match (address.port(), is_tls) {
        (80, false) | (443, true) => host,
        (port, _) => format!("{host}:{port}"),
    }
}
