//! A service's answer: the client's course, a draw, and the drawn endpoints' records.

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

/// Draws and writes a service's answer to the question's type; `owner` is where the message has the
/// name.
pub(super) fn draw<'s>(
    context: &QueryContext<'s, '_>,
    service: ServiceId,
    owner: u16,
    draws: &mut DrawState,
    frame: &mut ReplyBuilder<'_, '_>,
) -> Result<ServiceAnswer<'s>, BufferFull> {
    let Some(chart) = context.snapshot.charts.get(service.index()) else {
        return Ok(ServiceAnswer::NoData);
    };
    match chart.kind() {
        RecordKind::Addresses => {}
        RecordKind::Srv => return srv::draw(context, (service, chart), owner, draws, frame),
        RecordKind::Binding(binding) if binding.rtype == context.rtype => {
            return binding::draw(context, (service, chart, binding), owner, draws, frame);
        }
        RecordKind::Binding(_) => {}
    }
    // For ANY, the walk asks for one type after the other.
    let of_cname =
        || (context.rtype != Rtype::ANY && chart.may_answer_cname()).then_some(Family::V4);
    let Some(family) = Family::asked_by(context.rtype).or_else(of_cname) else {
        return Ok(ServiceAnswer::NoData);
    };
    let subnet = context.subnet_address();
    let course = chart.route(family, subnet, &context.query.source);
    if subnet.is_some() {
        frame.scope = frame.scope.max(course.scope);
    }
    frame.service.get_or_insert(service);
    if course.is_empty() {
        if chart.publishes(family) {
            frame.negative_ttl_secs = course.ttl_secs;
        }
        return Ok(ServiceAnswer::NoData);
    }
    let mut first_datacenter = None;
    let mut section = AddressSection {
        rtype: context.rtype,
        owner,
        ttl_secs: course.ttl_secs,
        start: frame.writer.position(),
        count: 0,
        is_full: false,
        target_at: 0,
        target: None,
    };
    let writer = &mut frame.writer;
    course.draw(draws, &mut |answer| {
        if first_datacenter.is_none() {
            first_datacenter = answer.datacenter;
        }
        section.push(writer, &answer.rdata);
    });
    if frame.datacenter.is_none() {
        frame.datacenter = first_datacenter;
    }
    frame.writer.count(Section::Answer, section.count);
    section.outcome(&mut frame.negative_ttl_secs)
}

/// The part of the chart that answers a type, if there is one; for people, who ask in no hurry.
pub(super) fn family(chart: &Chart, rtype: Rtype) -> Option<Family> {
    match (chart.kind(), rtype) {
        (RecordKind::Srv, rtype) => (rtype == Rtype::SRV).then_some(Family::V4),
        (RecordKind::Binding(binding), rtype) if rtype == binding.rtype => {
            Some(if chart.area_count(Family::V4) > 0 { Family::V4 } else { Family::V6 })
        }
        // The first RRset of the service.
        (_, Rtype::ANY) => Some(if chart.publishes(Family::V4) { Family::V4 } else { Family::V6 }),
        _ => Family::asked_by(rtype).or_else(|| chart.may_answer_cname().then_some(Family::V4)),
    }
}

/// The records of one service in the answer section.
struct AddressSection<'s> {
    rtype: Rtype,
    owner: u16,
    ttl_secs: u32,
    start: usize,
    count: u16,
    /// Something did not fit.
    is_full: bool,
    /// What a CNAME leads to, and where the message has it.
    target: Option<&'s [u8]>,
    target_at: u16,
}

impl<'s> AddressSection<'s> {
    /// Writes one endpoint's records, each address once; nothing after a CNAME or what did not fit.
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
        self.target_at = push_cname(writer, self.owner, self.ttl_secs, target)?;
        (self.count, self.target) = (1, Some(target));
        Ok(())
    }

    #[inline]
    fn push_addresses<const N: usize>(
        &mut self,
        writer: &mut ReplyWriter<'_>,
        addresses: &[[u8; N]],
    ) -> Result<(), BufferFull> {
        // An endpoint's own addresses differ; only those of endpoints before it can come again.
        let before = writer.position() - self.start;
        let head = record_header(self.owner, self.rtype, self.ttl_secs, N as u16);
        for address in addresses {
            let written = writer.written_from(self.start).get(..before).unwrap_or_default();
            if written.chunks_exact(head.len() + N).any(|record| record.ends_with(address)) {
                continue;
            }
            let (front, rdata) =
                writer.claim(head.len() + N)?.split_first_chunk_mut().ok_or(BufferFull)?;
            *front = head;
            *rdata.first_chunk_mut().ok_or(BufferFull)? = *address;
            self.count += 1;
        }
        Ok(())
    }

    /// What all that was pushed comes to.
    fn outcome(&self, negative_ttl_secs: &mut u32) -> Result<ServiceAnswer<'s>, BufferFull> {
        match self.target {
            _ if self.is_full => Err(BufferFull),
            Some(target) => Ok(ServiceAnswer::Alias { target_at: self.target_at, target }),
            None if self.count == 0 => {
                *negative_ttl_secs = self.ttl_secs;
                Ok(ServiceAnswer::NoData)
            }
            None => Ok(ServiceAnswer::Records),
        }
    }
}
