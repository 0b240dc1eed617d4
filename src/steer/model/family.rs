//! Address families: what a query of type A or AAAA asks for.

use std::net::IpAddr;

use crate::dns::Rtype;

/// An address family, which is also what a query of type A or AAAA asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub(in crate::steer) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family whose addresses a type asks for; other types have none.
    #[inline]
    pub fn asked_by(rtype: Rtype) -> Option<Self> {
        match rtype {
            Rtype::A => Some(Self::V4),
            Rtype::AAAA => Some(Self::V6),
            _ => None,
        }
    }

    /// IPv6 for IPv4, and IPv4 for IPv6.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// `IPv4` or `IPv6`.
    pub fn word(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Whether an address is of this family.
    pub(in crate::steer) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}
