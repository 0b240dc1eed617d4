//! The admin server: accepts connections within the limits of a connection table, and passes each
//! request to the endpoints.
//!
//! hyper's own builder is used in place of `axum::serve`, which bounds neither the time nor the
//! size of a request's head.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
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
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    api, audit::PeerAddress, context::AdminContext, error::ApiError, guard,
    rate_limiter::RateLimiter, write_timeout::WriteTimeout,
};
use crate::transport::{ConnectionLimits, ConnectionPermit, ConnectionTable};

/// The maximum number of connections at once from one client. Each may use some 40 KiB.
const MAX_CONNECTIONS_PER_CLIENT: usize = 64;
/// The maximum number of octets of a request's line and headers together; hyper answers 431 to
/// more.
const MAX_HEAD_OCTETS: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// The maximum number of octets of a request's body; no request needs more.
const MAX_BODY_OCTETS: usize = 16 << 10;
/// The time for a request's head, which is also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for a client to read a reply.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// The time to answer a request that changes nothing.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time to make a change, which may read 100,000 services again.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum age of a connection.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(300);
/// The pause after a connection could not be accepted.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Tokens per second, for connections and for requests. A flood uses a few percent of a core at
/// this rate.
const TOKENS_PER_SECOND: u32 = 1_000;
const BURST_TOKENS: u32 = 200;
/// A request costs one token, and one more for this many octets of its reply.
const OCTETS_PER_TOKEN: u64 = 32 << 10;

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct AdminServer {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    /// A task for each address.
    tasks: Vec<JoinHandle<()>>,
}

impl AdminServer {
    /// The addresses that it listens on, with the port that the system chose for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting; requests in progress may finish within a second.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // The task ends by itself or with the runtime.
            let _ = task.await;
        }
    }
}

/// Serves HTTP on `listeners`, on the tokio runtime that this is called in. They share the limits.
///
/// # Errors
/// The system cannot make a listener non-blocking or return its address.
pub fn serve(
    listeners: Vec<std::net::TcpListener>,
    mut context: AdminContext,
) -> io::Result<AdminServer> {
    let to_tokio = |listener: std::net::TcpListener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let listeners: Vec<TcpListener> =
        listeners.into_iter().map(to_tokio).collect::<io::Result<_>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    let (stop, stopped) = watch::channel(false);
    let connections = ConnectionTable::new(ConnectionLimits {
        connections: context.max_connections,
        connections_per_client: MAX_CONNECTIONS_PER_CLIENT,
        write_timeout: WRITE_TIMEOUT,
        max_age: MAX_CONNECTION_AGE,
        ..ConnectionLimits::default()
    });
    let pipeline = Arc::new(RequestPipeline {
        hosts: std::mem::take(&mut context.hosts),
        router: api::router(context),
        limiter: Mutex::new(rate_limiter()),
    });
    let accept = |listener: TcpListener| {
        let (connections, pipeline) = (Arc::clone(&connections), Arc::clone(&pipeline));
        tokio::spawn(accept(listener, connections, pipeline, stopped.clone()))
    };
    let tasks = listeners.into_iter().map(accept).collect();
    Ok(AdminServer { addresses, stop, tasks })
}

fn rate_limiter() -> RateLimiter {
    RateLimiter::new(TOKENS_PER_SECOND, BURST_TOKENS, Instant::now())
}

/// What the requests of all connections share.
struct RequestPipeline {
    /// The names that a Host header may have.
    hosts: Vec<Box<str>>,
    router: Router,
    /// Locked for a few instructions.
    limiter: Mutex<RateLimiter>,
}

impl RequestPipeline {
    /// Takes tokens; returns the time from which the request may be answered.
    fn charge(&self, tokens: u32) -> Instant {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.reserve(tokens, Instant::now())
    }
}

