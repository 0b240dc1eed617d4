//! Listeners of TCP, TLS and HTTPS: accept a connection, add it to the connection table, serve it.
//!
//! Each listener and each connection is a task, on threads that serve nothing else: health checks
//! and the controller run on other threads, whatever clients do. If the system has no descriptor
//! for another connection, the listener evicts connections and pauses, longer after each failure in
//! a row; it never spins, fills the log or stops.

use std::{
    io,
    net::{IpAddr, TcpListener as StdListener, UdpSocket},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle, Runtime},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    certificate::Certificate,
    connections::{ConnectionLimits, ConnectionPermit, ConnectionTable},
    counters::{ConnectionEvent, Counters},
    handshakes::Handshakes,
    http3::Http3,
    https::{HttpsResource, serve_https},
    log_throttle::LogThrottle,
    stream::{StreamContext, serve_stream},
    tls::{HandshakeError, TlsAcceptor, TlsConnection},
};
use crate::{engine::Transport, snapshot::Snapshot};

/// The pause when the system has no descriptor or memory for another connection. Doubled after each
/// failure in a row.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// The longest such pause.
const MAX_ACCEPT_BACKOFF: Duration = Duration::from_secs(1);
/// Threads that serve connections.
const STREAM_THREADS: usize = 2;

/// The listeners of all stream transports, which share one set of limits and stop together.
/// Dropping it ends them at once.
#[derive(Debug)]
pub struct StreamListeners {
    snapshots: Arc<ArcSwap<Snapshot>>,
    counters: Counters,
    connections: Arc<ConnectionTable>,
    listeners: JoinSet<()>,
    stop: watch::Sender<()>,
    http3: Option<Http3>,
    handshakes: Arc<Handshakes>,
    runtimes: Runtimes,
}

/// The runtimes that own the threads of connections and those of handshakes.
#[derive(Debug)]
struct Runtimes {
    /// A handle of `streams`.
    stream_threads: Handle,
    streams: Option<Runtime>,
    handshakes: Option<Runtime>,
}

impl Drop for Runtimes {
    /// Shuts the runtimes down without waiting: a task of another runtime may drop this value, and
    /// a task must not block.
    fn drop(&mut self) {
        let runtimes = [self.streams.take(), self.handshakes.take()];
        runtimes.into_iter().flatten().for_each(Runtime::shutdown_background);
    }
}

impl StreamListeners {
    /// Starts the threads, without listeners.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn new(
        snapshots: &Arc<ArcSwap<Snapshot>>,
        counters: &Counters,
        limits: ConnectionLimits,
    ) -> io::Result<Self> {
        let streams = Builder::new_multi_thread()
            .worker_threads(STREAM_THREADS)
            .thread_name("streams")
            .enable_all()
            .build()?;
        let (handshake_runtime, handshakes) = Handshakes::start()?;
        let runtimes = Runtimes {
            stream_threads: streams.handle().clone(),
            streams: Some(streams),
            handshakes: Some(handshake_runtime),
        };
        Ok(Self {
            snapshots: Arc::clone(snapshots),
            counters: counters.clone(),
            connections: ConnectionTable::new(limits),
            listeners: JoinSet::new(),
            stop: watch::Sender::new(()),
            http3: None,
            handshakes,
            runtimes,
        })
    }

    /// Serves DNS over TCP on these listeners.
    ///
    /// # Errors
    /// A listener cannot be registered with tokio.
    pub fn serve_tcp(&mut self, listeners: Vec<StdListener>) -> io::Result<()> {
        self.serve(listeners, Transport::Tcp, Protocol::Tcp)
    }

    /// Serves DNS over TLS (RFC 7858) on these listeners.
    ///
    /// # Errors
    /// A listener cannot be registered with tokio.
    pub fn serve_tls(
        &mut self,
        listeners: Vec<StdListener>,
        config: Arc<ServerConfig>,
    ) -> io::Result<()> {
        let tls = self.tls(config);
        self.serve(listeners, Transport::Tls, Protocol::Tls(tls))
    }

    /// Serves DNS over HTTPS (RFC 8484) on these listeners, at the path of `resource`.
    ///
    /// # Errors
    /// A listener cannot be registered with tokio.
    pub fn serve_https(
        &mut self,
        listeners: Vec<StdListener>,
        config: Arc<ServerConfig>,
        resource: HttpsResource,
    ) -> io::Result<()> {
        let tls = self.tls(config);
        self.serve(listeners, Transport::Https, Protocol::Https(tls, Arc::new(resource)))
    }

    /// Serves DNS over HTTP/3 on these sockets.
    ///
    /// # Errors
    /// A socket cannot be registered with tokio.
    pub fn serve_http3(
        &mut self,
        sockets: Vec<UdpSocket>,
        certificate: &Arc<Certificate>,
    ) -> io::Result<()> {
        let context = self.context(Transport::Https);
        let _entered = self.handshakes.threads().enter();
        self.http3 = Some(Http3::serve(sockets, certificate, context)?);
        Ok(())
    }

    fn context(&self, transport: Transport) -> StreamContext {
        let recorder = self.counters.shared_recorder(transport);
        StreamContext { transport, snapshots: Arc::clone(&self.snapshots), recorder }
    }

    fn tls(&self, config: Arc<ServerConfig>) -> TlsAcceptor {
        TlsAcceptor { config, handshakes: Arc::clone(&self.handshakes) }
    }

    fn serve(
        &mut self,
        listeners: Vec<StdListener>,
        transport: Transport,
        protocol: Protocol,
    ) -> io::Result<()> {
        let context = Arc::new(self.context(transport));
        let threads = &self.runtimes.stream_threads;
        let _entered = threads.enter();
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let listener = Listener {
                listener: TcpListener::from_std(listener)?,
                context: Arc::clone(&context),
                connections: Arc::clone(&self.connections),
                protocol: protocol.clone(),
                stop: self.stop.subscribe(),
            };
            self.listeners.spawn_on(listener.accept(), threads);
        }
        Ok(())
    }

    /// The number of connections that are open and not evicted.
    pub fn connection_count(&self) -> usize {
        self.connections.count()
    }

    /// The number of buffer octets that connections have reserved, which
    /// [`ConnectionLimits::buffered_octets`] bounds.
    pub fn buffered_octets(&self) -> usize {
        self.connections.buffered_octets()
    }

    /// Waits until a listener fails. This process then answers only some of its clients and should
    /// end. Waits without end if there are no listeners.
    pub async fn wait_for_failure(&mut self) {
        let http3_failed = async {
            match &mut self.http3 {
                Some(http3) => http3.wait_for_failure().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(_) = self.listeners.join_next() => {}
            () = http3_failed => {}
        }
    }

    /// Stops accepting, lets each connection write its outstanding replies, and closes it. Takes at
    /// most a little longer than the write timeout.
    pub async fn stop(mut self) {
        self.connections.close();
        self.stop.send_replace(());
        while self.listeners.join_next().await.is_some() {}
        if let Some(http3) = self.http3 {
            http3.stop().await;
        }
    }
}

