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
const EVICTED_SHARE: usize = 64;
/// At most 1/8 of all connections may be evicted ones that have not ended yet.
const LEAVING_SHARE: usize = 8;
/// How long a connection that is to end may go on writing; an evicted one, not at all: it made no
/// progress.
const GRACE: Duration = Duration::from_secs(1);
/// How often a part of full buffers is asked for again, and the pause before each attempt.
const ROOM_TRIES: usize = 20;
const ROOM_REST: Duration = Duration::from_millis(10);

/// Bounds on what clients' connections may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once, each of one descriptor.
    pub connections: usize,
    /// Connections at once from one IPv4 address or IPv6 /64.
    pub connections_per_client: usize,
    /// The longest wait for the next whole message or request; a
    /// quarter of it while more than half of `connections` are open.
    pub idle: Duration,
    /// The longest time from the accepted connection to its first whole message or request, the TLS
    /// handshake included.
    pub first: Duration,
    /// The longest wait for a client to make room for more replies.
    pub write: Duration,
    /// The maximum age of an HTTPS connection; its requests in progress are still answered.
    pub age: Duration,
    /// Octets that all connections together may buffer beyond the few hundred that each has anyway.
    pub buffered_octets: usize,
}

impl Limits {
    /// The default ones, for this many connections at once: one client has a fifth of them at most.
    pub fn of_connections(connections: usize) -> Self {
        let limits = Self::default();
        let connections = connections.min(limits.connections);
        Self {
            connections,
            connections_per_client: limits.connections_per_client.min(connections / 5).max(1),
            ..limits
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: 2_000,
            idle: Duration::from_secs(10),
            first: Duration::from_secs(5),
            write: Duration::from_secs(5),
            age: Duration::from_secs(300),
            buffered_octets: 32 << 20,
        }
    }
}

/// All connections of the stream transports.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limits: Limits,
    /// From how many connections on others are evicted.
    full: usize,
    /// One for each connection, evicted ones included.
    places: Arc<Semaphore>,
    started: Instant,
    buffered: AtomicUsize,
    /// Accepting tasks add, ending connections remove.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<u64, Arc<Slot>>,
    /// Connections that are not evicted: in all, and by client.
    staying: usize,
    clients: HashMap<IpAddr, usize>,
    next: u64,
    is_closing: bool,
}

/// One connection in the table.
#[derive(Debug)]
struct Slot {
    client: IpAddr,
    /// Milliseconds from `ConnectionTable::started` to the last whole message read or written.
    progress_ms: AtomicU64,
    /// Whether there was one.
    has_progressed: AtomicBool,
    is_leaving: AtomicBool,
    leave: Notify,
    /// Of the shared buffers, the octets that this connection has.
    buffered: AtomicUsize,
    /// Whether the last octets that it wanted of them were refused.
    is_refused: AtomicBool,
    /// Requests of HTTP that have begun.
    requests: AtomicU64,
    /// Replies of HTTP that wait to be written, and since when none of them was, in milliseconds
    /// from `ConnectionTable::started`.
    unsent: AtomicUsize,
    unsent_since_ms: AtomicU64,
}

