//! The hash function of the hash tables in this module.

/// Foldhash, a fast hash that is seeded at random.
pub(super) type FastHashState = foldhash::fast::RandomState;
