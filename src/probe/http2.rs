//! HTTP/2 (RFC 9113): one exchange on a fresh connection, for HTTP and for gRPC.
//!
//! It uses `h2` directly, because hyper's client moves the connection to a separate task, which
//! outlives an aborted probe.

use h2::{RecvStream, client::Builder};
use hyper::{Request, Response, body::Bytes};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{connection::drive, result::ProbeError, tls};
use crate::health::Failure;

/// The maximum number of octets of header fields that are accepted.
const MAX_HEAD_OCTETS: u32 = 16 * 1024;

/// The flow-control window in octets: the most that a target may send before it is read.
const WINDOW_OCTETS: u32 = 64 * 1024;

/// Sends a request and passes the reply to `read_reply`.
///
/// # Errors
/// The reason why there is no reply, or the error of `read_reply`.
pub(super) async fn exchange<S, T, F>(
    stream: S,
    request: Request<Bytes>,
    read_reply: impl FnOnce(Response<RecvStream>) -> F,
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
        let (reply, mut request_stream) = sender
            .send_request(Request::from_parts(head, ()), is_empty)
            .map_err(|error| error_before_reply(&error))?;
        if !is_empty {
            request_stream.send_data(body, true).map_err(|error| error_before_reply(&error))?;
        }
        read_reply(reply.await.map_err(|error| error_before_reply(&error))?).await
    };
    drive(connection, exchange).await
}

/// The failure that an error stands for before the reply has begun.
pub(super) fn error_before_reply(error: &h2::Error) -> ProbeError {
    error_or(error, Failure::NotHttp2)
}

/// The failure that an error stands for while the body of the reply is read.
pub(super) fn error_in_body(error: &h2::Error) -> ProbeError {
    error_or(error, Failure::BodyFraming)
}

/// The failure that an error stands for: an error of the connection, a stream that the target
/// closed, or else `violation`: the target violated the protocol.
fn error_or(error: &h2::Error, violation: Failure) -> ProbeError {
    match error.get_io() {
        Some(error) => tls::connection_error(error),
        None if error.is_remote() => Failure::Closed.into(),
        None => violation.into(),
    }
}
