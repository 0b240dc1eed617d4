//! The hash of names. One computed hash of a name serves every table that the name is looked up in.
//!
//! The seeds belong to the process. With public seeds, a zone file of 3 MB could hold names that
//! all fall into one run of cells, and each query for an absent name would read the whole run, on
//! threads that all zones share. So nothing may depend on a hash across runs: not the order of
//! anything, not an answer.

use std::{hash::Hasher as _, sync::OnceLock};

use foldhash::{SharedSeed, fast::FoldHasher};

/// The number of seeds.
pub(super) const SEED_COUNT: usize = 4;
/// The seed of names in queries.
pub(super) const QUERY_SEED: usize = 0;
/// The seeds of tables whose names form too long a run under the seed of queries.
pub(super) const SPARE_SEEDS: [usize; 2] = [1, 2];
/// The seed of tables that only a load uses: the time of a reply reveals nothing about it.
pub(super) const LOAD_SEED: usize = 3;

/// The seeds of this process, once the first name was hashed or they were set.
static SEEDS_OF_PROCESS: OnceLock<[HashSeed; SEED_COUNT]> = OnceLock::new();

/// One seed. foldhash multiplies names by the shared part: names that collide under a known shared
/// part collide under every initial state.
pub(super) struct HashSeed {
    initial_state: u64,
    shared: SharedSeed,
}

impl HashSeed {
    pub(super) const fn new([initial_state, shared]: [u64; 2]) -> Self {
        Self { initial_state, shared: SharedSeed::from_u64(shared) }
    }

    /// The hash of a lower-cased wire name under this seed.
    #[inline(always)]
    pub(super) fn hash(&self, wire: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.initial_state, &self.shared);
        hasher.write(wire);
        hasher.finish()
    }
}

/// Sets the seeds of this process to random numbers from the kernel. Without a call the seeds are
/// fixed, for tests and benchmarks.
///
/// # Errors
/// A name was hashed or seeds were set before: the tables that exist depend on the earlier seeds,
/// which stay in force.
pub fn set_hash_seeds(random: [[u64; 2]; 4]) -> Result<(), HashSeedsInUse> {
    SEEDS_OF_PROCESS.set(random.map(HashSeed::new)).map_err(|_| HashSeedsInUse)
}

/// The hash seeds are in use and cannot change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashSeedsInUse;

impl std::fmt::Display for HashSeedsInUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("names were hashed before the hash seeds were set")
    }
}

impl std::error::Error for HashSeedsInUse {}

#[inline(always)]
fn seeds() -> &'static [HashSeed; SEED_COUNT] {
    SEEDS_OF_PROCESS.get_or_init(fixed_seeds)
}

/// The first seed is that of the versions that had no seeds for each process, so that benchmarks of
/// all versions meet the same collisions.
#[cold]
fn fixed_seeds() -> [HashSeed; SEED_COUNT] {
    let first = HashSeed {
        initial_state: 0x7841_88ec_8322_0de7,
        shared: SharedSeed::global_fixed().clone(),
    };
    let [second, third, fourth] = [1, 2, 3].map(|seed| HashSeed::new([seed, !seed]));
    [first, second, third, fourth]
}

/// The hash of a lower-cased wire name under the seed of queries.
#[inline]
pub(crate) fn hash_name(wire: &[u8]) -> u64 {
    seeds()[QUERY_SEED].hash(wire)
}

/// The hash of a lower-cased wire name under the seed with this number.
pub(super) fn hash_by(seed: usize, wire: &[u8]) -> u64 {
    seeds()[seed].hash(wire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seeds_make_the_same_hashes() {
        let name = b"\x03www\x04test\0";
        let mut hashes: Vec<u64> = (0..SEED_COUNT).map(|seed| hash_by(seed, name)).collect();
        assert_eq!(hashes[QUERY_SEED], hash_name(name));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), SEED_COUNT);
    }

    #[test]
    fn seeds_do_not_change_once_a_name_was_hashed() {
        let before = hash_name(b"\x01a\0");
        assert_eq!(set_hash_seeds([[7, 8]; 4]), Err(HashSeedsInUse));
        assert_eq!(hash_name(b"\x01a\0"), before);
    }
}
