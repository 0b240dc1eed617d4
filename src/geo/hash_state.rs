//! The hash function of this module's tables.

/// Foldhash, seeded at random.
pub(super) type FastHashState = foldhash::fast::RandomState;
