//! The addresses of names that a reply mentions (RFC 1035 section 3.3.9, RFC 2782): a courtesy that
//! never pushes an answer out.

use crate::{
    dns::{BufferFull, LookupName, ReplyWriter, Rtype, Section},
    zone::{NameOffsets, StoredRrset, Zone},
};

/// Writes the static addresses of the names that NS, MX and SRV records point to, as far as they
/// are in the zone and fit. `start` is where the message has the RRset.
#[inline]
pub(super) fn push_additional(
    zone: &Zone,
    rrset: &StoredRrset<'_>,
    start: usize,
    place: NameOffsets,
    writer: &mut ReplyWriter<'_>,
) {
    if matches!(rrset.rtype, Rtype::NS | Rtype::MX | Rtype::SRV) {
        push_mentioned(zone, rrset, start, place, writer);
    }
}

#[inline(never)]
fn push_mentioned(
    zone: &Zone,
    rrset: &StoredRrset<'_>,
    start: usize,
    place: NameOffsets,
    writer: &mut ReplyWriter<'_>,
) {
    let mut name = LookupName::root();
    for record in rrset.records() {
        record.read_target(zone.apex.as_wire(), &mut name);
        if push_addresses(zone, &name, start + record.target_offset(), place.apex, writer).is_err()
        {
            return;
        }
    }
}

/// Writes the A and AAAA records of a name, whose labels the message has at `name_at`.
///
/// # Errors
/// [`BufferFull`] where one of the two does not fit; neither is written then.
pub(super) fn push_addresses(
    zone: &Zone,
    name: &LookupName,
    name_at: usize,
    apex_at: u16,
    writer: &mut ReplyWriter<'_>,
) -> Result<(), BufferFull> {
    let Some(node) = zone.address_node(name) else { return Ok(()) };
    // A pointer has 14 bits; an RRset that large has no use for additional records either.
    let Ok(owner @ 0..0x4000) = u16::try_from(name_at) else { return Err(BufferFull) };
    let mark = writer.checkpoint();
    for rtype in [Rtype::A, Rtype::AAAA] {
        let Some(addresses) = node.rrset(rtype) else { continue };
        if let Err(full) = addresses.write(writer, NameOffsets { owner, apex: apex_at }) {
            writer.rewind(mark);
            return Err(full);
        }
        writer.count(Section::Additional, addresses.count);
    }
    Ok(())
}
