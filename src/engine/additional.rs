//! The addresses of the names that NS, MX and SRV records point to (RFC 1035 section 3.3.9, RFC
//! 2782). They are optional: what does not fit is left out, and never truncates a reply.

use crate::{
    dns::{BufferFull, LookupName, ReplyWriter, Rtype, Section},
    zone::{NameOffsets, StoredRrset, Zone},
};

/// Writes the static addresses of the names that NS, MX and SRV records point to, as far as they
/// are in the zone and fit. `start` is the offset of the RRset in the message.
#[inline]
pub(super) fn push_additional(
    zone: &Zone,
    rrset: &StoredRrset<'_>,
    start: usize,
    offsets: NameOffsets,
    writer: &mut ReplyWriter<'_>,
) {
    if matches!(rrset.rtype, Rtype::NS | Rtype::MX | Rtype::SRV) {
        push_targets(zone, rrset, start, offsets, writer);
    }
}

#[inline(never)]
fn push_targets(
    zone: &Zone,
    rrset: &StoredRrset<'_>,
    start: usize,
    offsets: NameOffsets,
    writer: &mut ReplyWriter<'_>,
) {
    let mut name = LookupName::root();
    for record in rrset.records() {
        record.read_target(zone.apex.as_wire(), &mut name);
        if push_addresses(zone, &name, start + record.target_offset(), offsets.apex, writer)
            .is_err()
        {
            return;
        }
    }
}

/// Writes the A and AAAA records of a name, which the message has at the offset `name_offset`; it
/// has the apex of the zone at `apex_offset`.
///
/// # Errors
/// [`BufferFull`] if either RRset does not fit; neither is written then.
pub(super) fn push_addresses(
    zone: &Zone,
    name: &LookupName,
    name_offset: usize,
    apex_offset: u16,
    writer: &mut ReplyWriter<'_>,
) -> Result<(), BufferFull> {
    let Some(node) = zone.address_node(name) else { return Ok(()) };
    // A compression pointer has 14 bits. A reply that long can do without additional records.
    let Ok(owner @ 0..0x4000) = u16::try_from(name_offset) else { return Err(BufferFull) };
    let checkpoint = writer.checkpoint();
    for rtype in [Rtype::A, Rtype::AAAA] {
        let Some(addresses) = node.rrset(rtype) else { continue };
        if let Err(full) = addresses.write(writer, NameOffsets { owner, apex: apex_offset }) {
            writer.rewind(checkpoint);
            return Err(full);
        }
        writer.count(Section::Additional, addresses.count);
    }
    Ok(())
}
