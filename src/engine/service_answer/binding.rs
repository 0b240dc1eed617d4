//! HTTPS and SVCB records of a service (RFC 9460): its configured parameters, and as address hints
//! the endpoints drawn for this client.

use super::outcome::ServiceAnswer;
use crate::{
    dns::{BufferFull, ReplyWriter, Section},
    engine::{
        query_context::QueryContext,
        record_header::{HEADER_OCTETS, push_cname, push_record_header},
        reply_builder::ReplyBuilder,
    },
    steer::{Chart, DrawState, EndpointAnswer, Family, Rdata, Route, ServiceBinding, ServiceId},
};

/// The octets of the key and the length of a parameter, which precede its value.
const PARAMETER_OCTETS: usize = 4;
const IPV4HINT: u8 = 4;
const IPV6HINT: u8 = 6;

/// Draws from both families and writes the record. If the draws yield a CNAME and no address before
/// it, the CNAME is written instead; if they yield neither, nothing is written.
#[cold]
pub(super) fn draw<'s>(
    context: &QueryContext<'s, '_>,
    service: ServiceId,
    chart: &'s Chart,
    binding: &'s ServiceBinding,
    owner: u16,
    draws: &mut DrawState,
    reply: &mut ReplyBuilder<'_, '_>,
) -> Result<ServiceAnswer<'s>, BufferFull> {
    reply.service.get_or_insert(service);
    let subnet = context.subnet_address();
    let routes =
        [Family::V4, Family::V6].map(|family| chart.route(family, subnet, &context.query.source));
    let is_drawn = binding.has_hints || chart.may_answer_cname();
    if subnet.is_some() && is_drawn {
        reply.scope = routes.iter().map(|route| route.scope).fold(reply.scope, u8::max);
    }
    let ttl_secs = routes[0].ttl_secs.min(routes[1].ttl_secs);
    if routes.iter().all(Route::is_empty) {
        reply.negative_ttl_secs = ttl_secs;
        return Ok(ServiceAnswer::NoData);
    }
    let checkpoint = reply.writer.checkpoint();
    let start = reply.writer.position();
    push_record_header(&mut reply.writer, owner, binding.rtype, ttl_secs, 0)?;
    reply.writer.push(&binding.rdata_prefix)?;
    let mut hints = HintWriter { has_any: false, first: None };
    if is_drawn {
        let hinted = [(&routes[0], IPV4HINT), (&routes[1], IPV6HINT)];
        for (route, key) in hinted {
            let before = reply.writer.checkpoint();
            let cname = hints.push(route, key, draws, &mut reply.writer)?;
            if let (Some(target), false) = (cname, hints.has_any) {
                reply.writer.rewind(checkpoint);
                let target_offset = push_cname(&mut reply.writer, owner, ttl_secs, target)?;
                reply.writer.count(Section::Answer, 1);
                reply.datacenter =
                    reply.datacenter.or(hints.first.and_then(|answer| answer.datacenter));
                return Ok(ServiceAnswer::Alias { target_offset, target });
            }
            if !binding.has_hints {
                reply.writer.rewind(before);
            }
        }
    }
    if binding.has_hints && !hints.has_any {
        reply.writer.rewind(checkpoint);
        reply.negative_ttl_secs = ttl_secs;
        return Ok(ServiceAnswer::NoData);
    }
    let length = reply.writer.position() - start - HEADER_OCTETS;
    set_length(&mut reply.writer, start + HEADER_OCTETS - 2, length)?;
    reply.writer.count(Section::Answer, 1);
    reply.datacenter = reply.datacenter.or(hints.first.and_then(|answer| answer.datacenter));
    Ok(ServiceAnswer::Records)
}

/// Writes the address hints of one record.
struct HintWriter<'s> {
    has_any: bool,
    /// The first endpoint drawn, by whose datacenter the reply is counted.
    first: Option<&'s EndpointAnswer>,
}

impl<'s> HintWriter<'s> {
    /// Writes the hint parameter of one family if an address of the family is drawn. Otherwise
    /// returns the target of the CNAME drawn, if any.
    fn push(
        &mut self,
        route: &Route<'s>,
        key: u8,
        draws: &mut DrawState,
        writer: &mut ReplyWriter<'_>,
    ) -> Result<Option<&'s [u8]>, BufferFull> {
        let checkpoint = writer.checkpoint();
        writer.push(&[0, key, 0, 0])?;
        let start = writer.position();
        let (mut outcome, mut cname) = (Ok(()), None);
        route.draw(draws, &mut |answer| {
            self.first = self.first.or(Some(answer));
            outcome = outcome.and_then(|()| match &answer.rdata {
                Rdata::A(addresses) if key == IPV4HINT => push_addresses(writer, start, addresses),
                Rdata::Aaaa(addresses) if key == IPV6HINT => {
                    push_addresses(writer, start, addresses)
                }
                Rdata::Cname(target) => {
                    cname = cname.or(Some(&**target));
                    Ok(())
                }
                _ => Ok(()),
            });
        });
        outcome?;
        let length = writer.position() - start;
        if length == 0 {
            writer.rewind(checkpoint);
            return Ok(cname);
        }
        self.has_any = true;
        set_length(writer, start - PARAMETER_OCTETS + 2, length)?;
        Ok(None)
    }
}

/// Appends addresses, each once; the hints before them start at `start`.
fn push_addresses<const N: usize>(
    writer: &mut ReplyWriter<'_>,
    start: usize,
    addresses: &[[u8; N]],
) -> Result<(), BufferFull> {
    for address in addresses {
        if !writer.written_from(start).chunks_exact(N).any(|written| written == address) {
            writer.push(address)?;
        }
    }
    Ok(())
}

/// Writes a 16-bit length at an offset. A longer one cannot occur: it exceeds the message.
fn set_length(
    writer: &mut ReplyWriter<'_>,
    offset: usize,
    length: usize,
) -> Result<(), BufferFull> {
    let [high, low] = u16::try_from(length).map_err(|_| BufferFull)?.to_be_bytes();
    writer.set_octet(offset, high);
    writer.set_octet(offset + 1, low);
    Ok(())
}
