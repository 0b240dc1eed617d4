//! HTTP/1.1 (RFC 9112): one exchange on a fresh connection.
//!
//! A reply is parsed leniently (`normalized`): obsolete forms and invalid header fields do not make
//! a working server look down. The fields that decide where the body ends are parsed strictly (RFC
//! 9112 section 6.3): a wrong length, two different lengths or a malformed chunk are failures.

mod normalized;

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{connection::drive, result::ProbeError, tls};
use crate::health::Failure;
use normalized::{LongHead, MAX_HEAD_OCTETS, NormalizedStream};

/// The maximum number of octets of a reply that hyper buffers: a normalized head, which may be a
/// few octets longer than the received one.
const MAX_BUFFER_OCTETS: usize = MAX_HEAD_OCTETS + 1024;

/// Sends a request and passes the reply to `read_reply`.
///
/// # Errors
/// The reason why there is no reply, or the error of `read_reply`.
pub(super) async fn exchange<S, T, E, F>(
    stream: S,
    request: Request<Full<Bytes>>,
    read_reply: impl FnOnce(Response<Incoming>) -> F,
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
        async move { read_reply(sender.send_request(request).await.map_err(probe_error)?).await };
    drive(connection, exchange).await
}

/// The failure of the target that an error of hyper stands for.
pub(super) fn probe_error(error: hyper::Error) -> ProbeError {
    // `normalized` reports a head that is too large. "Too large" from hyper means the announced
    // length of the body, or the number of lengths.
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

/// Whether hyper itself made this error, because it cannot parse a chunk. Errors of the operating
/// system have a code, and those of TLS contain an error of rustls.
fn is_chunk_error(error: &std::io::Error) -> bool {
    let is_malformed =
        matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData);
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    is_malformed && error.raw_os_error().is_none() && !is_tls
}
