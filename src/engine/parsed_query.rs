//! A query that was read: all that an answer depends on but the snapshot.

use std::net::IpAddr;

use super::query::{IgnoreReason, Query};
use crate::{
    dns::{
        AdditionalSection, ClientSubnet, Edns, Flags, Header, LookupName, Opcode, Question, Rcode,
        Rtype,
    },
    zone::{self, LookupHint, LookupResult, Zones},
};

/// A query as far as it could be read. The name asked for is beside it: it is large, and whoever
/// answers many has room for it.
#[derive(Debug)]
pub(super) struct ParsedQuery<'m> {
    pub(super) query: Query<'m>,
    pub(super) id: u16,
    pub(super) flags: Flags,
    /// The type asked for; 0 where the question could not be read.
    pub(super) rtype: Rtype,
    /// The question, as it came; empty where it could not be read.
    pub(super) question: &'m [u8],
    pub(super) edns: Option<Edns<'m>>,
    /// Where the message has a TSIG record.
    pub(super) tsig_at: Option<u16>,
    /// Why there will be no answer to the question.
    pub(super) error_rcode: Option<Rcode>,
    /// The hash of the name.
    pub(super) name_hash: u64,
}

impl<'m> ParsedQuery<'m> {
    /// Reads a query, and the name asked for into `name`, which is of no use where there is no
    /// question.
    ///
    /// # Errors
    /// [`IgnoreReason`] says why nothing is to be sent.
    #[inline(always)]
    pub(super) fn read(query: Query<'m>, name: &mut LookupName) -> Result<Self, IgnoreReason> {
        let header = Header::read(query.message).ok_or(IgnoreReason::Short)?;
        if header.flags.has(Flags::QR) {
            return Err(IgnoreReason::Response);
        }
        let question =
            (header.counts[0] == 1).then(|| Question::read(query.message, name).ok()).flatten();
        let hashed = question.map_or(0, |_| zone::hash_name(name.as_wire()));
        let additional = read_additional(query.message, &header, question.as_ref());
        let objection = error_rcode(&header, question.as_ref(), &additional);
        let octets = question.and_then(|question| query.message.get(Header::OCTETS..question.end));
        Ok(Self {
            query,
            id: header.id,
            flags: header.flags,
            rtype: question.map_or(Rtype(0), |question| question.rtype),
            question: octets.unwrap_or_default(),
            edns: additional.edns,
            tsig_at: additional.tsig_at,
            error_rcode: objection,
            name_hash: hashed,
        })
    }

    /// The address that the answer is tailored to, unless the zone looks at no client subnets.
    pub(super) fn client(&self) -> IpAddr {
        self.client_subnet().and_then(|subnet| subnet.address()).unwrap_or(self.query.source)
    }

    pub(super) fn client_subnet(&self) -> Option<ClientSubnet<'m>> {
        self.edns.as_ref().and_then(|edns| edns.subnet)
    }

    /// Starts to look the name up, where the question is to be answered.
    pub(super) fn start_lookup<'s>(&self, zones: &'s Zones, name: &LookupName) -> LookupHint<'s> {
        if self.error_rcode.is_none() {
            zones.hint(name, self.name_hash)
        } else {
            LookupHint::NoZone
        }
    }

    /// Looks the name up to the end.
    pub(super) fn finish_lookup<'s>(
        &self,
        zones: &'s Zones,
        name: &LookupName,
        lead: LookupHint<'s>,
    ) -> Option<LookupResult<'s>> {
        zones.find_by_hint(lead, name, self.name_hash, self.rtype)
    }
}

/// The additional section; nothing where it cannot be reached, because other records stand in front
/// or the question is malformed.
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

/// Why a request gets no answer to its question, in the order in which the reasons weigh.
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
    // An IXFR brings the SOA it has (RFC 1995 section 3).
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
    // Other types that no zone holds (OPT, TSIG, MAILB) get NODATA, as from NSD and Knot.
    matches!(question.rtype, Rtype::AXFR | Rtype::IXFR).then_some(Rcode::REFUSED)
}

/// Whether a request has no question because it asks for nothing but a server cookie (RFC 7873
/// section 5.4).
fn asks_for_a_cookie(header: &Header, additional: &AdditionalSection<'_>) -> bool {
    let has_cookie = additional.edns.is_some_and(|edns| edns.cookie.is_some());
    header.counts[0] == 0 && has_cookie && !additional.is_malformed && additional.tsig_at.is_none()
}
