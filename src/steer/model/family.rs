//! Address families: IPv4 for queries of type A, IPv6 for those of type AAAA.

use std::net::IpAddr;

use crate::dns::Rtype;

/// An address family; a query of type A or AAAA asks for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, queried as type A.
    V4,
    /// IPv6, queried as type AAAA.
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family that a query type asks for; `None` for types other than A and AAAA.
    #[inline]
    pub fn asked_by(rtype: Rtype) -> Option<Self> {
        match rtype {
            Rtype::A => Some(Self::V4),
            Rtype::AAAA => Some(Self::V6),
            _ => None,
        }
    }

    /// The other family: IPv6 for IPv4, and the reverse.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// The family's name in reports: `IPv4` or `IPv6`.
    pub fn as_str(self) -> &'static str {
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
