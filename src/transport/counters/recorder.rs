//! The recorder: adds to one writer's cells.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    cells::CounterCells,
    events::{COUNTED_STATUSES, COUNTED_TYPES, ConnectionEvent, NoReplyReason, RCODE_CELLS},
    samples,
    slots::{SlotRegistry, TopologySlots},
};
use crate::{
    demand::NetworkGroup,
    engine::{self, Query, ReplyLabels},
    snapshot::Snapshot,
    steer::Topology,
};

/// Whether cells have one writer or several, which decides how counts are added.
#[derive(Debug, Clone, Copy)]
pub(super) enum WriteMode {
    /// One writer: a load and a store, 0.2 ns.
    Exclusive,
    /// Several writers: an atomic addition, some 5 ns.
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

/// Counts the messages and events of one shard, or of one connection.
#[derive(Debug)]
pub(in crate::transport) struct Recorder {
    registry: Arc<SlotRegistry>,
    cells: Arc<CounterCells>,
    mode: WriteMode,
    slots: Arc<TopologySlots>,
    /// Messages received whose outcome is not counted yet.
    unfinished: u64,
    /// The number of replies up to the next one that is sampled, 1 for the next reply.
    until_sample: usize,
}

impl Recorder {
    pub(super) fn new(
        registry: Arc<SlotRegistry>,
        cells: Arc<CounterCells>,
        mode: WriteMode,
    ) -> Self {
        let until_sample = samples::draw_interval();
        Self { registry, cells, mode, slots: Arc::default(), unfinished: 0, until_sample }
    }

    /// Another recorder on the same cells, for another connection.
    pub(in crate::transport) fn share(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
            cells: Arc::clone(&self.cells),
            mode: WriteMode::Shared,
            slots: Arc::clone(&self.slots),
            unfinished: 0,
            until_sample: samples::draw_interval(),
        }
    }

    /// Counts the following replies by the ids of this topology. Costs a comparison of pointers
    /// where it is the same as before.
    pub(in crate::transport) fn use_topology(&mut self, topology: &Arc<Topology>) {
        if Arc::ptr_eq(&self.slots.topology, topology) {
            return;
        }
        self.slots = self.registry.slots(topology);
        self.cells.services.reserve(required_cells(&self.slots.services));
        self.cells.datacenters.reserve(required_cells(&self.slots.datacenters));
    }

    /// Counts `count` received messages.
    pub(in crate::transport) fn received(&mut self, count: u64) {
        self.unfinished += count;
        self.mode.add(&self.cells.received, count);
    }

    /// Counts a reply that was sent.
    pub(in crate::transport) fn answered(&mut self, labels: &ReplyLabels) {
        let Self { cells, mode, slots, .. } = self;
        self.unfinished = self.unfinished.saturating_sub(1);
        mode.add(&cells.answered[usize::from(labels.rcode.0).min(RCODE_CELLS - 1)], 1);
        let rtype = COUNTED_TYPES
            .iter()
            .position(|&rtype| rtype == labels.rtype)
            .unwrap_or(COUNTED_TYPES.len());
        mode.add(&cells.types[rtype], 1);
        if labels.truncated {
            mode.add(&cells.truncated, 1);
        }
        let service = labels.service.and_then(|id| slots.services.get(id.index()));
        if let Some(cell) = service.and_then(|&slot| cells.services.cell(slot)) {
            mode.add(cell, 1);
        }
        let datacenter = labels.datacenter.and_then(|id| slots.datacenters.get(id.index()));
        if let Some(cell) = datacenter.and_then(|&slot| cells.datacenters.cell(slot)) {
            mode.add(cell, 1);
        }
    }

    /// The index (0 to `count - 1`) of the first sampled reply among the next `count` replies, or
    /// `None`. The next call continues after it. Without a sample, the cost is one comparison and
    /// one subtraction for the whole batch.
    #[inline]
    pub(in crate::transport) fn next_sample(&mut self, count: usize) -> Option<usize> {
        if self.until_sample > count {
            self.until_sample -= count;
            return None;
        }
        let next = std::mem::replace(&mut self.until_sample, samples::draw_interval());
        Some(next - 1)
    }

    /// Records from which network a query came whose reply is sampled, if a service chose the
    /// answer.
    #[cold]
    pub(in crate::transport) fn sample(
        &self,
        snapshot: &Snapshot,
        query: &Query<'_>,
        labels: &ReplyLabels,
    ) {
        if let Some(service) = labels.service {
            let client = engine::steering_address(snapshot, query, service);
            self.cells.samples.push(NetworkGroup::containing(client));
        }
    }

    /// Counts a message that gets no reply.
    pub(in crate::transport) fn no_reply(&mut self, reason: NoReplyReason) {
        self.unfinished = self.unfinished.saturating_sub(1);
        self.mode.add(&self.cells.no_replies[reason.index()], 1);
    }

    /// Counts a reply that could not be sent.
    pub(in crate::transport) fn send_failed(&mut self) {
        self.unfinished = self.unfinished.saturating_sub(1);
        self.mode.add(&self.cells.send_errors, 1);
    }

    /// Counts the messages that a panic of the shard has left without an outcome.
    pub(in crate::transport) fn count_unfinished_as_panicked(&mut self) {
        while self.unfinished > 0 {
            self.no_reply(NoReplyReason::Panicked);
        }
    }

    /// Counts datagrams that the kernel dropped because the socket's receive buffer was full. They
    /// are not counted as received.
    pub(in crate::transport) fn kernel_dropped(&self, count: u32) {
        self.mode.add(&self.cells.kernel_drops, u64::from(count));
    }

    /// Counts an HTTP response that was passed to the HTTP library.
    pub(in crate::transport) fn responded(&self, status: u16) {
        let cell = COUNTED_STATUSES
            .iter()
            .position(|&counted| counted == status)
            .unwrap_or(COUNTED_STATUSES.len());
        self.mode.add(&self.cells.statuses[cell], 1);
    }

    /// Counts an event of `count` connections.
    pub(in crate::transport) fn connection_event(&self, event: ConnectionEvent, count: usize) {
        self.mode.add(&self.cells.connections[event as usize], count as u64);
    }
}

impl Drop for Recorder {
    /// Counts the replies of a connection that ended before they were written.
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
