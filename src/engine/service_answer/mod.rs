//! The answer of a service: the client's route through the chart, a draw, and the records of the
//! endpoints drawn.

mod binding;
mod outcome;
mod srv;

use super::{
    query_context::QueryContext,
    record_header::{push_cname, record_header},
    reply_builder::ReplyBuilder,
};
use crate::{
    dns::{BufferFull, ReplyWriter, Rtype, Section},
    steer::{Chart, DrawState, Family, Rdata, RecordKind, ServiceId},
};

pub(super) use outcome::ServiceAnswer;

/// Draws an answer of the type in `context` and writes it; `owner` is the offset of the name in the
/// message.
pub(super) fn draw<'s>(
    context: &QueryContext<'s, '_>,
    service: ServiceId,
    owner: u16,
    draws: &mut DrawState,
    reply: &mut ReplyBuilder<'_, '_>,
) -> Result<ServiceAnswer<'s>, BufferFull> {
    let Some(chart) = context.snapshot.charts.get(service.index()) else {
        return Ok(ServiceAnswer::NoData);
    };
    match chart.kind() {
        RecordKind::Addresses => {}
        RecordKind::Srv => return srv::draw(context, service, chart, owner, draws, reply),
        RecordKind::Binding(binding) if binding.rtype == context.rtype => {
            return binding::draw(context, service, chart, binding, owner, draws, reply);
        }
        RecordKind::Binding(_) => {}
    }
    // For ANY, the walk asks for CNAME separately.
    let cname_family =
        || (context.rtype != Rtype::ANY && chart.may_answer_cname()).then_some(Family::V4);
    let Some(family) = Family::asked_by(context.rtype).or_else(cname_family) else {
        return Ok(ServiceAnswer::NoData);
    };
    let subnet = context.subnet_address();
    let route = chart.route(family, subnet, &context.query.source);
    if subnet.is_some() {
        reply.scope = reply.scope.max(route.scope);
    }
    reply.service.get_or_insert(service);
    if route.is_empty() {
        if chart.publishes(family) {
            reply.negative_ttl_secs = route.ttl_secs;
        }
        return Ok(ServiceAnswer::NoData);
    }
    let mut first_datacenter = None;
    let mut section = AddressSection {
        rtype: context.rtype,
        owner,
        ttl_secs: route.ttl_secs,
        start: reply.writer.position(),
        count: 0,
        is_full: false,
        target_offset: 0,
        target: None,
    };
    let writer = &mut reply.writer;
    route.draw(draws, &mut |answer| {
        if first_datacenter.is_none() {
            first_datacenter = answer.datacenter;
        }
        section.push(writer, &answer.rdata);
    });
    if reply.datacenter.is_none() {
        reply.datacenter = first_datacenter;
    }
    reply.writer.count(Section::Answer, section.count);
    section.outcome(&mut reply.negative_ttl_secs)
}

/// The family of the chart that answers a type; `None` if the service cannot have the type. Not for
/// the hot path.
pub(super) fn family(chart: &Chart, rtype: Rtype) -> Option<Family> {
    match (chart.kind(), rtype) {
        (RecordKind::Srv, rtype) => (rtype == Rtype::SRV).then_some(Family::V4),
        (RecordKind::Binding(binding), rtype) if rtype == binding.rtype => {
            Some(if chart.area_count(Family::V4) > 0 { Family::V4 } else { Family::V6 })
        }
        // ANY is answered with the first RRset of the service.
        (_, Rtype::ANY) => Some(if chart.publishes(Family::V4) { Family::V4 } else { Family::V6 }),
        _ => Family::asked_by(rtype).or_else(|| chart.may_answer_cname().then_some(Family::V4)),
    }
}

/// The address or CNAME records of one service in the answer section.
struct AddressSection<'s> {
    rtype: Rtype,
    owner: u16,
    ttl_secs: u32,
    start: usize,
    count: u16,
    /// A record did not fit: the reply is truncated.
    is_full: bool,
    /// The target of the CNAME, if one was written, and its offset in the message.
    target: Option<&'s [u8]>,
    target_offset: u16,
}

impl<'s> AddressSection<'s> {
    /// Writes the records of one endpoint, each address once. After a CNAME, or a record that did
    /// not fit, nothing more is written.
    fn push(&mut self, writer: &mut ReplyWriter<'_>, rdata: &'s Rdata) {
        if self.is_full || self.target.is_some() {
            return;
        }
        let pushed = match rdata {
            Rdata::A(addresses) if self.rtype == Rtype::A => self.push_addresses(writer, addresses),
            Rdata::Aaaa(addresses) if self.rtype == Rtype::AAAA => {
                self.push_addresses(writer, addresses)
            }
            Rdata::Cname(target) if self.count == 0 => self.push_cname(writer, target),
            _ => Ok(()),
        };
        self.is_full = pushed.is_err();
    }

    fn push_cname(
        &mut self,
        writer: &mut ReplyWriter<'_>,
        target: &'s [u8],
    ) -> Result<(), BufferFull> {
        self.target_offset = push_cname(writer, self.owner, self.ttl_secs, target)?;
        (self.count, self.target) = (1, Some(target));
        Ok(())
    }

    #[inline]
    fn push_addresses<const N: usize>(
        &mut self,
        writer: &mut ReplyWriter<'_>,
        addresses: &[[u8; N]],
    ) -> Result<(), BufferFull> {
        // The addresses of one endpoint differ, so only those of earlier endpoints are compared.
        let before = writer.position() - self.start;
        let header = record_header(self.owner, self.rtype, self.ttl_secs, N as u16);
        for address in addresses {
            let written = writer.written_from(self.start).get(..before).unwrap_or_default();
            if written.chunks_exact(header.len() + N).any(|record| record.ends_with(address)) {
                continue;
            }
            let (target, rdata) =
                writer.claim(header.len() + N)?.split_first_chunk_mut().ok_or(BufferFull)?;
            *target = header;
            *rdata.first_chunk_mut().ok_or(BufferFull)? = *address;
            self.count += 1;
        }
        Ok(())
    }

    /// The outcome, once all endpoints drawn were pushed.
    fn outcome(&self, negative_ttl_secs: &mut u32) -> Result<ServiceAnswer<'s>, BufferFull> {
        match self.target {
            _ if self.is_full => Err(BufferFull),
            Some(target) => Ok(ServiceAnswer::Alias { target_offset: self.target_offset, target }),
            None if self.count == 0 => {
                *negative_ttl_secs = self.ttl_secs;
                Ok(ServiceAnswer::NoData)
            }
            None => Ok(ServiceAnswer::Records),
        }
    }
}
