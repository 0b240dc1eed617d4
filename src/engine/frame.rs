//! What every reply has around its answer: header, question, OPT, and the limit on its size.

use super::answer::{Query, Reply, Tally, Transport};
use crate::{
    dns::{
        Additional, EdnsEcho, Flags, Full, Header, Mark, Opcode, Question, Rcode, ReplyWriter, Rtype, Section, Tsig,
    },
    snapshot::Snapshot,
    steer::{DatacenterId, ServiceId},
};

/// A reply in the making: its sections, and what the header and OPT will say.
pub(super) struct Frame<'o, 'm> {
    pub(super) writer: ReplyWriter<'o>,
    pub(super) is_authoritative: bool,
    /// The greatest scope of what was tailored (RFC 7871 section 7.2.1).
    pub(super) scope: u8,
    pub(super) service: Option<ServiceId>,
    pub(super) datacenter: Option<DatacenterId>,
    is_truncated: bool,
    edns: Option<EdnsEcho<'m>>,
    header: Header,
    rtype: Rtype,
    has_question: bool,
    after_question: Mark,
}

impl<'o, 'm> Frame<'o, 'm> {
    /// Writes the question as it came and keeps room for OPT.
    pub(super) fn new(
        snapshot: &'m Snapshot,
        query: &Query<'m>,
        header: Header,
        question: Option<&Question>,
        additional: &Additional<'m>,
        out: &'o mut [u8],
    ) -> Self {
        let identity = &snapshot.identity;
        let edns = additional
            .edns
            .map(|edns| EdnsEcho::new(&edns, &identity.nsid, &identity.cookie_key, query.source, query.now_secs));
        let payload = additional.edns.map_or(512, |edns| edns.udp_payload.clamp(512, EdnsEcho::UDP_PAYLOAD));
        let limit = match query.transport {
            Transport::Udp => usize::from(payload),
            Transport::Tcp | Transport::Tls | Transport::Https => usize::from(u16::MAX),
        };
        let mut writer = ReplyWriter::new(out, limit);
        let wire = question.and_then(|question| query.message.get(Header::OCTETS..question.end)).unwrap_or_default();
        let has_question = !wire.is_empty() && writer.push(wire).is_ok();
        writer.reserve(edns.map_or(0, |edns| edns.octets()));
        Self {
            after_question: writer.mark(),
            writer,
            is_authoritative: false,
            scope: 0,
            service: None,
            datacenter: None,
            is_truncated: false,
            edns,
            header,
            rtype: question.map_or(Rtype(0), |question| question.rtype),
            has_question,
        }
    }

    /// Leaves the client subnet out of the reply.
    pub(super) fn drop_subnet(&mut self) {
        if let Some(edns) = &mut self.edns {
            edns.drop_subnet();
        }
    }

    /// Empties the sections and says so: the client is to ask again over a stream.
    pub(super) fn truncate(&mut self) {
        self.writer.rewind(self.after_question);
        self.is_truncated = true;
    }

    /// Says that the key of a signed request is not known (RFC 8945 section 5.2.1): we have none.
    #[cold]
    pub(super) fn refuse_key(&mut self, tsig: Option<Tsig<'_>>) -> Rcode {
        // A key name that is compressed cannot be repeated as it stands; the code alone says enough.
        let Some((tsig, (key, algorithm))) = tsig.and_then(|tsig| Some((tsig, tsig.names?))) else {
            return Rcode::NOTAUTH;
        };
        let mark = self.writer.mark();
        if self.push_tsig(&tsig, key, algorithm).is_err() {
            self.writer.rewind(mark);
        }
        Rcode::NOTAUTH
    }

    fn push_tsig(&mut self, tsig: &Tsig<'_>, key: &[u8], algorithm: &[u8]) -> Result<(), Full> {
        const BADKEY: u16 = 17;
        // TSIG comes last, so that OPT is written before it and not by `finish`.
        if let Some(edns) = self.edns.take() {
            self.writer.release(edns.octets());
            edns.write(&mut self.writer, 0, 0)?;
        }
        let writer = &mut self.writer;
        writer.push(key)?;
        writer.push(&[0, 250, 0, 255, 0, 0, 0, 0])?;
        writer.push_u16((algorithm.len() + 16) as u16)?;
        writer.push(algorithm)?;
        writer.push(&tsig.time_and_fudge)?;
        for word in [0, self.header.id, BADKEY, 0] {
            writer.push_u16(word)?;
        }
        writer.count(Section::Additional, 1);
        Ok(())
    }

    /// Writes OPT and the header.
    pub(super) fn finish(&mut self, rcode: Rcode) -> Reply {
        if let Some(edns) = &self.edns {
            self.writer.release(edns.octets());
            // Its room was kept; only a buffer below 512 octets can refuse, and then a reply without OPT is all there is.
            let _ = edns.write(&mut self.writer, (rcode.0 >> 4) as u8, self.scope);
        }
        let flags = self.header_flags(rcode);
        let length = self.writer.finish(self.header.id, flags, u16::from(self.has_question));
        let &mut Self { rtype, service, datacenter, is_truncated: truncated, .. } = self;
        Reply { length, tally: Tally { rtype, rcode, service, datacenter, truncated } }
    }

    /// QR, the opcode, AA and TC as found; RD copied for a QUERY; all others clear, as NSD and Knot do.
    fn header_flags(&self, rcode: Rcode) -> u16 {
        let asked = self.header.flags;
        let copied = if asked.opcode() == Opcode::QUERY { Flags::RD } else { 0 };
        let mut flags = Flags::QR | asked.0 & (0x7800 | copied) | rcode.0 & 15;
        if self.is_authoritative {
            flags |= Flags::AA;
        }
        if self.is_truncated {
            flags |= Flags::TC;
        }
        flags
    }
}
