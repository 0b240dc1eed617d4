//! How a zone checks and stores rdata: where the names in it are, and which of them are compressed
//! (RFC 3597 section 4).

use crate::dns::{Name, Rtype};

/// For a type whose names are compressed: the number of octets before its first name, and the
/// number of names. Only types of RFC 1035 are compressed.
pub(super) fn compressible(rtype: Rtype) -> Option<(usize, usize)> {
    match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR => Some((0, 1)),
        Rtype::MX => Some((2, 1)),
        Rtype::SOA => Some((0, 2)),
        _ => None,
    }
}

/// The offset of the name whose addresses go into the additional section; `None` for types without
/// such a name.
pub(super) fn additional_name_offset(rtype: Rtype) -> Option<usize> {
    match rtype {
        Rtype::NS => Some(0),
        Rtype::MX => Some(2),
        Rtype::SRV => Some(6),
        _ => None,
    }
}

/// Whether rdata has the form of its type, as far as the engine relies on it.
pub(super) fn is_well_formed(rtype: Rtype, rdata: &[u8]) -> bool {
    let after_names = |skip: usize, names: usize| {
        let mut rest = rdata.get(skip..)?;
        for _ in 0..names {
            rest = &rest[name_length(rest)?..];
        }
        Some(rest.len())
    };
    match rtype {
        Rtype::A => rdata.len() == 4,
        Rtype::AAAA => rdata.len() == 16,
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => after_names(0, 1) == Some(0),
        Rtype::MX => after_names(2, 1) == Some(0),
        Rtype::SRV => after_names(6, 1) == Some(0),
        Rtype::SOA => after_names(0, 2) == Some(20),
        _ => true,
    }
}

/// Whether two well-formed rdata of a type are the same: names are compared without regard to case
/// (RFC 4343 section 3).
pub(super) fn is_same_rdata(rtype: Rtype, left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    let length = left.len();
    let names = match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => 0..length,
        Rtype::MX => 2..length,
        Rtype::SRV => 6..length,
        Rtype::SOA => 0..length.saturating_sub(20),
        _ => return false,
    };
    // The length octets of labels are below 64 and are not letters.
    let is_same_name = match (left.get(names.clone()), right.get(names.clone())) {
        (Some(left), Some(right)) => left.eq_ignore_ascii_case(right),
        _ => false,
    };
    is_same_name
        && left.get(..names.start) == right.get(..names.start)
        && left.get(names.end..) == right.get(names.end..)
}

/// The length of the uncompressed name at the front, in octets.
fn name_length(bytes: &[u8]) -> Option<usize> {
    let mut offset = 0;
    loop {
        match usize::from(*bytes.get(offset)?) {
            0 if offset < Name::MAX_OCTETS => return Some(offset + 1),
            length @ 1..=63 => offset += 1 + length,
            _ => return None,
        }
    }
}

/// The length of the labels at the front, up to a root or a pointer, in octets.
pub(super) fn labels_length(stored: &[u8]) -> usize {
    let mut offset = 0;
    while let Some(&length @ 1..=63) = stored.get(offset) {
        offset += 1 + usize::from(length);
    }
    offset
}

