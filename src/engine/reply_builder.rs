//! What every reply has around its answer: header, question, OPT, and the limit on its size.

use super::{
    parsed_query::ParsedQuery,
    query::{Query, Transport},
    reply::{ReplyLabels, WrittenReply},
};
use crate::{
    dns::{
        BufferFull, Cookie, CookieKeys, EdnsEcho, Flags, Opcode, Rcode, ReplyCheckpoint,
        ReplyWriter, Rtype, Section, Tsig,
    },
    snapshot::ServerIdentity,
    steer::{DatacenterId, ServiceId},
};

/// A reply in the making: its sections, and what the header and OPT will say.
pub(super) struct ReplyBuilder<'o, 'q> {
    pub(super) writer: ReplyWriter<'o>,
    pub(super) is_authoritative: bool,
    /// The greatest scope of what was tailored (RFC 7871 section 7.2.1).
    pub(super) scope: u8,
    /// A negative answer lives no longer than this, in seconds: a service that has no record of the
    /// type at present may have one when its answers expire.
    pub(super) negative_ttl_secs: u32,
    pub(super) service: Option<ServiceId>,
    pub(super) datacenter: Option<DatacenterId>,
    is_truncated: bool,
    has_question: bool,
    edns: Option<EdnsEcho<'q>>,
    parsed: &'q ParsedQuery<'q>,
    identity: &'q ServerIdentity,
    after_question: ReplyCheckpoint,
}

impl<'o, 'q> ReplyBuilder<'o, 'q> {
    /// Writes the question as it came and keeps room for OPT.
    #[inline]
    pub(super) fn new(
        identity: &'q ServerIdentity,
        parsed: &'q ParsedQuery<'q>,
        out: &'o mut [u8],
    ) -> Self {
        let edns = parsed
            .edns
            .as_ref()
            .map(|edns| edns.echo(&identity.nsid, || identity.cookie_keys.is_some()));
        let payload = parsed
            .edns
            .as_ref()
            .map_or(512, |edns| edns.udp_payload.clamp(512, EdnsEcho::UDP_PAYLOAD));
        let limit = match parsed.query.transport {
            Transport::Udp => usize::from(payload),
            Transport::Tcp | Transport::Tls | Transport::Https => usize::from(u16::MAX),
        };
        let mut writer = ReplyWriter::new(out, limit);
        let has_question = !parsed.question.is_empty() && writer.push(parsed.question).is_ok();
        writer.reserve(edns.as_ref().map_or(0, EdnsEcho::octets));
        Self {
            after_question: writer.checkpoint(),
            writer,
            is_authoritative: false,
            scope: 0,
            negative_ttl_secs: u32::MAX,
            service: None,
            datacenter: None,
            is_truncated: false,
            has_question,
            edns,
            parsed,
            identity,
        }
    }

    /// The type asked for.
    pub(super) fn asked_type(&self) -> Rtype {
        self.parsed.rtype
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

    /// Whether the sender is known to receive what is sent to its address: it completed a
    /// handshake, or has a server cookie of ours. Without one, or with an invalid one, a query is
    /// answered all the same and a fresh cookie sent (RFC 7873 sections 5.2.3 to 5.2.5).
    #[cold]
    fn is_sender_proven(&self) -> bool {
        let ParsedQuery { query: Query { transport, source, now_secs, .. }, edns, .. } =
            self.parsed;
        let sent =
            edns.as_ref().and_then(|edns| edns.cookie).zip(self.identity.cookie_keys.as_ref());
        let is_own = |(cookie, keys): (Cookie<'_>, &CookieKeys)| {
            keys.verify(*cookie.client, cookie.server, *source, *now_secs)
        };
        *transport != Transport::Udp || sent.is_some_and(is_own)
    }

    /// Bounds a reply to ANY: one that may go to a forged address has at most 512 octets.
    #[cold]
    pub(super) fn bound_any(&mut self) {
        const OCTETS: usize = 512;
        if !self.is_sender_proven() {
            let reserved = self.edns.as_ref().map_or(0, EdnsEcho::octets);
            self.writer.lower_limit(OCTETS.saturating_sub(reserved));
        }
    }

    /// Says that the key of a signed request is not known (RFC 8945 section 5.2.1): we have none.
    #[cold]
    pub(super) fn refuse_key(&mut self) -> Rcode {
        let ParsedQuery { query, tsig_at, .. } = self.parsed;
        let tsig = tsig_at.and_then(|at| Tsig::read_at(query.message, at).ok());
        // A key name that is compressed cannot be repeated as it stands; the code alone says
        // enough.
        let Some((tsig, (key, algorithm))) = tsig.and_then(|tsig| Some((tsig, tsig.names?))) else {
            return Rcode::NOTAUTH;
        };
        let mark = self.writer.checkpoint();
        if self.push_tsig(&tsig, key, algorithm).is_err() {
            self.writer.rewind(mark);
        }
        Rcode::NOTAUTH
    }

    fn push_tsig(
        &mut self,
        tsig: &Tsig<'_>,
        key: &[u8],
        algorithm: &[u8],
    ) -> Result<(), BufferFull> {
        const BADKEY: u16 = 17;
        // TSIG comes last, so that OPT is written before it and not by `finish`.
        self.push_edns(0)?;
        let writer = &mut self.writer;
        writer.push(key)?;
        writer.push(&[0, 250, 0, 255, 0, 0, 0, 0])?;
        writer.push_u16((algorithm.len() + 16) as u16)?;
        writer.push(algorithm)?;
        writer.push(&tsig.time_and_fudge)?;
        for word in [0, self.parsed.id, BADKEY, 0] {
            writer.push_u16(word)?;
        }
        writer.count(Section::Additional, 1);
        Ok(())
    }

    /// Writes OPT and the header.
    pub(super) fn finish(&mut self, rcode: Rcode) -> WrittenReply {
        // Its room was kept; only a buffer below 512 octets can refuse, and then a reply without
        // OPT is all there is.
        let _ = self.push_edns((rcode.0 >> 4) as u8);
        let flags = self.header_flags(rcode);
        let length = self.writer.finish(self.parsed.id, flags, u16::from(self.has_question));
        let &mut Self {
            service,
            datacenter,
            is_truncated: truncated,
            parsed: &ParsedQuery { rtype, .. },
            ..
        } = self;
        WrittenReply {
            length,
            labels: ReplyLabels { rtype, rcode, service, datacenter, truncated },
        }
    }

    /// Writes OPT, unless that is done.
    #[inline]
    fn push_edns(&mut self, extended_rcode: u8) -> Result<(), BufferFull> {
        let Some(edns) = self.edns.take() else { return Ok(()) };
        self.writer.release(edns.octets());
        let &Query { source, now_secs, .. } = &self.parsed.query;
        // Always a fresh one: RFC 9018 section 4.3 wants that after half an hour at the latest.
        let cookie = |client| {
            Some(self.identity.cookie_keys.as_ref()?.server_cookie(client, source, now_secs))
        };
        edns.write(&mut self.writer, extended_rcode, self.scope, cookie)
    }

    /// QR, the opcode, AA and TC as found; RD copied for a QUERY; all others clear, as NSD and Knot
    /// do.
    fn header_flags(&self, rcode: Rcode) -> u16 {
        let asked = self.parsed.flags;
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
