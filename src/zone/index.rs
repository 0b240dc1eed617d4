//! An index from names to numbers, for a fixed set of names; nearly every search reads one cache
//! line.
//!
//! The table uses open addressing with linear probing; at most two of three cells are used. A cell
//! holds a number and, in the bits that no number needs, bits of the hash, so that a search seldom
//! reads the name of another number: among a million names, about one in two thousand searches
//! does. The position of the first cell follows from the hash alone, so that the cell can be
//! prefetched.
//!
//! A search is bounded, whatever the names are. No run of used cells is longer than
//! [`MAX_RUN_LENGTH`]: names that form a longer run under the seed of queries are hashed by a spare
//! seed. If they form a longer run under each spare seed as well, for which their author must know
//! all seeds of the process, they are sorted, and the search is a binary one.

use super::hash::{SPARE_SEEDS, hash_by, hash_name};

/// The longest run of used cells. A search reads at most one cell more, 2 KiB in all. Among 2^21
/// cells, a random seed makes a longer run once in 2^32 times: a run of k cells starts at a given
/// cell with a probability of e^(-0.072 k).
const MAX_RUN_LENGTH: usize = 512;

/// The numbers of names, counted from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct NameIndex {
    /// Numbers by the hash under the seed of queries; without cells if that seed makes too long a
    /// run.
    table: OpenAddressTable,
    /// How names are found if `table` has no cells.
    fallback: IndexFallback,
}

#[derive(Debug, Clone, Default)]
enum IndexFallback {
    /// All names are in the table.
    #[default]
    NotNeeded,
    /// A table by the hash under the spare seed with this number.
    SpareSeed(usize, Box<OpenAddressTable>),
    /// The numbers in the order of their names.
    Sorted(Box<[u32]>),
}

impl NameIndex {
    /// Builds the index. The first name gets number 0, the next 1, and so on. Of equal names, the
    /// first is found.
    ///
    /// # Panics
    /// If there are 2^32 - 1 names or more, which no zone has: a zone is at most 4 GiB.
    pub(super) fn new<'n>(names: impl ExactSizeIterator<Item = &'n [u8]> + Clone) -> Self {
        Self::hashed_by(names, hash_name, hash_by)
    }

    fn hashed_by<'n>(
        names: impl ExactSizeIterator<Item = &'n [u8]> + Clone,
        hash: impl Fn(&[u8]) -> u64,
        hash_by: impl Fn(usize, &[u8]) -> u64,
    ) -> Self {
        if let Some(table) = OpenAddressTable::new(names.clone().map(hash)) {
            return Self { table, fallback: IndexFallback::NotNeeded };
        }
        for seed in SPARE_SEEDS {
            if let Some(table) =
                OpenAddressTable::new(names.clone().map(|name| hash_by(seed, name)))
            {
                return Self {
                    table: OpenAddressTable::without_cells(),
                    fallback: IndexFallback::SpareSeed(seed, Box::new(table)),
                };
            }
        }
        let mut sorted: Vec<(&[u8], u32)> = names.zip(0..).collect();
        sorted.sort_unstable();
        sorted.dedup_by_key(|(name, _)| *name);
        let numbers = sorted.into_iter().map(|(_, number)| number).collect();
        Self { table: OpenAddressTable::without_cells(), fallback: IndexFallback::Sorted(numbers) }
    }

    /// The number of a name with this hash; `name_of` returns the name of a number.
    #[inline]
    pub(super) fn find<'n>(
        &self,
        wire: &[u8],
        hash: u64,
        name_of: impl Fn(u32) -> &'n [u8],
    ) -> Option<u32> {
        match self.table.find(hash, |number| name_of(number) == wire) {
            CellSearch::Completed(number) => number,
            CellSearch::NoCells => self.find_by_fallback(wire, name_of),
        }
    }

    /// The number that most likely belongs to this name, as a rule without reading any name; `None`
    /// only if the name has no number.
    #[inline]
    pub(super) fn find_probable<'n>(
        &self,
        wire: &[u8],
        hash: u64,
        name_of: impl Fn(u32) -> &'n [u8],
    ) -> Option<u32> {
        match self.table.find(hash, |_| true) {
            CellSearch::Completed(number) => number,
            CellSearch::NoCells => self.find_by_fallback(wire, name_of),
        }
    }

    #[cold]
    fn find_by_fallback<'n>(&self, wire: &[u8], name_of: impl Fn(u32) -> &'n [u8]) -> Option<u32> {
        match &self.fallback {
            IndexFallback::NotNeeded => None,
            IndexFallback::SpareSeed(seed, table) => {
                match table.find(hash_by(*seed, wire), |number| name_of(number) == wire) {
                    CellSearch::Completed(number) => number,
                    CellSearch::NoCells => None,
                }
            }
            IndexFallback::Sorted(numbers) => {
                let found = numbers.binary_search_by(|&number| name_of(number).cmp(wire));
                found.ok().map(|position| numbers[position])
            }
        }
    }

    /// The first cell that [`NameIndex::find`] will read.
    #[inline]
    pub(super) fn first_cell(&self, hash: u64) -> u32 {
        self.table.cells.get(self.table.home_cell(hash)).copied().unwrap_or(EMPTY_CELL)
    }

    /// The memory use, in octets.
    pub(super) fn memory_octets(&self) -> usize {
        let fallback = match &self.fallback {
            IndexFallback::NotNeeded => 0,
            IndexFallback::SpareSeed(_, table) => size_of_val(&*table.cells),
            IndexFallback::Sorted(numbers) => size_of_val(&**numbers),
        };
        size_of_val(&*self.table.cells) + fallback
    }
}

