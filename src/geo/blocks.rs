//! The runs of IPv4, laid out so that a lookup touches two cache lines: the cell of a block, and
//! the block.
//!
//! A block is a /16. If it lies in a single run, its cell has the value and the scope, which is the
//! same for every address in it. A /8 in a single run also has such a cell. Any other block is
//! a short sorted list of entries, one for each run in it: the lower half of the start address, and
//! the value. A scope inside such a block never exceeds it, so its neighbours are not read.
//!
//! Invariants: the entries of a block start at its first address and ascend; a block with one entry
//! is a cell.

use super::runs::{SortedRuns, ValueRun, merge_equal_neighbours};

/// The number of address bits below a block.
const LOW_BITS: u32 = 16;
/// The number of blocks in a /8, and of pages in the address space.
const BLOCKS_PER_PAGE: usize = 256;
/// The bit of a cell that has the value itself.
const WHOLE_CELL: u32 = 1 << 31;
const SCOPE_BITS: u32 = 5;

/// The runs of all of IPv4.
#[derive(Debug, Clone)]
pub(super) enum Blocks {
    /// All values are below 65,536, as in nearly every atlas.
    Narrow(BlockTable<u32>),
    /// Values of any size.
    Wide(BlockTable<u64>),
}

/// The cells, and the entries of the blocks that have several runs.
#[derive(Debug, Clone)]
pub(super) struct BlockTable<P> {
    /// By first octet: the cell of the /8, or the position of its page.
    root: Box<[u32; BLOCKS_PER_PAGE]>,
    /// By second octet: the cell of the /16, or the position of its block in `entries`: a head, and
    /// then the entries.
    pages: Box<[[u32; BLOCKS_PER_PAGE]]>,
    entries: Box<[P]>,
    runs: u32,
}

/// An entry of a block: where a run starts in the block, and its value. Or the head of a block: the
/// number of entries after the first one.
pub(super) trait BlockEntry: Copy {
    fn new(low: u32, value: u32) -> Self;
    fn low(self) -> u32;
    fn value(self) -> u32;
}

impl BlockEntry for u32 {
    fn new(low: u32, value: u32) -> Self {
        low << 16 | value
    }
    #[inline]
    fn low(self) -> u32 {
        self >> 16
    }
    #[inline]
    fn value(self) -> u32 {
        self & 0xffff
    }
}

impl BlockEntry for u64 {
    fn new(low: u32, value: u32) -> Self {
        Self::from(low) << 32 | Self::from(value)
    }
    #[inline]
    fn low(self) -> u32 {
        (self >> 32) as u32
    }
    #[inline]
    fn value(self) -> u32 {
        self as u32
    }
}

/// The value of the run of an address, and the length of the widest prefix around the address that
/// lies in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScopedValue {
    pub(super) value: u32,
    pub(super) scope: u8,
}

impl ScopedValue {
    /// The cell with this value and scope.
    ///
    /// # Panics
    /// If an atlas has more than 33 million areas. Each area needs a record of a database, and a
    /// database has at most 4 GiB.
    fn to_cell(self) -> u32 {
        assert!(self.value < WHOLE_CELL >> SCOPE_BITS, "an area's number fits into a cell");
        WHOLE_CELL | self.value << SCOPE_BITS | u32::from(self.scope)
    }

    #[inline]
    fn from_cell(cell: u32) -> Option<Self> {
        let is_whole = cell & WHOLE_CELL != 0;
        is_whole
            .then_some(Self { value: (cell & !WHOLE_CELL) >> SCOPE_BITS, scope: (cell & 31) as u8 })
    }
}

impl Blocks {
    /// Lays runs out in blocks.
    pub(super) fn from_runs(runs: &SortedRuns<u32>) -> Self {
        if runs.values_fit_16_bits() {
            Self::Narrow(BlockTable::from_runs(runs))
        } else {
            Self::Wide(BlockTable::from_runs(runs))
        }
    }

    /// The value and the scope of an address. Allocates nothing.
    #[inline]
    pub(super) fn find(&self, address: u32) -> ScopedValue {
        match self {
            Self::Narrow(table) => table.find(address),
            Self::Wide(table) => table.find(address),
        }
    }

    /// The value and scope in the cell of an address, or the position of its block.
    #[inline]
    pub(super) fn cell_or_block(&self, address: u32) -> Result<ScopedValue, u32> {
        match self {
            Self::Narrow(table) => table.cell_or_block(address),
            Self::Wide(table) => table.cell_or_block(address),
        }
    }

