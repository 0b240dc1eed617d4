//! HTTP/2 (RFC 9113): one exchange on a fresh connection, for HTTP and for gRPC.
//!
//! On `h2` itself, not on hyper's client: that hands the connection to a task of its own, which
//! outlives a probe that ends.

use h2::{RecvStream, client::Builder};
use hyper::{Request, Response, body::Bytes};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{check::ProbeError, http1::drive, tls};
use crate::health::Failure;

/// The most that is read of a reply's head.
const MAX_HEAD_OCTETS: u32 = 16 * 1024;

/// What a target may send of a body: never more is asked for.
const WINDOW_OCTETS: u32 = 64 * 1024;

/// Sends a request and lets `hear` make something of the reply.
///
/// # Errors
/// Why there is no reply, or what `hear` says.
pub(super) async fn exchange<S, T, F>(
    stream: S,
    request: Request<Bytes>,
    hear: impl FnOnce(Response<RecvStream>) -> F,
) -> Result<T, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Result<T, ProbeError>>,
{
    let (sender, connection) = Builder::new()
        .enable_push(false)
        .max_header_list_size(MAX_HEAD_OCTETS)
        .initial_window_size(WINDOW_OCTETS)
        .initial_connection_window_size(WINDOW_OCTETS)
        .handshake::<S, Bytes>(stream)
        .await
        .map_err(|error| error_before_reply(&error))?;
    let (head, body) = request.into_parts();
    let exchange = async move {
        let mut sender = sender.ready().await.map_err(|error| error_before_reply(&error))?;
        let is_empty = body.is_empty();
        let (reply, mut sending) = sender
            .send_request(Request::from_parts(head, ()), is_empty)
            .map_err(|error| error_before_reply(&error))?;
        if !is_empty {
            sending.send_data(body, true).map_err(|error| error_before_reply(&error))?;
        }
        hear(reply.await.map_err(|error| error_before_reply(&error))?).await
    };
    drive(connection, exchange).await
}

/// What an error says of the target while its reply has not begun.
pub(super) fn error_before_reply(error: &h2::Error) -> ProbeError {
    error_or(error, Failure::NotHttp2)
}

/// What an error says of the target while the body of its reply is read.
pub(super) fn error_in_body(error: &h2::Error) -> ProbeError {
    error_or(error, Failure::BodyFraming)
}

/// The target may have ended the stream or the connection itself; else what it sent breaks the
/// protocol, which is `broken`.
fn error_or(error: &h2::Error, broken: Failure) -> ProbeError {
    match error.get_io() {
        Some(error) => tls::connection_error(error),
        None if error.is_remote() => Failure::Closed.into(),
        None => broken.into(),
    }
}
