//! The one hash of names, so that a hash worked out once serves every table.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

/// The hash of a lower-cased wire name. The seed is fixed: the keys come from configuration, and a query only looks up.
pub(crate) fn hash(wire: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x706f_7274_6f6c_616e).build_hasher();
    hasher.write(wire);
    hasher.finish()
}
