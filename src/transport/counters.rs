//! Counters: what came in and how each message ended, kept per writer and summed when somebody
//! asks.
//!
//! Every UDP shard writes cells of its own, so that counting is a load and a store of a cache line
//! nobody else touches; the streams of one transport share cells. A message that came in ends in
//! exactly one of: answered (by rcode), ignored (by reason), send error. The sum of the ends equals
//! `received` whenever no message is under way.
//!
//! Services and datacenters come and go with reloads. [`Counters::assign_slots`] gives each name a
//! slot that it keeps for the life of the process; a writer takes up the slots of a topology when
//! it first meets it, never per query. It waits for nobody to do so, unless it is so late that the
//! next topology is prepared already: a shard must not stand behind a metrics page.

use std::{
    array,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;

use super::totals::Totals;
use crate::{
    dns::{Name, Rtype},
    engine::{IgnoreReason, ReplyLabels, Transport},
    steer::Topology,
};

/// The rcodes counted one by one (0 to 23); those above share the last cell.
pub(super) const RCODE_CELLS: usize = 25;

/// The HTTP statuses counted one by one; every other status shares one more cell.
pub(super) const COUNTED_STATUSES: [u16; 8] = [200, 400, 404, 405, 408, 413, 415, 503];

/// The types counted one by one; every other type shares one more cell.
pub(super) const COUNTED_TYPES: [Rtype; 19] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::PTR,
    Rtype::MX,
    Rtype::TXT,
    Rtype::SRV,
    Rtype::NAPTR,
    Rtype::DS,
    Rtype::DNSKEY,
    Rtype::TLSA,
    Rtype::SVCB,
    Rtype::HTTPS,
    Rtype::ANY,
    Rtype::CAA,
    Rtype::AXFR,
    Rtype::IXFR,
];

/// Why a message that came in got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoReplyReason {
    /// The engine had nothing to say.
    Ignored(IgnoreReason),
    /// A datagram longer than the receive buffer.
    Oversized,
    /// A source that no reply can be sent to: port 0, or an address that was not told.
    Unanswerable,
    /// Answering it panicked: a defect, logged.
    Panicked,
}

impl NoReplyReason {
    /// Each reason, in the order of the metrics page.
    pub const ALL: [Self; 5] = [
        Self::Ignored(IgnoreReason::Short),
        Self::Ignored(IgnoreReason::Response),
        Self::Oversized,
        Self::Unanswerable,
        Self::Panicked,
    ];

    /// The label on the metrics page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ignored(IgnoreReason::Short) => "short",
            Self::Ignored(IgnoreReason::Response) => "response",
            Self::Oversized => "oversized",
            Self::Unanswerable => "unanswerable",
            Self::Panicked => "panicked",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Ignored(IgnoreReason::Short) => 0,
            Self::Ignored(IgnoreReason::Response) => 1,
            Self::Oversized => 2,
            Self::Unanswerable => 3,
            Self::Panicked => 4,
        }
    }
}

/// What happened to a connection, besides its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionEvent {
    /// It was accepted.
    Opened,
    /// It ended, for whatever reason.
    Closed,
    /// It was closed to make room for another.
    Evicted,
    /// It was closed because it sent or read too slowly, or nothing.
    TimedOut,
    /// It could not be accepted: the process or the host is out of descriptors or memory.
    AcceptFailed,
    /// Its TLS handshake failed.
    HandshakeFailed,
    /// It was closed because all connections together buffered as much as they may.
    BuffersFull,
}

impl ConnectionEvent {
    /// Each event, in the order of the metrics page.
    pub const ALL: [Self; 7] = [
        Self::Opened,
        Self::Closed,
        Self::Evicted,
        Self::TimedOut,
        Self::AcceptFailed,
        Self::HandshakeFailed,
        Self::BuffersFull,
    ];

    /// The label on the metrics page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Evicted => "evicted",
            Self::TimedOut => "timed-out",
            Self::AcceptFailed => "accept-failed",
            Self::HandshakeFailed => "handshake-failed",
            Self::BuffersFull => "buffers-full",
        }
    }
}

