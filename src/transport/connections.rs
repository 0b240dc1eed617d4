//! The connection table: how many connections of clients there may be, and which end when there are
//! too many.
//!
//! The server accepts every new connection. Where that makes too many, for one client or in all,
//! it evicts the connections without progress for longest: an attacker that opens connections and
//! leaves them idle loses those, and a client that connects now and asks at once is answered.
//! Until an evicted connection has ended it counts against a second, hard bound, above which no
//! new connection is served: so the descriptors that connections hold are bounded as well.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// One eviction ends 1/64 of the connections that may be evicted.
const EVICTION_DIVISOR: usize = 64;
/// At most 1/8 of all connections may be evicted ones that have not ended yet.
const ENDING_DIVISOR: usize = 8;
/// How long a connection that is to end may go on writing; an evicted one, not at all: it made no
/// progress.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// How often a part of full buffers is asked for again, and the pause before each attempt.
const BUFFER_RETRIES: usize = 20;
const BUFFER_RETRY_DELAY: Duration = Duration::from_millis(10);

/// Bounds on what clients' connections may use.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections at once, each of one descriptor.
    pub connections: usize,
    /// Connections at once from one IPv4 address or IPv6 /64.
    pub connections_per_client: usize,
    /// The longest wait for the next whole message or request; a
    /// quarter of it while more than half of `table` are open.
    pub idle_timeout: Duration,
    /// The longest time from the accepted connection to its first whole message or request, the TLS
    /// handshake included.
    pub first_message_timeout: Duration,
    /// The longest wait for a client to make room for more replies.
    pub write_timeout: Duration,
    /// The maximum age of an HTTPS connection; its requests in progress are still answered.
    pub max_age: Duration,
    /// Octets that all connections together may buffer beyond the few hundred that each has anyway.
    pub buffered_octets: usize,
}

impl ConnectionLimits {
    /// The default ones, for this many connections at once: one client has a fifth of them at most.
    pub fn for_connections(connections: usize) -> Self {
        let limits = Self::default();
        let connections = connections.min(limits.connections);
        Self {
            connections,
            connections_per_client: limits.connections_per_client.min(connections / 5).max(1),
            ..limits
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: 2_000,
            idle_timeout: Duration::from_secs(10),
            first_message_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
            max_age: Duration::from_secs(300),
            buffered_octets: 32 << 20,
        }
    }
}

/// All connections of the stream transports.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limits: ConnectionLimits,
    /// From how many connections on others are evicted.
    eviction_threshold: usize,
    /// One for each connection, evicted ones included.
    descriptors: Arc<Semaphore>,
    started: Instant,
    buffered: AtomicUsize,
    /// Accepting tasks add, ending connections remove.
    slots: Mutex<SlotMap>,
}

#[derive(Debug, Default)]
struct SlotMap {
    slots: HashMap<u64, Arc<ConnectionSlot>>,
    /// Connections that are not evicted: in all, and by client.
    active: usize,
    active_by_client: HashMap<IpAddr, usize>,
    next_number: u64,
    is_closing: bool,
}

/// One connection in the table.
#[derive(Debug)]
struct ConnectionSlot {
    client: IpAddr,
    /// Milliseconds from `ConnectionTable::started` to the last whole message read or written.
    last_progress_ms: AtomicU64,
    /// Whether there was one.
    has_progressed: AtomicBool,
    is_ending: AtomicBool,
    end_request: Notify,
    /// Of the shared buffers, the octets that this connection has.
    buffered_octets: AtomicUsize,
    /// Whether the last octets that it wanted of them were refused.
    is_buffer_refused: AtomicBool,
    /// Requests of HTTP that have begun.
    requests: AtomicU64,
    /// Replies of HTTP that wait to be written, and since when none of them was, in milliseconds
    /// from `ConnectionTable::started`.
    unsent_replies: AtomicUsize,
    unsent_since_ms: AtomicU64,
}

