//! A connection's permit: its slot in the table, and a descriptor of the hard limit.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    buffers::BufferReservation, client_network::client_network, limits::ConnectionLimits,
    slot::ConnectionSlot, table::ConnectionTable,
};

/// How long a connection that is asked to end at a stop may take to write its replies.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// A connection's slot in the table, which is removed when the permit is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    table: Arc<ConnectionTable>,
    number: u64,
    slot: Arc<ConnectionSlot>,
    /// Released when the connection has ended, whether or not it was evicted.
    _descriptor: Option<OwnedSemaphorePermit>,
}

impl ConnectionTable {
    /// Adds a connection from `address`, for which others may be evicted. Waits while evicted
    /// connections that have not ended use all descriptors.
    pub(crate) async fn admit(self: &Arc<Self>, address: IpAddr) -> ConnectionPermit {
        let (number, slot) = self.insert(client_network(address));
        let mut permit =
            ConnectionPermit { table: Arc::clone(self), number, slot, _descriptor: None };
        // The table never closes its semaphore, so this does not fail.
        permit._descriptor = Arc::clone(&self.descriptors).acquire_owned().await.ok();
        permit
    }
}

impl ConnectionPermit {
    pub(crate) fn limits(&self) -> &ConnectionLimits {
        &self.table.limits
    }

    /// Records that a complete message was read, or that replies were written.
    pub(crate) fn record_progress(&self) {
        self.slot.last_progress_nanos.store(self.table.now_nanos(), Relaxed);
        self.slot.has_progressed.store(true, Relaxed);
    }

    /// Whether the connection has ever made progress.
    pub(in crate::transport) fn has_progressed(&self) -> bool {
        self.slot.has_progressed.load(Relaxed)
    }

    /// The time of the last progress; before the first, that of the accepted connection.
    pub(in crate::transport) fn last_progress(&self) -> Instant {
        self.table.instant(self.slot.last_progress_nanos.load(Relaxed))
    }

    /// Protects the connection from eviction while its request is answered: until the returned
    /// value is dropped it is evicted only if all other connections are protected as well. Both
    /// ends count as progress. For connections that answer one request at a time.
    pub(crate) fn protect(self: &Arc<Self>) -> EvictionProtection {
        self.slot.is_busy.store(true, Relaxed);
        self.record_progress();
        EvictionProtection { permit: Arc::clone(self) }
    }

    /// Counts an HTTP request whose head is complete.
    pub(in crate::transport) fn begin_request(&self) {
        self.slot.requests.fetch_add(1, Relaxed);
    }

    /// The number of HTTP requests whose head was complete.
    pub(in crate::transport) fn begun_requests(&self) -> u64 {
        self.slot.requests.load(Relaxed)
    }

    /// Counts a reply as unsent until the returned value is dropped.
    pub(in crate::transport) fn begin_reply(self: &Arc<Self>) -> UnsentReply {
        if self.slot.unsent_replies.fetch_add(1, Relaxed) == 0 {
            self.slot.unsent_since_nanos.store(self.table.now_nanos(), Relaxed);
        }
        UnsentReply { permit: Arc::clone(self) }
    }

    /// The time since which replies have been unsent without one being written; `None` if all are
    /// sent.
    pub(in crate::transport) fn replies_stalled_since(&self) -> Option<Instant> {
        let since = self.table.instant(self.slot.unsent_since_nanos.load(Relaxed));
        (self.slot.unsent_replies.load(Relaxed) > 0).then_some(since)
    }

    /// The longest wait for the next message at present.
    pub(in crate::transport) fn idle_timeout(&self) -> Duration {
        let limits = &self.table.limits;
        if self.table.count() > limits.connections / 2 {
            limits.idle_timeout / 4
        } else {
            limits.idle_timeout
        }
    }

    /// Waits until this connection is asked to end.
    pub(crate) async fn end_requested(&self) {
        if !self.is_ending() {
            self.slot.end_request.notified().await;
        }
    }

    /// Whether this connection is asked to end: it is evicted, or the table closes.
    pub(in crate::transport) fn is_ending(&self) -> bool {
        self.slot.is_ending()
    }

    /// Whether this connection is evicted.
    pub(crate) fn was_evicted(&self) -> bool {
        self.is_ending() && !self.table.slots().is_closing
    }

    /// How long this connection may still take to end: no time if it is evicted, because it made no
    /// progress anyway.
    pub(crate) fn close_grace(&self) -> Duration {
        if self.was_evicted() { Duration::ZERO } else { CLOSE_GRACE }
    }

    /// Whether the connection's last attempt to reserve more buffer octets was refused.
    pub(in crate::transport) fn was_buffer_refused(&self) -> bool {
        self.slot.is_buffer_refused.load(Relaxed)
    }

    /// A buffer reservation of no octets yet.
    pub(in crate::transport) fn buffer_reservation(&self) -> BufferReservation {
        BufferReservation::new(&self.table, &self.slot)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.table.slots().remove(self.number);
    }
}

/// Protects a connection from eviction until it is dropped; see [`ConnectionPermit::protect`].
#[derive(Debug)]
pub(crate) struct EvictionProtection {
    permit: Arc<ConnectionPermit>,
}

impl Drop for EvictionProtection {
    fn drop(&mut self) {
        self.permit.slot.is_busy.store(false, Relaxed);
        self.permit.record_progress();
    }
}

/// A reply that is not written yet; see [`ConnectionPermit::begin_reply`].
#[derive(Debug)]
pub(in crate::transport) struct UnsentReply {
    permit: Arc<ConnectionPermit>,
}

impl Drop for UnsentReply {
    fn drop(&mut self) {
        let slot = &self.permit.slot;
        slot.unsent_since_nanos.store(self.permit.table.now_nanos(), Relaxed);
        slot.unsent_replies.fetch_sub(1, Relaxed);
    }
}