/// One writer's cells. Aligned so that two writers never share a cache line (128: adjacent lines
/// are fetched in pairs).
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct CounterCells {
    pub(super) transport: Transport,
    pub(super) received: AtomicU64,
    pub(super) answered: [AtomicU64; RCODE_CELLS],
    pub(super) no_replies: [AtomicU64; NoReplyReason::ALL.len()],
    pub(super) send_errors: AtomicU64,
    pub(super) kernel_drops: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) types: [AtomicU64; COUNTED_TYPES.len() + 1],
    pub(super) connections: [AtomicU64; ConnectionEvent::ALL.len()],
    pub(super) statuses: [AtomicU64; COUNTED_STATUSES.len() + 1],
    services: CounterTable,
    datacenters: CounterTable,
}

/// Cells by slot that grow without moving: part `k` holds `64 << k` cells, so that a reader never
/// sees a cell go away.
#[derive(Debug, Default)]
struct CounterTable {
    segments: [OnceLock<Box<[AtomicU64]>>; 26],
}

impl CounterTable {
    fn segment_and_offset(slot: u32) -> (usize, usize) {
        let above = u64::from(slot) + 64;
        let part = above.ilog2() - 6;
        (part as usize, (above - (64 << part)) as usize)
    }

    /// Makes room for slots `0..count`, so that counting does not allocate.
    fn reserve(&self, count: usize) {
        let Some(last) = count.checked_sub(1).and_then(|last| u32::try_from(last).ok()) else {
            return;
        };
        for (index, part) in
            self.segments.iter().enumerate().take(Self::segment_and_offset(last).0 + 1)
        {
            part.get_or_init(|| (0..64_usize << index).map(|_| AtomicU64::new(0)).collect());
        }
    }

    fn cell(&self, slot: u32) -> Option<&AtomicU64> {
        let (part, offset) = Self::segment_and_offset(slot);
        self.segments.get(part)?.get()?.get(offset)
    }

    fn count(&self, slot: u32) -> u64 {
        self.cell(slot).map_or(0, |cell| cell.load(Relaxed))
    }
}

/// The slots of one topology's names.
#[derive(Debug, Clone, Default)]
struct TopologySlots {
    topology: Arc<Topology>,
    services: Vec<u32>,
    datacenters: Vec<u32>,
}

/// Whether services and datacenters have the same names as those of `other`, in the same order.
fn has_same_names(topology: &Topology, other: &Topology) -> bool {
    let is_same_list = Arc::ptr_eq(&topology.services, &other.services);
    let names = |topology: &Topology| {
        topology.datacenters.iter().map(|datacenter| datacenter.name.clone()).collect::<Vec<_>>()
    };
    let services = topology.services.iter().map(|service| &service.name);
    names(topology) == names(other)
        && (is_same_list || services.eq(other.services.iter().map(|service| &service.name)))
}

/// The names that have a slot. The controller changes it (once a topology); the metrics page reads,
/// and copies it only where both do so at once.
#[derive(Debug, Default)]
struct NameRegistry {
    services: Arc<HashMap<Name, u32>>,
    datacenters: Arc<HashMap<Box<str>, u32>>,
}

impl NameRegistry {
    fn assign_slots(&mut self, topology: &Arc<Topology>) -> TopologySlots {
        let services = Arc::make_mut(&mut self.services);
        let services =
            topology.services.iter().map(|service| slot_of(services, &service.name)).collect();
        let datacenters = Arc::make_mut(&mut self.datacenters);
        let datacenters =
            topology.datacenters.iter().map(|dc| slot_of(datacenters, &dc.name)).collect();
        TopologySlots { topology: Arc::clone(topology), services, datacenters }
    }
}

fn slot_of<N: Clone + Eq + std::hash::Hash>(names: &mut HashMap<N, u32>, name: &N) -> u32 {
    if let Some(&slot) = names.get(name) {
        return slot;
    }
    // More than 2^32 names do not fit into memory; a slot without a cell is not counted.
    let slot = u32::try_from(names.len()).unwrap_or(u32::MAX);
    names.insert(name.clone(), slot);
    slot
}