impl ConnectionTable {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let connections = limits.connections.max(1);
        Arc::new(Self {
            limits: ConnectionLimits { connections, ..limits },
            eviction_threshold: connections - connections / ENDING_DIVISOR,
            descriptors: Arc::new(Semaphore::new(connections)),
            started: Instant::now(),
            buffered: AtomicUsize::new(0),
            slots: Mutex::default(),
        })
    }

    /// A poisoned lock is taken all the same: the table is whole at every moment.
    fn table(&self) -> MutexGuard<'_, SlotMap> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Adds a new connection, for which others may be evicted. Waits while evicted connections hold
    /// every place.
    pub(super) async fn admit(self: &Arc<Self>, address: IpAddr) -> ConnectionPermit {
        let (number, slot) = self.insert(client_network(address));
        let mut permit =
            ConnectionPermit { table: Arc::clone(self), number, slot, _descriptor: None };
        // The table never closes its semaphore.
        permit._descriptor = Arc::clone(&self.descriptors).acquire_owned().await.ok();
        permit
    }

    fn insert(&self, client: IpAddr) -> (u64, Arc<ConnectionSlot>) {
        let slot = Arc::new(ConnectionSlot {
            client,
            last_progress_ms: AtomicU64::new(self.now_ms()),
            has_progressed: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            end_request: Notify::new(),
            buffered_octets: AtomicUsize::new(0),
            is_buffer_refused: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            unsent_replies: AtomicUsize::new(0),
            unsent_since_ms: AtomicU64::new(0),
        });
        let mut table = self.table();
        if table
            .active_by_client
            .get(&client)
            .is_some_and(|&count| count >= self.limits.connections_per_client)
        {
            table.evict(|slot| slot.client == client);
        } else if table.active >= self.eviction_threshold {
            table.evict(|_| true);
        }
        let number = table.next_number;
        table.next_number += 1;
        table.active += 1;
        *table.active_by_client.entry(client).or_insert(0) += 1;
        if table.is_closing {
            table.request_end(&slot);
        }
        table.slots.insert(number, Arc::clone(&slot));
        (number, slot)
    }

    /// Evicts connections without progress for longest.
    pub(super) fn evict(&self) {
        self.table().evict(|_| true);
    }

    /// Asks every connection, and those to come, to write what it has and end.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.is_closing = true;
        let slots: Vec<_> = table.slots.values().cloned().collect();
        slots.iter().for_each(|slot| table.request_end(slot));
    }

    /// Connections that are not evicted.
    pub(super) fn count(&self) -> usize {
        self.table().active
    }

    /// Octets that connections buffer now.
    pub(super) fn buffered_octets(&self) -> usize {
        self.buffered.load(Relaxed)
    }
}

impl SlotMap {
    /// Evicts one in 64 of those that may be, so that a flood of connections does not search the
    /// whole table for each.
    fn evict(&mut self, may_end: impl Fn(&ConnectionSlot) -> bool) {
        let may_end = |slot: &ConnectionSlot| !slot.is_ending.load(Relaxed) && may_end(slot);
        let mut candidates: Vec<(u64, u64)> = self
            .slots
            .iter()
            .filter(|(_, slot)| may_end(slot))
            .map(|(&number, slot)| (slot.last_progress_ms.load(Relaxed), number))
            .collect();
        let leaving = candidates.len().div_ceil(EVICTION_DIVISOR);
        if leaving > 0 {
            candidates.select_nth_unstable(leaving - 1);
        }
        for (_, number) in &candidates[..leaving] {
            if let Some(slot) = self.slots.get(number).cloned() {
                self.request_end(&slot);
            }
        }
    }

    /// Evicts connections that buffer something, unless earlier ones are about to give their part
    /// back.
    fn evict_buffering(&mut self) {
        let buffers = |slot: &ConnectionSlot| slot.buffered_octets.load(Relaxed) > 0;
        if !self.slots.values().any(|slot| slot.is_ending.load(Relaxed) && buffers(slot)) {
            self.evict(buffers);
        }
    }

    fn request_end(&mut self, slot: &ConnectionSlot) {
        if !slot.is_ending.swap(true, Relaxed) {
            self.remove_active(slot.client);
            slot.end_request.notify_one();
        }
    }

    fn remove_active(&mut self, client: IpAddr) {
        self.active -= 1;
        if let Some(count) = self.active_by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.active_by_client.remove(&client);
            }
        }
    }
}

/// The client that a connection is counted for: an IPv4 address, or the /64 that an IPv6 host has
/// to itself.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// A connection's entry in the table, removed when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    table: Arc<ConnectionTable>,
    number: u64,
    slot: Arc<ConnectionSlot>,
    /// Given back when the connection has ended, whether it was evicted or not.
    _descriptor: Option<OwnedSemaphorePermit>,
}

impl ConnectionPermit {
    pub(super) fn limits(&self) -> &ConnectionLimits {
        &self.table.limits
    }

    /// A whole message was read, or replies were written.
    pub(super) fn record_progress(&self) {
        self.slot.last_progress_ms.store(self.table.now_ms(), Relaxed);
        self.slot.has_progressed.store(true, Relaxed);
    }

