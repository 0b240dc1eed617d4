//! Record types (RFC 1035 section 3.2.2 and the IANA registry).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A record type: any 16-bit number. Types without a mnemonic here are written `TYPEn` (RFC 3597).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rtype(pub u16);

macro_rules! rtypes {
    ($($name:ident = $value:literal),* $(,)?) => {
        #[expect(missing_docs, reason = "each is the IANA mnemonic of its number")]
        impl Rtype { $(pub const $name: Self = Self($value);)* }

        impl Rtype {
            /// The IANA mnemonic, if the type is in the table of this module.
            pub fn mnemonic(self) -> Option<&'static str> {
                match self.0 { $($value => Some(stringify!($name)),)* _ => None }
            }

            fn from_mnemonic(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case(stringify!($name)) { return Some(Self::$name); })*
                None
            }
        }
    };
}

rtypes! {
    A = 1, NS = 2, MD = 3, MF = 4, CNAME = 5, SOA = 6, MB = 7, MG = 8, MR = 9, PTR = 12, HINFO = 13, MINFO = 14, MX = 15, TXT = 16,
    RP = 17, AFSDB = 18, X25 = 19, ISDN = 20, RT = 21, NSAP = 22, SIG = 24, KEY = 25, PX = 26, GPOS = 27, AAAA = 28, LOC = 29, NXT = 30, SRV = 33, NAPTR = 35, KX = 36, CERT = 37, DNAME = 39, OPT = 41, APL = 42, DS = 43,
    SSHFP = 44, IPSECKEY = 45, RRSIG = 46, NSEC = 47, DNSKEY = 48, DHCID = 49, NSEC3 = 50, NSEC3PARAM = 51, TLSA = 52,
    SMIMEA = 53, HIP = 55, NINFO = 56, RKEY = 57, TALINK = 58, CDS = 59, CDNSKEY = 60, OPENPGPKEY = 61, CSYNC = 62, ZONEMD = 63, SVCB = 64, HTTPS = 65,
    SPF = 99, NID = 104, L32 = 105, L64 = 106, LP = 107, EUI48 = 108, EUI64 = 109, NXNAME = 128, TKEY = 249, TSIG = 250, IXFR = 251, AXFR = 252, MAILB = 253, MAILA = 254,
    ANY = 255, URI = 256, CAA = 257, AVC = 258, AMTRELAY = 260, RESINFO = 261, WALLET = 262, TA = 32768, DLV = 32769,
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(mnemonic) => f.pad(mnemonic),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl FromStr for Rtype {
    type Err = UnknownRtype;

    fn from_str(text: &str) -> Result<Self, UnknownRtype> {
        let numbered = || {
            let (prefix, number) = text.split_at_checked(4)?;
            if !prefix.eq_ignore_ascii_case("TYPE") || !number.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            number.parse().ok().map(Self)
        };
        Self::from_mnemonic(text).or_else(numbered).ok_or(UnknownRtype)
    }
}

/// A text that is neither a known mnemonic nor `TYPEn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRtype;

impl fmt::Display for UnknownRtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a record type; write a mnemonic such as AAAA, or TYPE and its number")
    }
}

impl std::error::Error for UnknownRtype {}
