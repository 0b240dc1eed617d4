//! The rdata of every type as a list of fields. The table serves presentation format and the check
//! of octets in wire form alike.

use crate::dns::Rtype;

/// A kind of rdata field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RdataField {
    /// An unsigned number of 8, 16 or 32 bits.
    U8,
    U16,
    U32,
    /// 32 bits, a number of seconds.
    Period,
    /// 32 bits, a time in seconds since 1970 modulo 2^32 (RFC 4034 section 3.1.5).
    Timestamp,
    Ipv4,
    Ipv6,
    Name,
    /// A character string (RFC 1035 section 3.3).
    Text,
    /// One or more character strings.
    Texts,
    /// At most one character string.
    OptionalText,
    /// A string without a length, to the end of the rdata.
    Octets,
    /// A CAA property tag (RFC 8659 section 4.1).
    Tag,
    /// Octets to the end of the rdata, written in hexadecimal.
    Hex,
    /// Octets to the end of the rdata, written in base64.
    Base64,
    /// Octets after their length, written in hexadecimal, with `-` for none (RFC 5155).
    Salt,
    /// Octets after their length, written in base32 (RFC 5155).
    Hash,
    /// A record type by its mnemonic.
    Type,
    /// A bit map of record types (RFC 4034 section 4.1.2).
    Types,
    /// A DNSSEC algorithm, as a number or a mnemonic.
    Algorithm,
    /// A certificate type (RFC 4398 section 2.1).
    CertificateKind,
    /// 64 bits as four groups of hexadecimal digits (RFC 6742).
    Locator,
    /// 48 bits as pairs of hexadecimal digits (RFC 7043).
    Eui48,
    /// 64 bits as pairs of hexadecimal digits (RFC 7043).
    Eui64,
    /// A location on the Earth with its precision (RFC 1876).
    Location,
    /// Service parameters of SVCB and HTTPS (RFC 9460).
    Parameters,
    /// Address prefixes of APL records (RFC 3123).
    Prefixes,
    /// A gateway type, an algorithm, the gateway and a key (RFC 4025).
    Gateway,
    /// A relay type and the relay (RFC 8777).
    Relay,
    /// A host identity tag and a public key, after their lengths (RFC 8005).
    HostIdentity,
    /// Names to the end of the rdata.
    Names,
    /// `0x` and octets in hexadecimal (RFC 1706).
    Nsap,
}

use RdataField::{
    Algorithm, Base64, CertificateKind, Eui48, Eui64, Gateway, Hash, Hex, HostIdentity, Ipv4, Ipv6,
    Location, Locator, Name, Names, Nsap, Octets, OptionalText, Parameters, Period, Prefixes,
    Relay, Salt, Tag, Text, Texts, Timestamp, Type, Types, U8, U16, U32,
};

pub(super) type RdataLayout = &'static [(RdataField, &'static str)];

const DELEGATION: RdataLayout =
    &[(U16, "key tag"), (Algorithm, "algorithm"), (U8, "digest type"), (Hex, "digest")];
const PUBLIC_KEY: RdataLayout =
    &[(U16, "flags"), (U8, "protocol"), (Algorithm, "algorithm"), (Base64, "public key")];
const SIGNATURE: RdataLayout = &[
    (Type, "type covered"),
    (Algorithm, "algorithm"),
    (U8, "number of labels"),
    (Period, "original TTL"),
    (Timestamp, "expiration"),
    (Timestamp, "inception"),
    (U16, "key tag"),
    (Name, "signer's name"),
    (Base64, "signature"),
];
const ASSOCIATION: RdataLayout = &[
    (U8, "certificate usage"),
    (U8, "selector"),
    (U8, "matching type"),
    (Hex, "certificate association"),
];
const SERVICE_BINDING: RdataLayout =
    &[(U16, "priority"), (Name, "target"), (Parameters, "parameter")];

/// The fields of a type's rdata; `None` for a type that is written only as the octets of RFC 3597.
pub(super) fn rdata_layout(rtype: Rtype) -> Option<RdataLayout> {
    name_or_text_layout(rtype).or_else(|| security_layout(rtype)).or_else(|| location_layout(rtype))
}