/// All counters of the process. Shared; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    shared: Arc<CounterState>,
}

#[derive(Debug, Default)]
struct CounterState {
    /// Grows when a writer starts, which only the starting program does.
    cells: Mutex<Vec<Arc<CounterCells>>>,
    registry: Mutex<NameRegistry>,
    /// Those of the topology last prepared.
    slots: ArcSwap<TopologySlots>,
}

/// A poisoned lock is taken all the same: the values behind it are whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counters {
    /// No writers, no names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives every name of `topology` its slot. The controller calls this before it publishes a
    /// snapshot with a new topology, so that no shard has to do it: 100,000 services take some 10
    /// ms.
    pub fn assign_slots(&self, topology: &Arc<Topology>) {
        let prepared = self.shared.slots.load();
        if Arc::ptr_eq(&prepared.topology, topology) {
            return;
        }
        let slots = match has_same_names(topology, &prepared.topology) {
            true => {
                TopologySlots { topology: Arc::clone(topology), ..TopologySlots::clone(&prepared) }
            }
            false => lock(&self.shared.registry).assign_slots(topology),
        };
        self.shared.slots.store(Arc::new(slots));
    }

    fn slots(&self, topology: &Arc<Topology>) -> Arc<TopologySlots> {
        let prepared = self.shared.slots.load_full();
        if Arc::ptr_eq(&prepared.topology, topology) {
            return prepared;
        }
        // The next topology is prepared and this one still answers: whoever meets it first only now
        // is late.
        Arc::new(lock(&self.shared.registry).assign_slots(topology))
    }

    /// A recorder with cells of its own, for a single writer: a UDP shard.
    pub(super) fn recorder(&self, transport: Transport) -> Recorder {
        Recorder::new(self.clone(), self.add_cells(transport), WriteMode::Exclusive)
    }

    /// A recorder whose clones share its cells, for the many connections of one transport.
    pub(super) fn shared_recorder(&self, transport: Transport) -> Recorder {
        Recorder::new(self.clone(), self.add_cells(transport), WriteMode::Shared)
    }

    /// The sums over all writers, as they are at this moment.
    pub fn collect(&self) -> Totals {
        let cells = lock(&self.shared.cells).clone();
        let (services, datacenters) = {
            let registry = lock(&self.shared.registry);
            (Arc::clone(&registry.services), Arc::clone(&registry.datacenters))
        };
        let mut totals = Totals::default();
        for one in &cells {
            totals.transport_mut(one.transport).add(one);
        }
        let sum = |table: fn(&CounterCells) -> &CounterTable, slot| {
            cells.iter().map(|one| table(one).count(slot)).sum()
        };
        totals.services = sorted_names(&services)
            .map(|(name, slot)| (name, sum(|one| &one.services, slot)))
            .collect();
        totals.datacenters = sorted_names(&datacenters)
            .map(|(name, slot)| (name, sum(|one| &one.datacenters, slot)))
            .collect();
        totals
    }

    fn add_cells(&self, transport: Transport) -> Arc<CounterCells> {
        let cells = Arc::new(CounterCells {
            transport,
            received: AtomicU64::new(0),
            answered: array::from_fn(|_| AtomicU64::new(0)),
            no_replies: array::from_fn(|_| AtomicU64::new(0)),
            send_errors: AtomicU64::new(0),
            kernel_drops: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            types: array::from_fn(|_| AtomicU64::new(0)),
            connections: array::from_fn(|_| AtomicU64::new(0)),
            statuses: array::from_fn(|_| AtomicU64::new(0)),
            services: CounterTable::default(),
            datacenters: CounterTable::default(),
        });
        lock(&self.shared.cells).push(Arc::clone(&cells));
        cells
    }
}

/// In order.
fn sorted_names<N: Clone + Ord>(registered: &HashMap<N, u32>) -> impl Iterator<Item = (N, u32)> {
    let mut names: Vec<_> = registered.iter().collect();
    names.sort_unstable();
    names.into_iter().map(|(name, &slot)| (name.clone(), slot))
}

