//! HTTP and HTTPS: one GET on a fresh connection, and what the reply must be.
//!
//! On hyper's connection, not on reqwest's client: reqwest 0.13 reads a reply's head of up to 417,792 octets, sets no linger
//! on its sockets (each probe would leave a port in TIME_WAIT on one side), and pins an address to a name only for a whole
//! client, of which 10,000 targets would need 10,000.
//!
//! Nothing is followed, reused, decompressed or sent through a proxy. A target costs at most [`HEAD_OCTETS`] of head and,
//! only where the check wants a text in it, [`BODY_OCTETS`] of body.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::Empty;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
    header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{
    attempt::{Pass, Trouble},
    tcp, tls,
};
use crate::health::{Failure, HttpCheck, Outcome};

/// The most that is read of a reply's head, and at one time of its body.
const HEAD_OCTETS: usize = 16 * 1024;

/// The most of a body that is searched for the wanted text.
const BODY_OCTETS: usize = 64 * 1024;

/// Where a target says its load (ORCA: Open Request Cost Aggregation).
const LOAD_METRICS: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// A check made ready: what does not depend on the target is parsed and read once.
#[derive(Debug)]
pub(super) struct HttpProbe {
    check: HttpCheck,
    /// The TLS side, or why no probe of this check can pass.
    tls: Result<Option<Arc<ClientConfig>>, Failure>,
}

impl HttpProbe {
    /// Reads the check's authorities: not for an async task.
    pub(super) fn new(check: &HttpCheck) -> Self {
        let tls = if check.tls { tls::client_config(check).map(Some) } else { Ok(None) };
        Self { check: check.clone(), tls }
    }

    /// Asks the target, whose own name or address as text is `literal`, at `address`.
    ///
    /// # Errors
    /// Why the target does not pass.
    pub(super) async fn probe(&self, literal: &str, address: SocketAddr) -> Result<Pass, Trouble> {
        let request = self.request(literal, address)?;
        match &self.tls {
            Err(failure) => Err(failure.clone().into()),
            Ok(None) => self.exchange(request, tcp::open(address).await?).await,
            Ok(Some(config)) => {
                let name = self.server_name(literal)?;
                let connection = tcp::open(address).await?;
                let secured = TlsConnector::from(Arc::clone(config)).connect(name, connection).await;
                self.exchange(request, secured.map_err(trouble_of_handshake)?).await
            }
        }
    }

    fn request(&self, literal: &str, address: SocketAddr) -> Result<Request<Empty<Bytes>>, Failure> {
        let host = match &self.check.host {
            Some(host) => HeaderValue::from_str(host),
            None => HeaderValue::from_str(&authority(literal, address, self.check.tls)),
        };
        let host = host.map_err(|_| Failure::Monitor("its host cannot stand in a Host header".into()))?;
        Request::get(&*self.check.path)
            .header(HOST, host)
            .header(USER_AGENT, concat!("portolan/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "*/*")
            .header(ACCEPT_ENCODING, "identity")
            .header(CONNECTION, "close")
            .body(Empty::new())
            .map_err(|_| Failure::Monitor("its path is no request target".into()))
    }

    fn server_name(&self, literal: &str) -> Result<ServerName<'static>, Failure> {
        let name = self.check.host.as_deref().unwrap_or(literal);
        ServerName::try_from(name.to_owned())
            .map_err(|_| Failure::Monitor("its host cannot stand in a certificate".into()))
    }

    async fn exchange<S>(&self, request: Request<Empty<Bytes>>, stream: S) -> Result<Pass, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_OCTETS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(trouble_of)?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(trouble_of)?;
            self.judge(response).await
        };
        tokio::pin!(connection, exchange);
        tokio::select! {
            biased;
            result = &mut exchange => result,
            // What ended the connection, if it was an error, has been handed to the exchange.
            _ = &mut connection => exchange.await,
        }
    }

    async fn judge(&self, response: Response<Incoming>) -> Result<Pass, Trouble> {
        let got = response.status().as_u16();
        if !self.check.status.iter().any(|range| (range.first..=range.last).contains(&got)) {
            return Err(Failure::Status { got, want: self.check.status.as_slice().into() }.into());
        }
        let load_metrics = load_metrics(response.headers());
        if let Some(wanted) = self.check.body.as_deref().filter(|wanted| !wanted.is_empty()) {
            find(wanted.as_bytes(), response.into_body()).await?;
        }
        Ok(Pass { load_metrics })
    }
}

/// What the reply says of the target's load, if it is text of a sane length.
fn load_metrics(headers: &HeaderMap) -> Option<Box<str>> {
    let value = headers.get(LOAD_METRICS)?.as_bytes();
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= Outcome::MAX_LOAD_METRICS_OCTETS).then(|| text.into())
}

/// Reads until the text was found or [`BODY_OCTETS`] were searched.
async fn find(wanted: &[u8], mut body: Incoming) -> Result<(), Trouble> {
    let mut read: Vec<u8> = Vec::new();
    while read.len() < BODY_OCTETS {
        let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(trouble_of)?;
        let Some(octets) = frame.data_ref() else { continue };
        let searched = read.len().saturating_sub(wanted.len() - 1);
        let room = BODY_OCTETS - read.len();
        read.extend(octets.iter().take(room));
        if read.iter().skip(searched).count() >= wanted.len()
            && read.split_at(searched).1.windows(wanted.len()).any(|window| window == wanted)
        {
            return Ok(());
        }
    }
    Err(Failure::Body.into())
}

/// The target as a Host header names it (RFC 9110 section 7.2): an IPv6 address in brackets, a port that is not the scheme's.
fn authority(literal: &str, address: SocketAddr, is_tls: bool) -> String {
    let host = if literal.contains(':') { format!("[{literal}]") } else { literal.to_owned() };
    match (address.port(), is_tls) {
        (80, false) | (443, true) => host,
        (port, _) => format!("{host}:{port}"),
    }
}

fn trouble_of_handshake(error: std::io::Error) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => tls::failure_of(inner).into(),
        None => error.into(),
    }
}

fn trouble_of(error: hyper::Error) -> Trouble {
    if error.is_parse_too_large() {
        return Failure::LongHead.into();
    }
    if error.is_parse() {
        return Failure::NotHttp.into();
    }
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return match io.get_ref().and_then(|tls| tls.downcast_ref::<rustls::Error>()) {
                Some(inner) => tls::failure_of(inner).into(),
                None => std::io::Error::from(io.kind()).into(),
            };
        }
        source = inner.source();
    }
    Failure::Closed.into()
}
