//! The address family of clients.

use crate::geo::Run;

/// The address family of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClientFamily {
    /// IPv4 clients, counted by address.
    V4,
    /// IPv6 clients, counted by address, and shown by /48.
    V6,
}

impl ClientFamily {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The name of the family: `IPv4` or `IPv6`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The position of the family in [`ClientFamily::BOTH`].
    pub(super) fn index(self) -> usize {
        usize::from(self == Self::V6)
    }

    pub(super) fn holds(self, run: &Run) -> bool {
        run.first.is_ipv4() == (self == Self::V4)
    }

    /// The number of bits of an address.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}
