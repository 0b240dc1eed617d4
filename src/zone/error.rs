//! Why records do not form a zone.

use std::fmt;

use super::limits::MAX_TYPES_PER_OWNER;
use crate::dns::{Name, Rtype};

/// Why a record cannot be added to a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// The owner is neither the apex nor below it.
    OutOfZone {
        /// The owner of the record.
        owner: Name,
        /// The apex of the zone.
        apex: Name,
    },
    /// A CNAME and another record at one owner (RFC 1034 section 3.6.2).
    CnameAndOther {
        /// The owner of the record.
        owner: Name,
        /// The other type at the same owner.
        other: Rtype,
    },
    /// A second record of a type that a name has at most one of: CNAME, DNAME, SOA.
    SecondOfSingleton {
        /// The owner of the record.
        owner: Name,
        /// The type of the record.
        rtype: Rtype,
    },
    /// An SOA record below the apex.
    SoaBelowApex {
        /// The owner of the record.
        owner: Name,
    },
    /// A type that no zone holds: OPT, a question type, or 0 (RFC 6895 section 3.1).
    MetaType {
        /// The type of the record.
        rtype: Rtype,
    },
    /// The rdata does not have the form of its type.
    BadRdata {
        /// The owner of the record.
        owner: Name,
        /// The type of the record.
        rtype: Rtype,
    },
    /// The RRset would not fit into a message.
    RrsetTooLarge {
        /// The owner of the record.
        owner: Name,
        /// The type of the record.
        rtype: Rtype,
    },
    /// The owner would have records of more types than allowed.
    TooManyTypes {
        /// The owner name with too many types.
        owner: Name,
    },
    /// The zone has more data than 4 GiB.
    ZoneTooLarge,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfZone { owner, apex } => write!(f, "{owner} is not in the zone {apex}"),
            Self::CnameAndOther { owner, other } => {
                write!(f, "{owner} has a CNAME and a {other}; a name with a CNAME has nothing else")
            }
            Self::SecondOfSingleton { owner, rtype } => {
                write!(f, "{owner} has two {rtype} records; it may have one")
            }
            Self::SoaBelowApex { owner } => {
                write!(f, "{owner} has an SOA; only the zone's apex has one")
            }
            Self::MetaType { rtype } => {
                write!(f, "{rtype} is a type for questions and protocol, not for data")
            }
            Self::BadRdata { owner, rtype } => {
                write!(f, "the {rtype} record of {owner} has malformed data")
            }
            Self::RrsetTooLarge { owner, rtype } => {
                write!(f, "the {rtype} records of {owner} are together too large for one message")
            }
            Self::TooManyTypes { owner } => {
                write!(f, "{owner} has records of more than {MAX_TYPES_PER_OWNER} types")
            }
            Self::ZoneTooLarge => f.write_str("the zone has more than 4 GiB of data"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Why a set of records is not a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneError {
    /// No SOA record at the apex.
    NoSoa {
        /// The apex of the zone.
        apex: Name,
    },
    /// No NS record at the apex.
    NoNs {
        /// The apex of the zone.
        apex: Name,
    },
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSoa { apex } => write!(f, "the zone {apex} has no SOA record"),
            Self::NoNs { apex } => write!(f, "the zone {apex} has no NS record at its apex"),
        }
    }
}

impl std::error::Error for ZoneError {}
