//! EDNS Client Subnet (RFC 7871 section 6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::request::Malformed;

/// The subnet a resolver asks for, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet<'m> {
    /// The option's octets: family, source and scope prefix lengths, address.
    octets: &'m [u8],
    /// `None` for source prefix length 0: the client wants no tailoring (RFC 7871 section 7.1.2).
    address: Option<IpAddr>,
}

impl<'m> ClientSubnet<'m> {
    /// Reads the option's octets.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown family, a prefix longer than the address, a scope, an address of another length than the
    /// prefix needs, or address bits beyond the prefix (RFC 7871 sections 6 and 7.1.2). Family 0 is taken with prefix 0 alone.
    pub(super) fn read(octets: &'m [u8]) -> Result<Self, Malformed> {
        let &[family_high, family_low, source, scope, ref address @ ..] = octets else { return Err(Malformed) };
        if scope != 0 || address.len() != usize::from(source).div_ceil(8) {
            return Err(Malformed);
        }
        let address = match (u16::from_be_bytes([family_high, family_low]), source) {
            (0..=2, 0) => None,
            (1, 1..=32) => Some(v4(address, source)?),
            (2, 1..=128) => Some(v6(address, source)?),
            _ => return Err(Malformed),
        };
        Ok(Self { octets, address })
    }

    /// The first address of the network to tailor the answer to; `None` where the client wants no tailoring.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The option's octets as they came; the scope is the fourth.
    pub(super) fn octets(&self) -> &'m [u8] {
        self.octets
    }
}

/// Widens the one to four octets of a prefix of `source` bits, whose host bits must be zero.
fn v4(octets: &[u8], source: u8) -> Result<IpAddr, Malformed> {
    let whole = match *octets {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        [a, b, c, d] => [a, b, c, d],
        _ => return Err(Malformed),
    };
    let bits = u32::from_be_bytes(whole);
    let host_bits = bits.checked_shl(u32::from(source)).unwrap_or(0);
    if host_bits == 0 { Ok(Ipv4Addr::from_bits(bits).into()) } else { Err(Malformed) }
}

/// Widens the one to sixteen octets of a prefix of `source` bits, whose host bits must be zero.
fn v6(octets: &[u8], source: u8) -> Result<IpAddr, Malformed> {
    let mut whole = [0; 16];
    whole.get_mut(..octets.len()).ok_or(Malformed)?.copy_from_slice(octets);
    let bits = u128::from_be_bytes(whole);
    let host_bits = bits.checked_shl(u32::from(source)).unwrap_or(0);
    if host_bits == 0 { Ok(Ipv6Addr::from_bits(bits).into()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rfc_7871_forbids_is_malformed() {
        for (why, octets, address) in [
            ("a /24", &b"\0\x01\x18\0\xc0\0\x02"[..], Ok(Some("192.0.2.0"))),
            ("a /20 with its last octet's host bits zero", b"\0\x01\x14\0\xc0\0\x10", Ok(Some("192.0.16.0"))),
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
