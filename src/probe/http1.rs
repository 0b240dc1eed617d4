//! HTTP/1.1: one exchange on a fresh connection.

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{attempt::Trouble, tls};
use crate::health::Failure;

/// The most that is read of a reply's head, and at one time of its body.
const HEAD_OCTETS: usize = 16 * 1024;

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
    E: From<Trouble>,
    F: Future<Output = Result<T, E>>,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_OCTETS).handshake(TokioIo::new(stream)).await.map_err(trouble_of)?;
    let exchange = async move { hear(sender.send_request(request).await.map_err(trouble_of)?).await };
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

pub(super) fn trouble_of(error: hyper::Error) -> Trouble {
    if error.is_parse_too_large() {
        return Failure::LongHead.into();
    }
    if error.is_parse() {
        return Failure::NotHttp.into();
    }
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return tls::trouble_of(io);
        }
        source = inner.source();
    }
    Failure::Closed.into()
}
