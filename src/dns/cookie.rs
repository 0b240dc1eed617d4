//! Interoperable server cookies (RFC 7873, RFC 9018 section 4), and their keys.
//!
//! Keys rotate in the stages of RFC 9018 section 5. A key is the next key before it makes cookies,
//! so servers that share keys need not rotate at the same moment. After the rotation, the previous
//! key still verifies the cookies that it made. Cookies expire after an hour, so a previous key
//! loses its effect without being removed.

use std::{fmt, hash::Hasher, net::IpAddr};

use siphasher::sip::SipHasher24;

/// The greatest age of a valid server cookie (RFC 9018 section 4.3).
const MAX_AGE_SECS: u32 = 3600;
/// How far the time of a valid cookie may be in the future (RFC 9018 section 4.3).
const MAX_FUTURE_SECS: u32 = 300;
/// The version of cookies as in RFC 9018.
const VERSION: u8 = 1;

/// A key of SipHash-2-4. `Debug` of [`CookieKeys`] does not print it.
pub type CookieKey = [u8; 16];

/// The keys of one server, or of servers that share them.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieKeys {
    /// The key that makes cookies, and verifies them.
    pub current: CookieKey,
    /// The key of the next rotation, which verifies cookies of servers that have rotated already.
    pub next: CookieKey,
    /// The key before the last rotation, which verifies cookies made until then.
    pub previous: Option<CookieKey>,
    /// The time at which `current` replaced `previous`, in seconds since 1970 modulo 2^32.
    pub rotated_secs: u32,
}

impl fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieKeys")
            .field("rotated_secs", &self.rotated_secs)
            .finish_non_exhaustive()
    }
}

impl CookieKeys {
    /// The keys after a rotation at `now_secs`; `fresh` becomes the next key.
    pub fn rotated(&self, fresh: CookieKey, now_secs: u32) -> Self {
        Self {
            current: self.next,
            next: fresh,
            previous: Some(self.current),
            rotated_secs: now_secs,
        }
    }

    /// The server cookie for a client: version 1, the time, and a keyed hash of the client cookie,
    /// the time and the address.
    pub fn server_cookie(&self, client_cookie: [u8; 8], source: IpAddr, now_secs: u32) -> [u8; 16] {
        let mut cookie = [0; 16];
        let (head, tail) = cookie.split_at_mut(8);
        head.copy_from_slice(&(u64::from(VERSION) << 56 | u64::from(now_secs)).to_be_bytes());
        // RFC 9018 writes the SipHash value in little-endian order.
        tail.copy_from_slice(&hash(&self.current, client_cookie, head, source).to_le_bytes());
        cookie
    }

    /// Whether these keys made `cookie` for this client within the last hour. A valid cookie proves
    /// that the client receives packets at its address. The hashes are compared in constant time.
    pub fn verify(
        &self,
        client_cookie: [u8; 8],
        cookie: &[u8],
        source: IpAddr,
        now_secs: u32,
    ) -> bool {
        let Some((head, tail)) = cookie.split_first_chunk::<8>() else { return false };
        let Ok(tail) = <[u8; 8]>::try_from(tail) else { return false };
        // The three reserved octets after the version are hashed as received, with any value (RFC
        // 9018 section 4.2).
        let &[version, _, _, _, a, b, c, d] = head;
        let made_secs = u32::from_be_bytes([a, b, c, d]);
        if version != VERSION || !is_within(made_secs, now_secs, MAX_AGE_SECS) {
            return false;
        }
        let given = u64::from_le_bytes(tail);
        let is_made_by = |key: &CookieKey| hash(key, client_cookie, head, source) ^ given == 0;
        // A previous key that leaked verifies no cookies made well after the rotation.
        let previous =
            self.previous.filter(|_| is_within(made_secs, self.rotated_secs, u32::MAX / 2));
        is_made_by(&self.current)
            | is_made_by(&self.next)
            | previous.is_some_and(|key| is_made_by(&key))
    }
}

/// Whether a cookie made at `made_secs` is at most `max_age_secs` old, or at most
/// [`MAX_FUTURE_SECS`] in the future. Differences wrap, as in RFC 1982.
fn is_within(made_secs: u32, now_secs: u32, max_age_secs: u32) -> bool {
    now_secs.wrapping_sub(made_secs) <= max_age_secs
        || made_secs.wrapping_sub(now_secs) <= MAX_FUTURE_SECS
}

