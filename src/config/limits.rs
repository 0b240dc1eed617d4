//! Bounds on what is parsed, so that no set of files can exhaust the memory.

/// Files of more octets are read table by table.
pub(super) const SPLIT_THRESHOLD_OCTETS: usize = 64 << 10;
/// Maximum number of octets that are parsed at once: their tree takes up to 75 times the memory.
pub const MAX_PARSE_OCTETS: usize = 4 << 20;
/// How many keys and values all tables may have. Each takes up to 500 octets while a configuration
/// is put together.
pub(super) const MAX_VALUES: usize = 1 << 23;
