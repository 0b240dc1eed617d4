//! Reading steps that requests and replies share.

use super::malformed::Malformed;

/// The offset after the name at `offset`. Pointers are not followed, because no caller needs the
/// name itself.
#[inline]
pub(super) fn skip_name(message: &[u8], offset: usize) -> Result<usize, Malformed> {
    // The root is the owner of every OPT record.
    if message.get(offset) == Some(&0) { Ok(offset + 1) } else { skip_labels(message, offset) }
}

fn skip_labels(message: &[u8], mut offset: usize) -> Result<usize, Malformed> {
    let start = offset;
    loop {
        match *message.get(offset).ok_or(Malformed)? {
            0 => return Ok(offset + 1),
            length @ 1..=63 => offset += 1 + usize::from(length),
            0xc0.. => {
                return if offset + 1 < message.len() { Ok(offset + 2) } else { Err(Malformed) };
            }
            _ => return Err(Malformed),
        }
        if offset - start > 254 {
            return Err(Malformed);
        }
    }
}

/// `N` octets from `offset` on.
pub(super) fn octets_at<const N: usize>(
    bytes: &[u8],
    offset: usize,
) -> Result<&[u8; N], Malformed> {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).ok_or(Malformed)
}
