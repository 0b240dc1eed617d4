//! A database's networks in address order, as little as can be kept of a search tree: for each
//! network its length and its record. The address follows from the lengths before it; every 64th is
//! kept so that a lookup can start near.
//!
//! Invariant: the networks cover the whole space without gap or overlap.

use super::{address::Address, column::CompactColumn};

/// Networks from one kept address to the next; a lookup passes half of them on average.
const STRIDE: usize = 64;

/// Record 0 of every database: nothing is known.
pub(super) const UNKNOWN: u32 = 0;

/// Consecutive networks that cover the whole space.
#[derive(Debug)]
pub(super) struct NetworkList<K> {
    lengths: Vec<u8>,
    records: CompactColumn,
    sampled_starts: Vec<K>,
}

impl<K: Address> NetworkList<K> {
    /// Room for `count` networks; what is not used is given back by [`finish`](Self::finish).
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            lengths: Vec::with_capacity(count),
            records: CompactColumn::with_capacity(count),
            sampled_starts: Vec::new(),
        }
    }

    /// One network for the whole space.
    pub(super) fn single(record: u32) -> Self {
        let mut leaves = Self::with_capacity(1);
        leaves.push(K::MIN, 0, record);
        leaves
    }

    /// Appends the network that starts where the one before ends.
    #[inline]
    pub(super) fn push(&mut self, start: K, length: u8, record: u32) {
        if self.lengths.len().is_multiple_of(STRIDE) {
            self.sampled_starts.push(start);
        }
        self.lengths.push(length);
        self.records.push(record);
    }

    pub(super) fn finish(&mut self) {
        self.lengths.shrink_to_fit();
        self.records.shrink();
        self.sampled_starts.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The record and the length of the network that an address is in.
    pub(super) fn find(&self, address: K) -> (u32, u8) {
        let mark = self.sampled_starts.partition_point(|&start| start <= address).saturating_sub(1);
        let mut cursor = self.cursor_at(mark * STRIDE, self.sampled_starts[mark]);
        while cursor.last < address && cursor.advance() {}
        (cursor.record, cursor.length)
    }

    /// At the first network.
    pub(super) fn cursor(&self) -> NetworkCursor<'_, K> {
        self.cursor_at(0, K::MIN)
    }

    fn cursor_at(&self, position: usize, start: K) -> NetworkCursor<'_, K> {
        let length = self.lengths[position];
        NetworkCursor {
            leaves: self,
            position,
            last: start.last_of(length),
            length,
            record: self.records.value_at(position),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lengths.capacity()
            + self.records.memory_bytes()
            + self.sampled_starts.capacity() * size_of::<K>()
    }
}

/// A place among the networks, moving upwards.
pub(super) struct NetworkCursor<'a, K> {
    leaves: &'a NetworkList<K>,
    position: usize,
    /// The network's last address.
    pub(super) last: K,
    length: u8,
    /// The network's record.
    pub(super) record: u32,
}

impl<K: Address> NetworkCursor<'_, K> {
    /// Moves to the next network; false, and no move, at the last one.
    #[inline]
    pub(super) fn advance(&mut self) -> bool {
        let next = self.position + 1;
        let (Some(&length), Some(start)) = (self.leaves.lengths.get(next), self.last.following())
        else {
            return false;
        };
        self.position = next;
        self.length = length;
        self.last = start.last_of(length);
        self.record = self.leaves.records.value_at(next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_found_in_its_network() {
        // 200 networks of /32, then what is left in ever larger ones: what a tree with one deep
        // corner looks like.
        let mut leaves = NetworkList::<u32>::with_capacity(0);
        let mut start = 0u32;
        for record in 0..256 {
            leaves.push(start, 32, record);
            start += 1;
        }
        for length in (1..=24).rev() {
            leaves.push(start, length, u32::from(length) + 1000);
            start = start.last_of(length).wrapping_add(1);
        }
        leaves.finish();
        assert_eq!(start, 0);
        for address in 0..256 {
            assert_eq!(leaves.find(address), (address, 32));
        }
        assert_eq!(leaves.find(256), (1024, 24));
        assert_eq!(leaves.find(u32::MAX), (1001, 1));
        assert_eq!(NetworkList::<u128>::single(9).find(77), (9, 0));
    }
}
