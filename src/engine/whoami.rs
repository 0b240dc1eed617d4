//! The `whoami` name of a zone: a TXT record that shows a client how this server sees it.
//!
//! The record has one character-string for each fact, `name=value`, in a fixed order; unknown facts
//! are left out. It is valid for this client only: its TTL is 0, and the scope of a client subnet
//! is the whole address (RFC 7871 section 7.2.1), so that no resolver gives it to another client.
//! Like every answer, it is a function of snapshot, question and client, and allocates nothing.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

use super::{
    query_context::QueryContext, record_header::push_record_header, reply_builder::ReplyBuilder,
};
use crate::{
    dns::{BufferFull, ReplyWriter, Rtype, Section},
    geo::{Coordinates, is_special_purpose},
    steer::Datacenter,
};

/// The maximum number of datacenters named as nearest.
const MAX_NEAREST: usize = 3;
/// With more datacenters than this, none is named: each costs some 50 ns, and a client may ask
/// often.
const MAX_RANKED: usize = 256;
const TTL_SECS: u32 = 0;

/// Writes the record; `owner` is the offset of the name in the message.
///
/// # Errors
/// [`BufferFull`], if the record does not fit.
pub(super) fn answer(
    context: &QueryContext<'_, '_>,
    owner: u16,
    reply: &mut ReplyBuilder<'_, '_>,
) -> Result<(), BufferFull> {
    let subnet = context.client_subnet.and_then(|subnet| subnet.network());
    let client = subnet.map_or(context.query.source, |(address, _)| address);
    if subnet.is_some() {
        reply.scope = if client.is_ipv4() { 32 } else { 128 };
    }
    let writer = &mut reply.writer;
    push_record_header(writer, owner, Rtype::TXT, TTL_SECS, 0)?;
    let start = writer.position();
    let mut facts = FactWriter(writer);
    facts.push(format_args!("source={}", context.query.source))?;
    facts.push(format_args!("transport={}", context.query.transport.as_str()))?;
    if let Some((address, length)) = subnet {
        facts.push(format_args!("client-subnet={address}/{length}"))?;
    }
    // Services use the location of the resolver if the subnet has none.
    let has_no_location =
        |client| is_special_purpose(client) && context.snapshot.databases.view(client).is_unknown();
    let client = if subnet.is_some() && has_no_location(client) {
        facts.push(format_args!("placed-by=source"))?;
        context.query.source
    } else {
        client
    };
    let location = facts.location(context, client)?;
    if let Some(location) = location {
        facts.nearest(&context.snapshot.topology.datacenters, location)?;
    }
    facts.node(&context.snapshot.identity.nsid)?;
    let [high, low] = ((writer.position() - start) as u16).to_be_bytes();
    writer.set_octet(start - 2, high);
    writer.set_octet(start - 1, low);
    writer.count(Section::Answer, 1);
    Ok(())
}

/// Writes facts as character-strings of one TXT record.
struct FactWriter<'w, 'o>(&'w mut ReplyWriter<'o>);

impl FactWriter<'_, '_> {
    /// Writes one character-string, cut after 255 octets.
    fn push(&mut self, text: fmt::Arguments<'_>) -> Result<(), BufferFull> {
        let mut string = CharacterString { octets: [0; 255], length: 0 };
        // An error means that the text was cut, which is intended.
        let _ = string.write_fmt(text);
        self.0.push(&[string.length])?;
        self.0.push(string.octets.get(..usize::from(string.length)).unwrap_or_default())
    }

    fn push_some(
        &mut self,
        name: &str,
        value: Option<impl fmt::Display>,
    ) -> Result<(), BufferFull> {
        value.map_or(Ok(()), |value| self.push(format_args!("{name}={value}")))
    }

    /// Writes the client's location by the databases, and returns its coordinates.
    fn location(
        &mut self,
        context: &QueryContext<'_, '_>,
        client: IpAddr,
    ) -> Result<Option<Coordinates>, BufferFull> {
        let location = context.snapshot.databases.view(client);
        self.push(format_args!("area={}", location.network))?;
        self.push_some("continent", location.continent)?;
        self.push_some("country", location.country)?;
        self.push_some("subdivision", location.subdivision)?;
        self.push_some("city", location.city)?;
        if let Some(point) = location.coordinates {
            self.push(format_args!(
                "coordinates={:.4},{:.4}",
                point.latitude(),
                point.longitude()
            ))?;
        }
        self.push_some("asn", location.asn)?;
        Ok(location.coordinates)
    }

    /// Writes the nearest datacenters, regardless of their state and health.
    fn nearest(
        &mut self,
        datacenters: &[Datacenter],
        client: Coordinates,
    ) -> Result<(), BufferFull> {
        if datacenters.len() > MAX_RANKED {
            return Ok(());
        }
        let mut nearest: [Option<(f64, &str)>; MAX_NEAREST] = [None; MAX_NEAREST];
        for datacenter in datacenters {
            let Some(location) = datacenter.location else { continue };
            let mut ranked = Some((client.distance_km(location), &*datacenter.name));
            // Of equal distances, the first by name wins, as in `nearest` pools.
            for slot in &mut nearest {
                let is_nearer = match (&ranked, &slot) {
                    (Some((this, _)), Some((that, _))) => this < that,
                    (ranked, _) => ranked.is_some(),
                };
                if is_nearer {
                    std::mem::swap(slot, &mut ranked);
                }
            }
        }
        nearest
            .iter()
            .flatten()
            .try_for_each(|(km, name)| self.push(format_args!("nearest={name} {km:.0} km")))
    }

    /// Writes the identifier of the server, in hexadecimal if it is not printable text.
    fn node(&mut self, nsid: &[u8]) -> Result<(), BufferFull> {
        match std::str::from_utf8(nsid) {
            Ok("") => Ok(()),
            Ok(text) if !text.contains(char::is_control) => self.push(format_args!("node={text}")),
            _ => self.push(format_args!("node={}", Hexadecimal(nsid))),
        }
    }
}

struct Hexadecimal<'a>(&'a [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A character-string (RFC 1035 section 3.3) that is being written.
struct CharacterString {
    octets: [u8; 255],
    length: u8,
}

impl fmt::Write for CharacterString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.octets.get_mut(usize::from(self.length)..).unwrap_or_default();
        let max = text.len().min(free.len());
        let taken = (0..=max).rev().find(|&length| text.is_char_boundary(length)).unwrap_or(0);
        free.iter_mut()
            .zip(text.as_bytes().get(..taken).unwrap_or_default())
            .for_each(|(to, from)| *to = *from);
        self.length += taken as u8;
        if taken < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
