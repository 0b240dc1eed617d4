//! SRV records of a service (RFC 2782), and the static addresses of their targets in the additional
//! section.

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

/// Draws and writes the SRV records, then the addresses of their targets as far as they fit.
#[cold]
pub(super) fn draw<'s>(
    context: &QueryContext<'s, '_>,
    service: ServiceId,
    chart: &'s Chart,
    owner: u16,
    draws: &mut DrawState,
    reply: &mut ReplyBuilder<'_, '_>,
) -> Result<ServiceAnswer<'s>, BufferFull> {
    if context.rtype != Rtype::SRV {
        return Ok(ServiceAnswer::NoData);
    }
    let subnet = context.subnet_address();
    let route = chart.route(Family::V4, subnet, &context.query.source);
    if subnet.is_some() {
        reply.scope = reply.scope.max(route.scope);
    }
    reply.service.get_or_insert(service);
    let mut section = SrvSection {
        owner,
        ttl_secs: route.ttl_secs,
        keeps_order: route.keeps_order,
        last_priority: None,
        start: reply.writer.position(),
        count: 0,
    };
    let mut outcome = Ok(());
    route.draw(draws, &mut |answer| {
        reply.datacenter = reply.datacenter.or(answer.datacenter);
        if let (Ok(()), Rdata::Srv(srv)) = (&outcome, &answer.rdata) {
            outcome = section.push(&mut reply.writer, srv);
        }
    });
    outcome?;
    if section.count == 0 {
        reply.negative_ttl_secs = route.ttl_secs;
        return Ok(ServiceAnswer::NoData);
    }
    reply.writer.count(Section::Answer, section.count);
    section.push_targets(&context.snapshot.zones, &mut reply.writer);
    Ok(ServiceAnswer::Records)
}

/// The SRV records of one service in the answer section.
struct SrvSection {
    owner: u16,
    ttl_secs: u32,
    keeps_order: bool,
    last_priority: Option<u16>,
    start: usize,
    count: u16,
}

impl SrvSection {
    /// Writes the record of one endpoint, unless one with the same target and port was written.
    fn push(&mut self, writer: &mut ReplyWriter<'_>, srv: &SrvRdata) -> Result<(), BufferFull> {
        let written = writer.written_from(self.start);
        let is_written = records(written).any(|start| {
            let rest = written.get(start + HEADER_OCTETS + 4..).unwrap_or_default();
            rest.starts_with(&srv.port.to_be_bytes())
                && rest.get(2..).is_some_and(|rest| rest.starts_with(&srv.target))
        });
        if is_written {
            return Ok(());
        }
        // Clients sort SRV records by priority. Rising priorities keep the order of a ranked
        // answer.
        let min_priority = self
            .last_priority
            .filter(|_| self.keeps_order)
            .map_or(0, |last| last.saturating_add(1));
        let priority = srv.priority.max(min_priority);
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

    /// Writes the static addresses of those targets that are in a zone served here, as far as they
    /// fit.
    fn push_targets(&self, zones: &Zones, writer: &mut ReplyWriter<'_>) {
        let (mut offset, end) = (self.start, writer.position());
        while offset < end {
            let Some(length) = rdata_length(writer.written_from(offset)) else { return };
            let name_offset = offset + HEADER_OCTETS + NUMBERS_OCTETS;
            offset += HEADER_OCTETS + length;
            let wire = writer
                .written_from(name_offset)
                .get(..length.saturating_sub(NUMBERS_OCTETS))
                .unwrap_or_default();
            let mut name = LookupName::root();
            if name.assemble(&[], wire).is_err() {
                return;
            }
            let Some(found) = zones.find(&name, Rtype::A) else { continue };
            // The rdata of addresses has no names, so the offset of the apex is not used.
            if push_addresses(found.zone, &name, name_offset, 0, writer).is_err() {
                return;
            }
        }
    }
}

/// The offsets at which records start in `written`.
fn records(written: &[u8]) -> impl Iterator<Item = usize> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        next += HEADER_OCTETS + rdata_length(written.get(start..)?)?;
        Some(start)
    })
}

fn rdata_length(record: &[u8]) -> Option<usize> {
    let octets = record.get(HEADER_OCTETS - 2..HEADER_OCTETS)?;
    Some(usize::from(u16::from_be_bytes([octets[0], octets[1]])))
}
