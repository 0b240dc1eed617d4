//! Pages over HTTP and HTTPS: one GET on a fresh connection, whose body goes to a reader as it
//! arrives.

use std::net::{IpAddr, SocketAddr};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{
        ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap,
        HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
    },
};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::failure::{PollError, PollFailure, poll_error};
use crate::{
    health::{Failure, StatusRange, TlsOptions},
    load::{LoadPage, PageEnd, PageHost, ReportReader},
    probe::{
        host_header::authority,
        http1,
        result::ProbeError,
        tls::{self, TlsClient},
    },
};

/// The maximum number of addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

pub(super) const SUCCESS_STATUS: StatusRange = StatusRange { first: 200, last: 299 };

/// A prepared page: everything that does not depend on the target is read and parsed once.
#[derive(Debug)]
pub(super) struct PageClient {
    page: LoadPage,
    headers: HeaderMap,
    tls: Option<TlsClient>,
}

impl PageClient {
    /// Reads the page's authorities, so call it on a blocking thread.
    ///
    /// # Errors
    /// The reason why no request for the page can be made.
    pub(super) fn new(page: &LoadPage) -> Result<Self, PollFailure> {
        let tls = if page.tls { Some(tls_client(page)?) } else { None };
        Ok(Self { page: page.clone(), headers: request_headers(page)?, tls })
    }

    /// Requests the page of `target` and feeds it to the reader.
    ///
    /// # Errors
    /// The reason why there is no page, or why it cannot be read.
    pub(super) async fn read<'s>(
        &self,
        target: Option<IpAddr>,
        reader: ReportReader<'s>,
    ) -> Result<ReportReader<'s>, PollError> {
        if self.page.is_per_address() && target.is_none() {
            return Err(
                PollFailure::Source("its url needs the address of an endpoint".into()).into()
            );
        }
        let port = self.page.port;
        let literal = match (&self.page.host, target) {
            (PageHost::Name(name), _) => name.to_string(),
            (PageHost::Address(address), _) => address.to_string(),
            (PageHost::Attached, target) => {
                target.map(|address| address.to_string()).unwrap_or_default()
            }
        };
        let stream = match literal.parse() {
            Ok(address) => connect(SocketAddr::new(address, port)).await.map_err(poll_error)?,
            Err(_) => connect_any(&literal, port).await.map_err(poll_error)?,
        };
        let request = self.request(&literal, target)?;
        let read_reply = |response| read_response(response, reader);
        let Some(tls) = &self.tls else {
            return http1::exchange(stream, request, read_reply).await;
        };
        let name = tls::server_name(None, &literal)?;
        let stream = tls.connect(name, stream).await.map_err(poll_error)?;
        http1::exchange(stream, request, read_reply).await
    }

    fn request(
        &self,
        literal: &str,
        target: Option<IpAddr>,
    ) -> Result<Request<Full<Bytes>>, PollFailure> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.page.path_for(target).parse().map_err(|_| {
            PollFailure::Source("the path of its url is not a valid request target".into())
        })?;
        *request.headers_mut() = self.headers.clone();
        if !self.headers.contains_key(HOST) {
            let scheme = if self.page.tls { "https" } else { "http" };
            let host = HeaderValue::from_str(&authority(literal, self.page.port, scheme)).map_err(
                |_| PollFailure::Source("its host is not valid in a Host header".into()),
            )?;
            request.headers_mut().insert(HOST, host);
        }
        Ok(request)
    }
}

/// The header fields of every request, except Host.
fn request_headers(page: &LoadPage) -> Result<HeaderMap, PollFailure> {
    let mut headers = HeaderMap::new();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("text/plain;version=0.0.4, application/json, */*;q=0.5"),
    );
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for header in &page.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(&header.value)) else {
            return Err(PollFailure::Source("one of its headers cannot be sent".into()));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The TLS client of a page, with the same options as a probe.
fn tls_client(page: &LoadPage) -> Result<TlsClient, Failure> {
    let options = TlsOptions {
        verify: page.verify,
        authorities: page.authorities.clone(),
        client_certificate: None,
    };
    TlsClient::new(&options, &[b"http/1.1"])
}

/// Opens a connection that is reset when dropped, so that it leaves no port in TIME_WAIT. The
/// kernel sizes the receive buffer: the page is read as it arrives, and a small window would slow
/// down a long page from far away.
async fn connect(address: SocketAddr) -> Result<TcpStream, ProbeError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    socket.set_nodelay(true)?;
    socket.connect(address).await.map_err(|error| ProbeError::from(error).for_address(address))
}

/// Opens a connection to the first address of a name that accepts it.
async fn connect_any(host: &str, port: u16) -> Result<TcpStream, ProbeError> {
    let addresses = lookup_host((host, port)).await.map_err(ProbeError::from_resolution)?;
    let mut error = ProbeError::from(Failure::Unresolved);
    for address in addresses.take(MAX_ADDRESSES) {
        match connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(later) => error = error.or_later(later),
        }
    }
    Err(error)
}

async fn read_response<'s>(
    response: Response<Incoming>,
    mut reader: ReportReader<'s>,
) -> Result<ReportReader<'s>, PollError> {
    let got = response.status().as_u16();
    if !(SUCCESS_STATUS.first..=SUCCESS_STATUS.last).contains(&got) {
        return Err(Failure::Status { got, want: vec![SUCCESS_STATUS].into() }.into());
    }
    let has_announced_end = is_end_announced(response.headers());
    let has_end_marker = is_open_metrics(response.headers());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| poll_error(http1::probe_error(error)))?;
        if let Some(octets) = frame.data_ref() {
            reader.feed(octets)?;
        }
    }
    if has_end_marker {
        reader.check_end(PageEnd::EndMarker)?;
    } else if !has_announced_end {
        reader.check_end(PageEnd::ConnectionClosed)?;
    }
    Ok(reader)
}

/// Whether the page is in OpenMetrics format, which ends with an end marker.
fn is_open_metrics(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    content_type.to_ascii_lowercase().starts_with(b"application/openmetrics-text")
}

/// Whether the head defines where the body ends (RFC 9112 section 6.3). If not, the body ends with
/// the connection.
fn is_end_announced(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().next_back().map(HeaderValue::as_bytes);
    match codings {
        Some(codings) => codings.to_ascii_lowercase().ends_with(b"chunked"),
        None => headers.contains_key(CONTENT_LENGTH),
    }
}
