//! HTTP and HTTPS: a request on a fresh connection, and the conditions on the reply.
//!
//! It uses hyper's connection, not reqwest's client. reqwest 0.13 reads a reply's head of up to
//! 417,792 octets. It sets no linger on its sockets, so each probe would leave a port in TIME_WAIT
//! on one side. It pins an address to a name only for a whole client, so 10,000 targets would need
//! 10,000 clients.
//!
//! No connection is reused, nothing is decompressed, and no HTTP proxy is used. Redirects are
//! followed only up to the number that the check allows, and only to the same origin at the same
//! address. A probe reads at most 16 KiB of head and 64 KiB of body for each request.

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
    host_header::authority,
    http1, http2, proxy,
    redirect::{HttpOrigin, redirect_target},
    result::{PassDetails, ProbeError},
    tls::{self, LenientTlsStream, TlsClient},
};
use crate::health::{Failure, HttpCheck, HttpVersion, Outcome};

/// The header in which a target reports its load (ORCA: Open Request Cost Aggregation).
const LOAD_METRICS: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// A prepared check: everything that does not depend on the target is read and parsed once.
#[derive(Debug)]
pub(super) struct HttpProbe {
    check: HttpCheck,
    method: Method,
    headers: HeaderMap,
    body_condition: BodyCondition,
    tls: Option<TlsClient>,
}

/// The next request: first that of the check, then those of redirects.
#[derive(Debug, Clone)]
struct PendingRequest {
    method: Method,
    path: Box<str>,
    body: Bytes,
    redirects_left: u8,
}

/// The result of one request and its reply.
enum ExchangeResult {
    Passed(PassDetails),
    Redirected(PendingRequest),
}

impl HttpProbe {
    /// Reads the files that the check names, so call it on a blocking thread.
    ///
    /// # Errors
    /// The reason why no probe of this check can pass.
    pub(super) fn new(check: &HttpCheck) -> Result<Self, Failure> {
        let protocol: &[u8] = match check.version {
            HttpVersion::One => b"http/1.1",
            HttpVersion::Two => b"h2",
        };
        Ok(Self {
            check: check.clone(),
            method: Method::from_bytes(check.method.as_bytes())
                .map_err(|_| Failure::MonitorUnusable("its method is not valid".into()))?,
            headers: request_headers(check)?,
            body_condition: BodyCondition::new(check)?,
            tls: check
                .tls
                .as_ref()
                .map(|options| TlsClient::new(options, &[protocol]))
                .transpose()?,
        })
    }

    /// Probes the target `literal`, a name or an address as text, at `address`.
    ///
    /// # Errors
    /// The reason why the target does not pass.
    pub(super) async fn probe(
        &self,
        literal: &str,
        address: SocketAddr,
    ) -> Result<PassDetails, ProbeError> {
        let mut pending = PendingRequest {
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
            match self.send(&pending, literal, address).await? {
                ExchangeResult::Passed(pass) => return Ok(pass),
                ExchangeResult::Redirected(next) => pending = next,
            }
        }
    }

    async fn send(
        &self,
        pending: &PendingRequest,
        literal: &str,
        address: SocketAddr,
    ) -> Result<ExchangeResult, ProbeError> {
        let host = match &self.check.host {
            Some(host) => host.to_string(),
            None => authority(literal, address.port(), self.scheme()),
        };
        let Some(tls) = &self.tls else {
            let stream = proxy::open(address, self.check.proxy_protocol).await?;
            return self.exchange(pending, &host, stream).await;
        };
        let name = tls::server_name(self.check.host.as_deref(), literal)?;
        let stream = proxy::open(address, self.check.proxy_protocol).await?;
        let stream = tls.connect(name, stream).await?;
        if self.check.version == HttpVersion::Two
            && stream.get_ref().1.alpn_protocol() != Some(b"h2")
        {
            return Err(Failure::NotHttp2.into());
        }
        self.exchange(pending, &host, LenientTlsStream(stream)).await
    }

    async fn exchange<S>(
        &self,
        pending: &PendingRequest,
        host: &str,
        stream: S,
    ) -> Result<ExchangeResult, ProbeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.check.version {
            HttpVersion::One => {
                let request = self.request(pending, host)?.map(Full::new);
                http1::exchange(stream, request, |reply| {
                    self.evaluate_reply(pending, host, reply.map(ResponseBody::Http1))
                })
                .await
            }
            HttpVersion::Two => {
                let request = self.request(pending, host)?;
                http2::exchange(stream, request, |reply| {
                    self.evaluate_reply(pending, host, reply.map(ResponseBody::Http2))
                })
                .await
            }
        }
    }

    fn request(&self, pending: &PendingRequest, host: &str) -> Result<Request<Bytes>, Failure> {
        let mut request = Request::new(pending.body.clone());
        *request.method_mut() = pending.method.clone();
        let no_target =
            |_| Failure::MonitorUnusable("its path is not a valid request target".into());
        let no_host = "its host is not valid in a Host header";
        match self.check.version {
            HttpVersion::One => {
                *request.uri_mut() = pending.path.parse().map_err(no_target)?;
                let host = HeaderValue::from_str(host)
                    .map_err(|_| Failure::MonitorUnusable(no_host.into()))?;
                // Host is the first field (RFC 9110 section 7.2).
                request.headers_mut().insert(HOST, host);
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            HttpVersion::Two => {
                let uri = Uri::builder()
                    .scheme(self.scheme())
                    .authority(host)
                    .path_and_query(&*pending.path);
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
        pending: &PendingRequest,
        host: &str,
        reply: Response<ResponseBody>,
    ) -> Result<ExchangeResult, ProbeError> {
        let (head, body) = reply.into_parts();
        if pending.redirects_left > 0
            && let Some(location) = redirect_location(head.status, &head.headers)
        {
            return Ok(ExchangeResult::Redirected(self.redirected_request(
                pending,
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

    /// The request that follows a redirect (RFC 9110 section 15.4).
    fn redirected_request(
        &self,
        pending: &PendingRequest,
        host: &str,
        status: StatusCode,
        location: &[u8],
    ) -> Result<PendingRequest, Failure> {
        let location = std::str::from_utf8(location).map_err(|_| Failure::Redirect)?;
        let origin = HttpOrigin { scheme: self.scheme(), host, port: self.check.port };
        let path = redirect_target(location, origin, &pending.path).ok_or(Failure::Redirect)?;
        let redirects_left = pending.redirects_left - 1;
        let is_repeated =
            matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
                || matches!(pending.method, Method::GET | Method::HEAD);
        Ok(match is_repeated {
            true => PendingRequest { path, redirects_left, ..pending.clone() },
            false => {
                PendingRequest { method: Method::GET, path, body: Bytes::new(), redirects_left }
            }
        })
    }
}

/// The header fields of every request, except Host.
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
            return Err(Failure::MonitorUnusable("its headers are not valid".into()));
        };
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The Location of a reply that is a redirect.
fn redirect_location(status: StatusCode, headers: &HeaderMap) -> Option<&[u8]> {
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    headers.get(LOCATION).filter(|_| is_redirect).map(HeaderValue::as_bytes)
}

/// The load metrics of a reply, if they are text of at most
/// [`Outcome::MAX_LOAD_METRICS_OCTETS`].
fn load_metrics(headers: &HeaderMap) -> Option<Box<str>> {
    let value = headers.get(LOAD_METRICS)?.as_bytes();
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= Outcome::MAX_LOAD_METRICS_OCTETS).then(|| text.into())
}
