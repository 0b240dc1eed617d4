//! What every reply has in common: header, question, OPT, and the limit on its size.

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

/// A reply that is being written: its sections, and what the header and OPT will hold.
pub(super) struct ReplyBuilder<'o, 'q> {
    pub(super) writer: ReplyWriter<'o>,
    pub(super) is_authoritative: bool,
    /// The longest scope of all tailored answers, 0 without one (RFC 7871 section 7.2.1).
    pub(super) scope: u8,
    /// The upper limit on the TTL of a negative answer, in seconds: a service without a record of
    /// the type at present may have one by the time its answers expire.
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
    /// Starts a reply: writes the question as received and reserves the octets of OPT.
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

    /// The type asked for; 0 if the question could not be read.
    pub(super) fn asked_type(&self) -> Rtype {
        self.parsed.rtype
    }

    /// Removes the client subnet from the reply: the zone ignores it.
    pub(super) fn drop_subnet(&mut self) {
        if let Some(edns) = &mut self.edns {
            edns.drop_subnet();
        }
    }

    /// Empties the sections and sets TC, so that the client asks again over a stream.
    pub(super) fn truncate(&mut self) {
        self.writer.rewind(self.after_question);
        self.is_truncated = true;
    }

    /// Whether the source address is proven: the sender completed a handshake, or returned a valid
    /// server cookie of this server. A query without a valid cookie is answered nevertheless, with
    /// a new cookie (RFC 7873 sections 5.2.3 to 5.2.5).
    #[cold]
    fn is_sender_proven(&self) -> bool {
        let ParsedQuery { query: Query { transport, source, now_secs, .. }, edns, .. } =
            self.parsed;
        let sent =
            edns.as_ref().and_then(|edns| edns.cookie).zip(self.identity.cookie_keys.as_ref());
        let is_valid = |(cookie, keys): (Cookie<'_>, &CookieKeys)| {
            keys.verify(*cookie.client, cookie.server, *source, *now_secs)
        };
        *transport != Transport::Udp || sent.is_some_and(is_valid)
    }

    /// Limits a reply to ANY to 512 octets if the source address may be forged.
    #[cold]
    pub(super) fn bound_any(&mut self) {
        const OCTETS: usize = 512;
        if !self.is_sender_proven() {
            let reserved = self.edns.as_ref().map_or(0, EdnsEcho::octets);
            self.writer.lower_limit(OCTETS.saturating_sub(reserved));
        }
    }

    /// Replies BADKEY to a signed request (RFC 8945 section 5.2.1): this server has no TSIG keys.
    #[cold]
    pub(super) fn refuse_key(&mut self) -> Rcode {
        let ParsedQuery { query, tsig_at, .. } = self.parsed;
        let tsig = tsig_at.and_then(|offset| Tsig::read_at(query.message, offset).ok());
        // A compressed key name cannot be copied as it is. NOTAUTH without a TSIG record suffices.
        let Some((tsig, (key, algorithm))) = tsig.and_then(|tsig| Some((tsig, tsig.names?))) else {
            return Rcode::NOTAUTH;
        };
        let checkpoint = self.writer.checkpoint();
        if self.push_tsig(&tsig, key, algorithm).is_err() {
            self.writer.rewind(checkpoint);
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
        // TSIG must be the last record, so OPT is written before it and not by `finish`.
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

    /// Writes OPT and the header, which completes the reply.
    pub(super) fn finish(&mut self, rcode: Rcode) -> WrittenReply {
        // The octets were reserved, so this fails only in a buffer of less than 512 octets. The
        // reply then has no OPT.
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

    /// Writes OPT, unless it is written already.
    #[inline]
    fn push_edns(&mut self, extended_rcode: u8) -> Result<(), BufferFull> {
        let Some(edns) = self.edns.take() else { return Ok(()) };
        self.writer.release(edns.octets());
        let &Query { source, now_secs, .. } = &self.parsed.query;
        // Each reply has a new cookie. RFC 9018 section 4.3 requires one after half an hour.
        let cookie = |client| {
            Some(self.identity.cookie_keys.as_ref()?.server_cookie(client, source, now_secs))
        };
        edns.write(&mut self.writer, extended_rcode, self.scope, cookie)
    }

    /// QR, the opcode, AA, TC and the response code. RD is copied from a QUERY; all other bits are
    /// clear, as in replies of NSD and Knot.
    fn header_flags(&self, rcode: Rcode) -> u16 {
        let request = self.parsed.flags;
        let copied = if request.opcode() == Opcode::QUERY { Flags::RD } else { 0 };
        let mut flags = Flags::QR | request.0 & (0x7800 | copied) | rcode.0 & 15;
        if self.is_authoritative {
            flags |= Flags::AA;
        }
        if self.is_truncated {
            flags |= Flags::TC;
        }
        flags
    }
}
