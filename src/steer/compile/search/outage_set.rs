//! Outage sets: the datacenters whose outage can change a result, as bits.
//!
//! A proof looks at a failure of datacenters only where it can change the answer. With more than 64
//! datacenters, several share a bit: the set then has more of them than needed, and never fewer.

use crate::steer::model::DatacenterId;

/// Datacenters whose outage can change a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::steer) struct OutageSet(u64);

impl OutageSet {
    /// Adds a datacenter to the set.
    pub(in crate::steer) fn insert(&mut self, datacenter: DatacenterId) {
        self.0 |= Self::bit(datacenter);
    }

    /// Adds all datacenters of another set.
    #[inline]
    pub(in crate::steer) fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether a datacenter, or another one with the same bit, is in the set.
    pub(in crate::steer) fn may_contain(self, datacenter: DatacenterId) -> bool {
        self.0 & Self::bit(datacenter) != 0
    }

    fn bit(datacenter: DatacenterId) -> u64 {
        1 << (datacenter.0 % u64::BITS)
    }
}
