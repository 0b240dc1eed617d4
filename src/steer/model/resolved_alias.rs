//! The addresses of an alias at present, as a value. `resolve` queries them; steering only reads
//! them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::family::Family;

/// The TTL in seconds of answers given while an alias was never resolved: low, since the next
/// attempt to resolve it is soon.
const UNRESOLVED_TTL_SECS: u32 = 5;

/// The addresses of an alias and how long they may be cached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedAlias {
    addresses: Vec<IpAddr>,
    ttl_secs: u32,
}

/// An alias that was never resolved: it has no usable address.
pub(in crate::steer) static UNRESOLVED: ResolvedAlias =
    ResolvedAlias { addresses: Vec::new(), ttl_secs: UNRESOLVED_TTL_SECS };

impl ResolvedAlias {
    /// Sorts the addresses: resolvers rotate them, and a rotation is no change. `ttl_secs` is
    /// raised to 1. Without addresses the alias counts as never resolved, which is the default.
    pub fn new(mut addresses: Vec<IpAddr>, ttl_secs: u32) -> Self {
        if addresses.is_empty() {
            return Self::default();
        }
        addresses.sort_unstable();
        addresses.dedup();
        Self { addresses, ttl_secs: ttl_secs.max(1) }
    }

    /// The addresses of both families in ascending order; empty while it was never resolved.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The maximum TTL, in seconds, of answers that hold the addresses or are given because there
    /// are none; at least 1.
    pub fn ttl_secs(&self) -> u32 {
        self.ttl_secs
    }

    /// Whether it was resolved and none of its addresses is of the family.
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