async fn accept(
    listener: TcpListener,
    connections: Arc<ConnectionTable>,
    pipeline: Arc<RequestPipeline>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut limiter = rate_limiter();
    let mut tasks = JoinSet::new();
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_failing = false;
                let permit = Arc::new(connections.admit(peer.ip()).await);
                tasks.spawn(serve_connection(stream, peer, permit, Arc::clone(&pipeline)));
                sleep_until(limiter.reserve(1, Instant::now())).await;
            }
            Err(error) => {
                // No descriptors are left: logged once for as long as this lasts.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "admin API cannot accept connections");
                }
                connections.evict();
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    connections.close();
    while tasks.join_next().await.is_some() {}
}

/// Serves one connection, from its first request to its last.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    permit: Arc<ConnectionPermit>,
    pipeline: Arc<RequestPipeline>,
) {
    let Ok(local) = stream.local_addr() else { return };
    let addresses = ConnectionAddresses { local_address: local.ip(), peer_address: peer };
    // Each reply is written in one piece, so Nagle's algorithm would not save a packet.
    let _ = stream.set_nodelay(true);
    let service = {
        let permit = Arc::clone(&permit);
        service_fn(move |request| {
            answer(request, addresses, Arc::clone(&permit), Arc::clone(&pipeline))
        })
    };
    let stream = WriteTimeout::new(stream, permit.limits().write_timeout);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // An error of the connection is the client's.
        _ = connection.as_mut() => return,
        () = permit.end_requested() => {}
        () = sleep(permit.limits().max_age) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(permit.close_grace(), connection).await;
}

/// The two addresses of a connection.
#[derive(Clone, Copy)]
struct ConnectionAddresses {
    local_address: IpAddr,
    peer_address: SocketAddr,
}

async fn answer(
    request: Request<Incoming>,
    addresses: ConnectionAddresses,
    permit: Arc<ConnectionPermit>,
    pipeline: Arc<RequestPipeline>,
) -> Result<Response<Body>, Infallible> {
    sleep_until(pipeline.charge(1)).await;
    let local_address = addresses.local_address;
    let mut request = match read_request(request, local_address, &pipeline.hosts).await {
        Ok(request) => request,
        Err(error) => return Ok(error.into_response()),
    };
    request.extensions_mut().insert(PeerAddress(addresses.peer_address));
    let protection = permit.protect();
    let response = route(request, pipeline.router.clone()).await;
    drop(protection);
    let octets = response.body().size_hint().lower();
    pipeline.charge(u32::try_from(octets / OCTETS_PER_TOKEN).unwrap_or(u32::MAX));
    Ok(response)
}

/// The request with its whole body, after the checks that every request has to pass.
async fn read_request(
    request: Request<Incoming>,
    local_address: IpAddr,
    hosts: &[Box<str>],
) -> Result<Request<Body>, ApiError> {
    let host = guard::check_request(&request, local_address, hosts)?;
    let (mut head, body) = request.into_parts();
    head.extensions.insert(host);
    if !guard::is_change(&head.method) {
        return Ok(Request::from_parts(head, Body::empty()));
    }
    let too_large = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is longer than {MAX_BODY_OCTETS} octets"),
        )
    };
    if body.size_hint().lower() > MAX_BODY_OCTETS as u64 {
        return Err(too_large());
    }
    let read = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_OCTETS).collect()).await;
    let read = read.map_err(|_| {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
    })?;
    // The other cause of an error is a broken connection, on which no client reads the response.
    let body: Bytes = read.map_err(|_| too_large())?.to_bytes();
    Ok(Request::from_parts(head, body.into()))
}

async fn route(request: Request<Body>, router: Router) -> Response<Body> {
    let time_limit =
        if guard::is_change(request.method()) { CHANGE_TIMEOUT } else { DOCUMENT_TIMEOUT };
    match timeout(time_limit, TowerToHyperService::new(router).call(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            let reason = "the server did not answer in time; a requested change may still be made";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, reason).into_response()
        }
    }
}
