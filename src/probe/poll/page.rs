//! Pages over HTTP and HTTPS: one GET on a fresh connection, its body fed to a reader as it
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

use super::{LoadFailure, Stop, stop_of};
use crate::{
    health::{Failure, StatusRange, TlsOptions},
    load::{LoadPage, PageEnd, PageHost, ReportReader},
    probe::{
        attempt::Trouble,
        http::authority,
        http1,
        tls::{self, Security},
    },
};

/// A name's addresses beyond these are not asked.
const MOST_ADDRESSES: usize = 8;

pub(super) const GOOD: StatusRange = StatusRange { first: 200, last: 299 };

/// A page made ready: what does not depend on the target is parsed and read once.
#[derive(Debug)]
pub(super) struct PageAsker {
    page: LoadPage,
    headers: HeaderMap,
    tls: Option<Security>,
}

impl PageAsker {
    /// Reads the page's authorities: not for an async task.
    ///
    /// # Errors
    /// Why nobody can be asked for it.
    pub(super) fn new(page: &LoadPage) -> Result<Self, LoadFailure> {
        let tls = if page.tls { Some(security(page)?) } else { None };
        Ok(Self { page: page.clone(), headers: headers(page)?, tls })
    }

    /// Feeds the reader with the page of `target`.
    ///
    /// # Errors
    /// Why there is no page, or none that can be read.
    pub(super) async fn read<'s>(
        &self,
        target: Option<IpAddr>,
        reader: ReportReader<'s>,
    ) -> Result<ReportReader<'s>, Stop> {
        if self.page.is_per_address() && target.is_none() {
            return Err(
                LoadFailure::Source("its url wants the address of an endpoint".into()).into()
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
            Ok(address) => open(SocketAddr::new(address, port)).await.map_err(stop_of)?,
            Err(_) => open_any(&literal, port).await.map_err(stop_of)?,
        };
        let request = self.request(&literal, target)?;
        let hear = |response| hear(response, reader);
        let Some(security) = &self.tls else { return http1::exchange(stream, request, hear).await };
        let name = tls::server_name(None, &literal)?;
        let secured = security.secure(name, stream).await.map_err(stop_of)?;
        http1::exchange(secured, request, hear).await
    }

    fn request(
        &self,
        literal: &str,
        target: Option<IpAddr>,
    ) -> Result<Request<Full<Bytes>>, LoadFailure> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() =
            self.page.path_for(target).parse().map_err(|_| {
                LoadFailure::Source("the path of its url is no request target".into())
            })?;
        *request.headers_mut() = self.headers.clone();
        if !self.headers.contains_key(HOST) {
            // Only the port of this address is looked at.
            let address = SocketAddr::from(([0, 0, 0, 0], self.page.port));
            let host = HeaderValue::from_str(&authority(literal, address, self.page.tls)).map_err(
                |_| LoadFailure::Source("its host cannot stand in a Host header".into()),
            )?;
            request.headers_mut().insert(HOST, host);
        }
        Ok(request)
    }
}

/// What every request carries beside its host.
fn headers(page: &LoadPage) -> Result<HeaderMap, LoadFailure> {
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
            return Err(LoadFailure::Source("one of its headers cannot be sent".into()));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The page's side of TLS, as a probe of it would have.
fn security(page: &LoadPage) -> Result<Security, Failure> {
    let terms = TlsOptions {
        verify: page.verify,
        authorities: page.authorities.clone(),
        client_certificate: None,
    };
    Security::new(&terms, &[b"http/1.1"])
}

/// Opens a connection. Dropped, it is reset and leaves no port in TIME_WAIT. The kernel sizes the
/// buffer: what comes is read at once, and a long page from far away must not wait for a small
/// window.
async fn open(address: SocketAddr) -> Result<TcpStream, Trouble> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    socket.set_nodelay(true)?;
    socket.connect(address).await.map_err(|error| Trouble::from(error).at(address))
}

/// Opens a connection to the first address of a name that takes one.
async fn open_any(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let addresses = lookup_host((host, port)).await.map_err(Trouble::of_resolution)?;
    let mut trouble = Trouble::from(Failure::Unresolved);
    for address in addresses.take(MOST_ADDRESSES) {
        match open(address).await {
            Ok(stream) => return Ok(stream),
            Err(later) => trouble = trouble.and(later),
        }
    }
    Err(trouble)
}

async fn hear<'s>(
    response: Response<Incoming>,
    mut reader: ReportReader<'s>,
) -> Result<ReportReader<'s>, Stop> {
    let got = response.status().as_u16();
    if !(GOOD.first..=GOOD.last).contains(&got) {
        return Err(Failure::Status { got, want: vec![GOOD].into() }.into());
    }
    let is_announced = is_end_announced(response.headers());
    let has_end_mark = is_open_metrics(response.headers());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| stop_of(http1::trouble_of(error)))?;
        if let Some(octets) = frame.data_ref() {
            reader.feed(octets)?;
        }
    }
    if has_end_mark {
        reader.check_end(PageEnd::EndMarker)?;
    } else if !is_announced {
        reader.check_end(PageEnd::ConnectionClosed)?;
    }
    Ok(reader)
}

/// Whether the page is in OpenMetrics, which ends with a mark.
fn is_open_metrics(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with(b"application/openmetrics-text")
}

/// Whether the head says where the body ends (RFC 9112 section 6.3); else the end of the connection
/// is its end.
fn is_end_announced(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().next_back().map(HeaderValue::as_bytes);
    match codings {
        Some(codings) => codings.to_ascii_lowercase().ends_with(b"chunked"),
        None => headers.contains_key(CONTENT_LENGTH),
    }
}
