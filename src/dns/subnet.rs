//! EDNS Client Subnet (RFC 7871 section 6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::malformed::Malformed;

/// The client subnet in a query, as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet<'m> {
    /// The option's octets: family, source and scope prefix lengths, address.
    octets: &'m [u8],
}

impl<'m> ClientSubnet<'m> {
    /// Reads the option's octets.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown family, a prefix longer than the address, a scope other than 0,
    /// more or fewer address octets than the prefix needs, or address bits beyond the prefix (RFC
    /// 7871 sections 6 and 7.1.2). Family 0 is accepted only with prefix length 0.
    #[inline]
    pub(super) fn read(octets: &'m [u8]) -> Result<Self, Malformed> {
        let &[family_high, family_low, source, scope, ref address @ ..] = octets else {
            return Err(Malformed);
        };
        if scope != 0 || address.len() != usize::from(source).div_ceil(8) {
            return Err(Malformed);
        }
        let is_malformed =
            match (u16::from_be_bytes([family_high, family_low]), source) {
                (0..=2, 0) => false,
                (1, 1..=32) => v4(address)
                    .is_none_or(|bits| bits.checked_shl(u32::from(source)).unwrap_or(0) != 0),
                (2, 1..=128) => v6(address)
                    .is_none_or(|bits| bits.checked_shl(u32::from(source)).unwrap_or(0) != 0),
                _ => true,
            };
        if is_malformed { Err(Malformed) } else { Ok(Self { octets }) }
    }

    /// The first address of the network that the answer is to be tailored to; `None` for source
    /// prefix length 0, by which the client refuses tailoring (RFC 7871 section 7.1.2).
    #[inline]
    pub fn address(&self) -> Option<IpAddr> {
        // The second octet suffices to tell the families apart: `read` accepts only 0 to 2.
        match *self.octets {
            [_, 1, 1..=u8::MAX, _, ref address @ ..] => {
                v4(address).map(|bits| Ipv4Addr::from_bits(bits).into())
            }
            [_, 2, 1..=u8::MAX, _, ref address @ ..] => {
                v6(address).map(|bits| Ipv6Addr::from_bits(bits).into())
            }
            _ => None,
        }
    }

    /// The first address and the prefix length of the network; `None` as for
    /// [`ClientSubnet::address`].
    pub fn network(&self) -> Option<(IpAddr, u8)> {
        let &[_, _, source, ..] = self.octets else { return None };
        Some((self.address()?, source))
    }

    /// The octets of the option as received; the fourth is the scope.
    pub(super) fn octets(&self) -> &'m [u8] {
        self.octets
    }
}

/// The address of one to four octets, the missing ones 0.
#[inline]
fn v4(octets: &[u8]) -> Option<u32> {
    let padded = match *octets {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        [a, b, c, d] => [a, b, c, d],
        _ => return None,
    };
    Some(u32::from_be_bytes(padded))
}

/// The address of at most sixteen octets, the missing ones 0.
fn v6(octets: &[u8]) -> Option<u128> {
    let mut padded = [0; 16];
    padded.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(u128::from_be_bytes(padded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_that_rfc_7871_forbids_is_malformed() {
        for (why, octets, address) in [
            ("a /24", &b"\0\x01\x18\0\xc0\0\x02"[..], Ok(Some("192.0.2.0"))),
            (
                "a /20 with its last octet's host bits zero",
                b"\0\x01\x14\0\xc0\0\x10",
                Ok(Some("192.0.16.0")),
            ),
            ("a /56", b"\0\x02\x38\0\x20\x01\x0d\xb8\0\0\x01", Ok(Some("2001:db8:0:100::"))),
            ("no tailoring", b"\0\x01\0\0", Ok(None)),
            ("no tailoring, no family", b"\0\0\0\0", Ok(None)),
            ("trailing bits set", b"\0\x01\x14\0\xc0\0\x1f", Err(Malformed)),
            ("address too long", b"\0\x01\x18\0\xc0\0\x02\0", Err(Malformed)),
            ("address too short", b"\0\x01\x18\0\xc0\0", Err(Malformed)),
            ("address with prefix 0", b"\0\x01\0\0\xc0", Err(Malformed)),
            ("prefix 33", b"\0\x01\x21\0\xc0\0\x02\0\0", Err(Malformed)),
            ("prefix 129", b"\0\x02\x81\0aaaaaaaaaaaaaaaaa", Err(Malformed)),
            ("unknown family", b"\0\x03\x18\0\xc0\0\x02", Err(Malformed)),
            ("unknown family, prefix 0", b"\0\x03\0\0", Err(Malformed)),
            ("a scope in a query", b"\0\x01\x18\x18\xc0\0\x02", Err(Malformed)),
            ("cut short", b"\0\x01\x18", Err(Malformed)),
            ("empty", b"", Err(Malformed)),
        ] {
            let read = ClientSubnet::read(octets).map(|subnet| subnet.address());
            assert_eq!(read, address.map(|text| text.map(|text| text.parse().unwrap())), "{why}");
        }
    }
}
