//! Addresses as numbers, so that the same code handles both families, and IPv6 addresses that embed
//! an IPv4 address, which are looked up as that address.

use std::{
    fmt::Debug,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Address: Copy + Ord + Debug + 'static {
    /// The number of bits of an address.
    const WIDTH: u8;
    const MIN: Self;
    const MAX: Self;
    /// The blocks with an index, in order: all of IPv4; of IPv6 the /12 blocks from which the
    /// registries assign (IANA's unicast assignments; 2000::/12 contains 2001:200::/23 and others).
    const WINDOWS: &'static [Self];
    /// The prefix length of each window.
    const WINDOW_LENGTH: u8;

    /// The position of the window that the address is in.
    fn window(self) -> Option<usize>;

    /// The mask of the host bits below a prefix of `length` bits.
    fn host_bits(length: u8) -> Self;
    fn with_bits(self, bits: Self) -> Self;
    fn without_bits(self, bits: Self) -> Self;
    fn following(self) -> Option<Self>;
    fn preceding(self) -> Option<Self>;
    /// The number of leading bits that are equal in both addresses.
    fn shared_bits(self, other: Self) -> u8;
    /// The number of complete steps of `2^shift` from `base` to this address, which must not be
    /// below `base`. The caller ensures that the result fits.
    fn steps_above(self, base: Self, shift: u8) -> usize;
    /// `base + step * 2^shift`; `None` beyond the end of the address space.
    fn at_step(base: Self, step: usize, shift: u8) -> Option<Self>;
    fn to_ip(self) -> IpAddr;
    /// The first address and the length of a prefix; `None` for a prefix of the other family.
    fn of_prefix(prefix: &IpNet) -> Option<(Self, u8)>;
    /// The number of addresses from `first` to `last`, both included; saturates for all of IPv6.
    fn count(first: Self, last: Self) -> u128;

    /// The last address of the prefix of `length` bits that starts at this address.
    fn last_of(self, length: u8) -> Self {
        self.with_bits(Self::host_bits(length))
    }

    /// The prefix of `length` bits that this address is in.
    fn prefix(self, length: u8) -> IpNet {
        IpNet::new_assert(self.without_bits(Self::host_bits(length)).to_ip(), length)
    }
}

macro_rules! address {
    ($number:ty, $windows:expr, $window_length:expr, $window:expr, $ip:ty, $variant:ident) => {
        impl Address for $number {
            const WIDTH: u8 = <$number>::BITS as u8;
            const MIN: Self = 0;
            const MAX: Self = <$number>::MAX;
            const WINDOWS: &'static [Self] = &$windows;
            const WINDOW_LENGTH: u8 = $window_length;

            #[inline]
            fn window(self) -> Option<usize> {
                ($window)(self)
            }
            #[inline]
            fn host_bits(length: u8) -> Self {
                Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
            }
            #[inline]
            fn with_bits(self, bits: Self) -> Self {
                self | bits
            }
            #[inline]
            fn without_bits(self, bits: Self) -> Self {
                self & !bits
            }
            #[inline]
            fn following(self) -> Option<Self> {
                self.checked_add(1)
            }
            #[inline]
            fn preceding(self) -> Option<Self> {
                self.checked_sub(1)
            }
            #[inline]
            fn shared_bits(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }
            #[inline]
            fn steps_above(self, base: Self, shift: u8) -> usize {
                (self - base).checked_shr(u32::from(shift)).unwrap_or(0) as usize
            }
            #[inline]
            fn at_step(base: Self, step: usize, shift: u8) -> Option<Self> {
                let distance = (step as u128)
                    .checked_shl(u32::from(shift))
                    .filter(|d| d >> shift == step as u128)?;
                base.checked_add(Self::try_from(distance).ok()?)
            }
            fn to_ip(self) -> IpAddr {
                IpAddr::$variant(<$ip>::from(self))
            }
            fn of_prefix(prefix: &IpNet) -> Option<(Self, u8)> {
                match prefix {
                    IpNet::$variant(net) => Some((Self::from(net.network()), net.prefix_len())),
                    _ => None,
                }
            }
            fn count(first: Self, last: Self) -> u128 {
                u128::from(last - first).saturating_add(1)
            }
        }
    };
}

address!(u32, [0], 0, |_| Some(0), Ipv4Addr, V4);
address!(
    u128,
    [0x200 << 116, 0x240 << 116, 0x260 << 116, 0x280 << 116, 0x2a0 << 116, 0x2c0 << 116],
    12,
    |address: u128| match address >> 116 {
        0x200 => Some(0),
        0x240 => Some(1),
        0x260 => Some(2),
        0x280 => Some(3),
        0x2a0 => Some(4),
        0x2c0 => Some(5),
        _ => None,
    },
    Ipv6Addr,
    V6
);

/// The form in which an IPv6 address embeds an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ipv4Embedding {
    /// `::ffff:0:0/96` (RFC 4291 section 2.5.5.2): the last 32 bits. A dual-stack socket has this
    /// form for an IPv4 client.
    Mapped,
    /// `2002::/16` (RFC 3056 section 2): the 32 bits after the first 16.
    SixToFour,
    /// `2001::/32` (RFC 4380 section 4): the address of the client is the last 32 bits, inverted so
    /// that no middlebox rewrites it. The bits in between are the relay and the port, which do not
    /// depend on where the client is.
    Teredo,
}

impl Ipv4Embedding {
    pub(super) const ALL: [Self; 3] = [Self::Mapped, Self::SixToFour, Self::Teredo];