/// How many write the same cells, which decides how they add.
#[derive(Debug, Clone, Copy)]
enum WriteMode {
    /// A load and a store: 0.2 ns.
    Exclusive,
    /// An atomic addition: some 5 ns.
    Shared,
}

impl WriteMode {
    fn add(self, cell: &AtomicU64, count: u64) {
        match self {
            Self::Exclusive => cell.store(cell.load(Relaxed).wrapping_add(count), Relaxed),
            Self::Shared => {
                cell.fetch_add(count, Relaxed);
            }
        }
    }
}

/// Writes into one writer's cells.
#[derive(Debug)]
pub(super) struct Recorder {
    counters: Counters,
    cells: Arc<CounterCells>,
    mode: WriteMode,
    slots: Arc<TopologySlots>,
    /// Messages received that have not ended.
    unfinished: u64,
}

impl Recorder {
    fn new(counters: Counters, cells: Arc<CounterCells>, mode: WriteMode) -> Self {
        Self { counters, cells, mode, slots: Arc::default(), unfinished: 0 }
    }

    /// Another recorder on the same cells, for another connection.
    pub(super) fn share(&self) -> Self {
        Self {
            counters: self.counters.clone(),
            cells: Arc::clone(&self.cells),
            mode: WriteMode::Shared,
            slots: Arc::clone(&self.slots),
            unfinished: 0,
        }
    }

    /// Takes up the topology that the tallies to come refer to. Free where it is the one at hand.
    pub(super) fn use_topology(&mut self, topology: &Arc<Topology>) {
        if Arc::ptr_eq(&self.slots.topology, topology) {
            return;
        }
        self.slots = self.counters.slots(topology);
        self.cells.services.reserve(required_cells(&self.slots.services));
        self.cells.datacenters.reserve(required_cells(&self.slots.datacenters));
    }

    /// So many messages came in.
    pub(super) fn received(&mut self, count: u64) {
        self.unfinished += count;
        self.mode.add(&self.cells.received, count);
    }

    /// A reply went out.
    pub(super) fn answered(&mut self, tally: &ReplyLabels) {
        let Self { cells, mode: writers, slots, .. } = self;
        self.unfinished = self.unfinished.saturating_sub(1);
        writers.add(&cells.answered[usize::from(tally.rcode.0).min(RCODE_CELLS - 1)], 1);
        let kind = COUNTED_TYPES
            .iter()
            .position(|&rtype| rtype == tally.rtype)
            .unwrap_or(COUNTED_TYPES.len());
        writers.add(&cells.types[kind], 1);
        if tally.truncated {
            writers.add(&cells.truncated, 1);
        }
        let service = tally.service.and_then(|id| slots.services.get(id.index()));
        if let Some(cell) = service.and_then(|&slot| cells.services.cell(slot)) {
            writers.add(cell, 1);
        }
        let datacenter = tally.datacenter.and_then(|id| slots.datacenters.get(id.index()));
        if let Some(cell) = datacenter.and_then(|&slot| cells.datacenters.cell(slot)) {
            writers.add(cell, 1);
        }
    }

    /// A message gets no reply.
    pub(super) fn no_reply(&mut self, silence: NoReplyReason) {
        self.unfinished = self.unfinished.saturating_sub(1);
        self.mode.add(&self.cells.no_replies[silence.index()], 1);
    }

    /// A reply could not be sent.
    pub(super) fn send_failed(&mut self) {
        self.unfinished = self.unfinished.saturating_sub(1);
        self.mode.add(&self.cells.send_errors, 1);
    }

    /// Whatever was received and did not end was lost to a panic.
    pub(super) fn count_unfinished_as_panicked(&mut self) {
        while self.unfinished > 0 {
            self.no_reply(NoReplyReason::Panicked);
        }
    }

    /// The kernel dropped so many datagrams because the socket's buffer was full. They were never
    /// received.
    pub(super) fn kernel_dropped(&self, count: u32) {
        self.mode.add(&self.cells.kernel_drops, u64::from(count));
    }

