//! Limits on what one owner name and one RRset may hold.

/// The maximum number of types at one owner, as in BIND (`max-types-per-name`): adding a record and
/// answering a query each search the owner's types one by one.
pub(super) const MAX_TYPES_PER_OWNER: usize = 100;
/// The maximum size of the records of one RRset, in octets: a message without its header, its
/// question and a large OPT record.
pub const MAX_RRSET_OCTETS: usize = 65_535 - 12 - 259 - 264;
