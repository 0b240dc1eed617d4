//! Referrals: the NS records of a cut, and the addresses without which they lead nowhere (RFC 1034
//! section 4.2.1, RFC 9471).

use super::{additional::push_addresses, reply_builder::ReplyBuilder};
use crate::{
    dns::{BufferFull, LookupName, Rtype, Section},
    zone::{NameOffsets, Node, Zone},
};

/// Writes a referral. Glue in the delegated zone must be there whole, or the reply is truncated;
/// other glue comes where it fits.
#[inline(never)]
pub(super) fn refer(
    zone: &Zone,
    cut: Node<'_>,
    place: NameOffsets,
    frame: &mut ReplyBuilder<'_, '_>,
) -> Result<(), BufferFull> {
    let Some(servers) = cut.rrset(Rtype::NS) else { return Ok(()) };
    let writer = &mut frame.writer;
    let start = writer.position();
    servers.write(writer, place)?;
    writer.count(Section::Authority, servers.count);
    let mut name = LookupName::root();
    for in_domain in [true, false] {
        for server in servers.records() {
            server.read_target(zone.apex.as_wire(), &mut name);
            let is_in_domain = name.suffix(cut.label_count()) == cut.name();
            if is_in_domain == in_domain {
                let pushed =
                    push_addresses(zone, &name, start + server.target_offset(), place.apex, writer);
                if is_in_domain {
                    pushed?;
                }
            }
        }
    }
    Ok(())
}