/// Numbers by hash, counted from 0.
#[derive(Debug, Clone)]
struct OpenAddressTable {
    /// The number of cells is a power of two, or 0.
    cells: Box<[u32]>,
    /// The bits of a cell that hold its number. In an empty cell they are all set.
    number_mask: u32,
}

const EMPTY_CELL: u32 = u32::MAX;

/// The result of a search in a table.
enum CellSearch {
    /// The number found, if there is one.
    Completed(Option<u32>),
    /// The table has no cells, so that the result says nothing about the name.
    NoCells,
}

impl OpenAddressTable {
    /// Builds a table, in at most [`MAX_RUN_LENGTH`] steps for each hash; `None` if a run of used
    /// cells is longer than that.
    fn new(hashes: impl ExactSizeIterator<Item = u64>) -> Option<Self> {
        let count = u32::try_from(hashes.len())
            .ok()
            .filter(|&count| count < EMPTY_CELL)
            .expect("numbers have 32 bits");
        let number_mask = u32::MAX.checked_shr(count.leading_zeros()).unwrap_or(0);
        let cells =
            vec![EMPTY_CELL; (count as usize * 3 / 2 + 1).next_power_of_two()].into_boxed_slice();
        let mut table = Self { cells, number_mask };
        for (number, hash) in (0..count).zip(hashes) {
            let free = table.free_cell(hash)?;
            table.cells[free] = table.tag(hash) | number;
        }
        (table.longest_run() <= MAX_RUN_LENGTH).then_some(table)
    }

    fn without_cells() -> Self {
        Self { cells: Box::default(), number_mask: 0 }
    }

    fn free_cell(&self, hash: u64) -> Option<usize> {
        let mut position = self.home_cell(hash);
        for _ in 0..=MAX_RUN_LENGTH {
            if self.cells[position] == EMPTY_CELL {
                return Some(position);
            }
            position = self.next_cell(position);
        }
        None
    }

