//! The networks of a database in address order, in little memory: for each network only its prefix
//! length and its record. The address follows from the lengths before it. The address of every 64th
//! network is kept, so that a lookup can start close to it.
//!
//! Invariant: the networks cover the whole address space without gap or overlap.

use super::{address::Address, column::CompactColumn};

/// The number of networks from one kept address to the next. A lookup walks half of them on
/// average.
const STRIDE: usize = 64;

/// The record without any fields, which is record 0 of every database.
pub(super) const UNKNOWN: u32 = 0;

/// Consecutive networks that cover the whole address space.
#[derive(Debug)]
pub(super) struct NetworkList<K> {
    lengths: Vec<u8>,
    records: CompactColumn,
    sampled_starts: Vec<K>,
}

impl<K: Address> NetworkList<K> {
    /// A list with room for `count` networks; [`finish`](Self::finish) frees unused room.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            lengths: Vec::with_capacity(count),
            records: CompactColumn::with_capacity(count),
            sampled_starts: Vec::new(),
        }
    }

    /// A list with one network, the whole address space.
    pub(super) fn single(record: u32) -> Self {
        let mut networks = Self::with_capacity(1);
        networks.push(K::MIN, 0, record);
        networks
    }

    /// Appends a network, which must start where the previous one ends.
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
        let sample =
            self.sampled_starts.partition_point(|&start| start <= address).saturating_sub(1);
        let mut cursor = self.cursor_at(sample * STRIDE, self.sampled_starts[sample]);
        while cursor.last < address && cursor.advance() {}
        (cursor.record, cursor.length)
    }

    /// A cursor at the first network.
    pub(super) fn cursor(&self) -> NetworkCursor<'_, K> {
        self.cursor_at(0, K::MIN)
    }

    fn cursor_at(&self, position: usize, start: K) -> NetworkCursor<'_, K> {
        let length = self.lengths[position];
        NetworkCursor {
            networks: self,
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

/// A position in the list, which moves upwards.
pub(super) struct NetworkCursor<'a, K> {
    networks: &'a NetworkList<K>,
    position: usize,
    /// The last address of the network.
    pub(super) last: K,
    length: u8,
    /// The record of the network.
    pub(super) record: u32,
}

impl<K: Address> NetworkCursor<'_, K> {
    /// Moves to the next network; does nothing and returns `false` at the last one.
    #[inline]
    pub(super) fn advance(&mut self) -> bool {
        let next = self.position + 1;
        let (Some(&length), Some(start)) = (self.networks.lengths.get(next), self.last.following())
        else {
            return false;
        };
        self.position = next;
        self.length = length;
        self.last = start.last_of(length);
        self.record = self.networks.records.value_at(next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_found_in_its_network() {
        // 256 networks of /32, then ever larger networks: a tree with one deep branch.
        let mut networks = NetworkList::<u32>::with_capacity(0);
        let mut start = 0u32;
        for record in 0..256 {
            networks.push(start, 32, record);
            start += 1;
        }
        for length in (1..=24).rev() {
            networks.push(start, length, u32::from(length) + 1000);
            start = start.last_of(length).wrapping_add(1);
        }
        networks.finish();
        assert_eq!(start, 0);
        for address in 0..256 {
            assert_eq!(networks.find(address), (address, 32));
        }
        assert_eq!(networks.find(256), (1024, 24));
        assert_eq!(networks.find(u32::MAX), (1001, 1));
        assert_eq!(NetworkList::<u128>::single(9).find(77), (9, 0));
    }
}
