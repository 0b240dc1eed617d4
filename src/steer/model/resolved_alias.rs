//! What an alias stands for at the moment, as a value. Who resolves it, and when, is no concern of
//! steering.

use std::net::IpAddr;

use super::family::Family;

/// How long what is answered instead of an alias that was never resolved may be cached, in seconds:
/// it is tried again soon.
const UNRESOLVED_TTL_SECS: u32 = 5;

/// What an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedAlias {
    addresses: Vec<IpAddr>,
    ttl_secs: u32,
}

/// An alias of which nothing is known yet: it holds nothing usable.
pub(in crate::steer) static UNRESOLVED: ResolvedAlias =
    ResolvedAlias { addresses: Vec::new(), ttl_secs: UNRESOLVED_TTL_SECS };

impl ResolvedAlias {
    /// Sorts the addresses: resolvers rotate them, and a rotation is no change. `ttl_secs` counts
    /// as 1 at least; without an address nothing is known, which is the default.
    pub fn new(mut addresses: Vec<IpAddr>, ttl_secs: u32) -> Self {
        if addresses.is_empty() {
            return Self::default();
        }
        addresses.sort_unstable();
        addresses.dedup();
        Self { addresses, ttl_secs: ttl_secs.max(1) }
    }

    /// In ascending order, both families; empty while it was never resolved.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Answers that hold the addresses, or are given for want of them, are not to be cached longer,
    /// in seconds; at least 1.
    pub fn ttl_secs(&self) -> u32 {
        self.ttl_secs
    }

    /// Whether it is known to have addresses, and none is of the family.
    pub(in crate::steer) fn lacks(&self, family: Family) -> bool {
        !self.addresses.is_empty()
            && !self.addresses.iter().any(|&address| family.contains(address))
    }
}

impl Default for ResolvedAlias {
    fn default() -> Self {
        UNRESOLVED.clone()
    }
}
