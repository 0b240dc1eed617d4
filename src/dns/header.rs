//! The header of a message (RFC 1035 section 4.1.1).

use super::code::Opcode;

/// The header: the first twelve octets of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The ID, chosen by the client and copied into the reply.
    pub id: u16,
    /// The 16 bits from QR to RCODE.
    pub flags: Flags,
    /// The declared numbers of questions, answers, authority records and additional records.
    pub counts: [u16; 4],
}

/// The 16 bits of a header from QR to RCODE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// The message is a response.
    pub const QR: u16 = 0x8000;
    /// The answer is authoritative.
    pub const AA: u16 = 0x0400;
    /// The message is truncated.
    pub const TC: u16 = 0x0200;
    /// The client asks for recursion.
    pub const RD: u16 = 0x0100;

    /// Whether all of `bits` are set.
    pub fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }

    /// The opcode, a number from 0 to 15.
    pub fn opcode(self) -> Opcode {
        Opcode((self.0 >> 11) as u8 & 15)
    }
}

impl Header {
    /// The length of a header.
    pub const OCTETS: usize = 12;

    /// Reads the header; `None` if the message is shorter than one.
    pub fn read(message: &[u8]) -> Option<Self> {
        let &[a, b, c, d, e, f, g, h, i, j, k, l] = message.first_chunk::<{ Self::OCTETS }>()?;
        let [id, flags, questions, answers, authority, additional] =
            [[a, b], [c, d], [e, f], [g, h], [i, j], [k, l]].map(u16::from_be_bytes);
        Some(Self { id, flags: Flags(flags), counts: [questions, answers, authority, additional] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shorter_than_a_header_has_none() {
        assert_eq!(Header::read(&[0; 11]), None);
        let header = Header::read(b"\xab\xcd\x81\x00\0\x01\0\0\0\0\0\x02rest").unwrap();
        assert_eq!((header.id, header.counts), (0xabcd, [1, 0, 0, 2]));
        assert!(header.flags.has(Flags::QR | Flags::RD));
        assert_eq!(Flags(0x2800).opcode(), Opcode(5));
    }
}