    /// Whether [`ConnectionPermit::record_progress`] was ever called.
    pub(super) fn has_progressed(&self) -> bool {
        self.slot.has_progressed.load(Relaxed)
    }

    /// When [`ConnectionPermit::record_progress`] was last called; before that, when the connection
    /// was accepted.
    pub(super) fn last_progress(&self) -> Instant {
        self.table.started + Duration::from_millis(self.slot.last_progress_ms.load(Relaxed))
    }

    /// The head of a request is complete.
    pub(super) fn begin_request(&self) {
        self.slot.requests.fetch_add(1, Relaxed);
    }

    /// How many requests have begun.
    pub(super) fn begun_requests(&self) -> u64 {
        self.slot.requests.load(Relaxed)
    }

    /// A reply waits to be written from now on, until the value is dropped.
    pub(super) fn begin_reply(self: &Arc<Self>) -> UnsentReply {
        if self.slot.unsent_replies.fetch_add(1, Relaxed) == 0 {
            self.slot.unsent_since_ms.store(self.table.now_ms(), Relaxed);
        }
        UnsentReply { permit: Arc::clone(self) }
    }

    /// Since when replies wait and none is written; `None` where none waits.
    pub(super) fn replies_stalled_since(&self) -> Option<Instant> {
        let since = Duration::from_millis(self.slot.unsent_since_ms.load(Relaxed));
        (self.slot.unsent_replies.load(Relaxed) > 0).then(|| self.table.started + since)
    }

    /// The longest wait for the next message.
    pub(super) fn idle_timeout(&self) -> Duration {
        let limits = &self.table.limits;
        if self.table.count() > limits.connections / 2 {
            limits.idle_timeout / 4
        } else {
            limits.idle_timeout
        }
    }

    /// Waits until this connection is to end.
    pub(super) async fn end_requested(&self) {
        if !self.is_ending() {
            self.slot.end_request.notified().await;
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.slot.is_ending.load(Relaxed)
    }

    /// Whether it was evicted.
    pub(super) fn was_evicted(&self) -> bool {
        self.is_ending() && !self.table.table().is_closing
    }

    /// How long it may still take to end.
    pub(super) fn close_grace(&self) -> Duration {
        if self.was_evicted() { Duration::ZERO } else { CLOSE_GRACE }
    }

    /// Whether the last octets that it wanted to buffer were refused.
    pub(super) fn was_buffer_refused(&self) -> bool {
        self.slot.is_buffer_refused.load(Relaxed)
    }

    /// An allowance for buffers, empty at first.
    pub(super) fn buffer_reservation(&self) -> BufferReservation {
        BufferReservation {
            table: Arc::clone(&self.table),
            slot: Arc::clone(&self.slot),
            octets: 0,
        }
    }
}

/// A reply that waits to be written.
#[derive(Debug)]
pub(super) struct UnsentReply {
    permit: Arc<ConnectionPermit>,
}

impl Drop for UnsentReply {
    fn drop(&mut self) {
        let slot = &self.permit.slot;
        slot.unsent_since_ms.store(self.permit.table.now_ms(), Relaxed);
        slot.unsent_replies.fetch_sub(1, Relaxed);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.table.table();
        table.slots.remove(&self.number);
        if !self.slot.is_ending.load(Relaxed) {
            table.remove_active(self.slot.client);
        }
    }
}

/// A part of the octets that all connections may buffer, given back when it is dropped.
#[derive(Debug)]
pub(super) struct BufferReservation {
    table: Arc<ConnectionTable>,
    slot: Arc<ConnectionSlot>,
    octets: usize,
}

impl BufferReservation {
    /// Changes this part to `octets`. Where all connections would then buffer more than
    /// they may, the part stays and this is false; connections that buffer something
    /// and made no progress for longest are evicted, so that there is room soon.
    pub(super) fn try_resize(&mut self, octets: usize) -> bool {
        if octets == self.octets {
            return true;
        }
        let buffered = &self.table.buffered;
        if octets > self.octets {
            let more = octets - self.octets;
            if buffered.fetch_add(more, Relaxed) + more > self.table.limits.buffered_octets {
                buffered.fetch_sub(more, Relaxed);
                self.slot.is_buffer_refused.store(true, Relaxed);
                self.table.table().evict_buffering();
                return false;
            }
            self.slot.is_buffer_refused.store(false, Relaxed);
            self.slot.buffered_octets.fetch_add(more, Relaxed);
        } else {
            self.release(self.octets - octets);
        }
        self.octets = octets;
        true
    }

