//! How long an HTTP cache may keep a reply (RFC 8484 section 5.1).

use super::{
    Rcode, Rtype,
    header::Header,
    malformed::Malformed,
    wire::{octets_at, skip_name},
};

/// The seconds for which an HTTP cache may keep this reply: the lowest TTL of its answers; without
/// answers, the time for which NODATA and NXDOMAIN may be cached (RFC 2308 section 5). 0 for any
/// other reply, and for one that cannot be read.
pub fn freshness_secs(reply: &[u8]) -> u32 {
    read(reply).unwrap_or(0)
}

fn read(reply: &[u8]) -> Result<u32, Malformed> {
    let header = Header::read(reply).ok_or(Malformed)?;
    let rcode = Rcode(header.flags.0 & 0x0f);
    if !matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
        return Ok(0);
    }
    let [questions, answers, authorities, _] = header.counts;
    let mut offset = Header::OCTETS;
    for _ in 0..questions {
        offset = skip_name(reply, offset)? + 4;
    }
    let mut lowest = None;
    for _ in 0..answers {
        let (record, end) = ReplyRecord::read(reply, offset)?;
        lowest = Some(lowest.map_or(record.ttl_secs, |ttl: u32| ttl.min(record.ttl_secs)));
        offset = end;
    }
    if let Some(ttl_secs) = lowest {
        return Ok(ttl_secs);
    }
    for _ in 0..authorities {
        let (record, end) = ReplyRecord::read(reply, offset)?;
        if record.rtype == Rtype::SOA {
            let minimum = record.rdata.last_chunk().ok_or(Malformed)?;
            return Ok(record.ttl_secs.min(u32::from_be_bytes(*minimum)));
        }
        offset = end;
    }
    Ok(0)
}

struct ReplyRecord<'m> {
    rtype: Rtype,
    ttl_secs: u32,
    rdata: &'m [u8],
}

impl<'m> ReplyRecord<'m> {
    /// The record at an offset, and the offset after it.
    fn read(message: &'m [u8], offset: usize) -> Result<(Self, usize), Malformed> {
        let fixed = skip_name(message, offset)?;
        let &[a, b, _, _, c, d, e, f, g, h] = octets_at::<10>(message, fixed)?;
        let end = fixed + 10 + usize::from(u16::from_be_bytes([g, h]));
        let rdata = message.get(fixed + 10..end).ok_or(Malformed)?;
        Ok((
            Self {
                rtype: Rtype(u16::from_be_bytes([a, b])),
                ttl_secs: u32::from_be_bytes([c, d, e, f]),
                rdata,
            },
            end,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x03www\x04test\0\0\x01\0\x01";

    /// A reply to [`QUESTION`] with these counts of answers and authorities, and these records.
    fn reply(rcode: u8, answers: u8, authorities: u8, records: &[&[u8]]) -> Vec<u8> {
        let header = [0, 1, 0x84, rcode, 0, 1, 0, answers, 0, authorities, 0, 0];
        [&header, QUESTION, &records.concat()].concat()
    }

    #[test]
    fn a_reply_is_fresh_as_long_as_every_answer_in_it() {
        const LONG: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01";
        const SHORT: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x02";
        const SOA: &[u8] =
            b"\xc0\x10\0\x06\0\x01\0\0\x02\x58\0\x16\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x3c";
        for (why, reply, expected) in [
            ("the least TTL", reply(0, 2, 0, &[LONG, SHORT]), 30),
            ("one answer", reply(0, 1, 1, &[LONG, SOA]), 3600),
            ("NODATA: the SOA's MINIMUM", reply(0, 0, 1, &[SOA]), 60),
            ("NXDOMAIN likewise", reply(3, 0, 1, &[SOA]), 60),
            ("a referral", reply(0, 0, 1, &[b"\xc0\x10\0\x02\0\x01\0\0\0\x3c\0\x02\xc0\x0c"]), 0),
            ("SERVFAIL", reply(2, 0, 0, &[]), 0),
            ("REFUSED", reply(5, 0, 0, &[]), 0),
            ("cut short", reply(0, 2, 0, &[LONG]), 0),
            ("nothing", Vec::new(), 0),
        ] {
            assert_eq!(freshness_secs(&reply), expected, "{why}");
        }
    }
}
