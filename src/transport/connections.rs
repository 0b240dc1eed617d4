//! Connections: who holds one, how many there may be, and who goes when there are too many.
//!
//! A new connection is always let in. Where that makes too many, of one client or in all, the one goes that has made no
//! progress for longest: an attacker who opens connections and leaves them loses those, and a client that comes now and asks
//! at once is answered.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::syscall;

/// Descriptors kept for everything that is not a client's connection: sockets, files, probes, the admin API.
const RESERVED_DESCRIPTORS: u64 = 256;

/// When there are too many, one in so many goes at once.
const EVICTED_SHARE: usize = 64;

/// Bounds on what connections may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; also bounded by the descriptors this process may open.
    pub connections: usize,
    /// Connections at once from one IPv4 address or IPv6 /64.
    pub connections_a_client: usize,
    /// How long a connection may take until its next whole message is in; a quarter of it while more than half of
    /// `connections` are open.
    pub idle: Duration,
    /// The same for its first message, and for the TLS handshake before it.
    pub first: Duration,
    /// How long a client may take to make room for more replies.
    pub write: Duration,
    /// Octets that all connections together may buffer beyond the few hundred each has anyway.
    pub buffered_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_a_client: 2_000,
            idle: Duration::from_secs(10),
            first: Duration::from_secs(5),
            write: Duration::from_secs(5),
            buffered_octets: 32 << 20,
        }
    }
}

/// All connections of the process's stream transports.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    started: Instant,
    buffered: AtomicUsize,
    /// Accepting tasks add, ending connections remove.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    seats: HashMap<u64, Arc<Seat>>,
    /// How many seats are held by connections that were not told to leave; in all, and by client.
    staying: usize,
    clients: HashMap<IpAddr, usize>,
    next: u64,
    is_closing: bool,
}

/// One connection's place in the table.
#[derive(Debug)]
struct Seat {
    client: IpAddr,
    /// Milliseconds from `Connections::started` to the last whole message read or written.
    progress_ms: AtomicU64,
    is_leaving: AtomicBool,
    leave: Notify,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let descriptors = syscall::raise_descriptor_limit();
        // With few descriptors half of them are kept: a server that cannot open its zone files is no use either.
        let usable = descriptors.saturating_sub(RESERVED_DESCRIPTORS.min(descriptors / 2)).max(1);
        let connections = limits.connections.min(usize::try_from(usable).unwrap_or(usize::MAX)).max(1);
        let limits = Limits { connections, ..limits };
        Arc::new(Self { limits, started: Instant::now(), buffered: AtomicUsize::new(0), table: Mutex::default() })
    }

    /// A poisoned lock is taken all the same: the table is whole at every moment.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Gives a new connection its place, and says how many others were told to leave for it.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> (Guest, usize) {
        let client = client_of(address);
        let seat = Arc::new(Seat {
            client,
            progress_ms: AtomicU64::new(self.now_ms()),
            is_leaving: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let mut table = self.table();
        let evicted = if table.clients.get(&client).is_some_and(|&count| count >= self.limits.connections_a_client) {
            table.evict(|seat| seat.client == client)
        } else if table.staying >= self.limits.connections {
            table.evict(|_| true)
        } else {
            0
        };
        let number = table.next;
        table.next += 1;
        table.staying += 1;
        *table.clients.entry(client).or_insert(0) += 1;
        if table.is_closing {
            table.tell_to_leave(&seat);
        }
        table.seats.insert(number, Arc::clone(&seat));
        (Guest { connections: Arc::clone(self), number, seat }, evicted)
    }

    /// Tells those connections to leave that have made no progress for longest; returns how many.
    pub(super) fn evict(&self) -> usize {
        self.table().evict(|_| true)
    }

    /// Tells every connection to write what it has and leave; those to come, too.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.is_closing = true;
        let seats: Vec<_> = table.seats.values().cloned().collect();
        seats.iter().for_each(|seat| table.tell_to_leave(seat));
    }

    /// How many there are that were not told to leave.
    pub(super) fn count(&self) -> usize {
        self.table().staying
    }
}

impl Table {
    /// Tells some of those to leave that have made no progress for longest: one in 64, so that a flood of connections does
    /// not search the whole table for each.
    fn evict(&mut self, may_go: impl Fn(&Seat) -> bool) -> usize {
        let may_go = |seat: &Seat| !seat.is_leaving.load(Relaxed) && may_go(seat);
        let mut candidates: Vec<(u64, u64)> = self
            .seats
            .iter()
            .filter(|(_, seat)| may_go(seat))
            .map(|(&number, seat)| (seat.progress_ms.load(Relaxed), number))
            .collect();
        let leaving = candidates.len().div_ceil(EVICTED_SHARE);
        if leaving > 0 {
            candidates.select_nth_unstable(leaving - 1);
        }
        for (_, number) in &candidates[..leaving] {
            if let Some(seat) = self.seats.get(number).cloned() {
                self.tell_to_leave(&seat);
            }
        }
        leaving
    }

    fn tell_to_leave(&mut self, seat: &Seat) {
        if !seat.is_leaving.swap(true, Relaxed) {
            self.no_longer_stays(seat.client);
            seat.leave.notify_one();
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

/// Whom a connection is counted for: an IPv4 address, or the /64 that an IPv6 host has to itself.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    connections: Arc<Connections>,
    number: u64,
    seat: Arc<Seat>,
}

impl Guest {
    pub(super) fn limits(&self) -> &Limits {
        &self.connections.limits
    }

    /// A whole message was read, or replies were written.
    pub(super) fn made_progress(&self) {
        self.seat.progress_ms.store(self.connections.now_ms(), Relaxed);
    }

    /// How long to wait for the next message.
    pub(super) fn idle(&self) -> Duration {
        let limits = &self.connections.limits;
        if self.connections.count() > limits.connections / 2 { limits.idle / 4 } else { limits.idle }
    }

    /// Waits until this connection is to leave.
    pub(super) async fn told_to_leave(&self) {
        if !self.is_leaving() {
            self.seat.leave.notified().await;
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.seat.is_leaving.load(Relaxed)
    }

    /// An allowance for buffers, empty at first.
    pub(super) fn allowance(&self) -> Allowance {
        Allowance { connections: Arc::clone(&self.connections), octets: 0 }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.seats.remove(&self.number);
        if !self.seat.is_leaving.load(Relaxed) {
            table.no_longer_stays(self.seat.client);
        }
    }
}

/// What a connection takes of the octets that all may buffer; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Allowance {
    connections: Arc<Connections>,
    octets: usize,
}

impl Allowance {
    /// Changes what is taken to `octets`, unless that would be more than there is: then it stays, and this is false.
    pub(super) fn set(&mut self, octets: usize) -> bool {
        let buffered = &self.connections.buffered;
        if octets > self.octets {
            let more = octets - self.octets;
            if buffered.fetch_add(more, Relaxed) + more > self.connections.limits.buffered_octets {
                buffered.fetch_sub(more, Relaxed);
                return false;
            }
        } else {
            buffered.fetch_sub(self.octets - octets, Relaxed);
        }
        self.octets = octets;
        true
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.connections.buffered.fetch_sub(self.octets, Relaxed);
    }
}