    /// The same, where there may soon be room: waits for it for a moment.
    pub(super) async fn resize_with_retry(&mut self, octets: usize) -> bool {
        for _ in 0..BUFFER_RETRIES {
            if self.try_resize(octets) {
                return true;
            }
            tokio::time::sleep(BUFFER_RETRY_DELAY).await;
        }
        self.try_resize(octets)
    }

    fn release(&self, octets: usize) {
        self.table.buffered.fetch_sub(octets, Relaxed);
        self.slot.buffered_octets.fetch_sub(octets, Relaxed);
    }
}

impl Drop for BufferReservation {
    fn drop(&mut self) {
        self.release(self.octets);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn table(connections: usize, connections_per_client: usize) -> Arc<ConnectionTable> {
        ConnectionTable::new(ConnectionLimits {
            connections,
            connections_per_client,
            ..ConnectionLimits::default()
        })
    }

    fn client(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[tokio::test]
    async fn evicted_connections_that_have_not_ended_keep_new_ones_waiting() {
        let table = table(8, 100);
        let mut permits = Vec::new();
        for last in 0..8 {
            permits.push(table.admit(client(last)).await);
        }
        assert_eq!(
            permits.iter().filter(|permit| permit.is_ending()).count(),
            1,
            "8 is full from 7 on"
        );
        let waiting = table.admit(client(9));
        tokio::pin!(waiting);
        let is_pending = |entered: std::task::Poll<_>| entered.is_pending();
        assert!(is_pending(poll_once(waiting.as_mut()).await), "eight descriptors are in use");
        permits.retain(|permit| !permit.is_ending());
        let permit = waiting.await;
        assert!(!permit.is_ending());
        assert_eq!(table.count(), 7);
    }

    /// Polls the future once.
    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
    }

    #[tokio::test]
    async fn a_client_with_too_many_connections_loses_its_own() {
        let table = table(100, 2);
        let mut permits = Vec::new();
        for address in [client(2), client(1), client(1), client(1)] {
            permits.push(table.admit(address).await);
        }
        let leaving: Vec<_> = permits.iter().map(ConnectionPermit::is_ending).collect();
        assert_eq!(leaving, [false, true, false, false]);
    }

    #[test]
    fn one_client_has_a_fifth_of_a_small_table() {
        let limits = |connections| {
            let ConnectionLimits { connections, connections_per_client, .. } =
                ConnectionLimits::for_connections(connections);
            (connections, connections_per_client)
        };
        assert_eq!([100_000, 400, 3].map(limits), [(10_000, 2_000), (400, 80), (3, 1)]);
    }

    #[test]
    fn a_network_of_ipv6_addresses_is_one_client() {
        let parsed = |text: &str| client_network(text.parse().unwrap());
        assert_eq!(parsed("2001:db8::1"), parsed("2001:db8::ffff:1"));
        assert_ne!(parsed("2001:db8:0:1::1"), parsed("2001:db8::1"));
        assert_eq!(parsed("::ffff:192.0.2.1"), client(1));
    }

    #[tokio::test]
    async fn where_buffers_are_full_connections_that_fill_them_without_progress_are_evicted() {
        let table = ConnectionTable::new(ConnectionLimits {
            buffered_octets: 100,
            ..ConnectionLimits::default()
        });
        let idle = table.admit(client(1)).await;
        let greedy = table.admit(client(2)).await;
        let modest = table.admit(client(3)).await;
        let (mut full, mut small) = (greedy.buffer_reservation(), modest.buffer_reservation());
        assert!(full.try_resize(100) && !small.try_resize(1));
        assert_eq!(
            [&idle, &greedy, &modest].map(ConnectionPermit::is_ending),
            [false, true, false]
        );
        drop((full, greedy));
        assert!(small.resize_with_retry(1).await);
    }

    #[tokio::test]
    async fn what_connections_buffer_is_given_back() {
        let table = ConnectionTable::new(ConnectionLimits {
            buffered_octets: 100,
            ..ConnectionLimits::default()
        });
        let permit = table.admit(client(1)).await;
        let (mut first, mut second) = (permit.buffer_reservation(), permit.buffer_reservation());
        assert!(first.try_resize(70) && !second.try_resize(40) && second.try_resize(30));
        drop(first);
        assert!(second.try_resize(100));
        assert_eq!(table.buffered_octets(), 100);
    }
}
