//! Addresses as numbers, so that one piece of code walks, sweeps and searches both families; and
//! the IPv6 addresses that carry an IPv4 address, which are judged by what they carry.

use std::{
    fmt::Debug,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Address: Copy + Ord + Debug + 'static {
    /// Bits of an address.
    const WIDTH: u8;
    const MIN: Self;
    const MAX: Self;
    /// The blocks that an index is worth keeping for, in order: all of IPv4; of IPv6 those that the
    /// registries hand out from, a /12 each (IANA's unicast assignments; 2000::/12 has
    /// 2001:200::/23 and its like).
    const WINDOWS: &'static [Self];
    /// The length of each window.
    const WINDOW_LENGTH: u8;

    /// The window that the address is in.
    fn window(self) -> Option<usize>;

    /// The ones below a prefix of `length` bits.
    fn host_bits(length: u8) -> Self;
    fn with_bits(self, bits: Self) -> Self;
    fn without_bits(self, bits: Self) -> Self;
    fn following(self) -> Option<Self>;
    fn preceding(self) -> Option<Self>;
    /// How many leading bits the two share.
    fn shared_bits(self, other: Self) -> u8;
    /// How many whole steps of `2^shift` lie between `base` and this, which is not below it. The
    /// caller keeps it in range.
    fn steps_above(self, base: Self, shift: u8) -> usize;
    /// `base + step * 2^shift`, or `None` past the end of the space.
    fn at_step(base: Self, step: usize, shift: u8) -> Option<Self>;
    fn to_ip(self) -> IpAddr;
    /// Of this address's family: the first address and the length of a prefix.
    fn of_prefix(prefix: &IpNet) -> Option<(Self, u8)>;
    /// Addresses from `first` to `last`, both included; the whole of IPv6 saturates.
    fn count(first: Self, last: Self) -> u128;

    /// The last address of the prefix that starts here.
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

/// How an IPv6 address carries an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ipv4Embedding {
    /// `::ffff:0:0/96` (RFC 4291 section 2.5.5.2): the last 32 bits. What a dual-stack socket shows
    /// for an IPv4 client.
    Mapped,
    /// `2002::/16` (RFC 3056 section 2): the 32 bits after the first 16.
    SixToFour,
    /// `2001::/32` (RFC 4380 section 4): the client's own address is the last 32 bits, inverted so
    /// that no middlebox rewrites it. The bits between name the relay and the port and say nothing
    /// of where the client is.
    Teredo,
}

impl Ipv4Embedding {
    pub(super) const ALL: [Self; 3] = [Self::Mapped, Self::SixToFour, Self::Teredo];

    /// First address and length of the block.
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

    /// The length, in the IPv6 address, of the prefix that holds `length` bits of the IPv4 address:
    /// never less than the block's own, because its neighbours are not IPv4. Inverting bits
    /// (Teredo) keeps prefixes prefixes.
    pub(super) fn prefix_length(self, length: u8) -> u8 {
        match self {
            Self::Mapped => 96 + length,
            Self::SixToFour => 16 + length,
            Self::Teredo if length == 0 => 32,
            Self::Teredo => 96 + length,
        }
    }
}

/// The IPv4 address that an IPv6 address carries, and how.
#[inline]
pub(super) fn embedded_ipv4(address: u128) -> Option<(u32, Ipv4Embedding)> {
    let carriage = Ipv4Embedding::detect(address)?;
    Some((carriage.embedded_ipv4(address), carriage))
}

/// The prefix as lookups see it: one that lies in a block that carries IPv4, as the IPv4 prefix it
/// carries, where it is one.
pub(super) fn as_lookup_prefix(prefix: IpNet) -> IpNet {
    let IpNet::V6(v6) = prefix else { return prefix };
    let unload = |v6: Ipv6Net| {
        let (address, carriage) = embedded_ipv4(u128::from(v6.network()))?;
        let length = match carriage {
            Ipv4Embedding::Mapped => v6.prefix_len().checked_sub(96)?,
            Ipv4Embedding::SixToFour => v6.prefix_len().checked_sub(16)?,
            // Only a prefix that fixes all of the relay's part says something of the client, and
            // that is no client's prefix.
            Ipv4Embedding::Teredo => return None,
        };
        Ipv4Net::new(Ipv4Addr::from(address), length).ok()
    };
    unload(v6).map_or(prefix, IpNet::V4)
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
    fn each_carrying_form_gives_the_ipv4_address_it_carries() {
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
    fn blocks_are_what_their_addresses_are_told_by() {
        for carriage in Ipv4Embedding::ALL {
            let (first, length) = carriage.block();
            let last = first.last_of(length);
            assert_eq!(embedded_ipv4(first).map(|(_, c)| c), Some(carriage));
            assert_eq!(embedded_ipv4(last).map(|(_, c)| c), Some(carriage));
            assert_eq!(embedded_ipv4(first - 1), None);
            assert_ne!(embedded_ipv4(last + 1).map(|(_, c)| c), Some(carriage));
        }
    }

    #[test]
    fn a_prefix_inside_a_carrying_block_is_the_ipv4_prefix() {
        assert_eq!(as_lookup_prefix(net("::ffff:192.0.2.0/120")), net("192.0.2.0/24"));
        assert_eq!(as_lookup_prefix(net("2002:c000:200::/40")), net("192.0.2.0/24"));
        assert_eq!(as_lookup_prefix(net("2002:c000:200:1::/64")), net("2002:c000:200:1::/64"));
        assert_eq!(as_lookup_prefix(net("2000::/3")), net("2000::/3"));
        assert_eq!(as_lookup_prefix(net("192.0.2.0/24")), net("192.0.2.0/24"));
    }

    #[test]
    fn each_window_knows_its_addresses() {
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
