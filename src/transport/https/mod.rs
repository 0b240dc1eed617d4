//! DNS over HTTPS (RFC 8484), over HTTP/1.1 and HTTP/2: one connection.
//!
//! hyper implements HTTP; `request` reads the DNS query, the engine answers as over any transport,
//! `reply` and `error` are the responses. The resources that a client uses are bounded in number
//! (streams), in octets (headers, bodies and unread replies, all reserved from the buffers that
//! connections share: `reservation`) and in time. An invalid request gets a status and the reason,
//! never a reset.

mod error;
mod reply;
mod request;
mod reservation;

use std::{convert::Infallible, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Method, Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::time::{Instant, sleep_until, timeout};

use self::{
    error::HttpError,
    reply::{HttpReply, ReplyBody},
    reservation::RequestReservation,
};
use super::{
    connections::ConnectionPermit,
    counters::ConnectionEvent,
    stream::{StreamContext, answer_stream},
    tls::TlsConnection,
};

/// The maximum number of requests in progress on an HTTP/2 connection: the least that clients may
/// rely on (RFC 9113 section 6.5.2).
const MAX_CONCURRENT_STREAMS: u32 = 100;
/// The maximum number of octets of a request's line and headers together. Padded queries of clients
/// (RFC 8467) need about 700 octets; a GET with the longest query, which would need 87 KiB, is
/// refused.
const MAX_HEAD_OCTETS: u32 = 16 << 10;
const MAX_HEADERS: usize = 64;
/// The flow-control windows: octets of bodies that a client may send before they are read, on a
/// stream and on a connection.
const STREAM_WINDOW_OCTETS: u32 = 16 << 10;
const CONNECTION_WINDOW_OCTETS: u32 = 64 << 10;
/// The maximum number of octets of replies that HTTP/2 buffers for a stream.
const SEND_BUFFER_OCTETS: usize = 16 << 10;
/// The maximum number of streams that the client resets, and the most that are reset because of its
/// errors, before its connection is closed (CVE-2023-44487).
const MAX_RESET_STREAMS: usize = 20;

/// The resource that DNS queries are sent to.
#[derive(Debug, Clone)]
pub struct HttpsResource {
    /// The path of its URI, with a leading slash.
    pub path: Box<str>,
    /// Whether HTTP/1.1 is offered besides HTTP/2.
    pub http1: bool,
}

impl HttpsResource {
    /// The protocols to offer in the TLS handshake (ALPN), in order of preference.
    pub fn alpn_protocols(&self) -> &'static [&'static [u8]] {
        if self.http1 { &[b"h2", b"http/1.1"] } else { &[b"h2"] }
    }
}

/// Serves one connection until it ends, and counts a timeout. The first request must be complete by
/// `first_request_deadline`.
pub(super) async fn serve_https(
    stream: TlsConnection,
    source: IpAddr,
    context: &Arc<StreamContext>,
    resource: &Arc<HttpsResource>,
    permit: &Arc<ConnectionPermit>,
    first_request_deadline: Instant,
) {
    let opened = Instant::now();
    let requests = RequestContext {
        source,
        context: Arc::clone(context),
        resource: Arc::clone(resource),
        permit: Arc::clone(permit),
    };
    let builder = builder(resource);
    let service = service_fn(move |request| requests.clone().answer(request));
    let stream = TokioIo::new(stream.counting_requests(permit));
    let mut connection = pin!(builder.serve_connection(stream, service));
    let deadlines = ConnectionDeadlines {
        first_request: first_request_deadline,
        max_age: opened + permit.limits().max_age,
    };
    loop {
        tokio::select! {
            biased;
            // An error of the connection is the client's; unsent replies are counted one by one.
            _ = connection.as_mut() => return,
            () = permit.end_requested() => break,
            () = sleep_until(deadlines.next(permit)) => {}
        }
        let now = Instant::now();
        if now >= deadlines.max_age {
            break;
        }
        if now >= deadlines.next(permit) {
            context.recorder.connection_event(ConnectionEvent::TimedOut, 1);
            break;
        }
    }
    // Sends GOAWAY, or `Connection: close` in the last reply; requests in progress may end within
    // the grace period.
    connection.as_mut().graceful_shutdown();
    let _ = timeout(permit.close_grace(), connection).await;
}

fn builder(resource: &HttpsResource) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `ConnectionDeadlines` covers the head as well.
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

/// The times at which a connection is closed.
struct ConnectionDeadlines {
    /// The time by which the first request must be complete.
    first_request: Instant,
    /// The time at which the connection reaches its maximum age.
    max_age: Instant,
}

impl ConnectionDeadlines {
    /// The earliest time at which the connection is to be closed, unless it makes progress before.
    fn next(&self, permit: &ConnectionPermit) -> Instant {
        let idle = if permit.has_progressed() {
            permit.last_progress() + permit.idle_timeout()
        } else {
            self.first_request
        };
        let unsent =
            permit.replies_stalled_since().map(|since| since + permit.limits().write_timeout);
        unsent.map_or(idle, |unsent| idle.min(unsent)).min(self.max_age)
    }
}

/// What the requests of a connection have in common.
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
            Err(error) => error.into_response(),
        };
        self.context.recorder.responded(response.status().as_u16());
        if is_head {
            response.body_mut().omit();
        }
        Ok(response)
    }

    async fn reply(&self, request: Request<Incoming>) -> Result<HttpReply, HttpError> {
        let mut reservation = RequestReservation::new(self.permit.buffer_reservation());
        reservation.resize(0).await?;
        let reading = request::read(request, &self.resource.path, &mut reservation);
        let message = timeout(self.permit.limits().idle_timeout, reading)
            .await
            .map_err(|_| HttpError::BODY_TIMEOUT)?;
        self.permit.record_progress();
        let message = message?;
        let mut recorder = self.context.recorder.share();
        let mut answered = None;
        answer_stream(&self.context, &mut recorder, &message, self.source, |octets, labels| {
            answered = Some((octets.to_vec(), labels));
        })
        .map_err(HttpError::for_no_reply)?;
        let (octets, labels) = answered.ok_or(HttpError::FAILED)?;
        drop(message);
        reservation.resize(octets.len()).await?;
        let permit = Arc::clone(&self.permit);
        Ok(HttpReply { octets, labels, recorder, reservation, permit })
    }
}
