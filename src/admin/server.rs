//! The server: accepts connections up to a maximum number, and hands each request to the endpoints.
//!
//! hyper's own builder stands in for `axum::serve`, which bounds neither the time nor the size of a
//! request's head.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{Request, Response, StatusCode},
    response::IntoResponse,
};
use http_body_util::{BodyExt, Limited};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    api,
    audit::PeerAddress,
    connections::{AdminConnections, AdminPermit},
    context::AdminContext,
    error::ApiError,
    guard,
    rate_limiter::RateLimiter,
    write_timeout::WriteTimeout,
};
/// Connections at once from one client. Each may hold some 40 KiB.
const MAX_CONNECTIONS_PER_CLIENT: usize = 64;
/// At most 1/8 of all connections may be closing.
const ENDING_DIVISOR: usize = 8;
/// Octets of a request's line and headers together; hyper answers 431 to more.
const MAX_HEAD_OCTETS: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// No request needs a larger body.
const MAX_BODY_OCTETS: usize = 16 << 10;
/// How long a request's head may take, and its body; also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reply may take to be read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a document may take to be made.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a change, which may read 100,000 services anew.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection lives, whatever it does.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(300);
/// How long an ending connection may still finish its request.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// A flood costs a few percent of one core at this pace.
const TOKENS_PER_SECOND: u32 = 1_000;
const BURST_TOKENS: u32 = 200;
/// A request is a step, and each piece of this many octets of its reply is one more.
const OCTETS_PER_TOKEN: u64 = 32 << 10;

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl AdminServer {
    /// Where it listens, with the port that port 0 became.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and lets requests under way finish within a second.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // The task ends by itself or with the runtime.
        let _ = self.task.await;
    }
}

/// Serves HTTP on `listener`, on the tokio runtime this is called in.
///
/// # Errors
/// The system refuses to make the listener non-blocking or to tell its address.
pub fn serve(listener: std::net::TcpListener, serving: AdminContext) -> io::Result<AdminServer> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let connections = serving.max_connections;
    let desk = Arc::new(RequestPipeline {
        router: api::router(serving),
        limiter: std::sync::Mutex::new(RateLimiter::new(
            TOKENS_PER_SECOND,
            BURST_TOKENS,
            Instant::now(),
        )),
    });
    let task = tokio::spawn(accept(listener, connections, desk, stopped));
    Ok(AdminServer { address, stop, task })
}

/// What all connections share.
struct RequestPipeline {
    router: Router,
    /// Every connection takes its steps here; held for a few instructions.
    limiter: std::sync::Mutex<RateLimiter>,
}

impl RequestPipeline {
    /// Takes this number of steps; returns when they may be made.
    fn charge(&self, count: u32) -> Instant {
        let mut pace = self.limiter.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pace.reserve(count, Instant::now())
    }
}

async fn accept(
    listener: TcpListener,
    most: usize,
    desk: Arc<RequestPipeline>,
    mut stopped: watch::Receiver<bool>,
) {
    // A closing connection holds its descriptor for a moment: at `most` connections, the next one
    // waits for it.
    let seats =
        AdminConnections::new((most - most / ENDING_DIVISOR).max(1), MAX_CONNECTIONS_PER_CLIENT);
    let descriptors = Arc::new(Semaphore::new(most.max(1)));
    let mut pace = RateLimiter::new(TOKENS_PER_SECOND, BURST_TOKENS, Instant::now());
    let mut connections = JoinSet::new();
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                is_failing = false;
                let guest = Arc::new(seats.admit(client.ip()));
                // The semaphore is never closed.
                let descriptor = Arc::clone(&descriptors).acquire_owned().await.ok();
                let conversation =
                    serve_connection(stream, client, guest, Arc::clone(&desk), stopped.clone());
                connections.spawn(async move {
                    conversation.await;
                    drop(descriptor);
                });
                sleep_until(pace.reserve(1, Instant::now())).await;
            }
            Err(error) => {
                // Out of descriptors, for as long as it lasts: logged once.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "admin API cannot accept connections");
                }
                seats.evict_longest_idle();
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, from its first request to its last.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    guest: Arc<AdminPermit>,
    desk: Arc<RequestPipeline>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(local) = stream.local_addr() else { return };
    let ends = ConnectionAddresses { local_address: local.ip(), peer_address: peer };
    // Replies are written whole; waiting for more gains nothing.
    let _ = stream.set_nodelay(true);
    let requests = {
        let guest = Arc::clone(&guest);
        service_fn(move |request| answer(request, ends, Arc::clone(&guest), Arc::clone(&desk)))
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_OCTETS)
        .serve_connection(TokioIo::new(WriteTimeout::new(stream, WRITE_TIMEOUT)), requests);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // What a client did wrong concerns nobody else.
        _ = connection.as_mut() => return,
        () = guest.end_requested() => return,
        _ = stopped.changed() => {}
        () = sleep(MAX_CONNECTION_AGE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(CLOSE_GRACE, connection).await;
}

/// The two addresses of a connection.
#[derive(Clone, Copy)]
struct ConnectionAddresses {
    local_address: IpAddr,
    peer_address: SocketAddr,
}

async fn answer(
    request: Request<Incoming>,
    ends: ConnectionAddresses,
    guest: Arc<AdminPermit>,
    desk: Arc<RequestPipeline>,
) -> Result<Response<Body>, Infallible> {
    sleep_until(desk.charge(1)).await;
    let mut request = match read_request(request, ends.local_address).await {
        Ok(request) => request,
        Err(fault) => return Ok(fault.into_response()),
    };
    request.extensions_mut().insert(PeerAddress(ends.peer_address));
    guest.begin_request();
    let answered = route(request, desk.router.clone()).await;
    guest.end_request();
    let octets = answered.body().size_hint().lower();
    desk.charge(u32::try_from(octets / OCTETS_PER_TOKEN).unwrap_or(u32::MAX));
    Ok(answered)
}

/// The request with the whole of its body, if it is one that may be answered.
async fn read_request(
    request: Request<Incoming>,
    local: IpAddr,
) -> Result<Request<Body>, ApiError> {
    let called_by = guard::check_request(&request, local)?;
    let (mut head, body) = request.into_parts();
    head.extensions.insert(called_by);
    if !guard::is_change(&head.method) {
        return Ok(Request::from_parts(head, Body::empty()));
    }
    let too_large = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body has at most {MAX_BODY_OCTETS} octets"),
        )
    };
    if body.size_hint().lower() > MAX_BODY_OCTETS as u64 {
        return Err(too_large());
    }
    let read = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_OCTETS).collect()).await;
    let read = read
        .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?;
    // A body that broke off is answered to nobody.
    let body: Bytes = read.map_err(|_| too_large())?.to_bytes();
    Ok(Request::from_parts(head, body.into()))
}

async fn route(request: Request<Body>, router: Router) -> Response<Body> {
    let patience =
        if guard::is_change(request.method()) { CHANGE_TIMEOUT } else { DOCUMENT_TIMEOUT };
    match timeout(patience, TowerToHyperService::new(router).call(request)).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(never)) => match never {},
        Err(_) => {
            let why =
                "the server did not get to it in time; a change that was asked for may still come";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, why).into_response()
        }
    }
}
