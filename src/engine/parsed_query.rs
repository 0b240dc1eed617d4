//! A parsed query: everything that an answer depends on, except the snapshot.

use std::net::IpAddr;

use super::query::{IgnoreReason, Query};
use crate::{
    dns::{
        AdditionalSection, ClientSubnet, Edns, Flags, Header, LookupName, Opcode, Question, Rcode,
        Rtype,
    },
    zone::{self, LookupHint, LookupResult, Zones},
};

/// A query, as far as it could be parsed. The name asked for is kept outside: it has some 400
/// octets, and callers reuse one buffer for many queries.
#[derive(Debug)]
pub(super) struct ParsedQuery<'m> {
    pub(super) query: Query<'m>,
    pub(super) id: u16,
    pub(super) flags: Flags,
    /// The type asked for; 0 if the question could not be read.
    pub(super) rtype: Rtype,
    /// The octets of the question as received; empty if it could not be read.
    pub(super) question: &'m [u8],
    pub(super) edns: Option<Edns<'m>>,
    /// The offset of the TSIG record in the message.
    pub(super) tsig_at: Option<u16>,
    /// The code to reply with instead of an answer; `None` if the question is to be answered.
    pub(super) error_rcode: Option<Rcode>,
    /// The hash of the name asked for, as `zone` uses it.
    pub(super) name_hash: u64,
}

impl<'m> ParsedQuery<'m> {
    /// Parses a query and writes the name asked for into `name`. The content of `name` is
    /// unspecified if the query has no question.
    ///
    /// # Errors
    /// [`IgnoreReason`], if no reply must be sent.
    #[inline(always)]
    pub(super) fn read(query: Query<'m>, name: &mut LookupName) -> Result<Self, IgnoreReason> {
        let header = Header::read(query.message).ok_or(IgnoreReason::Short)?;
        if header.flags.has(Flags::QR) {
            return Err(IgnoreReason::Response);
        }
        let question =
            (header.counts[0] == 1).then(|| Question::read(query.message, name).ok()).flatten();
        let name_hash = question.map_or(0, |_| zone::hash_name(name.as_wire()));
        let additional = read_additional(query.message, &header, question.as_ref());
        let error_rcode = error_rcode(&header, question.as_ref(), &additional);
        let octets = question.and_then(|question| query.message.get(Header::OCTETS..question.end));
        Ok(Self {
            query,
            id: header.id,
            flags: header.flags,
            rtype: question.map_or(Rtype(0), |question| question.rtype),
            question: octets.unwrap_or_default(),
            edns: additional.edns,
            tsig_at: additional.tsig_at,
            error_rcode,
            name_hash,
        })
    }

    /// The address that the answer is tailored to, unless the zone ignores client subnets.
    pub(super) fn client(&self) -> IpAddr {
        self.client_subnet().and_then(|subnet| subnet.address()).unwrap_or(self.query.source)
    }

    /// The client subnet of the query, if it has one.
    pub(super) fn client_subnet(&self) -> Option<ClientSubnet<'m>> {
        self.edns.as_ref().and_then(|edns| edns.subnet)
    }

    /// The first step of the lookup of the name; no zone if the question is not to be answered.
    pub(super) fn start_lookup<'s>(&self, zones: &'s Zones, name: &LookupName) -> LookupHint<'s> {
        if self.error_rcode.is_none() {
            zones.hint(name, self.name_hash)
        } else {
            LookupHint::NoZone
        }
    }

    /// The rest of the lookup that [`ParsedQuery::start_lookup`] began.
    pub(super) fn finish_lookup<'s>(
        &self,
        zones: &'s Zones,
        name: &LookupName,
        hint: LookupHint<'s>,
    ) -> Option<LookupResult<'s>> {
        zones.find_by_hint(hint, name, self.name_hash, self.rtype)
    }
}

/// The additional section. It is empty if its start is unknown, because other records precede it or
/// the question is malformed.
#[inline(always)]
fn read_additional<'m>(
    message: &'m [u8],
    header: &Header,
    question: Option<&Question>,
) -> AdditionalSection<'m> {
    let [questions, answers, authority, additional] = header.counts;
    let start = question.map_or(Header::OCTETS, |question| question.end);
    let is_reachable = questions == u16::from(question.is_some()) && answers == 0 && authority == 0;
    if is_reachable {
        AdditionalSection::read(message, start, additional)
    } else {
        AdditionalSection::default()
    }
}

/// The code to reply with if the question cannot be answered. The order of the checks decides which
/// code a query with several faults gets.
fn error_rcode(
    header: &Header,
    question: Option<&Question>,
    additional: &AdditionalSection<'_>,
) -> Option<Rcode> {
    if header.flags.opcode() != Opcode::QUERY {
        return Some(Rcode::NOTIMP);
    }
    let Some(question) = question else {
        return Some(if asks_for_a_cookie(header, additional) {
            Rcode::NOERROR
        } else {
            Rcode::FORMERR
        });
    };
    let [_, answers, authority, _] = header.counts;
    // An IXFR has the client's SOA in its authority section (RFC 1995 section 3).
    let is_ixfr = question.rtype == Rtype::IXFR;
    if answers != 0 || authority != 0 && !is_ixfr || additional.is_malformed {
        return Some(Rcode::FORMERR);
    }
    if additional.edns.is_some_and(|edns| edns.version != 0) {
        return Some(Rcode::BADVERS);
    }
    if additional.tsig_at.is_some() {
        return Some(Rcode::NOTAUTH);
    }
    if question.class != Question::CLASS_IN {
        return Some(Rcode::REFUSED);
    }
    // Other types that no zone can have (OPT, TSIG, MAILB) get NODATA, as from NSD and Knot.
    matches!(question.rtype, Rtype::AXFR | Rtype::IXFR).then_some(Rcode::REFUSED)
}

/// Whether a query has no question because it asks only for a server cookie (RFC 7873 section 5.4).
fn asks_for_a_cookie(header: &Header, additional: &AdditionalSection<'_>) -> bool {
    let has_cookie = additional.edns.is_some_and(|edns| edns.cookie.is_some());
    header.counts[0] == 0 && has_cookie && !additional.is_malformed && additional.tsig_at.is_none()
}
