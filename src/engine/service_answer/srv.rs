//! SRV records of a service (RFC 2782), and the static addresses of their targets.

use super::outcome::ServiceAnswer;
use crate::{
    dns::{BufferFull, LookupName, ReplyWriter, Rtype, Section},
    engine::{
        additional::push_addresses,
        query_context::QueryContext,
        record_header::{HEADER_OCTETS, push_record_header},
        reply_builder::ReplyBuilder,
    },
    steer::{Chart, DrawState, Family, Rdata, ServiceId, SrvRdata},
    zone::Zones,
};

/// Octets of priority, weight and port, which precede the target.
const NUMBERS_OCTETS: usize = 6;

/// Draws and writes the records, and the addresses of their targets as far as they fit.
#[cold]
pub(super) fn draw<'s>(
    context: &QueryContext<'s, '_>,
    (service, chart): (ServiceId, &'s Chart),
    owner: u16,
    draws: &mut DrawState,
    frame: &mut ReplyBuilder<'_, '_>,
) -> Result<ServiceAnswer<'s>, BufferFull> {
    if context.rtype != Rtype::SRV {
        return Ok(ServiceAnswer::NoData);
    }
    let subnet = context.subnet_address();
    let course = chart.route(Family::V4, subnet, &context.query.source);
    if subnet.is_some() {
        frame.scope = frame.scope.max(course.scope);
    }
    frame.service.get_or_insert(service);
    let mut section = SrvSection {
        owner,
        ttl_secs: course.ttl_secs,
        keeps_order: course.keeps_order,
        last_priority: None,
        start: frame.writer.position(),
        count: 0,
    };
    let mut outcome = Ok(());
    course.draw(draws, &mut |answer| {
        frame.datacenter = frame.datacenter.or(answer.datacenter);
        if let (Ok(()), Rdata::Srv(srv)) = (&outcome, &answer.rdata) {
            outcome = section.push(&mut frame.writer, srv);
        }
    });
    outcome?;
    if section.count == 0 {
        frame.negative_ttl_secs = course.ttl_secs;
        return Ok(ServiceAnswer::NoData);
    }
    frame.writer.count(Section::Answer, section.count);
    section.push_targets(&context.snapshot.zones, &mut frame.writer);
    Ok(ServiceAnswer::Records)
}

/// The records of one service in the answer section.
struct SrvSection {
    owner: u16,
    ttl_secs: u32,
    keeps_order: bool,
    last_priority: Option<u16>,
    start: usize,
    count: u16,
}

impl SrvSection {
    /// Writes one endpoint's record, unless its host and port stand there already.
    fn push(&mut self, writer: &mut ReplyWriter<'_>, srv: &SrvRdata) -> Result<(), BufferFull> {
        let written = writer.written_from(self.start);
        let is_written = records(written).any(|at| {
            let rest = written.get(at + HEADER_OCTETS + 4..).unwrap_or_default();
            rest.starts_with(&srv.port.to_be_bytes())
                && rest.get(2..).is_some_and(|rest| rest.starts_with(&srv.target))
        });
        if is_written {
            return Ok(());
        }
        // Where an answer's order means something, clients keep it by the priorities.
        let least = self
            .last_priority
            .filter(|_| self.keeps_order)
            .map_or(0, |last| last.saturating_add(1));
        let priority = srv.priority.max(least);
        self.last_priority = Some(priority);
        let length = NUMBERS_OCTETS + srv.target.len();
        push_record_header(writer, self.owner, Rtype::SRV, self.ttl_secs, length as u16)?;
        for number in [priority, srv.weight, srv.port] {
            writer.push_u16(number)?;
        }
        writer.push(&srv.target)?;
        self.count += 1;
        Ok(())
    }

    /// Writes the static addresses of the targets that are in our zones, as far as they fit.
    fn push_targets(&self, zones: &Zones, writer: &mut ReplyWriter<'_>) {
        let (mut at, end) = (self.start, writer.position());
        while at < end {
            let Some(length) = rdata_length(writer.written_from(at)) else { return };
            let name_at = at + HEADER_OCTETS + NUMBERS_OCTETS;
            at += HEADER_OCTETS + length;
            let wire = writer
                .written_from(name_at)
                .get(..length.saturating_sub(NUMBERS_OCTETS))
                .unwrap_or_default();
            let mut name = LookupName::root();
            if name.assemble(&[], wire).is_err() {
                return;
            }
            let Some(found) = zones.find(&name, Rtype::A) else { continue };
            // Addresses have no name in their rdata, so that where the apex is does not matter.
            if push_addresses(found.zone, &name, name_at, 0, writer).is_err() {
                return;
            }
        }
    }
}

/// Where the records at the front start.
fn records(written: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let here = at;
        at += HEADER_OCTETS + rdata_length(written.get(here..)?)?;
        Some(here)
    })
}

fn rdata_length(record: &[u8]) -> Option<usize> {
    let octets = record.get(HEADER_OCTETS - 2..HEADER_OCTETS)?;
    Some(usize::from(u16::from_be_bytes([octets[0], octets[1]])))
}
