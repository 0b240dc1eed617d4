//! Reading steps that several formats share.

use super::malformed::Malformed;

/// The offset that follows the name at `read_at`. Pointers are not followed: nothing here needs
/// what they point to.
#[inline]
pub(super) fn skip_name(message: &[u8], at: usize) -> Result<usize, Malformed> {
    // The owner of OPT.
    if message.get(at) == Some(&0) { Ok(at + 1) } else { skip_labels(message, at) }
}

fn skip_labels(message: &[u8], mut at: usize) -> Result<usize, Malformed> {
    let start = at;
    loop {
        match *message.get(at).ok_or(Malformed)? {
            0 => return Ok(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return if at + 1 < message.len() { Ok(at + 2) } else { Err(Malformed) },
            _ => return Err(Malformed),
        }
        if at - start > 254 {
            return Err(Malformed);
        }
    }
}

/// So many octets from `read_at` on.
pub(super) fn octets_at<const N: usize>(bytes: &[u8], at: usize) -> Result<&[u8; N], Malformed> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)
}