    /// The head of the block at a position that [`Blocks::cell_or_block`] returned.
    #[inline]
    pub(super) fn block_head(&self, position: u32) -> u32 {
        match self {
            Self::Narrow(table) => table.entries[position as usize].low(),
            Self::Wide(table) => table.entries[position as usize].low(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ValueRun<u32>> {
        let (narrow, wide) = match self {
            Self::Narrow(table) => (Some(table.starts()), None),
            Self::Wide(table) => (None, Some(table.starts())),
        };
        merge_equal_neighbours(narrow.into_iter().flatten().chain(wide.into_iter().flatten()))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(table) => table.runs as usize,
            Self::Wide(table) => table.runs as usize,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Narrow(table) => table.memory_bytes(),
            Self::Wide(table) => table.memory_bytes(),
        }
    }
}

impl<P: BlockEntry> BlockTable<P> {
    fn from_runs(runs: &SortedRuns<u32>) -> Self {
        let mut layout = BlockLayout { pages: Vec::new(), entries: Vec::new() };
        let mut cursor = BlockCursor { runs, run: 0 };
        let root = std::array::from_fn(|octet| {
            let first = (octet as u32) << 24;
            let cell = cursor.whole_cell(first, 8);
            cell.unwrap_or_else(|| layout.page(first, &mut cursor))
        });
        let BlockLayout { pages, entries } = layout;
        let runs = runs.len() as u32;
        Self {
            root: Box::new(root),
            pages: pages.into_boxed_slice(),
            entries: entries.into_boxed_slice(),
            runs,
        }
    }

    #[inline]
    fn find(&self, address: u32) -> ScopedValue {
        self.cell_or_block(address)
            .unwrap_or_else(|position| self.find_in(self.block(position), address & 0xffff))
    }

    #[inline]
    fn cell_or_block(&self, address: u32) -> Result<ScopedValue, u32> {
        let cell = self.root[(address >> 24) as usize];
        if let Some(found) = ScopedValue::from_cell(cell) {
            return Ok(found);
        }
        let cell = self.pages[cell as usize][(address >> LOW_BITS & 0xff) as usize];
        ScopedValue::from_cell(cell).ok_or(cell)
    }

    /// The entries of the block at a position.
    #[inline]
    fn block(&self, position: u32) -> &[P] {
        let first = position as usize + 1;
        &self.entries[first..=first + self.entries[position as usize].low() as usize]
    }

    #[inline]
    fn find_in(&self, block: &[P], low: u32) -> ScopedValue {
        // The first entry starts at the first address of the block.
        let following = count_entries_up_to(block, low);
        let entry = block[following - 1];
        let shared = |outside: u32| (low ^ outside).leading_zeros() as u8 + 1;
        let below = if following == 1 { 0 } else { shared(entry.low() - 1) };
        let above = block.get(following).map_or(0, |next| shared(next.low()));
        ScopedValue { value: entry.value(), scope: below.max(above) }
    }

    /// The first address and the value of each entry and cell, ascending. Neighbours may have equal
    /// values.
    fn starts(&self) -> impl Iterator<Item = (u32, u32)> {
        let cell_start =
            |first: u32, cell: u32| ScopedValue::from_cell(cell).map(|found| (first, found.value));
        let block_starts = move |first: u32, cell: u32| {
            let entries = if cell_start(first, cell).is_some() { &[] } else { self.block(cell) };
            let entries = entries.iter().map(move |entry| (first | entry.low(), entry.value()));
            cell_start(first, cell).into_iter().chain(entries)
        };
        (0..BLOCKS_PER_PAGE as u32).flat_map(move |octet| {
            let (first, cell) = (octet << 24, self.root[octet as usize]);
            let page = if cell_start(first, cell).is_some() {
                &[][..]
            } else {
                &self.pages[cell as usize][..]
            };
            let blocks = page
                .iter()
                .zip(0_u32..)
                .flat_map(move |(&cell, n)| block_starts(first | n << LOW_BITS, cell));
            cell_start(first, cell).into_iter().chain(blocks)
        })
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&*self.root) + size_of_val(&*self.pages) + size_of_val(&*self.entries)
    }
}

/// The number of entries of a block that start at or below an address.
#[inline]
fn count_entries_up_to<P: BlockEntry>(block: &[P], low: u32) -> usize {
    // Counting a few entries is faster than a binary search: the reads of a count are independent,
    // while each step of a search depends on the one before it.
    const FEW: usize = 64;
    if block.len() <= FEW {
        block.iter().map(|entry| u32::from(entry.low() <= low)).sum::<u32>() as usize
    } else {
        block.partition_point(|entry| entry.low() <= low)
    }
}

/// The pages and entries laid out so far.
struct BlockLayout<P> {
    pages: Vec<[u32; BLOCKS_PER_PAGE]>,
    entries: Vec<P>,
}

impl<P: BlockEntry> BlockLayout<P> {
    /// Lays out the /8 that starts at `first`, and returns the position of its page.
    fn page(&mut self, first: u32, cursor: &mut BlockCursor<'_>) -> u32 {
        let page = std::array::from_fn(|octet| {
            let first = first | (octet as u32) << LOW_BITS;
            cursor.whole_cell(first, 16).unwrap_or_else(|| self.block(first, cursor))
        });
        self.pages.push(page);
        self.pages.len() as u32 - 1
    }

