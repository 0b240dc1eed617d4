//! Reading a request: its question and its additional section (RFC 1035 section 4.1). The time is
//! bounded by the length of the message, and nothing is allocated.

use super::{
    edns::Edns,
    header::Header,
    lookup_name::LookupName,
    malformed::Malformed,
    rtype::Rtype,
    wire::{octets_at, skip_name},
};

/// A question without its name. The name is large, so it is read into a buffer of the caller.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The type asked for (QTYPE).
    pub rtype: Rtype,
    /// The class asked for (QCLASS).
    pub class: u16,
    /// The offset after the question.
    pub end: usize,
}

impl Question {
    /// The Internet class, IN (RFC 1035 section 3.2.4).
    pub const CLASS_IN: u16 = 1;

    /// Reads the first question, which follows the header, and QNAME, lower-cased, into `name`.
    ///
    /// # Errors
    /// [`Malformed`], if the message ends early or QNAME is not an uncompressed name.
    pub fn read(message: &[u8], name: &mut LookupName) -> Result<Self, Malformed> {
        let name_end = name.read(message, Header::OCTETS).map_err(|_| Malformed)?;
        let &[a, b, c, d] = octets_at(message, name_end)?;
        let [rtype, class] = [[a, b], [c, d]].map(u16::from_be_bytes);
        Ok(Self { rtype: Rtype(rtype), class, end: name_end + 4 })
    }
}

/// The fields of a TSIG record (RFC 8945 section 4.2) that a refusal repeats.
#[derive(Debug, Clone, Copy)]
pub struct Tsig<'m> {
    /// The name of the key and the name of the algorithm, uncompressed; `None` if the message
    /// compresses either.
    pub names: Option<(&'m [u8], &'m [u8])>,
    /// Six octets of Time Signed and two of Fudge.
    pub time_and_fudge: [u8; 8],
}

impl<'m> Tsig<'m> {
    /// Reads the record with this owner and rdata.
    ///
    /// # Errors
    /// [`Malformed`], if the rdata ends early.
    #[cold]
    fn read(owner: Option<&'m [u8]>, rdata: &'m [u8]) -> Result<Self, Malformed> {
        let end = skip_name(rdata, 0)?;
        let time_and_fudge = *octets_at(rdata, end)?;
        let plain = |name: &'m [u8]| LookupName::root().read(name, 0).is_ok().then_some(name);
        let names = owner.and_then(plain).zip(rdata.get(..end).and_then(plain));
        Ok(Self { names, time_and_fudge })
    }

    /// Reads the record at the offset `offset`, which must be the last of the message.
    ///
    /// # Errors
    /// [`Malformed`], if there is no such record.
    #[cold]
    pub fn read_at(message: &'m [u8], offset: u16) -> Result<Self, Malformed> {
        let owner = usize::from(offset);
        let end = skip_name(message, owner)?;
        Self::read(message.get(owner..end), message.get(end + 10..).ok_or(Malformed)?)
    }
}

/// The additional section of a request, as far as it could be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdditionalSection<'m> {
    /// The OPT record. If an option is malformed, it has no options, so that the FORMERR reply can
    /// still have an OPT record.
    pub edns: Option<Edns<'m>>,
    /// The offset of the TSIG record in the message, if it has one.
    pub tsig_at: Option<u16>,
    /// Whether a record ends early, octets are left over, there are two OPT records, the owner of
    /// OPT is not the root, an option is malformed, or a TSIG record is not the last.
    pub is_malformed: bool,
}

impl<'m> AdditionalSection<'m> {
    /// Reads the additional section of `count` records, which starts at the offset `start` and must
    /// be the rest of the message.
    #[inline(always)]
    pub fn read(message: &'m [u8], start: usize, count: u16) -> Self {
        let mut additional = Self::default();
        additional.is_malformed = additional.read_records(message, start, count).is_err();
        additional
    }

    #[inline(always)]
    fn read_records(
        &mut self,
        message: &'m [u8],
        mut offset: usize,
        count: u16,
    ) -> Result<(), Malformed> {
        for _ in 0..count {
            if self.tsig_at.is_some() {
                return Err(Malformed);
            }
            let owner = offset;
            offset = skip_name(message, offset)?;
            let &[a, b, c, d, ttl @ .., e, f] = octets_at::<10>(message, offset)?;
            let [rtype, class, length] = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
            let end = offset + 10 + usize::from(length);
            let rdata = message.get(offset + 10..end).ok_or(Malformed)?;
            match Rtype(rtype) {
                Rtype::OPT if self.edns.is_some() || offset != owner + 1 => return Err(Malformed),
                Rtype::OPT => self.edns.insert(Edns::new(class, ttl)).read_options(rdata)?,
                Rtype::TSIG => {
                    Tsig::read(message.get(owner..offset), rdata)?;
                    // A message has at most 65,535 octets.
                    self.tsig_at = u16::try_from(owner).ok();
                }
                _ => {}
            }
            offset = end;
        }
        if offset == message.len() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_additional_section_is_exactly_the_rest_of_the_message() {
        const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        const A: &[u8] = b"\x01a\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04";
        for (why, bytes, count, is_valid) in [
            ("nothing", vec![], 0, true),
            ("one OPT", OPT.to_vec(), 1, true),
            ("OPT after another record", [A, OPT].concat(), 2, true),
            ("two OPT", [OPT, OPT].concat(), 2, false),
            ("OPT owned by a name", [b"\x01a", OPT].concat(), 1, false),
            ("OPT owned by a pointer", [b"\xc0\x0c", &OPT[1..]].concat(), 1, false),
            ("octets left over", [OPT, b"x"].concat(), 1, false),
            ("a count above what is there", OPT.to_vec(), 2, false),
            ("rdata cut short", A[..A.len() - 1].to_vec(), 1, false),
        ] {
            assert_eq!(AdditionalSection::read(&bytes, 0, count).is_malformed, !is_valid, "{why}");
        }
        let edns = AdditionalSection::read(OPT, 0, 1).edns.unwrap();
        assert_eq!((edns.udp_payload, edns.version, edns.dnssec_ok), (1232, 0, true));
    }
}
