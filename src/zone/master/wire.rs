//! Reads rdata in wire form. Each function removes octets from the front of `rest` and returns
//! them; `None` where `rest` is too short or malformed.

/// Takes `length` octets from the start of `rest`.
pub(super) fn take_octets<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(front)
}

/// Takes a length octet and that many octets, and returns the latter.
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
