//! Reads the parts of rdata in wire form: each function takes octets off the front of a slice, and
//! returns `None` where the slice is too short or malformed.

/// Takes octets off the front.
pub(super) fn take_octets<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(front)
}

/// Takes a length octet and as many octets as it says.
pub(super) fn take_counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_octets(rest, 1)?[0];
    take_octets(rest, usize::from(length))
}

/// Takes an uncompressed name (compression is not allowed in stored rdata).
pub(super) fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let whole = *rest;
    loop {
        match take_octets(rest, 1)?[0] {
            0 => break,
            length @ 1..=63 => take_octets(rest, usize::from(length))?,
            _ => return None,
        };
    }
    let length = whole.len() - rest.len();
    (length <= 255).then(|| &whole[..length])
}
