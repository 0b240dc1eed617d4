//! What precedes the rdata of a record that a service answers with, and CNAME records whole.

use crate::dns::{BufferFull, ReplyWriter, Rtype};

/// Octets of [`record_header`].
pub(super) const HEADER_OCTETS: usize = 12;

/// Writes a CNAME record and says where its target starts.
pub(super) fn push_cname(
    writer: &mut ReplyWriter<'_>,
    owner: u16,
    ttl_secs: u32,
    target: &[u8],
) -> Result<u16, BufferFull> {
    push_record_header(writer, owner, Rtype::CNAME, ttl_secs, target.len() as u16)?;
    let at = writer.position() as u16;
    writer.push(target)?;
    Ok(at)
}

/// Writes what stands in front of a record's rdata.
pub(super) fn push_record_header(
    writer: &mut ReplyWriter<'_>,
    owner: u16,
    rtype: Rtype,
    ttl_secs: u32,
    length: u16,
) -> Result<(), BufferFull> {
    writer.push_array(record_header(owner, rtype, ttl_secs, length))
}

/// What stands in front of a record's rdata: owner as a pointer, type, class, TTL, length (RFC 1035
/// section 3.2.1).
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
