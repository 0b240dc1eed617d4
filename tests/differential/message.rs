//! Queries and replies with an independent reader, so that a fault in portolan's own reader cannot
//! hide a fault in its writer.

use std::fmt;

use crate::{
    wire,
    zones::{Question, TYPES},
};

/// The OPT record of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EdnsMode {
    No,
    Plain,
    DnssecOk,
}

/// A reply; the OPT record is not among its sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) rcode: u16,
    pub(crate) is_authoritative: bool,
    pub(crate) is_truncated: bool,
    pub(crate) question: Vec<u8>,
    pub(crate) answer: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    /// The DO bit of the OPT record, if the reply has one.
    pub(crate) edns: Option<bool>,
}

/// A record; names in its rdata are uncompressed and in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) owner: Vec<u8>,
    pub(crate) rtype: u16,
    pub(crate) ttl_secs: u32,
    pub(crate) rdata: Vec<u8>,
}

/// A query with the RD bit clear.
pub(crate) fn request(id: u16, question: &Question, edns: EdnsMode) -> Vec<u8> {
    let dnssec_ok = match edns {
        EdnsMode::No => return wire::query(id, &question.name, question.rtype),
        EdnsMode::Plain => 0,
        EdnsMode::DnssecOk => 0x80,
    };
    let opt = [0, 0, 41, 0x04, 0xd0, 0, 0, dnssec_ok, 0, 0, 0];
    wire::query_with_opt(id, &question.name, question.rtype, &opt)
}

/// Reads a reply; `None` if the message is malformed or has octets after its end.
pub(crate) fn read(message: &[u8]) -> Option<Reply> {
    let mut reader = Reader { message, offset: 12 };
    let word = |offset: usize| {
        Some(u16::from_be_bytes([*message.get(offset)?, *message.get(offset + 1)?]))
    };
    let flags = word(2)?;
    let start = reader.offset;
    for _ in 0..word(4)? {
        reader.name()?;
        reader.take(4)?;
    }
    let mut reply = Reply {
        rcode: flags & 0xf,
        is_authoritative: flags & 0x400 != 0,
        is_truncated: flags & 0x200 != 0,
        question: message.get(start..reader.offset)?.to_vec(),
        answer: reader.section(word(6)?)?,
        authority: reader.section(word(8)?)?,
        additional: reader.section(word(10)?)?,
        edns: None,
    };
    if let Some(index) = reply.additional.iter().position(|record| record.rtype == 41) {
        let opt = reply.additional.remove(index);
        reply.rcode |= (opt.ttl_secs >> 24 << 4) as u16;
        reply.edns = Some(opt.ttl_secs & 0x8000 != 0);
    }
    (reader.offset == message.len() && flags & 0x8000 != 0).then_some(reply)
}

struct Reader<'a> {
    message: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let octets = self.message.get(self.offset..self.offset + length)?;
        self.offset += length;
        Some(octets)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn section(&mut self, count: u16) -> Option<Vec<Record>> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Option<Record> {
        let owner = self.name()?;
        let rtype = self.word()?;
        self.word()?;
        let ttl_secs = u32::from(self.word()?) << 16 | u32::from(self.word()?);
        let length = usize::from(self.word()?);
        let end = self.offset + length;
        let fixed = match rtype {
            2 | 5 | 6 | 12 | 39 => Some(0),
            15 => Some(2),
            33 => Some(6),
            _ => None,
        };
        let mut rdata = Vec::new();
        if let Some(fixed) = fixed {
            rdata.extend(self.take(fixed)?);
            for _ in 0..if rtype == 6 { 2 } else { 1 } {
                rdata.extend(self.name()?);
            }
        }
        rdata.extend(self.take(end.checked_sub(self.offset)?)?);
        Some(Record { owner, rtype, ttl_secs, rdata })
    }

    /// Reads a name in lower case; compression pointers must point backwards.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let (mut offset, mut end, mut limit) = (self.offset, None, self.offset);
        loop {
            let length = *self.message.get(offset)?;
            match length {
                0 => break,
                1..=63 => {
                    name.extend(self.message.get(offset..=offset + usize::from(length))?);
                    offset += 1 + usize::from(length);
                }
                192.. => {
                    end.get_or_insert(offset + 2);
                    offset = usize::from(length & 0x3f) << 8
                        | usize::from(*self.message.get(offset + 1)?);
                    if offset >= limit {
                        return None;
                    }
                    limit = offset;
                }
                _ => return None,
            }
        }
        name.push(0);
        self.offset = end.unwrap_or(offset + 1);
        (name.len() <= 255).then(|| name.to_ascii_lowercase())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |is_set, word| if is_set { word } else { "" };
        let (aa, tc) = (flag(self.is_authoritative, " aa"), flag(self.is_truncated, " tc"));
        writeln!(f, "    rcode {}{aa}{tc} edns {:?}", self.rcode, self.edns)?;
        for (section, records) in [
            ("answer", &self.answer),
            ("authority", &self.authority),
            ("additional", &self.additional),
        ] {
            for record in records {
                writeln!(f, "    {section:<10} {record}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known =
            TYPES.iter().find(|(rtype, _)| *rtype == self.rtype).map_or("TYPE", |(_, word)| word);
        write!(f, "{} {} {known} {}", dotted(&self.owner), self.ttl_secs, self.rdata.escape_ascii())
    }
}

fn dotted(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = wire;
    while let Some((&length @ 1.., tail)) = rest.split_first() {
        let (label, tail) = tail.split_at(usize::from(length));
        text += &String::from_utf8_lossy(label);
        text.push('.');
        rest = tail;
    }
    text
}
