//! The clock of queries.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, modulo 2^32, as server cookies use them (RFC 9018 section 4.3). A clock
/// before 1970 reads as 1970.
pub(super) fn now_secs() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}
