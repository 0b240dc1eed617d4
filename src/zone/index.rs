//! From the hash of a name to its number, for names that no longer change; nearly every look costs one cache line.
//!
//! Cells in open addressing with linear probing, at most two in three used. A cell is a number and, in the bits that no number
//! needs, bits of the hash, so that hardly any name is read in vain: of a million, one in two thousand or so. Where the first
//! cell of a hash lies is known without reading any other, and so it can be fetched ahead.

/// Numbers from 0 on by hash.
#[derive(Debug)]
pub(super) struct Index {
    cells: Box<[u32]>,
    /// Ones where a cell has its number; all ones there say that the cell is empty.
    number_mask: u32,
}

const EMPTY: u32 = u32::MAX;

impl Index {
    /// The first hash gets number 0, the next 1, and so on.
    ///
    /// # Panics
    /// From 2^32 - 1 numbers on, of which nobody has that many: a zone is at most 4 GiB.
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let count = u32::try_from(hashes.len()).ok().filter(|&count| count < EMPTY).expect("numbers have 32 bits");
        let number_mask = u32::MAX.checked_shr(count.leading_zeros()).unwrap_or(0);
        let cells = vec![EMPTY; (count as usize * 3 / 2 + 1).next_power_of_two()].into_boxed_slice();
        let mut index = Self { cells, number_mask };
        for (number, hash) in (0..count).zip(hashes) {
            let mut at = index.home(hash);
            while index.cells[at] != EMPTY {
                at = index.after(at);
            }
            index.cells[at] = index.tag(hash) | number;
        }
        index
    }

    /// The number with this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = self.tag(hash);
        let mut at = self.home(hash);
        loop {
            let cell = self.cells[at];
            if cell == EMPTY {
                return None;
            }
            let number = cell & self.number_mask;
            if cell & !self.number_mask == tag && is_it(number) {
                return Some(number);
            }
            at = self.after(at);
        }
    }

    /// The first cell that [`Index::find`] will read.
    #[inline]
    pub(super) fn first_cell(&self, hash: u64) -> u32 {
        self.cells[self.home(hash)]
    }

    /// Memory held, in octets.
    pub(super) fn memory_octets(&self) -> usize {
        size_of_val(&*self.cells)
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.cells.len() - 1)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.cells.len() - 1)
    }

    /// Of the upper half: the lower says where the cell is.
    #[inline]
    fn tag(&self, hash: u64) -> u32 {
        (hash >> 32) as u32 & !self.number_mask
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::of(std::iter::empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_index_finds_nothing() {
        assert_eq!(Index::default().find(0, |_| true), None);
        assert_eq!(Index::default().find(u64::MAX, |_| true), None);
    }

    proptest! {
        #[test]
        fn every_number_is_found_by_its_hash_and_none_by_another(
            // Few distinct ones, so that they collide in cells, tags and altogether.
            hashes in prop::collection::vec(prop_oneof![0..8_u64, any::<u64>().prop_map(|hash| hash & 0xffff_ffff_0000_0003), any::<u64>()], 0..300),
            absent in any::<u64>(),
        ) {
            let index = Index::of(hashes.iter().copied());
            for (number, &hash) in (0_u32..).zip(&hashes) {
                prop_assert_eq!(index.find(hash, |found| found == number), Some(number));
                prop_assert_eq!(index.find(hash, |found| hashes[found as usize] == hash && found > number), {
                    hashes.iter().zip(0_u32..).find(|&(&other, found)| other == hash && found > number).map(|(_, found)| found)
                });
            }
            prop_assert_eq!(index.find(absent, |found| hashes[found as usize] == absent), hashes.iter().position(|&hash| hash == absent).map(|at| at as u32));
        }
    }
}
