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
    api::{self, Fault},
    audit::Peer,
    guard,
    pace::Pace,
    patient::Patient,
    seats::{Guest, Seats},
};
use crate::{
    control::Handle,
    transport::{Counters, Metronome},
};

/// Connections at once from one client. Each may hold some 40 KiB.
const CONNECTIONS_PER_CLIENT: usize = 64;
/// At most 1/8 of all connections may be closing.
const ENDING_SHARE: usize = 8;
/// Octets of a request's line and headers together; hyper answers 431 to more.
const HEAD_OCTETS: usize = 16 << 10;
const HEADERS: usize = 64;
/// No request needs a larger body.
const BODY_OCTETS: usize = 16 << 10;
/// How long a request's head may take, and its body; also how long a connection may be idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// How long a reply may take to be read.
const READ_PATIENCE: Duration = Duration::from_secs(15);
/// How long a document may take to be made.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a change, which may read 100,000 services anew.
const CHANGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection lives, whatever it does.
const LIFE: Duration = Duration::from_secs(300);
/// How long an ending connection may still finish its request.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A flood costs a few percent of one core at this pace.
const STEPS_A_SECOND: u32 = 1_000;
const STEPS_AT_ONCE: u32 = 200;
/// A request is a step, and each piece of this many octets of its reply is one more.
const OCTETS_A_STEP: u64 = 32 << 10;

/// What the admin API shows and changes.
pub struct Serving {
    /// Connections at once, each of one descriptor.
    pub connections: usize,
    /// The controller.
    pub handle: Handle,
    /// What the transports counted.
    pub counters: Counters,
    /// Beats while a large text is made.
    pub metronome: Metronome,
    /// Whether every thread that answers queries lives. Called for each `/healthz` and each page of
    /// metrics.
    pub is_alive: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether DNS queries are answered: not before the first round of health checks. Called for
    /// each `/readyz`.
    pub is_listening: Box<dyn Fn() -> bool + Send + Sync>,
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
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
pub fn serve(listener: std::net::TcpListener, serving: Serving) -> io::Result<Running> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let connections = serving.connections;
    let desk = Arc::new(Desk {
        router: api::router(serving),
        pace: std::sync::Mutex::new(Pace::new(STEPS_A_SECOND, STEPS_AT_ONCE, Instant::now())),
    });
    let task = tokio::spawn(accept(listener, connections, desk, stopped));
    Ok(Running { address, stop, task })
}

/// What all connections share.
struct Desk {
    router: Router,
    /// Every connection takes its steps here; held for a few instructions.
    pace: std::sync::Mutex<Pace>,
}

impl Desk {
    /// Takes this number of steps; returns when they may be made.
    fn steps(&self, count: u32) -> Instant {
        let mut pace = self.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pace.take(count, Instant::now())
    }
}

async fn accept(
    listener: TcpListener,
    most: usize,
    desk: Arc<Desk>,
    mut stopped: watch::Receiver<bool>,
) {
    // A closing connection holds its descriptor for a moment: at `most` connections, the next one
    // waits for it.
    let seats = Seats::new((most - most / ENDING_SHARE).max(1), CONNECTIONS_PER_CLIENT);
    let descriptors = Arc::new(Semaphore::new(most.max(1)));
    let mut pace = Pace::new(STEPS_A_SECOND, STEPS_AT_ONCE, Instant::now());
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
                let guest = Arc::new(seats.enter(client.ip()));
                // The semaphore is never closed.
                let descriptor = Arc::clone(&descriptors).acquire_owned().await.ok();
                let conversation =
                    converse(stream, client, guest, Arc::clone(&desk), stopped.clone());
                connections.spawn(async move {
                    conversation.await;
                    drop(descriptor);
                });
                sleep_until(pace.take(1, Instant::now())).await;
            }
            Err(error) => {
                // Out of descriptors, for as long as it lasts: logged once.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "admin API cannot accept connections");
                }
                seats.make_room();
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, from its first request to its last.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    guest: Arc<Guest>,
    desk: Arc<Desk>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(local) = stream.local_addr() else { return };
    let ends = Ends { local: local.ip(), peer };
    // Replies are written whole; waiting for more gains nothing.
    let _ = stream.set_nodelay(true);
    let requests = {
        let guest = Arc::clone(&guest);
        service_fn(move |request| answer(request, ends, Arc::clone(&guest), Arc::clone(&desk)))
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_OCTETS)
        .serve_connection(TokioIo::new(Patient::new(stream, READ_PATIENCE)), requests);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // What a client did wrong concerns nobody else.
        _ = connection.as_mut() => return,
        () = guest.told_to_leave() => return,
        _ = stopped.changed() => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_WORDS, connection).await;
}

/// The two addresses of a connection.
#[derive(Clone, Copy)]
struct Ends {
    local: IpAddr,
    peer: SocketAddr,
}

async fn answer(
    request: Request<Incoming>,
    ends: Ends,
    guest: Arc<Guest>,
    desk: Arc<Desk>,
) -> Result<Response<Body>, Infallible> {
    sleep_until(desk.steps(1)).await;
    let mut request = match accepted(request, ends.local).await {
        Ok(request) => request,
        Err(fault) => return Ok(fault.into_response()),
    };
    request.extensions_mut().insert(Peer(ends.peer));
    guest.begin();
    let answered = routed(request, desk.router.clone()).await;
    guest.end();
    let octets = answered.body().size_hint().lower();
    desk.steps(u32::try_from(octets / OCTETS_A_STEP).unwrap_or(u32::MAX));
    Ok(answered)
}

/// The request with the whole of its body, if it is one that may be answered.
async fn accepted(request: Request<Incoming>, local: IpAddr) -> Result<Request<Body>, Fault> {
    let called_by = guard::check(&request, local)?;
    let (mut head, body) = request.into_parts();
    head.extensions.insert(called_by);
    if !guard::is_change(&head.method) {
        return Ok(Request::from_parts(head, Body::empty()));
    }
    let too_large = || {
        Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body has at most {BODY_OCTETS} octets"),
        )
    };
    if body.size_hint().lower() > BODY_OCTETS as u64 {
        return Err(too_large());
    }
    let read = timeout(BODY_PATIENCE, Limited::new(body, BODY_OCTETS).collect()).await;
    let read =
        read.map_err(|_| Fault::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?;
    // A body that broke off is answered to nobody.
    let body: Bytes = read.map_err(|_| too_large())?.to_bytes();
    Ok(Request::from_parts(head, body.into()))
}

async fn routed(request: Request<Body>, router: Router) -> Response<Body> {
    let patience =
        if guard::is_change(request.method()) { CHANGE_PATIENCE } else { ANSWER_PATIENCE };
    match timeout(patience, TowerToHyperService::new(router).call(request)).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(never)) => match never {},
        Err(_) => {
            let why =
                "the server did not get to it in time; a change that was asked for may still come";
            Fault::new(StatusCode::GATEWAY_TIMEOUT, why).into_response()
        }
    }
}
