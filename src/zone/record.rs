//! A resource record of class IN, read from a master file or made from a zone table.

use super::rdata;
use crate::dns::{Name, Rtype};

/// A resource record of class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name that owns the record.
    pub owner: Name,
    /// The type of the rdata.
    pub rtype: Rtype,
    /// The TTL in seconds, at most 2^31 - 1 (RFC 2181 section 8).
    pub ttl_secs: u32,
    /// The rdata in wire form, at most 65,535 octets. Names in it are uncompressed and in the case
    /// written.
    pub rdata: Box<[u8]>,
}

impl Record {
    /// The target name of an NS, MX, SRV, CNAME, DNAME or PTR record; `None` for other types.
    pub fn target(&self) -> Option<Name> {
        Name::from_wire(&rdata::target_name(&Name::root(), self.rtype, &self.rdata)?).ok()
    }
}
