//! For how long a reply may be cached as a whole (RFC 8484 section 5.1).

use super::{
    Rcode, Rtype,
    header::Header,
    malformed::Malformed,
    wire::{octets_at, skip_name},
};

/// Seconds for which an HTTP cache may keep this reply: the least TTL of its
/// answers; without answers, the time for which NODATA and NXDOMAIN may be cached
/// (RFC 2308 section 5). 0 for any other reply, and for one that cannot be read.
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
    let mut at = Header::OCTETS;
    for _ in 0..questions {
        at = skip_name(reply, at)? + 4;
    }
    let mut least = None;
    for _ in 0..answers {
        let (record, end) = ReplyRecord::read(reply, at)?;
        least = Some(least.map_or(record.ttl_secs, |ttl: u32| ttl.min(record.ttl_secs)));
        at = end;
    }
    if let Some(ttl_secs) = least {
        return Ok(ttl_secs);
    }
    for _ in 0..authorities {
        let (record, end) = ReplyRecord::read(reply, at)?;
        if record.rtype == Rtype::SOA {
            let minimum = record.rdata.last_chunk().ok_or(Malformed)?;
            return Ok(record.ttl_secs.min(u32::from_be_bytes(*minimum)));
        }
        at = end;
    }
    Ok(0)
}

struct ReplyRecord<'m> {
    rtype: Rtype,
    ttl_secs: u32,
    rdata: &'m [u8],
}

impl<'m> ReplyRecord<'m> {
    /// The record at that offset, and the offset of what follows it.
    fn read(message: &'m [u8], at: usize) -> Result<(Self, usize), Malformed> {
        let at = skip_name(message, at)?;
        let &[a, b, _, _, c, d, e, f, g, h] = octets_at::<10>(message, at)?;
        let end = at + 10 + usize::from(u16::from_be_bytes([g, h]));
        let rdata = message.get(at + 10..end).ok_or(Malformed)?;
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
    fn a_reply_is_fresh_for_as_long_as_each_of_its_answers() {
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