impl ConnectionTable {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let connections = limits.connections.max(1);
        Arc::new(Self {
            limits: Limits { connections, ..limits },
            full: connections - connections / LEAVING_SHARE,
            places: Arc::new(Semaphore::new(connections)),
            started: Instant::now(),
            buffered: AtomicUsize::new(0),
            table: Mutex::default(),
        })
    }

    /// A poisoned lock is taken all the same: the table is whole at every moment.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Adds a new connection, for which others may be evicted. Waits while evicted connections hold
    /// every place.
    pub(super) async fn enter(self: &Arc<Self>, address: IpAddr) -> Permit {
        let (number, slot) = self.insert(client_of(address));
        let mut permit = Permit { connections: Arc::clone(self), number, slot, _place: None };
        // The table never closes its semaphore.
        permit._place = Arc::clone(&self.places).acquire_owned().await.ok();
        permit
    }

    fn insert(&self, client: IpAddr) -> (u64, Arc<Slot>) {
        let slot = Arc::new(Slot {
            client,
            progress_ms: AtomicU64::new(self.now_ms()),
            has_progressed: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            leave: Notify::new(),
            buffered: AtomicUsize::new(0),
            is_refused: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            unsent: AtomicUsize::new(0),
            unsent_since_ms: AtomicU64::new(0),
        });
        let mut table = self.table();
        if table
            .clients
            .get(&client)
            .is_some_and(|&count| count >= self.limits.connections_per_client)
        {
            table.evict(|slot| slot.client == client);
        } else if table.staying >= self.full {
            table.evict(|_| true);
        }
        let number = table.next;
        table.next += 1;
        table.staying += 1;
        *table.clients.entry(client).or_insert(0) += 1;
        if table.is_closing {
            table.tell_to_leave(&slot);
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
        slots.iter().for_each(|slot| table.tell_to_leave(slot));
    }

    /// Connections that are not evicted.
    pub(super) fn count(&self) -> usize {
        self.table().staying
    }

    /// Octets that connections buffer now.
    pub(super) fn buffered_octets(&self) -> usize {
        self.buffered.load(Relaxed)
    }
}

impl Table {
    /// Evicts one in 64 of those that may be, so that a flood of connections does not search the
    /// whole table for each.
    fn evict(&mut self, may_end: impl Fn(&Slot) -> bool) {
        let may_end = |slot: &Slot| !slot.is_leaving.load(Relaxed) && may_end(slot);
        let mut candidates: Vec<(u64, u64)> = self
            .slots
            .iter()
            .filter(|(_, slot)| may_end(slot))
            .map(|(&number, slot)| (slot.progress_ms.load(Relaxed), number))
            .collect();
        let leaving = candidates.len().div_ceil(EVICTED_SHARE);
        if leaving > 0 {
            candidates.select_nth_unstable(leaving - 1);
        }
        for (_, number) in &candidates[..leaving] {
            if let Some(slot) = self.slots.get(number).cloned() {
                self.tell_to_leave(&slot);
            }
        }
    }

    /// Evicts connections that buffer something, unless earlier ones are about to give their part
    /// back.
    fn evict_for_room(&mut self) {
        let buffers = |slot: &Slot| slot.buffered.load(Relaxed) > 0;
        if !self.slots.values().any(|slot| slot.is_leaving.load(Relaxed) && buffers(slot)) {
            self.evict(buffers);
        }
    }

    fn tell_to_leave(&mut self, slot: &Slot) {
        if !slot.is_leaving.swap(true, Relaxed) {
            self.no_longer_stays(slot.client);
            slot.leave.notify_one();
        }
    }

    fn no_longer_stays(&mut self, client: IpAddr) {
        self.staying -= 1;
        if let Some(count) = self.clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&client);
            }
        }
    }
}

/// The client that a connection is counted for: an IPv4 address, or the /64 that an IPv6 host has
/// to itself.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// A connection's entry in the table, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    connections: Arc<ConnectionTable>,
    number: u64,
    slot: Arc<Slot>,
    /// Given back when the connection has ended, whether it was evicted or not.
    _place: Option<OwnedSemaphorePermit>,
}

impl Permit {
    pub(super) fn limits(&self) -> &Limits {
        &self.connections.limits
    }

    /// A whole message was read, or replies were written.
    pub(super) fn made_progress(&self) {
        self.slot.progress_ms.store(self.connections.now_ms(), Relaxed);
        self.slot.has_progressed.store(true, Relaxed);
    }

    /// Whether [`Permit::made_progress`] was ever called.
    pub(super) fn has_progressed(&self) -> bool {
        self.slot.has_progressed.load(Relaxed)
    }

    /// When [`Permit::made_progress`] was last called; before that, when the connection was
    /// accepted.
    pub(super) fn last_progress(&self) -> Instant {
        self.connections.started + Duration::from_millis(self.slot.progress_ms.load(Relaxed))
    }

