//! Tests of the whole engine: queries to small zones, and their replies.

use std::{net::IpAddr, sync::Arc};

use hickory_proto::{op::Message, rr::Record as HickoryRecord};

use super::{IgnoreReason, Query, ReplyLabels, Transport, answer};
use crate::{
    dns::{Name, Rtype},
    snapshot::Snapshot,
    steer::DrawState,
    zone::{Record, Zone, ZoneBuilder, Zones},
};

mod bindings;
mod hostile;
mod lookup;
mod model;
mod protocol;
mod requirements;
mod steered;
mod whoami;

/// Rdata in wire format from words: a name ends in a dot, `@` starts an address, `#` a number of 16
/// bits, `%` one of 32 bits; other words are character-strings.
pub(super) fn rdata(words: &str) -> Box<[u8]> {
    let mut out = Vec::new();
    for word in words.split_whitespace() {
        match word.split_at(1) {
            ("@", address) if !address.is_empty() => match address.parse().unwrap() {
                IpAddr::V4(v4) => out.extend(v4.octets()),
                IpAddr::V6(v6) => out.extend(v6.octets()),
            },
            ("#", number) => out.extend(number.parse::<u16>().unwrap().to_be_bytes()),
            ("%", number) => out.extend(number.parse::<u32>().unwrap().to_be_bytes()),
            _ if word.ends_with('.') => out.extend(word.parse::<Name>().unwrap().as_wire()),
            _ => out.extend([&[word.len() as u8], word.as_bytes()].concat()),
        }
    }
    out.into()
}

/// A snapshot of zones, each from its apex and its lines, as for [`zone`].
pub(super) fn snapshot(zones: &[(&str, &str)]) -> Snapshot {
    let zones = zones.iter().map(|(apex, lines)| Arc::new(zone(apex, lines))).collect();
    Snapshot { zones: Arc::new(Zones::build(zones, &[])), ..Snapshot::default() }
}

/// A zone from lines of owner, TTL, type and rdata. SOA and NS of the apex are added.
pub(super) fn zone(apex: &str, lines: &str) -> Zone {
    let mut builder = ZoneBuilder::new(apex.parse().unwrap());
    let suffix = if apex == "." { "" } else { apex };
    let apex_lines = format!(
        "{apex} 3600 SOA ns.{suffix} host.{suffix} %7 %1 %2 %3 %300\n{apex} 3600 NS ns.elsewhere.test."
    );
    for line in
        apex_lines.lines().chain(lines.lines()).map(str::trim).filter(|line| !line.is_empty())
    {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (owner, ttl_secs, rtype) =
            (word().parse().unwrap(), word().parse().unwrap(), word().parse().unwrap());
        builder.add(Record { owner, rtype, ttl_secs, rdata: rdata(word()) }).unwrap();
    }
    builder.finish().unwrap()
}

/// A query in wire format: name, type, class IN, and the octets of an additional record.
pub(super) fn request(name: &str, rtype: Rtype, rest: &[u8]) -> Vec<u8> {
    let additional = u8::from(!rest.is_empty());
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional];
    let name = name.parse::<Name>().unwrap();
    [&header, name.as_wire(), &rtype.0.to_be_bytes(), &[0, 1], rest].concat()
}

/// An OPT record with a payload size of 4096 and no options.
pub(super) const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\0\0\0\0";

pub(super) fn ask(
    snapshot: &Snapshot,
    message: &[u8],
    transport: Transport,
) -> Result<(Vec<u8>, ReplyLabels), IgnoreReason> {
    let mut out = vec![0; 65_535];
    let query = Query { message, source: [192, 0, 2, 99].into(), transport, now_secs: 0 };
    let reply = answer(snapshot, &query, &mut DrawState::new(1), &mut out)?;
    out.truncate(reply.length);
    Ok((out, reply.labels))
}

/// A reply as text: response code, flags, then the records of each section. Hickory shows the rdata
/// of a DNAME as base64.
pub(super) fn shown(reply: &[u8]) -> String {
    let message = Message::from_vec(reply).unwrap();
    let records = |records: &[HickoryRecord]| {
        let mut lines: Vec<_> = records
            .iter()
            .map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data))
            .collect();
        lines.sort();
        lines.join(", ")
    };
    let authoritative = if message.authoritative { " aa" } else { "" };
    let truncated = if message.truncation { " tc" } else { "" };
    let (answers, authorities, additionals) =
        (records(&message.answers), records(&message.authorities), records(&message.additionals));
    format!(
        "{}{authoritative}{truncated} | {answers} | {authorities} | {additionals}",
        message.response_code
    )
}