    /// Lays out the /16 that starts at `first`, and returns the position of its block.
    fn block(&mut self, first: u32, cursor: &mut BlockCursor<'_>) -> u32 {
        let head = self.entries.len();
        self.entries.push(P::new(0, 0));
        self.entries.extend(cursor.entries(first).map(|(low, value)| P::new(low, value)));
        self.entries[head] = P::new((self.entries.len() - head - 2) as u32, 0);
        head as u32
    }
}

/// A position among the runs, which moves upwards.
struct BlockCursor<'a> {
    runs: &'a SortedRuns<u32>,
    run: usize,
}

impl BlockCursor<'_> {
    /// Moves to the run that contains `address`, which must not be below the present run.
    fn seek(&mut self, address: u32) -> ValueRun<u32> {
        while self.runs.run(self.run).last < address {
            self.run += 1;
        }
        self.runs.run(self.run)
    }

    /// The cell of a prefix; `None` unless the prefix lies in one run.
    fn whole_cell(&mut self, first: u32, length: u8) -> Option<u32> {
        let found = self.seek(first);
        let last = first | u32::MAX >> length;
        (found.last >= last)
            .then(|| ScopedValue { value: found.value, scope: found.scope(first) }.to_cell())
    }

    /// The entries of a block: the start in the block and the value of each run.
    fn entries(&mut self, first: u32) -> impl Iterator<Item = (u32, u32)> {
        let last = first | u32::MAX >> LOW_BITS;
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let start = next?;
            let found = self.seek(start);
            next = (found.last < last).then(|| found.last + 1);
            Some((start & 0xffff, found.value))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geo::runs::RunsBuilder;

    /// Runs that start at these addresses and at the first address. The value of each is its
    /// position times `step`.
    fn sorted(starts: &[u32], step: u32) -> SortedRuns<u32> {
        let mut starts = [&[0], starts].concat();
        starts.sort_unstable();
        starts.dedup();
        let mut runs = RunsBuilder::new();
        starts.iter().zip(0..).for_each(|(&start, number)| runs.push(start, number * step));
        runs.finish()
    }

    fn naive(runs: &SortedRuns<u32>, address: u32) -> ScopedValue {
        let found =
            (0..runs.len()).map(|run| runs.run(run)).find(|run| run.last >= address).unwrap();
        ScopedValue { value: found.value, scope: found.scope(address) }
    }

    proptest! {
        #[test]
        fn blocks_find_what_a_walk_over_the_runs_finds(
            starts in prop::collection::vec(prop_oneof![
                any::<u32>(), any::<u16>().prop_map(|high| u32::from(high) << 16), 0x0a0b_0000..0x0a0b_0040_u32,
            ], 0..60),
            others in prop::collection::vec(any::<u32>(), 20),
            step in prop_oneof![Just(1_u32), Just(5_000)],
        ) {
            let runs = sorted(&starts, step);
            let blocks = Blocks::from_runs(&runs);
            prop_assert_eq!(matches!(blocks, Blocks::Narrow(_)), runs.values_fit_16_bits());
            let edges = starts.iter().flat_map(|&start| [start.wrapping_sub(1), start, start.wrapping_add(1)]);
            for address in edges.chain(others).chain([0, u32::MAX]) {
                prop_assert_eq!(blocks.find(address), naive(&runs, address), "{:#x}", address);
            }
            let listed: Vec<_> = blocks.iter().collect();
            prop_assert_eq!(listed, (0..runs.len()).map(|run| runs.run(run)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_block_can_hold_a_run_for_each_of_its_addresses() {
        let starts: Vec<u32> = (0x0102_0000..=0x0102_ffff).collect();
        let runs = sorted(&starts, 1);
        let blocks = Blocks::from_runs(&runs);
        for address in [0x0102_0000, 0x0102_0001, 0x0102_8000, 0x0102_ffff] {
            assert_eq!(
                blocks.find(address),
                ScopedValue { value: address - 0x0102_0000 + 1, scope: 32 }
            );
        }
        assert_eq!(blocks.len(), 65_537);
    }
}
