//! Response codes and opcodes (RFC 1035 section 4.1.1, RFC 6895).

use std::fmt;

/// A response code, possibly extended (RFC 6895 section 2.3): 12 bits, of which OPT has the upper
/// 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rcode(pub u16);

impl Rcode {
    /// The query was answered without an error.
    pub const NOERROR: Self = Self(0);
    /// The server could not parse the query.
    pub const FORMERR: Self = Self(1);
    /// The server failed to answer.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// The server does not implement the opcode.
    pub const NOTIMP: Self = Self(4);
    /// The server refuses to answer: the name is in no zone served here, or policy forbids it.
    pub const REFUSED: Self = Self(5);
    /// A DNAME substitution made a name too long (RFC 6672 section 2.2).
    pub const YXDOMAIN: Self = Self(6);
    /// The server is not authoritative for the zone (RFC 2136), or does not know the TSIG key (RFC
    /// 8945).
    pub const NOTAUTH: Self = Self(9);
    /// The server does not support the EDNS version (RFC 6891 section 6.1.3).
    pub const BADVERS: Self = Self(16);
    /// The server cookie is not one of this server (RFC 7873 section 8).
    pub const BADCOOKIE: Self = Self(23);

    /// The mnemonic of a code that this server can send or receive; `Display` writes `RCODEn` for
    /// others.
    pub fn mnemonic(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            6 => "YXDOMAIN",
            9 => "NOTAUTH",
            16 => "BADVERS",
            23 => "BADCOOKIE",
            _ => return None,
        })
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(mnemonic) => f.pad(mnemonic),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

/// An opcode (RFC 1035 section 4.1.1): four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A standard query (RFC 1035 section 4.1.1).
    pub const QUERY: Self = Self(0);
}
