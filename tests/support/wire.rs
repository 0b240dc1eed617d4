//! Queries in wire format, written without portolan's own encoder.

/// A name without escapes in wire format (RFC 1035 section 3.1).
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}

/// A query of class IN, with RD clear and without an OPT record.
pub(crate) fn query(id: u16, owner: &str, rtype: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(name(owner));
    message.extend(rtype.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// The same query with `opt` as its OPT record.
pub(crate) fn query_with_opt(id: u16, owner: &str, rtype: u16, opt: &[u8]) -> Vec<u8> {
    let mut message = query(id, owner, rtype);
    // ARCOUNT is the last field of the header.
    message[11] = 1;
    message.extend(opt);
    message
}
