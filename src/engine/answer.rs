//! From request bytes to reply bytes: a pure function of a snapshot, a question and a client.

use std::net::IpAddr;

use super::{frame::Frame, walk::walk};
use crate::{
    dns::{Additional, Flags, Header, LookupName, Opcode, Question, Rcode, Rtype},
    snapshot::Snapshot,
    steer::{DatacenterId, Draws, ServiceId},
};

/// A request and what is known of who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The whole DNS message, without a TCP length prefix.
    pub message: &'a [u8],
    /// The address it came from: the client's resolver.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// The time, in seconds since 1970 modulo 2^32 (server cookies, RFC 9018 section 4.3).
    pub now_secs: u32,
}

/// How a request came and how its reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams: replies are truncated to what EDNS allows, at most 1232 octets.
    Udp,
    /// TCP streams.
    Tcp,
    /// TLS (RFC 7858).
    Tls,
    /// HTTPS (RFC 8484).
    Https,
}

/// A reply that was written.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    /// How many octets of `out` it fills.
    pub length: usize,
    /// What to count it as.
    pub tally: Tally,
}

/// What a reply counts as.
#[derive(Debug, Clone, Copy)]
pub struct Tally {
    /// The type asked for; 0 where the question could not be read.
    pub rtype: Rtype,
    /// The reply's code, the extended bits included.
    pub rcode: Rcode,
    /// The service that chose, if one did.
    pub service: Option<ServiceId>,
    /// The datacenter of the first endpoint answered.
    pub datacenter: Option<DatacenterId>,
    /// TC is set.
    pub truncated: bool,
}

/// Why a message gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Shorter than a header.
    Short,
    /// A response (QR = 1).
    Response,
}

/// Answers one request into `out`, which holds at least 65535 octets for streams and 1232 for datagrams.
///
/// No allocation, no lock, no clock. A chain of at most 16 aliases is followed.
///
/// # Errors
/// [`Ignored`] says why nothing is to be sent.
pub fn answer(snapshot: &Snapshot, query: &Query<'_>, draws: &mut Draws, out: &mut [u8]) -> Result<Reply, Ignored> {
    let header = Header::read(query.message).ok_or(Ignored::Short)?;
    if header.flags.has(Flags::QR) {
        return Err(Ignored::Response);
    }
    let mut name = LookupName::root();
    let question = (header.counts[0] == 1).then(|| Question::read(query.message, &mut name).ok()).flatten();
    let additional = read_additional(query.message, &header, question.as_ref());
    let mut frame = Frame::new(snapshot, query, header, question.as_ref(), &additional, out);
    let rcode = match (objection(&header, question.as_ref(), &additional), &question) {
        (None, Some(question)) => walk(snapshot, query, question.rtype, &mut name, &additional, draws, &mut frame),
        (None, None) => Rcode::FORMERR,
        (Some(Rcode::NOTAUTH), _) => frame.refuse_key(additional.tsig),
        (Some(rcode), _) => rcode,
    };
    Ok(frame.finish(rcode))
}

/// The additional section; nothing where it cannot be reached, because other records stand in front or the question is malformed.
fn read_additional<'m>(message: &'m [u8], header: &Header, question: Option<&Question>) -> Additional<'m> {
    let [questions, answers, authority, additional] = header.counts;
    let start = question.map_or(Header::OCTETS, |question| question.end);
    let is_reachable = questions == u16::from(question.is_some()) && answers == 0 && authority == 0;
    if is_reachable { Additional::read(message, start, additional) } else { Additional::default() }
}

/// Why a request gets no answer to its question, in the order in which the reasons weigh.
fn objection(header: &Header, question: Option<&Question>, additional: &Additional<'_>) -> Option<Rcode> {
    if header.flags.opcode() != Opcode::QUERY {
        return Some(Rcode::NOTIMP);
    }
    let Some(question) = question else {
        return Some(if asks_for_a_cookie(header, additional) { Rcode::NOERROR } else { Rcode::FORMERR });
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
    if additional.tsig.is_some() {
        return Some(Rcode::NOTAUTH);
    }
    if question.class != Question::CLASS_IN {
        return Some(Rcode::REFUSED);
    }
    // Other types that no zone holds (OPT, TSIG, MAILB) get NODATA, as from NSD and Knot.
    matches!(question.rtype, Rtype::AXFR | Rtype::IXFR).then_some(Rcode::REFUSED)
}

/// Whether a request has no question because it asks for nothing but a server cookie (RFC 7873 section 5.4).
fn asks_for_a_cookie(header: &Header, additional: &Additional<'_>) -> bool {
    let has_cookie = additional.edns.is_some_and(|edns| edns.client_cookie.is_some());
    header.counts[0] == 0 && has_cookie && !additional.is_malformed && additional.tsig.is_none()
}
