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

/// How old a server cookie may be, and how far in the future, in seconds (RFC 9018 section 4.3).
const MAX_AGE_SECS: u32 = 3600;
const MAX_LEAD_SECS: u32 = 300;

/// Whether `cookie` is one that [`server_cookie`] made for this client not long ago. Then the client receives what is sent
/// to its address.
pub fn is_own_cookie(key: &[u8; 16], client_cookie: [u8; 8], cookie: &[u8], source: IpAddr, now_secs: u32) -> bool {
    let Some(&[_, _, _, _, a, b, c, d, ..]) = cookie.first_chunk::<16>() else { return false };
    let made_secs = u32::from_be_bytes([a, b, c, d]);
    // Serial number arithmetic (RFC 1982): both distances wrap.
    let is_recent =
        now_secs.wrapping_sub(made_secs) <= MAX_AGE_SECS || made_secs.wrapping_sub(now_secs) <= MAX_LEAD_SECS;
    is_recent && server_cookie(key, client_cookie, source, made_secs) == cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_counts_for_an_hour_for_its_client_alone() {
        let (key, client, source) = ([7; 16], [1; 8], IpAddr::from([192, 0, 2, 1]));
        let made = 4_294_967_000;
        let cookie = server_cookie(&key, client, source, made);
        for (client, cookie, source, now, expected, why) in [
            (client, &cookie[..], source, made, true, "its own"),
            (client, &cookie, source, made.wrapping_add(3600), true, "an hour old, over the end of the 32 bits"),
            (client, &cookie, source, made.wrapping_add(3601), false, "too old"),
            (client, &cookie, source, made - 300, true, "our clock was set back"),
            (client, &cookie, source, made - 301, false, "from the future"),
            ([2; 8], &cookie, source, made, false, "of another client cookie"),
            (client, &cookie, [192, 0, 2, 2].into(), made, false, "of another address"),
            (client, &[], source, made, false, "a client cookie alone"),
            (client, &cookie[..15], source, made, false, "cut"),
            (client, &[&cookie[..], &[0]].concat(), source, made, false, "longer than ours are"),
        ] {
            assert_eq!(is_own_cookie(&key, client, cookie, source, now), expected, "{why}");
        }
    }

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