    /// The head of a request is complete.
    pub(super) fn begin_request(&self) {
        self.slot.requests.fetch_add(1, Relaxed);
    }

    /// How many requests have begun.
    pub(super) fn requests(&self) -> u64 {
        self.slot.requests.load(Relaxed)
    }

    /// A reply waits to be written from now on, until the value is dropped.
    pub(super) fn unsent(self: &Arc<Self>) -> Unsent {
        if self.slot.unsent.fetch_add(1, Relaxed) == 0 {
            self.slot.unsent_since_ms.store(self.connections.now_ms(), Relaxed);
        }
        Unsent { permit: Arc::clone(self) }
    }

    /// Since when replies wait and none is written; `None` where none waits.
    pub(super) fn unsent_since(&self) -> Option<Instant> {
        let since = Duration::from_millis(self.slot.unsent_since_ms.load(Relaxed));
        (self.slot.unsent.load(Relaxed) > 0).then(|| self.connections.started + since)
    }

    /// The longest wait for the next message.
    pub(super) fn idle(&self) -> Duration {
        let limits = &self.connections.limits;
        if self.connections.count() > limits.connections / 2 {
            limits.idle / 4
        } else {
            limits.idle
        }
    }

    /// Waits until this connection is to end.
    pub(super) async fn told_to_leave(&self) {
        if !self.is_leaving() {
            self.slot.leave.notified().await;
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.slot.is_leaving.load(Relaxed)
    }

    /// Whether it was evicted.
    pub(super) fn was_evicted(&self) -> bool {
        self.is_leaving() && !self.connections.table().is_closing
    }

    /// How long it may still take to end.
    pub(super) fn grace(&self) -> Duration {
        if self.was_evicted() { Duration::ZERO } else { GRACE }
    }

    /// Whether the last octets that it wanted to buffer were refused.
    pub(super) fn was_refused(&self) -> bool {
        self.slot.is_refused.load(Relaxed)
    }

    /// An allowance for buffers, empty at first.
    pub(super) fn allowance(&self) -> Allowance {
        Allowance {
            connections: Arc::clone(&self.connections),
            slot: Arc::clone(&self.slot),
            octets: 0,
        }
    }
}

/// A reply that waits to be written.
#[derive(Debug)]
pub(super) struct Unsent {
    permit: Arc<Permit>,
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let slot = &self.permit.slot;
        slot.unsent_since_ms.store(self.permit.connections.now_ms(), Relaxed);
        slot.unsent.fetch_sub(1, Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.slots.remove(&self.number);
        if !self.slot.is_leaving.load(Relaxed) {
            table.no_longer_stays(self.slot.client);
        }
    }
}

/// A part of the octets that all connections may buffer, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Allowance {
    connections: Arc<ConnectionTable>,
    slot: Arc<Slot>,
    octets: usize,
}

impl Allowance {
    /// Changes this part to `octets`. Where all connections would then buffer more than
    /// they may, the part stays and this is false; connections that buffer something
    /// and made no progress for longest are evicted, so that there is room soon.
    pub(super) fn set(&mut self, octets: usize) -> bool {
        if octets == self.octets {
            return true;
        }
        let buffered = &self.connections.buffered;
        if octets > self.octets {
            let more = octets - self.octets;
            if buffered.fetch_add(more, Relaxed) + more > self.connections.limits.buffered_octets {
                buffered.fetch_sub(more, Relaxed);
                self.slot.is_refused.store(true, Relaxed);
                self.connections.table().evict_for_room();
                return false;
            }
            self.slot.is_refused.store(false, Relaxed);
            self.slot.buffered.fetch_add(more, Relaxed);
        } else {
            self.give_back(self.octets - octets);
        }
        self.octets = octets;
        true
    }

