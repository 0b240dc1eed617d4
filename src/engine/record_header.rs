//! The header of a generated record, which precedes its rdata, and whole CNAME records.

use crate::dns::{BufferFull, ReplyWriter, Rtype};

/// The length of a [`record_header`]; its last two octets are the length of the rdata.
pub(super) const HEADER_OCTETS: usize = 12;

/// Writes a CNAME record and returns the offset of its target.
pub(super) fn push_cname(
    writer: &mut ReplyWriter<'_>,
    owner: u16,
    ttl_secs: u32,
    target: &[u8],
) -> Result<u16, BufferFull> {
    push_record_header(writer, owner, Rtype::CNAME, ttl_secs, target.len() as u16)?;
    let target_offset = writer.position() as u16;
    writer.push(target)?;
    Ok(target_offset)
}

/// Writes the header of a record whose rdata has `length` octets.
pub(super) fn push_record_header(
    writer: &mut ReplyWriter<'_>,
    owner: u16,
    rtype: Rtype,
    ttl_secs: u32,
    length: u16,
) -> Result<(), BufferFull> {
    writer.push_array(record_header(owner, rtype, ttl_secs, length))
}

/// The header of a record (RFC 1035 section 3.2.1): the owner as a pointer to the offset `owner`,
/// type, class, TTL and length.
#[inline]
pub(super) fn record_header(
    owner: u16,
    rtype: Rtype,
    ttl_secs: u32,
    length: u16,
) -> [u8; HEADER_OCTETS] {
    let [[a, b], [c, d], [k, l]] = [0xc000 | owner, rtype.0, length].map(u16::to_be_bytes);
    let [g, h, i, j] = ttl_secs.to_be_bytes();
    [a, b, c, d, 0, 1, g, h, i, j, k, l]
}
