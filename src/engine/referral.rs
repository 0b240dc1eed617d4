//! Referrals: the NS records of a zone cut, and the glue that a resolver needs to follow them (RFC
//! 1034 section 4.2.1, RFC 9471).

use super::{additional::push_addresses, reply_builder::ReplyBuilder};
use crate::{
    dns::{BufferFull, LookupName, Rtype, Section},
    zone::{NameOffsets, Node, Zone},
};

/// Writes a referral. In-domain glue must be complete, or the reply is truncated (RFC 9471); other
/// glue is written if it fits.
#[inline(never)]
pub(super) fn refer(
    zone: &Zone,
    cut: Node<'_>,
    offsets: NameOffsets,
    reply: &mut ReplyBuilder<'_, '_>,
) -> Result<(), BufferFull> {
    let Some(servers) = cut.rrset(Rtype::NS) else { return Ok(()) };
    let writer = &mut reply.writer;
    let start = writer.position();
    servers.write(writer, offsets)?;
    writer.count(Section::Authority, servers.count);
    let mut name = LookupName::root();
    for in_domain in [true, false] {
        for server in servers.records() {
            server.read_target(zone.apex.as_wire(), &mut name);
            let is_in_domain = name.suffix(cut.label_count()) == cut.name();
            if is_in_domain == in_domain {
                let pushed = push_addresses(
                    zone,
                    &name,
                    start + server.target_offset(),
                    offsets.apex,
                    writer,
                );
                if is_in_domain {
                    pushed?;
                }
            }
        }
    }
    Ok(())
}