    /// The same, where there may soon be room: waits for it for a moment.
    pub(super) async fn set_soon(&mut self, octets: usize) -> bool {
        for _ in 0..ROOM_TRIES {
            if self.set(octets) {
                return true;
            }
            tokio::time::sleep(ROOM_REST).await;
        }
        self.set(octets)
    }

    fn give_back(&self, octets: usize) {
        self.connections.buffered.fetch_sub(octets, Relaxed);
        self.slot.buffered.fetch_sub(octets, Relaxed);
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.give_back(self.octets);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn table(connections: usize, connections_per_client: usize) -> Arc<ConnectionTable> {
        ConnectionTable::new(Limits { connections, connections_per_client, ..Limits::default() })
    }

    fn client(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[tokio::test]
    async fn evicted_connections_that_have_not_ended_keep_new_ones_waiting() {
        let table = table(8, 100);
        let mut permits = Vec::new();
        for last in 0..8 {
            permits.push(table.enter(client(last)).await);
        }
        assert_eq!(
            permits.iter().filter(|permit| permit.is_leaving()).count(),
            1,
            "8 is full from 7 on"
        );
        let waiting = table.enter(client(9));
        tokio::pin!(waiting);
        let is_pending = |entered: std::task::Poll<_>| entered.is_pending();
        assert!(is_pending(futures_poll(waiting.as_mut()).await), "eight descriptors are in use");
        permits.retain(|permit| !permit.is_leaving());
        let permit = waiting.await;
        assert!(!permit.is_leaving());
        assert_eq!(table.count(), 7);
    }

    /// Polls the future once.
    async fn futures_poll<F: Future>(
        mut future: std::pin::Pin<&mut F>,
    ) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
    }

    #[tokio::test]
    async fn a_client_with_too_many_connections_loses_its_own() {
        let table = table(100, 2);
        let mut permits = Vec::new();
        for address in [client(2), client(1), client(1), client(1)] {
            permits.push(table.enter(address).await);
        }
        let leaving: Vec<_> = permits.iter().map(Permit::is_leaving).collect();
        assert_eq!(leaving, [false, true, false, false]);
    }

    #[test]
    fn one_client_has_a_fifth_of_a_small_table() {
        let limits = |connections| {
            let Limits { connections, connections_per_client, .. } =
                Limits::of_connections(connections);
            (connections, connections_per_client)
        };
        assert_eq!([100_000, 400, 3].map(limits), [(10_000, 2_000), (400, 80), (3, 1)]);
    }

    #[test]
    fn a_network_of_ipv6_addresses_is_one_client() {
        let parsed = |text: &str| client_of(text.parse().unwrap());
        assert_eq!(parsed("2001:db8::1"), parsed("2001:db8::ffff:1"));
        assert_ne!(parsed("2001:db8:0:1::1"), parsed("2001:db8::1"));
        assert_eq!(parsed("::ffff:192.0.2.1"), client(1));
    }

    #[tokio::test]
    async fn where_buffers_are_full_connections_that_fill_them_without_progress_are_evicted() {
        let table = ConnectionTable::new(Limits { buffered_octets: 100, ..Limits::default() });
        let idle = table.enter(client(1)).await;
        let greedy = table.enter(client(2)).await;
        let modest = table.enter(client(3)).await;
        let (mut full, mut small) = (greedy.allowance(), modest.allowance());
        assert!(full.set(100) && !small.set(1));
        assert_eq!([&idle, &greedy, &modest].map(Permit::is_leaving), [false, true, false]);
        drop((full, greedy));
        assert!(small.set_soon(1).await);
    }

    #[tokio::test]
    async fn what_connections_buffer_is_given_back() {
        let table = ConnectionTable::new(Limits { buffered_octets: 100, ..Limits::default() });
        let permit = table.enter(client(1)).await;
        let (mut first, mut second) = (permit.allowance(), permit.allowance());
        assert!(first.set(70) && !second.set(40) && second.set(30));
        drop(first);
        assert!(second.set(100));
        assert_eq!(table.buffered_octets(), 100);
    }
}