/// Types that hold addresses of hosts, names, texts and services.
fn name_or_text_layout(rtype: Rtype) -> Option<RdataLayout> {
    Some(match rtype {
        Rtype::A => &[(Ipv4, "IPv4 address")],
        Rtype::AAAA => &[(Ipv6, "IPv6 address")],
        Rtype::NS => &[(Name, "name server")],
        Rtype::CNAME | Rtype::DNAME => &[(Name, "target")],
        Rtype::PTR => &[(Name, "name")],
        Rtype::MD | Rtype::MF | Rtype::MB | Rtype::MG | Rtype::MR => &[(Name, "name")],
        Rtype::SOA => &[
            (Name, "primary name server"),
            (Name, "responsible mailbox"),
            (U32, "serial"),
            (Period, "refresh interval"),
            (Period, "retry interval"),
            (Period, "expiry period"),
            (Period, "negative TTL (minimum)"),
        ],
        Rtype::MX => &[(U16, "preference"), (Name, "mail exchange")],
        Rtype::KX | Rtype::RT => &[(U16, "preference"), (Name, "exchanger")],
        Rtype::AFSDB => &[(U16, "subtype"), (Name, "host")],
        Rtype::PX => &[(U16, "preference"), (Name, "RFC 822 domain"), (Name, "X.400 domain")],
        Rtype::TXT | Rtype::SPF | Rtype::NINFO | Rtype::AVC | Rtype::RESINFO | Rtype::WALLET => {
            &[(Texts, "string")]
        }
        Rtype::HINFO => &[(Text, "CPU"), (Text, "operating system")],
        Rtype::RP => &[(Name, "mailbox"), (Name, "name of the TXT record")],
        Rtype::MINFO => &[(Name, "responsible mailbox"), (Name, "mailbox for errors")],
        Rtype::SRV => &[(U16, "priority"), (U16, "weight"), (U16, "port"), (Name, "target")],
        Rtype::NAPTR => &[
            (U16, "order"),
            (U16, "preference"),
            (Text, "flags"),
            (Text, "services"),
            (Text, "regular expression"),
            (Name, "replacement"),
        ],
        Rtype::TALINK => &[(Name, "previous name"), (Name, "next name")],
        Rtype::LP => &[(U16, "preference"), (Name, "name")],
        Rtype::CAA => &[(U8, "flags"), (Tag, "property tag"), (Octets, "value")],
        Rtype::URI => &[(U16, "priority"), (U16, "weight"), (Octets, "target")],
        Rtype::SVCB | Rtype::HTTPS => SERVICE_BINDING,
        _ => return None,
    })
}

/// Types that hold keys, signatures, certificates and digests.
fn security_layout(rtype: Rtype) -> Option<RdataLayout> {
    Some(match rtype {
        Rtype::CERT => &[
            (CertificateKind, "certificate type"),
            (U16, "key tag"),
            (Algorithm, "algorithm"),
            (Base64, "certificate"),
        ],
        Rtype::DS | Rtype::CDS | Rtype::DLV | Rtype::TA => DELEGATION,
        Rtype::DNSKEY | Rtype::CDNSKEY | Rtype::KEY | Rtype::RKEY => PUBLIC_KEY,
        Rtype::RRSIG | Rtype::SIG => SIGNATURE,
        Rtype::NSEC => &[(Name, "next name"), (Types, "type")],
        Rtype::NSEC3 => &[
            (U8, "hash algorithm"),
            (U8, "flags"),
            (U16, "number of iterations"),
            (Salt, "salt"),
            (Hash, "next hashed name"),
            (Types, "type"),
        ],
        Rtype::NSEC3PARAM => {
            &[(U8, "hash algorithm"), (U8, "flags"), (U16, "number of iterations"), (Salt, "salt")]
        }
        Rtype::CSYNC => &[(U32, "serial"), (U16, "flags"), (Types, "type")],
        Rtype::ZONEMD => {
            &[(U32, "serial"), (U8, "scheme"), (U8, "hash algorithm"), (Hex, "digest")]
        }
        Rtype::SSHFP => &[(U8, "algorithm"), (U8, "fingerprint type"), (Hex, "fingerprint")],
        Rtype::TLSA | Rtype::SMIMEA => ASSOCIATION,
        Rtype::OPENPGPKEY => &[(Base64, "public key")],
        Rtype::DHCID => &[(Base64, "identifier")],
        Rtype::IPSECKEY => &[(U8, "precedence"), (Gateway, "gateway")],
        Rtype::HIP => &[(HostIdentity, "host identity"), (Names, "rendezvous server")],
        _ => return None,
    })
}

/// The layouts of types that hold geographic locations, address prefixes, or addresses of networks
/// other than IP.
fn location_layout(rtype: Rtype) -> Option<RdataLayout> {
    Some(match rtype {
        Rtype::X25 => &[(Text, "address")],
        Rtype::ISDN => &[(Text, "address"), (OptionalText, "subaddress")],
        Rtype::GPOS => &[(Text, "longitude"), (Text, "latitude"), (Text, "altitude")],
        Rtype::NSAP => &[(Nsap, "address")],
        Rtype::LOC => &[(Location, "location")],
        Rtype::APL => &[(Prefixes, "address prefix")],
        Rtype::AMTRELAY => &[(U8, "precedence"), (Relay, "relay")],
        Rtype::EUI48 => &[(Eui48, "identifier")],
        Rtype::EUI64 => &[(Eui64, "identifier")],
        Rtype::NID | Rtype::L64 => &[(U16, "preference"), (Locator, "locator")],
        Rtype::L32 => &[(U16, "preference"), (Ipv4, "locator")],
        _ => return None,
    })
}
