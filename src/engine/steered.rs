//! A service's answer: the client's course, a draw, and the drawn endpoints' records.

mod binding;
mod srv;

use super::{
    frame::Frame,
    walk::{Walk, fixed, push_cname},
};
use crate::{
    dns::{Full, ReplyWriter, Rtype, Section},
    steer::{Chart, Draws, Family, Kind, Rdata, ServiceId},
};

/// What a service gave.
pub(super) enum Drawn<'s> {
    /// No record of the type: NODATA.
    Nothing,
    /// Records of the type.
    Records,
    /// A CNAME, whose target the message has at `target_at`.
    Alias { target_at: u16, target: &'s [u8] },
}

/// Draws and writes a service's answer to the question's type; `owner` is where the message has the name.
pub(super) fn draw<'s>(
    walk: &Walk<'s, '_>,
    service: ServiceId,
    owner: u16,
    draws: &mut Draws,
    frame: &mut Frame<'_, '_>,
) -> Result<Drawn<'s>, Full> {
    let Some(chart) = walk.snapshot.charts.get(service.index()) else { return Ok(Drawn::Nothing) };
    match chart.kind() {
        Kind::Addresses => {}
        Kind::Srv => return srv::draw(walk, (service, chart), owner, draws, frame),
        Kind::Binding(binding) if binding.rtype == walk.rtype => {
            return binding::draw(walk, (service, chart, binding), owner, draws, frame);
        }
        Kind::Binding(_) => {}
    }
    let family = match walk.rtype {
        Rtype::A => Family::V4,
        Rtype::AAAA => Family::V6,
        _ if chart.may_answer_cname() => Family::V4,
        _ => return Ok(Drawn::Nothing),
    };
    let course = chart.course(family, walk.subnet, walk.query.source);
    if walk.subnet.is_some() {
        frame.scope = frame.scope.max(course.scope);
    }
    frame.service.get_or_insert(service);
    let mut first_datacenter = None;
    let mut section =
        Steered { rtype: walk.rtype, owner, ttl_secs: course.ttl_secs, start: frame.writer.position(), count: 0 };
    let mut outcome = Ok(Drawn::Nothing);
    let writer = &mut frame.writer;
    course.draw(draws, &mut |answer| {
        if first_datacenter.is_none() {
            first_datacenter = answer.datacenter;
        }
        if matches!(outcome, Ok(Drawn::Nothing | Drawn::Records)) {
            outcome = section.push(writer, &answer.rdata);
        }
    });
    if frame.datacenter.is_none() {
        frame.datacenter = first_datacenter;
    }
    frame.writer.count(Section::Answer, section.count);
    outcome
}

/// The part of the chart that answers a type, if there is one; for people, who ask in no hurry.
pub(super) fn family(chart: &Chart, rtype: Rtype) -> Option<Family> {
    match (chart.kind(), rtype) {
        (Kind::Srv, rtype) => (rtype == Rtype::SRV).then_some(Family::V4),
        (Kind::Binding(binding), rtype) if rtype == binding.rtype => {
            Some(if chart.area_count(Family::V4) > 0 { Family::V4 } else { Family::V6 })
        }
        (_, Rtype::A) => Some(Family::V4),
        (_, Rtype::AAAA) => Some(Family::V6),
        _ => chart.may_answer_cname().then_some(Family::V4),
    }
}

/// The records of one service in the answer section.
struct Steered {
    rtype: Rtype,
    owner: u16,
    ttl_secs: u32,
    start: usize,
    count: u16,
}

impl Steered {
    /// Writes one endpoint's records, each address once.
    fn push<'s>(&mut self, writer: &mut ReplyWriter<'_>, rdata: &'s Rdata) -> Result<Drawn<'s>, Full> {
        match rdata {
            Rdata::A(addresses) if self.rtype == Rtype::A => self.push_addresses(writer, addresses)?,
            Rdata::Aaaa(addresses) if self.rtype == Rtype::AAAA => self.push_addresses(writer, addresses)?,
            Rdata::Cname(target) if self.count == 0 => {
                let target_at = push_cname(writer, self.owner, self.ttl_secs, target)?;
                self.count = 1;
                return Ok(Drawn::Alias { target_at, target });
            }
            _ => {}
        }
        Ok(if self.count == 0 { Drawn::Nothing } else { Drawn::Records })
    }

    #[inline]
    fn push_addresses<const N: usize>(
        &mut self,
        writer: &mut ReplyWriter<'_>,
        addresses: &[[u8; N]],
    ) -> Result<(), Full> {
        // An endpoint's own addresses differ; only those of endpoints before it can come again.
        let before = writer.position() - self.start;
        let head = fixed(self.owner, self.rtype, self.ttl_secs, N as u16);
        for address in addresses {
            let written = writer.written_from(self.start).get(..before).unwrap_or_default();
            if written.chunks_exact(head.len() + N).any(|record| record.ends_with(address)) {
                continue;
            }
            let (front, rdata) = writer.claim(head.len() + N)?.split_first_chunk_mut().ok_or(Full)?;
            *front = head;
            *rdata.first_chunk_mut().ok_or(Full)? = *address;
            self.count += 1;
        }
        Ok(())
    }
}
