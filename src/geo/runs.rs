//! Sorted runs of addresses over a whole address space, each with one value, and for IPv6 an index
//! to find the run of an address.
//!
//! Invariants: the first run starts at the first address; neighbouring runs have different values.

use super::{address::Address, column::CompactColumn};

/// The number of runs for each index entry of a window, as a power of two. An entry costs four
/// octets, a step of the search about 2 ns. Most IPv6 runs are in two of the six windows, and the
/// index of every window is fine enough for those.
const RUNS_PER_ENTRY_BITS: u32 = 2;
/// The maximum number of index bits of a window, whose index then has 4 MiB.
const MAX_INDEX_BITS: u32 = 20;

/// Runs in address order, which cover a whole address space.
#[derive(Debug, Clone)]
pub(super) struct SortedRuns<K> {
    starts: Vec<K>,
    values: CompactColumn,
}

/// Sorted runs with an index.
#[derive(Debug, Clone)]
pub(super) struct IndexedRuns<K> {
    sorted: SortedRuns<K>,
    /// For each window, and for each step through it, the run of the first address of the step; one
    /// more entry for the end of the window.
    index: Box<[u32]>,
    shift: u8,
}

/// Builds runs from pieces in address order; joins neighbouring pieces of equal value.
pub(super) struct RunsBuilder<K> {
    starts: Vec<K>,
    values: CompactColumn,
    last: Option<u32>,
}

/// The run that an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueRun<K> {
    pub(super) value: u32,
    pub(super) first: K,
    pub(super) last: K,
}

impl<K: Address> RunsBuilder<K> {
    pub(super) fn new() -> Self {
        Self { starts: Vec::new(), values: CompactColumn::default(), last: None }
    }

    /// Adds a piece, which must start above the previous one. It ends where the next one starts.
    #[inline]
    pub(super) fn push(&mut self, start: K, value: u32) {
        if self.last != Some(value) {
            self.starts.push(start);
            self.values.push(value);
            self.last = Some(value);
        }
    }

    /// The runs of all pieces. The first piece must have started at the first address.
    pub(super) fn finish(self) -> SortedRuns<K> {
        debug_assert_eq!(self.starts.first(), Some(&K::MIN));
        SortedRuns { starts: self.starts, values: self.values }
    }
}

impl<K: Address> SortedRuns<K> {
    #[inline]
    pub(super) fn run(&self, run: usize) -> ValueRun<K> {
        let last = self.starts.get(run + 1).and_then(|next| next.preceding()).unwrap_or(K::MAX);
        ValueRun { value: self.values.value_at(run), first: self.starts[run], last }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether every value is below 65,536.
    pub(super) fn values_fit_16_bits(&self) -> bool {
        matches!(self.values, CompactColumn::Narrow(_))
    }

    fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.values.shrink();
    }
}

/// The runs of ascending pieces that cover the address space. Neighbouring pieces of equal value
/// become one run.
pub(super) fn merge_equal_neighbours<K: Address>(
    pieces: impl Iterator<Item = (K, u32)>,
) -> impl Iterator<Item = ValueRun<K>> {
    let mut pieces = pieces.peekable();
    std::iter::from_fn(move || {
        let (first, value) = pieces.next()?;
        while pieces.next_if(|&(_, next)| next == value).is_some() {}
        let last = pieces.peek().and_then(|(next, _)| next.preceding()).unwrap_or(K::MAX);
        Some(ValueRun { value, first, last })
    })
}

/// The index, and the shift that turns the distance of an address from the start of its window into
/// a step.
fn index<K: Address>(starts: &[K]) -> (Box<[u32]>, u8) {
    let count_bits = usize::BITS - starts.len().leading_zeros();
    let bits = count_bits.saturating_sub(RUNS_PER_ENTRY_BITS).min(MAX_INDEX_BITS);
    let shift = K::WIDTH - K::WINDOW_LENGTH - bits as u8;
    let mut run = 0;
    let mut run_at = |address: Option<K>| {
        while starts
            .get(run + 1)
            .is_some_and(|&start| address.is_none_or(|address| start <= address))
        {
            run += 1;
        }
        run as u32
    };
    let windows = K::WINDOWS.iter();
    let steps = windows
        .flat_map(|&window| (0..=1usize << bits).map(move |step| K::at_step(window, step, shift)));
    (steps.map(&mut run_at).collect(), shift)
}

impl<K: Address> IndexedRuns<K> {
    /// Adds an index to runs.
    pub(super) fn with_index(mut sorted: SortedRuns<K>) -> Self {
        sorted.shrink();
        let (index, shift) = index(&sorted.starts);
        Self { sorted, index, shift }
    }

    /// The run that an address is in. Allocates nothing.
    #[inline]
    pub(super) fn find(&self, address: K) -> ValueRun<K> {
        let (low, high) = self.candidate_runs(address);
        // The result is the last run that starts at or below the address. `low` is one that does.
        let above_low = &self.sorted.starts[low + 1..=high];
        let run = low + above_low.partition_point(|&start| start <= address);
        self.sorted.run(run)
    }

    /// The first address of a run.
    #[inline]
    pub(super) fn start(&self, run: usize) -> K {
        self.sorted.starts[run]
    }

    /// The first and the last run that may contain the address.
    #[inline]
    pub(super) fn candidate_runs(&self, address: K) -> (usize, usize) {
        let Some(window) = address.window() else { return (0, self.len() - 1) };
        let steps = self.index.len() / K::WINDOWS.len();
        let step = window * steps + address.steps_above(K::WINDOWS[window], self.shift);
        (self.index[step] as usize, self.index[step + 1] as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ValueRun<K>> {
        (0..self.len()).map(|run| self.sorted.run(run))
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.sorted.starts.capacity() * size_of::<K>()
            + self.sorted.values.memory_bytes()
            + self.index.len() * 4
    }
}

impl<K: Address> ValueRun<K> {
    /// The length of the widest prefix around `address` that lies in this run. It is one bit longer
    /// than the longer of the prefixes that the address shares with the two addresses just outside.
    #[inline]
    pub(super) fn scope(&self, address: K) -> u8 {
        let below = self.first.preceding().map_or(0, |outside| address.shared_bits(outside) + 1);
        let above = self.last.following().map_or(0, |outside| address.shared_bits(outside) + 1);
        below.max(above)
    }
}