    /// The length of the longest run of used cells. A run continues from the last cell to the
    /// first.
    fn longest_run(&self) -> usize {
        let (mut longest, mut run) = (0, 0);
        // The first cells are counted twice, for a run across the end of the table.
        for &cell in self.cells.iter().chain(self.cells.iter().take(MAX_RUN_LENGTH + 1)) {
            run = if cell == EMPTY_CELL { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        longest
    }

    /// The number with this hash for which `is_match` holds.
    // Inlined, since a call would cost about fifteen instructions for each name that a query looks
    // up.
    #[inline(always)]
    fn find(&self, hash: u64, is_match: impl Fn(u32) -> bool) -> CellSearch {
        let tag = self.tag(hash);
        let mut position = self.home_cell(hash);
        // The bounds check that reading a cell has anyway also detects a table without cells.
        while let Some(&cell) = self.cells.get(position) {
            if cell == EMPTY_CELL {
                return CellSearch::Completed(None);
            }
            let number = cell & self.number_mask;
            if cell & !self.number_mask == tag && is_match(number) {
                return CellSearch::Completed(Some(number));
            }
            position = self.next_cell(position);
        }
        CellSearch::NoCells
    }

    #[inline]
    fn home_cell(&self, hash: u64) -> usize {
        hash as usize & self.cells.len().wrapping_sub(1)
    }

    #[inline]
    fn next_cell(&self, position: usize) -> usize {
        (position + 1) & self.cells.len().wrapping_sub(1)
    }

    /// The bits of the hash that a cell holds. They are from its upper half, since the lower half
    /// determines the home cell.
    #[inline]
    fn tag(&self, hash: u64) -> u32 {
        (hash >> 32) as u32 & !self.number_mask
    }
}

impl Default for OpenAddressTable {
    /// A table without names: one empty cell.
    fn default() -> Self {
        Self { cells: Box::new([EMPTY_CELL]), number_mask: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zone::hash::{HashSeed, LOAD_SEED, QUERY_SEED};

    fn find(table: &OpenAddressTable, hash: u64, is_match: impl Fn(u32) -> bool) -> Option<u32> {
        match table.find(hash, is_match) {
            CellSearch::Completed(number) => number,
            CellSearch::NoCells => panic!("a table of names has cells"),
        }
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        for index in [NameIndex::default(), NameIndex::new(std::iter::empty())] {
            assert_eq!(index.find(b"\0", 0, |_| b"\0"), None);
            assert_eq!(index.find(b"\0", u64::MAX, |_| b"\0"), None);
        }
    }

    proptest! {
        #[test]
        fn every_number_is_found_by_its_hash_and_none_by_another(
            // Few distinct hashes, so that they collide in cells, in tags and completely.
            hashes in prop::collection::vec(prop_oneof![0..8_u64, any::<u64>().prop_map(|hash| hash & 0xffff_ffff_0000_0003), any::<u64>()], 0..300),
            absent in any::<u64>(),
        ) {
            let table = OpenAddressTable::new(hashes.iter().copied()).unwrap();
            for (number, &hash) in (0_u32..).zip(&hashes) {
                prop_assert_eq!(find(&table, hash, |found| found == number), Some(number));
                prop_assert_eq!(find(&table, hash, |found| hashes[found as usize] == hash && found > number), {
                    hashes.iter().zip(0_u32..).find(|&(&other, found)| other == hash && found > number).map(|(_, found)| found)
                });
            }
            let expected = hashes.iter().position(|&hash| hash == absent).map(|position| position as u32);
            prop_assert_eq!(find(&table, absent, |found| hashes[found as usize] == absent), expected);
        }
    }

    /// Wire names `n00000.test` and so on for which `is_chosen` holds.
    fn chosen_names(count: usize, is_chosen: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let name = |number: u64| format!("\x08n{number:07x}\x04test\0").into_bytes();
        (0..).map(name).filter(|name| is_chosen(name)).take(count).collect()
    }

    /// The names of an attacker who knows `seed`: in a table of 2^12 cells, more of them have one
    /// home cell than a run may have.
    fn flood(seed: usize) -> Vec<Vec<u8>> {
        let flood = chosen_names(MAX_RUN_LENGTH + 100, |name| hash_by(seed, name) & 0xfff == 0xffe);
        let others = chosen_names(2000, |name| !flood.iter().any(|other| other == name));
        [flood, others].concat()
    }

    fn assert_finds_all(index: &NameIndex, names: &[Vec<u8>]) {
        let name_of = |number: u32| &*names[number as usize];
        for (number, name) in (0_u32..).zip(names) {
            assert_eq!(index.find(name, hash_name(name), name_of), Some(number));
            assert_eq!(index.find_probable(name, hash_name(name), name_of), Some(number));
        }
        for name in chosen_names(3000, |_| true) {
            let absent = [b"\x01x", &*name].concat();
            assert_eq!(index.find(&absent, hash_name(&absent), name_of), None);
        }
    }

    #[test]
    fn names_chosen_for_a_known_seed_make_a_long_run_under_few_random_ones() {
        let names = flood(LOAD_SEED);
        assert!(
            OpenAddressTable::new(names.iter().map(|name| hash_by(LOAD_SEED, name))).is_none(),
            "the attack works"
        );
        let mut random = fastrand::Rng::new();
        let mut makes_long_run = || {
            let seed = HashSeed::new([random.u64(..), random.u64(..)]);
            OpenAddressTable::new(names.iter().map(|name| seed.hash(name))).is_none()
        };
        // About two of a thousand seeds do: spare seeds exist for those.
        let count = (0..100).filter(|_| makes_long_run()).count();
        assert!(count <= 5, "{count} of 100 seeds");
    }

    #[test]
    fn names_that_make_too_long_a_run_are_hashed_by_a_spare_seed() {
        let names = flood(QUERY_SEED);
        let index = NameIndex::new(names.iter().map(|name| &**name));
        assert!(matches!(index.fallback, IndexFallback::SpareSeed(1, _)), "{:?}", index.fallback);
        assert_finds_all(&index, &names);
    }

    #[test]
    fn names_that_make_too_long_a_run_under_every_seed_are_sorted() {
        let names = flood(LOAD_SEED);
        let index = NameIndex::hashed_by(names.iter().map(|name| &**name), |_| 5, |_, _| 5);
        assert!(matches!(index.fallback, IndexFallback::Sorted(_)), "{:?}", index.fallback);
        assert_finds_all(&index, &names);
    }

    #[test]
    fn a_run_of_names_that_each_have_their_own_home_cell_is_too_long_as_well() {
        // No insertion moves past another name here, but a search for an absent name moves past
        // all.
        let in_a_row =
            |count: usize| OpenAddressTable::new((0..count).map(|position| position as u64));
        assert!(in_a_row(MAX_RUN_LENGTH).is_some());
        assert!(in_a_row(MAX_RUN_LENGTH + 1).is_none());
    }

    #[test]
    fn a_run_goes_on_from_the_last_cell_to_the_first() {
        let half = MAX_RUN_LENGTH as u64 / 2;
        let around = |before: u64| {
            let hashes: Vec<u64> = (1024 - before..1024).chain(0..half).collect();
            assert_eq!((hashes.len() * 3 / 2 + 1).next_power_of_two(), 1024);
            OpenAddressTable::new(hashes.into_iter())
        };
        assert!(around(half).is_some());
        assert!(around(half + 1).is_none());
    }
}
