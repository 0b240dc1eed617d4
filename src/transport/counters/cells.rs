//! The memory that counts are kept in: one set of cells for each writer.

use std::{
    array,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    events::{COUNTED_STATUSES, COUNTED_TYPES, ConnectionEvent, NoReplyReason, RCODE_CELLS},
    samples::SampleBuffer,
};
use crate::engine::Transport;

/// One writer's cells. Aligned so that two writers never share a cache line (128 octets: adjacent
/// lines are fetched in pairs).
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
    pub(super) services: CounterTable,
    pub(super) datacenters: CounterTable,
    /// The networks of some of the clients.
    pub(super) samples: SampleBuffer,
}

impl CounterCells {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
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
            samples: SampleBuffer::new(),
        }
    }
}

/// Counts by slot. The table grows without moving a cell, so that it can be read while it grows:
/// segment `k` has `64 << k` cells.
#[derive(Debug, Default)]
pub(super) struct CounterTable {
    segments: [OnceLock<Box<[AtomicU64]>>; 26],
}

impl CounterTable {
    fn segment_and_offset(slot: u32) -> (usize, usize) {
        let shifted = u64::from(slot) + 64;
        let segment = shifted.ilog2() - 6;
        (segment as usize, (shifted - (64 << segment)) as usize)
    }

    /// Makes room for slots `0..count`, so that counting does not allocate.
    pub(super) fn reserve(&self, count: usize) {
        let Some(last) = count.checked_sub(1).and_then(|last| u32::try_from(last).ok()) else {
            return;
        };
        let segments = Self::segment_and_offset(last).0 + 1;
        for (index, segment) in self.segments.iter().enumerate().take(segments) {
            segment.get_or_init(|| (0..64_usize << index).map(|_| AtomicU64::new(0)).collect());
        }
    }

    /// The cell of a slot; `None` if no room was made for it.
    pub(super) fn cell(&self, slot: u32) -> Option<&AtomicU64> {
        let (segment, offset) = Self::segment_and_offset(slot);
        self.segments.get(segment)?.get()?.get(offset)
    }

    pub(super) fn count(&self, slot: u32) -> u64 {
        self.cell(slot).map_or(0, |cell| cell.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
