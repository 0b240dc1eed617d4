//! From the octets of a query to the octets of its reply: a pure function of snapshot, question
//! and client.

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

/// Writes the reply to one query into `out`, which must hold 65,535 octets for streams and 1232 for
/// datagrams.
///
/// Takes no lock, allocates nothing and reads no clock. Follows at most 16 aliases.
///
/// # Errors
/// [`IgnoreReason`], if no reply must be sent.
pub fn answer(
    snapshot: &Snapshot,
    query: &Query<'_>,
    draws: &mut DrawState,
    out: &mut [u8],
) -> Result<WrittenReply, IgnoreReason> {
    let mut name = LookupName::root();
    let parsed = ParsedQuery::read(*query, &mut name)?;
    let hint = parsed.start_lookup(&snapshot.zones, &name);
    let lookup = parsed.finish_lookup(&snapshot.zones, &name, hint);
    Ok(write_reply(&parsed, snapshot, &mut name, lookup, draws, out))
}

/// Writes the reply to `parsed` from the result of the lookup of `name`.
pub(super) fn write_reply(
    parsed: &ParsedQuery<'_>,
    snapshot: &Snapshot,
    name: &mut LookupName,
    lookup: Option<LookupResult<'_>>,
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
            walk(context, name, lookup, draws, &mut reply)
        }
        Some(Rcode::NOTAUTH) => reply.refuse_key(),
        Some(rcode) => rcode,
    };
    reply.finish(rcode)
}
