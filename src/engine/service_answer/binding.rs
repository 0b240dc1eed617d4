//! HTTPS and SVCB records of a service (RFC 9460): how to connect, and as hints the very addresses
//! that the client gets.

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

/// A parameter's key and length.
const PARAMETER_OCTETS: usize = 4;
const IPV4HINT: u8 = 4;
const IPV6HINT: u8 = 6;

/// Draws both families and writes the record; a CNAME where the draw comes to one, and nothing
/// where the name has no address.
#[cold]
pub(super) fn draw<'s>(
    context: &QueryContext<'s, '_>,
    (service, chart, binding): (ServiceId, &'s Chart, &'s ServiceBinding),
    owner: u16,
    draws: &mut DrawState,
    frame: &mut ReplyBuilder<'_, '_>,
) -> Result<ServiceAnswer<'s>, BufferFull> {
    frame.service.get_or_insert(service);
    let subnet = context.subnet_address();
    let courses =
        [Family::V4, Family::V6].map(|family| chart.route(family, subnet, &context.query.source));
    let is_drawn = binding.has_hints || chart.may_answer_cname();
    if subnet.is_some() && is_drawn {
        frame.scope = courses.iter().map(|course| course.scope).fold(frame.scope, u8::max);
    }
    let ttl_secs = courses[0].ttl_secs.min(courses[1].ttl_secs);
    if courses.iter().all(Route::is_empty) {
        frame.negative_ttl_secs = ttl_secs;
        return Ok(ServiceAnswer::NoData);
    }
    let mark = frame.writer.checkpoint();
    let start = frame.writer.position();
    push_record_header(&mut frame.writer, owner, binding.rtype, ttl_secs, 0)?;
    frame.writer.push(&binding.rdata_prefix)?;
    let mut hints = HintWriter { has_any: false, first: None };
    if is_drawn {
        let hinted = [(&courses[0], IPV4HINT), (&courses[1], IPV6HINT)];
        for (course, key) in hinted {
            let before = frame.writer.checkpoint();
            let cname = hints.push(course, key, draws, &mut frame.writer)?;
            if let (Some(target), false) = (cname, hints.has_any) {
                frame.writer.rewind(mark);
                let target_at = push_cname(&mut frame.writer, owner, ttl_secs, target)?;
                frame.writer.count(Section::Answer, 1);
                frame.datacenter =
                    frame.datacenter.or(hints.first.and_then(|answer| answer.datacenter));
                return Ok(ServiceAnswer::Alias { target_at, target });
            }
            if !binding.has_hints {
                frame.writer.rewind(before);
            }
        }
    }
    if binding.has_hints && !hints.has_any {
        frame.writer.rewind(mark);
        frame.negative_ttl_secs = ttl_secs;
        return Ok(ServiceAnswer::NoData);
    }
    let length = frame.writer.position() - start - HEADER_OCTETS;
    set_length(&mut frame.writer, start + HEADER_OCTETS - 2, length)?;
    frame.writer.count(Section::Answer, 1);
    frame.datacenter = frame.datacenter.or(hints.first.and_then(|answer| answer.datacenter));
    Ok(ServiceAnswer::Records)
}

/// The hints of one record.
struct HintWriter<'s> {
    has_any: bool,
    /// The first endpoint drawn.
    first: Option<&'s EndpointAnswer>,
}

impl<'s> HintWriter<'s> {
    /// Writes one family's parameter, unless nothing of it is drawn; the target where a CNAME is.
    fn push(
        &mut self,
        course: &Route<'s>,
        key: u8,
        draws: &mut DrawState,
        writer: &mut ReplyWriter<'_>,
    ) -> Result<Option<&'s [u8]>, BufferFull> {
        let mark = writer.checkpoint();
        writer.push(&[0, key, 0, 0])?;
        let start = writer.position();
        let (mut outcome, mut cname) = (Ok(()), None);
        course.draw(draws, &mut |answer| {
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
            writer.rewind(mark);
            return Ok(cname);
        }
        self.has_any = true;
        set_length(writer, start - PARAMETER_OCTETS + 2, length)?;
        Ok(None)
    }
}

/// Appends addresses, each once: those of endpoints before this one start at `start`.
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

/// Writes a length where it belongs; one that has no room there is more than a message has.
fn set_length(writer: &mut ReplyWriter<'_>, at: usize, length: usize) -> Result<(), BufferFull> {
    let [high, low] = u16::try_from(length).map_err(|_| BufferFull)?.to_be_bytes();
    writer.set_octet(at, high);
    writer.set_octet(at + 1, low);
    Ok(())
}
