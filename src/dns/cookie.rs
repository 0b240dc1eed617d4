//! Interoperable server cookies (RFC 7873, RFC 9018 section 4).

use std::{hash::Hasher, net::IpAddr};

use siphasher::sip::SipHasher24;

/// The server cookie for a client: version 1, the time, and a keyed hash of client cookie, time and address.
pub fn server_cookie(key: &[u8; 16], client_cookie: [u8; 8], source: IpAddr, now_secs: u32) -> [u8; 16] {
    let mut cookie = [0; 16];
    let (head, tail) = cookie.split_at_mut(8);
    head.copy_from_slice(&(0x0100_0000_0000_0000 | u64::from(now_secs)).to_be_bytes());
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(&client_cookie);
    hasher.write(head);
    match source {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    // SipHash as RFC 9018 has it gives its octets in little-endian order.
    tail.copy_from_slice(&hasher.finish().to_le_bytes());
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_those_of_rfc_9018_appendix_a() {
        let key = 0xe5e9_73e5_a6b2_a43f_48e7_dc84_9e37_bfcf_u128.to_be_bytes();
        let cookie =
            server_cookie(&key, 0x2464_c4ab_cf10_c957_u64.to_be_bytes(), [198, 51, 100, 100].into(), 1_559_731_985);
        assert_eq!(u128::from_be_bytes(cookie), 0x0100_0000_5cf7_9f11_1f81_30c3_eee2_9480);
        let key = 0x4455_36bc_d251_3298_075a_5d37_9663_c962_u128.to_be_bytes();
        let source = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap();
        let cookie = server_cookie(&key, 0x2268_1ab9_7d52_c298_u64.to_be_bytes(), source, 1_559_741_961);
        assert_eq!(u128::from_be_bytes(cookie), 0x0100_0000_5cf7_c609_a6bb_79d1_6625_507a);
    }
}
