//! Network groups: the networks that samples are counted by. A narrow group, /24 of IPv4 or /48 of
//! IPv6, is about as precise as GeoIP databases and client subnets are. A wide one, /16 or /32,
//! joins narrow groups with few samples.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The number of low bits that hold the prefix.
const PREFIX_BITS: u32 = 48;

/// A network that samples are counted by: /24 or /16 of IPv4, /48 or /32 of IPv6.
///
/// One number, so that a slot of memory that threads share holds it: above `PREFIX_BITS` its
/// kind, from 1 to 4; below them the bits of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "NetworkText", into = "NetworkText")]
pub struct NetworkGroup(u64);

/// The text of a group in documents: `192.0.2.0/24`.
#[derive(Serialize, Deserialize)]
struct NetworkText(String);

/// The four kinds of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupKind {
    WideIpv4 = 1,
    NarrowIpv4 = 2,
    WideIpv6 = 3,
    NarrowIpv6 = 4,
}

impl GroupKind {
    const ALL: [Self; 4] = [Self::WideIpv4, Self::NarrowIpv4, Self::WideIpv6, Self::NarrowIpv6];

    /// The prefix length of groups of this kind.
    fn length(self) -> u8 {
        match self {
            Self::WideIpv4 => 16,
            Self::NarrowIpv4 => 24,
            Self::WideIpv6 => 32,
            Self::NarrowIpv6 => 48,
        }
    }
}

impl NetworkGroup {
    /// The narrow group that an address is in. An IPv4 address mapped to IPv6 is in a group of
    /// The family of IPv4 clients.
    #[inline]
    pub fn containing(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::new(GroupKind::NarrowIpv4, u64::from(v4.to_bits() >> 8)),
            IpAddr::V6(v6) => Self::new(GroupKind::NarrowIpv6, (v6.to_bits() >> 80) as u64),
        }
    }

    #[inline]
    fn new(kind: GroupKind, prefix: u64) -> Self {
        Self((kind as u64) << PREFIX_BITS | prefix)
    }

    /// The group as a number other than 0.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The group of [`NetworkGroup::to_bits`]; `None` for any other number.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let kind = GroupKind::ALL.into_iter().find(|kind| *kind as u64 == bits >> PREFIX_BITS)?;
        let prefix = bits & ((1 << PREFIX_BITS) - 1);
        (prefix >> kind.length() == 0).then_some(Self(bits))
    }

    fn kind(self) -> GroupKind {
        match self.0 >> PREFIX_BITS {
            1 => GroupKind::WideIpv4,
            2 => GroupKind::NarrowIpv4,
            3 => GroupKind::WideIpv6,
            // No other kind is ever made.
            _ => GroupKind::NarrowIpv6,
        }
    }

    /// Whether the group is of IPv4.
    pub fn is_ipv4(self) -> bool {
        matches!(self.kind(), GroupKind::WideIpv4 | GroupKind::NarrowIpv4)
    }

    /// The wide group that contains a narrow one; `None` for a wide one.
    pub fn wide(self) -> Option<Self> {
        let prefix = self.0 & ((1 << PREFIX_BITS) - 1);
        match self.kind() {
            GroupKind::NarrowIpv4 => Some(Self::new(GroupKind::WideIpv4, prefix >> 8)),
            GroupKind::NarrowIpv6 => Some(Self::new(GroupKind::WideIpv6, prefix >> 16)),
            GroupKind::WideIpv4 | GroupKind::WideIpv6 => None,
        }
    }

    /// The first and the last address, as numbers of their family.
    pub fn range(self) -> (u128, u128) {
        let prefix = u128::from(self.0 & ((1 << PREFIX_BITS) - 1));
        let width = if self.is_ipv4() { 32 } else { 128 };
        let host_bits = width - u32::from(self.kind().length());
        let first = prefix << host_bits;
        (first, first | ((1 << host_bits) - 1))
    }
}

impl fmt::Display for NetworkGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, length) = (self.range().0, self.kind().length());
        match self.is_ipv4() {
            true => write!(f, "{}/{length}", Ipv4Addr::from_bits(first as u32)),
            false => write!(f, "{}/{length}", Ipv6Addr::from_bits(first)),
        }
    }
}

impl From<NetworkGroup> for NetworkText {
    fn from(group: NetworkGroup) -> Self {
        Self(group.to_string())
    }
}

impl TryFrom<NetworkText> for NetworkGroup {
    type Error = String;

    fn try_from(NetworkText(text): NetworkText) -> Result<Self, String> {
        let invalid = || format!("{text:?} is no /16 or /24 of IPv4 and no /32 or /48 of IPv6");
        let network: IpNet = text.parse().map_err(|_| invalid())?;
        let narrow = Self::containing(network.network());
        let group = [Some(narrow), narrow.wide()];
        group.into_iter().flatten().find(|group| group.to_string() == text).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_narrow_group_and_that_in_a_wide_one() {
        for (address, narrow, wide) in [
            ("203.0.113.77", "203.0.113.0/24", "203.0.0.0/16"),
            ("::ffff:203.0.113.77", "203.0.113.0/24", "203.0.0.0/16"),
            ("255.255.255.255", "255.255.255.0/24", "255.255.0.0/16"),
            ("2001:db8:1:2::3", "2001:db8:1::/48", "2001:db8::/32"),
            ("::", "::/48", "::/32"),
        ] {
            let group = NetworkGroup::containing(address.parse().unwrap());
            assert_eq!(group.to_string(), narrow);
            let wider = group.wide().unwrap();
            assert_eq!((wider.to_string().as_str(), wider.wide()), (wide, None));
            for group in [group, wider] {
                let prefix: IpNet = group.to_string().parse().unwrap();
                let number = |address: IpAddr| match address {
                    IpAddr::V4(v4) => u128::from(v4.to_bits()),
                    IpAddr::V6(v6) => v6.to_bits(),
                };
                let ends = (number(prefix.network()), number(prefix.broadcast()));
                assert_eq!((group.range(), group.is_ipv4()), (ends, prefix.addr().is_ipv4()));
            }
        }
    }

    #[test]
    fn a_group_survives_its_number_and_its_text_and_nothing_else_is_a_group() {
        for address in ["203.0.113.77", "0.0.0.0", "2001:db8:1:2::3", "::"] {
            let narrow = NetworkGroup::containing(address.parse().unwrap());
            for group in [narrow, narrow.wide().unwrap()] {
                assert_eq!(NetworkGroup::from_bits(group.to_bits()), Some(group));
                let text = serde_json::to_string(&group).unwrap();
                assert_eq!(serde_json::from_str::<NetworkGroup>(&text).unwrap(), group);
            }
        }
        for bits in [0, 1, 5 << PREFIX_BITS, 1 << PREFIX_BITS | 1 << 16] {
            assert_eq!(NetworkGroup::from_bits(bits), None, "{bits:x}");
        }
        for text in ["\"203.0.113.0/25\"", "\"203.0.113.1/24\"", "\"::/0\"", "\"web\"", "7"] {
            assert!(serde_json::from_str::<NetworkGroup>(text).is_err(), "{text}");
        }
    }
}
