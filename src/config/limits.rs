//! Bounds on what is parsed, so that no set of files can exhaust the memory.

/// Files with more octets than this are cut into tables, and each table is parsed by itself.
pub(super) const SPLIT_THRESHOLD_OCTETS: usize = 64 << 10;
/// Maximum number of octets that are parsed at once: their tree takes up to 75 times the memory.
pub const MAX_PARSE_OCTETS: usize = 4 << 20;
/// The maximum number of keys and values in all tables. Each takes up to 500 octets while a
/// configuration is compiled.
pub(super) const MAX_VALUES: usize = 1 << 23;