    /// The first address and the prefix length of the block.
    pub(super) const fn block(self) -> (u128, u8) {
        match self {
            Self::Mapped => (0xffff << 32, 96),
            Self::SixToFour => (0x2002 << 112, 16),
            Self::Teredo => (0x2001_0000 << 96, 32),
        }
    }

    fn detect(address: u128) -> Option<Self> {
        let [mapped, six_to_four, teredo] = [address >> 32, address >> 112, address >> 96];
        match (mapped, six_to_four, teredo) {
            (0xffff, _, _) => Some(Self::Mapped),
            (_, 0x2002, _) => Some(Self::SixToFour),
            (_, _, 0x2001_0000) => Some(Self::Teredo),
            _ => None,
        }
    }

    fn embedded_ipv4(self, address: u128) -> u32 {
        match self {
            Self::Mapped => address as u32,
            Self::SixToFour => (address >> 80) as u32,
            Self::Teredo => !(address as u32),
        }
    }

    /// The length of the IPv6 prefix that covers `length` bits of the IPv4 address. It is never
    /// shorter than the block, because the neighbours of the block are not IPv4. The inverted bits
    /// of Teredo also form prefixes.
    pub(super) fn prefix_length(self, length: u8) -> u8 {
        match self {
            Self::Mapped => 96 + length,
            Self::SixToFour => 16 + length,
            Self::Teredo if length == 0 => 32,
            Self::Teredo => 96 + length,
        }
    }
}

/// The IPv4 address that an IPv6 address embeds, and its form.
#[inline]
pub(super) fn embedded_ipv4(address: u128) -> Option<(u32, Ipv4Embedding)> {
    let embedding = Ipv4Embedding::detect(address)?;
    Some((embedding.embedded_ipv4(address), embedding))
}

/// The prefix that lookups use: for an IPv6 prefix that embeds an IPv4 prefix, the IPv4 prefix;
/// otherwise the prefix itself.
pub(super) fn as_lookup_prefix(prefix: IpNet) -> IpNet {
    let IpNet::V6(v6) = prefix else { return prefix };
    let embedded_prefix = |v6: Ipv6Net| {
        let (address, embedding) = embedded_ipv4(u128::from(v6.network()))?;
        let length = match embedding {
            Ipv4Embedding::Mapped => v6.prefix_len().checked_sub(96)?,
            Ipv4Embedding::SixToFour => v6.prefix_len().checked_sub(16)?,
            // Only a prefix that includes all bits of the relay would identify the client, and no
            // network of clients has such a prefix.
            Ipv4Embedding::Teredo => return None,
        };
        Ipv4Net::new(Ipv4Addr::from(address), length).ok()
    };
    embedded_prefix(v6).map_or(prefix, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> u128 {
        u128::from(text.parse::<Ipv6Addr>().unwrap())
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn each_embedding_yields_its_ipv4_address() {
        let v4 = u32::from(Ipv4Addr::new(192, 0, 2, 45));
        assert_eq!(embedded_ipv4(v6("::ffff:192.0.2.45")), Some((v4, Ipv4Embedding::Mapped)));
        assert_eq!(embedded_ipv4(v6("2002:c000:22d:1::1")), Some((v4, Ipv4Embedding::SixToFour)));
        // The example of RFC 4380 section 4, as widely quoted: client 192.0.2.45 behind port 40000.
        assert_eq!(
            embedded_ipv4(v6("2001:0:4136:e378:8000:63bf:3fff:fdd2")),
            Some((v4, Ipv4Embedding::Teredo))
        );
        assert_eq!(embedded_ipv4(v6("2001:db8::1")), None);
        assert_eq!(embedded_ipv4(v6("::192.0.2.45")), None);
    }

    #[test]
    fn every_address_of_a_block_has_its_embedding() {
        for embedding in Ipv4Embedding::ALL {
            let (first, length) = embedding.block();
            let last = first.last_of(length);
            assert_eq!(embedded_ipv4(first).map(|(_, c)| c), Some(embedding));
            assert_eq!(embedded_ipv4(last).map(|(_, c)| c), Some(embedding));
            assert_eq!(embedded_ipv4(first - 1), None);
            assert_ne!(embedded_ipv4(last + 1).map(|(_, c)| c), Some(embedding));
        }
    }

    #[test]
    fn a_prefix_inside_an_embedding_block_is_the_ipv4_prefix() {
        assert_eq!(as_lookup_prefix(net("::ffff:192.0.2.0/120")), net("192.0.2.0/24"));
        assert_eq!(as_lookup_prefix(net("2002:c000:200::/40")), net("192.0.2.0/24"));
        assert_eq!(as_lookup_prefix(net("2002:c000:200:1::/64")), net("2002:c000:200:1::/64"));
        assert_eq!(as_lookup_prefix(net("2000::/3")), net("2000::/3"));
        assert_eq!(as_lookup_prefix(net("192.0.2.0/24")), net("192.0.2.0/24"));
    }

    #[test]
    fn each_address_is_in_its_window() {
        for (position, &window) in u128::WINDOWS.iter().enumerate() {
            assert_eq!(window.window(), Some(position));
            assert_eq!(window.last_of(u128::WINDOW_LENGTH).window(), Some(position));
            assert_eq!((window - 1).window(), None);
        }
        assert_eq!(u32::MAX.window(), Some(0));
    }

    #[test]
    fn masks_reach_both_ends() {
        assert_eq!(u32::host_bits(0), u32::MAX);
        assert_eq!(u32::host_bits(32), 0);
        assert_eq!(u128::host_bits(128), 0);
        assert_eq!(u32::at_step(0, 1 << 16, 16), None);
        assert_eq!(u32::at_step(0, 3, 16), Some(3 << 16));
    }
}