fn hash(key: &CookieKey, client_cookie: [u8; 8], head: &[u8], source: IpAddr) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(&client_cookie);
    hasher.write(head);
    match source {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: u128) -> CookieKeys {
        CookieKeys {
            current: current.to_be_bytes(),
            next: [9; 16],
            previous: None,
            rotated_secs: 0,
        }
    }

    #[test]
    fn a_cookie_is_valid_for_an_hour_and_only_for_its_client() {
        let (keys, client, source) = (keys(7), [1; 8], IpAddr::from([192, 0, 2, 1]));
        let made = 4_294_967_000;
        let cookie = keys.server_cookie(client, source, made);
        let other_version = [&[2], &cookie[1..]].concat();
        for (client, cookie, source, now, expected, why) in [
            (client, &cookie[..], source, made, true, "its own"),
            (
                client,
                &cookie,
                source,
                made.wrapping_add(3600),
                true,
                "an hour old, over the end of the 32 bits",
            ),
            (client, &cookie, source, made.wrapping_add(3601), false, "too old"),
            (client, &cookie, source, made - 300, true, "our clock was set back"),
            (client, &cookie, source, made - 301, false, "from the future"),
            ([2; 8], &cookie, source, made, false, "of another client cookie"),
            (client, &cookie, [192, 0, 2, 2].into(), made, false, "of another address"),
            (client, &[], source, made, false, "a client cookie alone"),
            (client, &cookie[..15], source, made, false, "cut"),
            (client, &[&cookie[..], &[0]].concat(), source, made, false, "longer than ours are"),
            (client, &other_version, source, made, false, "of another version"),
        ] {
            assert_eq!(keys.verify(client, cookie, source, now), expected, "{why}");
        }
    }

    #[test]
    fn a_previous_key_verifies_cookies_made_before_the_rotation_and_none_made_after_it() {
        let (first, client, source) = (keys(7), [1; 8], IpAddr::from([192, 0, 2, 1]));
        let rotation = 100_000;
        let rotated = first.rotated([8; 16], rotation);
        assert_eq!(
            (rotated.current, rotated.next, rotated.previous),
            (first.next, [8; 16], Some(first.current))
        );
        let by = |keys: &CookieKeys, made: u32| keys.server_cookie(client, source, made);
        for (cookie, now, expected, why) in [
            (by(&first, rotation - 10), rotation + 10, true, "made before the rotation"),
            (by(&first, rotation - 10), rotation + 3590, true, "until it is an hour old"),
            (by(&first, rotation - 10), rotation + 3591, false, "and no longer"),
            (
                by(&first, rotation + 250),
                rotation + 250,
                true,
                "by a server whose clock is a little behind",
            ),
            (
                by(&first, rotation + 301),
                rotation + 301,
                false,
                "by an attacker who has an old key",
            ),
            (by(&rotated, rotation), rotation, true, "by the current key"),
        ] {
            assert_eq!(rotated.verify(client, &cookie, source, now), expected, "{why}");
        }
        assert!(
            first.verify(client, &by(&rotated, rotation), source, rotation),
            "by a server that rotated earlier"
        );
    }

    /// RFC 9018 appendix A: key, client cookie, source, time and server cookie.
    const VECTORS: [(u128, u64, &str, u32, u128); 4] = [
        (
            KEY,
            0x2464_c4ab_cf10_c957,
            "198.51.100.100",
            1_559_731_985,
            0x0100_0000_5cf7_9f11_1f81_30c3_eee2_9480,
        ),
        (
            KEY,
            0x2464_c4ab_cf10_c957,
            "198.51.100.100",
            1_559_734_385,
            0x0100_0000_5cf7_a871_d4a5_64a1_442a_ca77,
        ),
        (
            KEY,
            0xfc93_fc62_807d_db86,
            "203.0.113.203",
            1_559_734_700,
            0x0100_0000_5cf7_a9ac_f73a_7810_aca2_381e,
        ),
        (
            NEW_KEY,
            0x2268_1ab9_7d52_c298,
            V6,
            1_559_741_961,
            0x0100_0000_5cf7_c609_a6bb_79d1_6625_507a,
        ),
    ];
    const KEY: u128 = 0xe5e9_73e5_a6b2_a43f_48e7_dc84_9e37_bfcf;
    const OLD_KEY: u128 = 0xdd3b_df93_44b6_78b1_85a6_f5cb_60fc_a715;
    const NEW_KEY: u128 = 0x4455_36bc_d251_3298_075a_5d37_9663_c962;
    const V6: &str = "2001:db8:220:1:59de:d0f4:8769:82b8";

    #[test]
    fn cookies_are_those_of_rfc_9018_appendix_a() {
        for (key, client, source, now, expected) in VECTORS {
            let (client, source) = (client.to_be_bytes(), source.parse().unwrap());
            let cookie = keys(key).server_cookie(client, source, now);
            assert_eq!(u128::from_be_bytes(cookie), expected, "{expected:032x}");
            assert!(keys(key).verify(client, &cookie, source, now));
        }
    }

    #[test]
    fn cookies_of_rfc_9018_appendix_a_are_verified_with_reserved_octets_and_after_a_rotation() {
        let reserved = 0x01ab_cdef_5cf7_8f71_a314_227b_6679_ebf5_u128.to_be_bytes();
        let (client, source) =
            (0xfc93_fc62_807d_db86_u64.to_be_bytes(), IpAddr::from([203, 0, 113, 203]));
        assert!(
            keys(KEY).verify(client, &reserved, source, 0x5cf7_8f71 + 1800),
            "A.3: hashed as they came"
        );
        assert!(
            !keys(KEY).verify(client, &reserved, source, 1_559_734_700),
            "A.3: more than an hour old"
        );
        let before = 0x0100_0000_5cf7_c579_2655_6bd0_934c_72f8_u128.to_be_bytes();
        let (client, now) = (0x2268_1ab9_7d52_c298_u64.to_be_bytes(), 1_559_741_961);
        let rotated =
            CookieKeys { next: NEW_KEY.to_be_bytes(), ..keys(OLD_KEY) }.rotated([0; 16], now - 60);
        assert!(rotated.verify(client, &before, V6.parse().unwrap(), now), "A.4");
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", keys(7)), "CookieKeys { rotated_secs: 0, .. }");
    }
}
