//! From request bytes to reply bytes: a pure function of a snapshot, a question and a client.

use super::{
    parsed_query::ParsedQuery,
    query::{IgnoreReason, Query},
    query_context::QueryContext,
    reply::WrittenReply,
    reply_builder::ReplyBuilder,
    walk::walk,
};
use crate::{
    dns::{LookupName, Rcode},
    snapshot::Snapshot,
    steer::DrawState,
    zone::LookupResult,
};

/// Answers one request into `out`, which holds at least 65535 octets for streams and 1232 for
/// datagrams.
///
/// No allocation, no lock, no clock. A chain of at most 16 aliases is followed.
///
/// # Errors
/// [`IgnoreReason`] says why nothing is to be sent.
pub fn answer(
    snapshot: &Snapshot,
    query: &Query<'_>,
    draws: &mut DrawState,
    out: &mut [u8],
) -> Result<WrittenReply, IgnoreReason> {
    let mut name = LookupName::root();
    let parsed = ParsedQuery::read(*query, &mut name)?;
    let lead = parsed.start_lookup(&snapshot.zones, &name);
    let finding = parsed.finish_lookup(&snapshot.zones, &name, lead);
    Ok(write_reply(&parsed, snapshot, (&mut name, finding), draws, out))
}

/// Writes the reply to `parsed`, given what the lookup of its name found.
pub(super) fn write_reply(
    parsed: &ParsedQuery<'_>,
    snapshot: &Snapshot,
    (name, finding): (&mut LookupName, Option<LookupResult<'_>>),
    draws: &mut DrawState,
    out: &mut [u8],
) -> WrittenReply {
    let mut reply = ReplyBuilder::new(&snapshot.identity, parsed, out);
    let rcode = match parsed.error_rcode {
        None => {
            let context = QueryContext {
                snapshot,
                query: &parsed.query,
                rtype: parsed.rtype,
                client_subnet: parsed.client_subnet(),
            };
            walk(context, name, finding, draws, &mut reply)
        }
        Some(Rcode::NOTAUTH) => reply.refuse_key(),
        Some(rcode) => rcode,
    };
    reply.finish(rcode)
}
