//! Reading a request: header, question, additional section (RFC 1035 section 4.1). Bounded by the
//! message's length, no allocation.

use super::{
    edns::Edns,
    header::Header,
    lookup_name::LookupName,
    malformed::Malformed,
    rtype::Rtype,
    wire::{octets_at, skip_name},
};

/// What is asked, but for the name, which is large and goes where it will be used.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// QTYPE.
    pub rtype: Rtype,
    /// QCLASS.
    pub class: u16,
    /// The offset of what follows the question.
    pub end: usize,
}

impl Question {
    /// The Internet class.
    pub const CLASS_IN: u16 = 1;

    /// Reads the first question, which follows the header; QNAME goes into `name`, lower-cased, and
    /// the message keeps it as written.
    ///
    /// # Errors
    /// [`Malformed`] where it ends early or its name is no uncompressed name.
    pub fn read(message: &[u8], name: &mut LookupName) -> Result<Self, Malformed> {
        let at = name.read(message, Header::OCTETS).map_err(|_| Malformed)?;
        let &[a, b, c, d] = octets_at(message, at)?;
        let [rtype, class] = [[a, b], [c, d]].map(u16::from_be_bytes);
        Ok(Self { rtype: Rtype(rtype), class, end: at + 4 })
    }
}

/// A TSIG record (RFC 8945 section 4.2) as far as refusing it needs.
#[derive(Debug, Clone, Copy)]
pub struct Tsig<'m> {
    /// The key's name and then the algorithm's, uncompressed; `None` where the message compresses
    /// one of them.
    pub names: Option<(&'m [u8], &'m [u8])>,
    /// The six octets of time signed and the two of fudge.
    pub time_and_fudge: [u8; 8],
}

impl<'m> Tsig<'m> {
    /// The record of that owner and rdata.
    ///
    /// # Errors
    /// [`Malformed`] where the rdata ends early.
    #[cold]
    fn read(owner: Option<&'m [u8]>, rdata: &'m [u8]) -> Result<Self, Malformed> {
        let end = skip_name(rdata, 0)?;
        let time_and_fudge = *octets_at(rdata, end)?;
        let plain = |name: &'m [u8]| LookupName::root().read(name, 0).is_ok().then_some(name);
        let names = owner.and_then(plain).zip(rdata.get(..end).and_then(plain));
        Ok(Self { names, time_and_fudge })
    }

    /// The record at that offset, which is the last of the message.
    ///
    /// # Errors
    /// [`Malformed`] where none is there.
    #[cold]
    pub fn read_at(message: &'m [u8], at: u16) -> Result<Self, Malformed> {
        let owner = usize::from(at);
        let end = skip_name(message, owner)?;
        Self::read(message.get(owner..end), message.get(end + 10..).ok_or(Malformed)?)
    }
}

/// What the additional section of a request says, as far as it could be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdditionalSection<'m> {
    /// The OPT record; without options where one of them is malformed, so that the reply can still
    /// have its own.
    pub edns: Option<Edns<'m>>,
    /// Where the message has a TSIG record.
    pub tsig_at: Option<u16>,
    /// A record ends early, octets are left over, there are two OPT records, OPT's owner is not the
    /// root, an option is malformed, or a TSIG record is not the last.
    pub is_malformed: bool,
}

impl<'m> AdditionalSection<'m> {
    /// Reads the additional section, which starts at `read_at` and must be the rest of the message.
    #[inline(always)]
    pub fn read(message: &'m [u8], at: usize, count: u16) -> Self {
        let mut additional = Self::default();
        additional.is_malformed = additional.read_records(message, at, count).is_err();
        additional
    }

    #[inline(always)]
    fn read_records(
        &mut self,
        message: &'m [u8],
        mut at: usize,
        count: u16,
    ) -> Result<(), Malformed> {
        for _ in 0..count {
            if self.tsig_at.is_some() {
                return Err(Malformed);
            }
            let owner = at;
            at = skip_name(message, at)?;
            let &[a, b, c, d, ttl @ .., e, f] = octets_at::<10>(message, at)?;
            let [rtype, class, length] = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
            let end = at + 10 + usize::from(length);
            let rdata = message.get(at + 10..end).ok_or(Malformed)?;
            match Rtype(rtype) {
                Rtype::OPT if self.edns.is_some() || at != owner + 1 => return Err(Malformed),
                Rtype::OPT => self.edns.insert(Edns::new(class, ttl)).read_options(rdata)?,
                Rtype::TSIG => {
                    Tsig::read(message.get(owner..at), rdata)?;
                    // A message has at most 65,535 octets.
                    self.tsig_at = u16::try_from(owner).ok();
                }
                _ => {}
            }
            at = end;
        }
        if at == message.len() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_additional_section_is_exactly_the_rest_of_the_message() {
        const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        const A: &[u8] = b"\x01a\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04";
        for (why, bytes, count, fine) in [
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
            assert_eq!(AdditionalSection::read(&bytes, 0, count).is_malformed, !fine, "{why}");
        }
        let edns = AdditionalSection::read(OPT, 0, 1).edns.unwrap();
        assert_eq!((edns.udp_payload, edns.version, edns.dnssec_ok), (1232, 0, true));
    }
}
