//! DNS over HTTPS (RFC 8484), over HTTP/1.1 and HTTP/2: one connection.
//!
//! hyper speaks HTTP; `request` reads what is asked, the engine answers as on any transport,
//! `reply` is what goes back. What a client may use is bounded in number (streams), octets
//! (headers, bodies, replies that it does not read, all from the buffers that connections
//! share) and time. A request that is wrong gets a status and the reason, never a reset.

mod reply;
mod request;

use std::{convert::Infallible, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Method, Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::time::{Instant, sleep_until, timeout};

use self::{
    reply::{HttpReply, ReplyBody},
    request::HttpError,
};
use super::{
    connections::{BufferReservation, ConnectionPermit},
    counters::ConnectionEvent,
    stream::{StreamContext, answer_stream},
    tls::TlsConnection,
};

/// Requests in progress at once on an HTTP/2 connection, which
/// is what clients take for granted (RFC 9113 section 6.5.2).
const MAX_CONCURRENT_STREAMS: u32 = 100;
/// Octets of a request's line and headers together. A GET with the longest query needs 87 KiB;
/// padded queries of clients (RFC 8467) need about 700 octets.
const MAX_HEAD_OCTETS: u32 = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Octets of bodies that a client may send ahead of what was read, on a stream and on a connection.
const STREAM_WINDOW_OCTETS: u32 = 16 << 10;
const CONNECTION_WINDOW_OCTETS: u32 = 64 << 10;
/// Octets of replies that HTTP/2 buffers for a stream at once.
const SEND_BUFFER_OCTETS: usize = 16 << 10;
/// Streams that a client has reset, and those reset because of its errors, before its connection
/// ends (CVE-2023-44487).
const MAX_RESET_STREAMS: usize = 20;
/// What a request in progress takes from the shared buffers, besides its body and reply.
const REQUEST_OVERHEAD_OCTETS: usize = 4 << 10;

/// The resource that takes queries.
#[derive(Debug, Clone)]
pub struct HttpsResource {
    /// Its path, with a slash in front.
    pub path: Box<str>,
    /// Whether HTTP/1.1 is spoken beside HTTP/2.
    pub http1: bool,
}

impl HttpsResource {
    /// The protocols to offer in the handshake (ALPN), best first.
    pub fn alpn_protocols(&self) -> &'static [&'static [u8]] {
        if self.http1 { &[b"h2", b"http/1.1"] } else { &[b"h2"] }
    }
}

/// Serves one connection until it ends, and counts how it did. Its first request must be complete
/// by `first_request`.
pub(super) async fn serve_https(
    stream: TlsConnection,
    source: IpAddr,
    context: &Arc<StreamContext>,
    resource: &Arc<HttpsResource>,
    permit: &Arc<ConnectionPermit>,
    first: Instant,
) {
    let opened = Instant::now();
    let exchange = RequestContext {
        source,
        context: Arc::clone(context),
        resource: Arc::clone(resource),
        permit: Arc::clone(permit),
    };
    let builder = builder(resource);
    let service = service_fn(move |request| exchange.clone().answer(request));
    let stream = TokioIo::new(stream.counting_requests(permit));
    let mut connection = pin!(builder.serve_connection(stream, service));
    let deadline =
        ConnectionDeadlines { first_request: first, max_age: opened + permit.limits().max_age };
    loop {
        tokio::select! {
            biased;
            // How it ended is the client's business: replies that were not taken are counted one by
            // one.
            _ = connection.as_mut() => return,
            () = permit.end_requested() => break,
            () = sleep_until(deadline.next(permit)) => {}
        }
        let now = Instant::now();
        if now >= deadline.max_age {
            break;
        }
        if now >= deadline.next(permit) {
            context.recorder.connection_event(ConnectionEvent::TimedOut, 1);
            break;
        }
    }
    // GOAWAY, or `StreamConnection: close` in the last reply; requests in progress have a moment to
    // end.
    connection.as_mut().graceful_shutdown();
    let _ = timeout(permit.close_grace(), connection).await;
}

fn builder(resource: &HttpsResource) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The deadline of the connection is for all of it.
        .header_read_timeout(None::<Duration>)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_OCTETS as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEAD_OCTETS)
        .initial_stream_window_size(STREAM_WINDOW_OCTETS)
        .initial_connection_window_size(CONNECTION_WINDOW_OCTETS)
        .max_send_buf_size(SEND_BUFFER_OCTETS)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS);
    if resource.http1 { builder } else { builder.http2_only() }
}

/// When a connection has taken too long.
struct ConnectionDeadlines {
    /// By when the first request must be complete.
    first_request: Instant,
    /// When the connection has reached its age.
    max_age: Instant,
}

impl ConnectionDeadlines {
    /// The next moment at which the connection may have to end.
    fn next(&self, permit: &ConnectionPermit) -> Instant {
        let due = if permit.has_progressed() {
            permit.last_progress() + permit.idle_timeout()
        } else {
            self.first_request
        };
        let unsent =
            permit.replies_stalled_since().map(|since| since + permit.limits().write_timeout);
        unsent.map_or(due, |unsent| due.min(unsent)).min(self.max_age)
    }
}

/// What each request of a connection needs.
#[derive(Clone)]
struct RequestContext {
    source: IpAddr,
    context: Arc<StreamContext>,
    resource: Arc<HttpsResource>,
    permit: Arc<ConnectionPermit>,
}

impl RequestContext {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<ReplyBody>, Infallible> {
        let is_head = request.method() == Method::HEAD;
        self.permit.begin_request();
        let mut response = match self.reply(request).await {
            Ok(reply) => reply.into_response(),
            Err(refusal) => refusal.into_response(),
        };
        self.context.recorder.responded(response.status().as_u16());
        if is_head {
            response.body_mut().omit();
        }
        Ok(response)
    }

    async fn reply(&self, request: Request<Incoming>) -> Result<HttpReply, HttpError> {
        let mut share = RequestReservation { reservation: self.permit.buffer_reservation() };
        share.resize(0).await?;
        let reading = request::read(request, &self.resource.path, &mut share);
        let message = timeout(self.permit.limits().idle_timeout, reading)
            .await
            .map_err(|_| HttpError::BODY_TIMEOUT)?;
        self.permit.record_progress();
        let message = message?;
        let mut recorder = self.context.recorder.share();
        let mut answered = None;
        answer_stream(&self.context, &mut recorder, &message, self.source, |octets, tally| {
            answered = Some((octets.to_vec(), tally));
        })
        .map_err(HttpError::for_no_reply)?;
        let (octets, tally) = answered.ok_or(HttpError::FAILED)?;
        drop(message);
        share.resize(octets.len()).await?;
        let permit = Arc::clone(&self.permit);
        Ok(HttpReply { octets, tally, recorder, reservation: share, permit })
    }
}

/// What a request and its reply take from the buffers that all connections share.
struct RequestReservation {
    reservation: BufferReservation,
}

impl RequestReservation {
    /// Sets the share to the head of the request and `octets` more.
    ///
    /// # Errors
    /// All connections together buffer as much as they may.
    async fn resize(&mut self, octets: usize) -> Result<(), HttpError> {
        if self.reservation.resize_with_retry(REQUEST_OVERHEAD_OCTETS + octets).await {
            Ok(())
        } else {
            Err(HttpError::BUFFERS_FULL)
        }
    }
}
