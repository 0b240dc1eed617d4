//! A hash for values that outlive a process: equal on every machine and in every release.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// SipHash-1-3 with fixed keys.
pub(in crate::steer) fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(bytes);
    hasher.finish()
}
