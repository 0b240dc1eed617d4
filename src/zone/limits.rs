//! Limits on what one owner name and one RRset may hold.

/// How many types one owner may have, as in BIND (`max-types-per-name`): every record that is added
/// and every query for the owner looks at one type after the other.
pub(super) const MAX_TYPES_PER_OWNER: usize = 100;
/// Octets the records of one RRset may have: a message less header, question, and an ample OPT.
pub const MAX_RRSET_OCTETS: usize = 65_535 - 12 - 259 - 264;