/// How the connections of a listener are served.
#[derive(Debug, Clone)]
enum Protocol {
    Tcp,
    Tls(TlsAcceptor),
    Https(TlsAcceptor, Arc<HttpsResource>),
}

/// A listener, and what its connections need.
struct Listener {
    listener: TcpListener,
    context: Arc<StreamContext>,
    connections: Arc<ConnectionTable>,
    protocol: Protocol,
    stop: watch::Receiver<()>,
}

impl Listener {
    async fn accept(mut self) {
        let mut tasks = JoinSet::new();
        let mut backoff = ACCEPT_BACKOFF;
        loop {
            tokio::select! {
                biased;
                _ = self.stop.changed() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        backoff = ACCEPT_BACKOFF;
                        self.admit(&mut tasks, stream, peer.ip()).await;
                    }
                    Err(error) if is_connection_error(&error) => {}
                    Err(error) => {
                        self.handle_accept_error(&error);
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(MAX_ACCEPT_BACKOFF);
                    }
                },
            }
            // Removes the tasks that have ended, so that the set does not grow.
            while tasks.try_join_next().is_some() {}
        }
        drop(self.listener);
        while tasks.join_next().await.is_some() {}
    }

    async fn admit(&self, tasks: &mut JoinSet<()>, stream: TcpStream, source: IpAddr) {
        // Replies are written whole; Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let permit = Arc::new(self.connections.admit(source).await);
        let deadline = Instant::now() + permit.limits().first_message_timeout;
        let open = OpenConnection::new(Arc::clone(&self.context), permit);
        // One task type for each protocol, so that a task of TCP has no room for the state of HTTP.
        match self.protocol.clone() {
            Protocol::Tcp => tasks.spawn(async move {
                serve_stream(stream, source, &open.context, &open.permit, deadline).await;
            }),
            Protocol::Tls(tls) => tasks.spawn(async move {
                if let Some(stream) = open.accept_tls(&tls, stream, source, deadline).await {
                    serve_stream(stream, source, &open.context, &open.permit, deadline).await;
                }
            }),
            Protocol::Https(tls, resource) => tasks.spawn(async move {
                if let Some(stream) = open.accept_tls(&tls, stream, source, deadline).await {
                    serve_https(stream, source, &open.context, &resource, &open.permit, deadline)
                        .await;
                }
            }),
        };
    }

    /// Evicts connections, counts the failure, and logs it at most once a second.
    fn handle_accept_error(&self, error: &io::Error) {
        static ERRORS: LogThrottle = LogThrottle::new();
        self.context.recorder.connection_event(ConnectionEvent::AcceptFailed, 1);
        if let Some(suppressed) = ERRORS.admit() {
            tracing::warn!(%error, suppressed, connections = self.connections.count(), "connection not accepted");
        }
        self.connections.evict();
    }
}

/// Whether accepting failed because of the connection, not because of the system.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

/// An open connection, counted when it opens and, with the reason, when it ends.
struct OpenConnection {
    context: Arc<StreamContext>,
    permit: Arc<ConnectionPermit>,
}

impl OpenConnection {
    fn new(context: Arc<StreamContext>, permit: Arc<ConnectionPermit>) -> Self {
        context.recorder.connection_event(ConnectionEvent::Opened, 1);
        Self { context, permit }
    }

    /// The TLS connection, if the handshake is complete by the deadline; else counts why it is not.
    async fn accept_tls(
        &self,
        tls: &TlsAcceptor,
        stream: TcpStream,
        source: IpAddr,
        deadline: Instant,
    ) -> Option<TlsConnection> {
        let event = tokio::select! {
            accepted = tls.accept(stream, source, self.permit.buffer_reservation()) => match accepted {
                Ok(stream) => return Some(stream),
                Err(HandshakeError::Failed) => ConnectionEvent::HandshakeFailed,
                Err(HandshakeError::Evicted) => ConnectionEvent::Evicted,
            },
            () = self.permit.end_requested() => return None,
            () = sleep_until(deadline) => ConnectionEvent::TimedOut,
        };
        self.context.recorder.connection_event(event, 1);
        None
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.permit.was_evicted() {
            self.context.recorder.connection_event(ConnectionEvent::Evicted, 1);
        }
        if self.permit.was_buffer_refused() {
            self.context.recorder.connection_event(ConnectionEvent::BuffersFull, 1);
        }
        self.context.recorder.connection_event(ConnectionEvent::Closed, 1);
    }
}
