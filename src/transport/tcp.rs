//! TCP and TLS listeners: accept, bound the number, hand each connection to [`serve_stream`].
//!
//! One task a listener, one a connection. Out of descriptors is no reason to spin, to fill the log or to stop: the
//! connection idle for longest goes, and accepting goes on shortly after.

use std::{io, net::TcpListener as StdListener, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    connections::{Connections, Limits},
    counters::{ConnectionEvent, Counters},
    guard::Throttle,
    stream::{Desk, serve_stream},
};
use crate::{engine::Transport, snapshot::Snapshot};

/// How long accepting rests when the system has no descriptors or memory for another connection.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Stream transports that share one set of limits. Listeners are added to it; all stop together.
#[derive(Debug)]
pub struct Streams {
    snapshots: Arc<ArcSwap<Snapshot>>,
    counters: Counters,
    connections: Arc<Connections>,
    listeners: JoinSet<()>,
    stop: watch::Sender<()>,
}

impl Streams {
    /// No listeners yet. Raises this process's limit of open descriptors as far as it may.
    pub fn new(snapshots: &Arc<ArcSwap<Snapshot>>, counters: &Counters, limits: Limits) -> Self {
        Self {
            snapshots: Arc::clone(snapshots),
            counters: counters.clone(),
            connections: Connections::new(limits),
            listeners: JoinSet::new(),
            stop: watch::Sender::new(()),
        }
    }

    /// Serves DNS over TCP on these. To be called within a tokio runtime.
    ///
    /// # Errors
    /// A listener that tokio cannot take over.
    pub fn serve_tcp(&mut self, listeners: Vec<StdListener>) -> io::Result<()> {
        self.serve(listeners, Transport::Tcp, None)
    }

    /// Serves DNS over TLS (RFC 7858) on these. To be called within a tokio runtime.
    ///
    /// # Errors
    /// A listener that tokio cannot take over.
    pub fn serve_tls(&mut self, listeners: Vec<StdListener>, acceptor: TlsAcceptor) -> io::Result<()> {
        self.serve(listeners, Transport::Tls, Some(acceptor))
    }

    fn serve(
        &mut self,
        listeners: Vec<StdListener>,
        transport: Transport,
        acceptor: Option<TlsAcceptor>,
    ) -> io::Result<()> {
        let recorder = self.counters.shared_recorder(transport);
        let desk = Arc::new(Desk { transport, snapshots: Arc::clone(&self.snapshots), recorder });
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let door = Door {
                listener: TcpListener::from_std(listener)?,
                desk: Arc::clone(&desk),
                connections: Arc::clone(&self.connections),
                acceptor: acceptor.clone(),
                stop: self.stop.subscribe(),
            };
            self.listeners.spawn(door.stand_open());
        }
        Ok(())
    }

    /// Connections open at this moment.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Waits until a listener ends, which none does before [`Streams::stop`] unless it is broken: then this process no longer
    /// answers in full and should end. Waits for ever where there are no listeners.
    pub async fn failed(&mut self) {
        if self.listeners.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Stops accepting, lets each connection write the answers it owes, and closes it. Takes at most the write limit and a bit.
    pub async fn stop(mut self) {
        self.connections.close();
        self.stop.send_replace(());
        while self.listeners.join_next().await.is_some() {}
    }
}

/// A listener and what its connections need.
struct Door {
    listener: TcpListener,
    desk: Arc<Desk>,
    connections: Arc<Connections>,
    acceptor: Option<TlsAcceptor>,
    stop: watch::Receiver<()>,
}

impl Door {
    async fn stand_open(mut self) {
        let mut guests = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                _ = self.stop.changed() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.let_in(&mut guests, stream, peer.ip()),
                    Err(error) => self.rest(&error).await,
                },
            }
            // Reaps who has left, so that the set does not grow.
            while guests.try_join_next().is_some() {}
        }
        drop(self.listener);
        while guests.join_next().await.is_some() {}
    }

    fn let_in(&self, guests: &mut JoinSet<()>, stream: TcpStream, source: std::net::IpAddr) {
        // Replies are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let (guest, evicted) = self.connections.enter(source);
        let desk = Arc::clone(&self.desk);
        desk.recorder.connections(ConnectionEvent::Opened, 1);
        desk.recorder.connections(ConnectionEvent::Evicted, evicted);
        let acceptor = self.acceptor.clone();
        guests.spawn(async move {
            match acceptor {
                None => serve_stream(stream, source, &desk, guest).await,
                Some(acceptor) => {
                    let shaking = timeout(guest.limits().first, acceptor.accept(stream));
                    let shaken = tokio::select! {
                        shaken = shaking => shaken.ok().and_then(Result::ok),
                        () = guest.told_to_leave() => None,
                    };
                    match shaken {
                        Some(stream) => serve_stream(stream, source, &desk, guest).await,
                        None => desk.recorder.connections(ConnectionEvent::HandshakeFailed, 1),
                    }
                }
            }
            desk.recorder.connections(ConnectionEvent::Closed, 1);
        });
    }

    /// After a failed accept: makes room and waits a moment, unless it was that connection's own fault.
    async fn rest(&self, error: &io::Error) {
        static ERRORS: Throttle = Throttle::new();
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
            return;
        }
        self.desk.recorder.connections(ConnectionEvent::AcceptFailed, 1);
        if let Some(unsaid) = ERRORS.admit() {
            tracing::warn!(%error, suppressed = unsaid, connections = self.connections.count(), "connection not accepted");
        }
        self.desk.recorder.connections(ConnectionEvent::Evicted, self.connections.evict());
        tokio::time::sleep(ACCEPT_REST).await;
    }
}
