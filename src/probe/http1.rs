//! HTTP/1.1 (RFC 9112): one exchange on a fresh connection.
//!
//! A reply is read leniently (`normalized`): old forms and invalid header fields do not make a
//! working server look down. What decides where the body ends is read strictly (RFC 9112 section
//! 6.3): a wrong length, two different lengths or a malformed chunk are failures.

mod normalized;

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{check::ProbeError, tls};
use crate::health::Failure;
use normalized::{LongHead, MAX_HEAD_OCTETS, NormalizedStream};

/// The most that hyper holds of a reply: a head in its normal form, which may have a few octets
/// more than it came with.
const MAX_BUFFER_OCTETS: usize = MAX_HEAD_OCTETS + 1024;

/// Sends a request and lets `hear` make something of the reply.
///
/// # Errors
/// Why there is no reply, or what `hear` says.
pub(super) async fn exchange<S, T, E, F>(
    stream: S,
    request: Request<Full<Bytes>>,
    hear: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, E>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: From<ProbeError>,
    F: Future<Output = Result<T, E>>,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER_OCTETS)
        .handshake(TokioIo::new(NormalizedStream::new(stream)))
        .await
        .map_err(probe_error)?;
    let exchange =
        async move { hear(sender.send_request(request).await.map_err(probe_error)?).await };
    drive(connection, exchange).await
}

/// Runs an exchange on the connection that carries it.
pub(super) async fn drive<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    tokio::pin!(connection, exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // What ended the connection, if it was an error, has been handed to the exchange.
        _ = &mut connection => exchange.await,
    }
}

/// What an error of hyper says of the target.
pub(super) fn probe_error(error: hyper::Error) -> ProbeError {
    // A head that is too large is told by `normalized`: what is too large here is the announced
    // length, or the number of lengths.
    if error.is_parse() || error.is_parse_too_large() {
        return Failure::NotHttp.into();
    }
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            if io.get_ref().is_some_and(|inner| inner.is::<LongHead>()) {
                return Failure::HeadTooLarge.into();
            }
            return if is_chunk_error(io) {
                Failure::BodyFraming.into()
            } else {
                tls::connection_error(io)
            };
        }
        source = inner.source();
    }
    Failure::Closed.into()
}

/// Whether hyper made this error itself because it cannot read a chunk. Errors of the operating
/// system have a number, and those of TLS hold an error of rustls.
fn is_chunk_error(error: &std::io::Error) -> bool {
    let is_malformed =
        matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData);
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    is_malformed && error.raw_os_error().is_none() && !is_tls
}