/// Appends rdata as it is stored: a compressible name in the zone ends in a pointer that each reply
/// fills in; everything else is unchanged.
///
/// Names in the root zone are unchanged: a pointer is longer than the root.
pub(super) fn store_rdata(apex: &Name, rtype: Rtype, rdata: &[u8], out: &mut Vec<u8>) {
    let Some((skip, names)) = compressible(rtype).filter(|_| !apex.is_root()) else {
        return out.extend_from_slice(rdata);
    };
    let (front, mut rest) = rdata.split_at(skip);
    out.extend_from_slice(front);
    for _ in 0..names {
        let (name, tail) = rest.split_at(name_length(rest).unwrap_or(rest.len()));
        match labels_in_zone(apex, name) {
            Some(labels) => {
                out.extend_from_slice(labels);
                out.extend_from_slice(&[0xc0, 0]);
            }
            None => out.extend_from_slice(name),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}

/// The length of stored rdata without compression, in octets.
pub(super) fn uncompressed_length(apex: &Name, rtype: Rtype, stored: &[u8]) -> usize {
    let Some((skip, names)) = compressible(rtype) else { return stored.len() };
    let mut rest = stored.get(skip..).unwrap_or_default();
    let mut octets = stored.len();
    for _ in 0..names {
        let labels = labels_length(rest);
        let is_pointer = rest.get(labels).is_some_and(|&octet| octet != 0);
        octets += if is_pointer { apex.as_wire().len() - 2 } else { 0 };
        rest = rest.get(labels + if is_pointer { 2 } else { 1 }..).unwrap_or_default();
    }
    octets
}

/// The target name in stored rdata, complete and in lower case; `None` for a type without a target.
pub(super) fn target_name(apex: &Name, rtype: Rtype, stored: &[u8]) -> Option<Vec<u8>> {
    let skip = match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::DNAME | Rtype::PTR => 0,
        Rtype::MX => 2,
        Rtype::SRV => 6,
        _ => return None,
    };
    let name = stored.get(skip..)?;
    let labels = labels_length(name);
    let mut wire = name.get(..labels)?.to_ascii_lowercase();
    // A root ends a complete name; anything else is the pointer to the apex.
    match name.get(labels)? {
        0 => wire.push(0),
        _ => wire.extend_from_slice(apex.as_wire()),
    }
    Some(wire)
}

/// The labels of `name` before the apex; `None` if the name is not at or below the apex.
fn labels_in_zone<'n>(apex: &Name, name: &'n [u8]) -> Option<&'n [u8]> {
    let apex = apex.as_wire();
    let mut offset = 0;
    while name.len() - offset > apex.len() {
        offset += 1 + usize::from(name[offset]);
    }
    let (labels, suffix) = name.split_at(offset);
    suffix.eq_ignore_ascii_case(apex).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_zone_end_in_a_pointer_to_be_filled_in() {
        let apex: Name = "example.com".parse().unwrap();
        for (rtype, rdata, stored) in [
            (Rtype::NS, &b"\x03Ns1\x07EXAMPLE\x03com\0"[..], &b"\x03Ns1\xc0\0"[..]),
            (Rtype::CNAME, b"\x07example\x03com\0", b"\xc0\0"),
            (Rtype::PTR, b"\x0abadexample\x03com\0", b"\x0abadexample\x03com\0"),
            (Rtype::MX, b"\0\x05\x01m\x07example\x03com\0", b"\0\x05\x01m\xc0\0"),
            (Rtype::DNAME, b"\x01m\x07example\x03com\0", b"\x01m\x07example\x03com\0"),
            (Rtype::NS, b"\0", b"\0"),
        ] {
            let mut out = Vec::new();
            store_rdata(&apex, rtype, rdata, &mut out);
            assert_eq!(out, stored, "{rtype}");
            assert_eq!(uncompressed_length(&apex, rtype, stored), rdata.len(), "{rtype}");
        }
    }

    #[test]
    fn rdata_that_the_engine_would_misread_is_not_well_formed() {
        for (rtype, rdata, is_valid) in [
            (Rtype::A, &b"\x01\x02\x03\x04"[..], true),
            (Rtype::A, b"\x01\x02\x03", false),
            (Rtype::NS, b"\x01a\0", true),
            (Rtype::NS, b"\x01a\0\0", false),
            (Rtype::NS, b"\x01a", false),
            (Rtype::NS, b"\xc0\0", false),
            (Rtype::MX, b"\0\x01", false),
            (Rtype::SOA, b"\0\0aaaabbbbccccddddeeee", true),
            (Rtype::SOA, b"\0\0aaaabbbbccccddddeee", false),
            (Rtype::TXT, b"", true),
        ] {
            assert_eq!(is_well_formed(rtype, rdata), is_valid, "{rtype} {rdata:?}");
        }
    }
}