    /// An HTTP response with this status was handed over.
    pub(super) fn responded(&self, status: u16) {
        let place = COUNTED_STATUSES
            .iter()
            .position(|&counted| counted == status)
            .unwrap_or(COUNTED_STATUSES.len());
        self.mode.add(&self.cells.statuses[place], 1);
    }

    /// Something happened to so many connections.
    pub(super) fn connection_event(&self, event: ConnectionEvent, count: usize) {
        self.mode.add(&self.cells.connections[event as usize], count as u64);
    }
}

impl Drop for Recorder {
    /// A connection that ends before its replies are written.
    fn drop(&mut self) {
        while self.unfinished > 0 {
            self.send_failed();
        }
    }
}

/// One more than the highest slot.
fn required_cells(slots: &[u32]) -> usize {
    slots.iter().max().map_or(0, |&highest| highest as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dns::Rcode,
        steer::{DatacenterId, OnAllDown, PoolId, RecordKind, Service, ServiceId, ZoneId},
    };

    fn topology(services: &[&str]) -> Arc<Topology> {
        let service = |name: &&str| Service {
            name: name.parse().unwrap(),
            zone: ZoneId(0),
            kind: RecordKind::default(),
            pool: PoolId(0),
            ttl_secs: 30,
            on_all_down: OnAllDown::All,
            ipv6: true,
            client_subnet: true,
        };
        Arc::new(Topology {
            services: Arc::new(services.iter().map(service).collect()),
            ..Topology::default()
        })
    }

    fn answered_by(service: u32) -> ReplyLabels {
        ReplyLabels {
            rtype: Rtype::A,
            rcode: Rcode::NOERROR,
            service: Some(ServiceId(service)),
            datacenter: Some(DatacenterId(9)),
            truncated: false,
        }
    }

    #[test]
    fn a_service_keeps_its_count_when_a_reload_moves_it() {
        let counters = Counters::new();
        let (mut shard, mut other) =
            (counters.recorder(Transport::Udp), counters.recorder(Transport::Udp));
        let (before, after) = (
            topology(&["b.example", "c.example"]),
            topology(&["a.example", "c.example", "d.example"]),
        );
        shard.use_topology(&before);
        shard.received(2);
        shard.answered(&answered_by(0));
        shard.answered(&answered_by(1));
        counters.assign_slots(&after);
        shard.use_topology(&after);
        shard.received(1);
        shard.answered(&answered_by(1));
        // A shard that is late still counts by the topology it answers from.
        other.use_topology(&before);
        other.received(1);
        other.answered(&answered_by(1));
        let counted: Vec<_> = counters
            .collect()
            .services
            .into_iter()
            .map(|(name, count)| (name.to_string(), count))
            .collect();
        let named = |name: &str| {
            counted.iter().find(|(n, _)| n.trim_end_matches('.') == name).map(|(_, count)| *count)
        };
        assert_eq!(
            [named("a.example"), named("b.example"), named("c.example"), named("d.example")],
            [Some(0), Some(1), Some(3), Some(0)]
        );
    }

    #[test]
    fn every_slot_has_a_cell_of_its_own() {
        let table = CounterTable::default();
        table.reserve(100_000);
        for slot in 0..100_000 {
            table.cell(slot).unwrap().fetch_add(u64::from(slot), Relaxed);
        }
        assert!((0..100_000).all(|slot| table.count(slot) == u64::from(slot)));
        assert!(table.cell(u32::MAX).is_none());
    }

    #[test]
    fn what_a_connection_leaves_unsent_is_a_send_error() {
        let counters = Counters::new();
        let mut connection = counters.shared_recorder(Transport::Tcp).share();
        connection.received(3);
        connection.answered(&answered_by(0));
        drop(connection);
        let totals = counters.collect();
        assert_eq!(
            (
                totals.transport(Transport::Tcp).send_errors,
                totals.transport(Transport::Tcp).finished()
            ),
            (2, 3)
        );
    }
}
