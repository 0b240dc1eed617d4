//! One resource record of class IN, as it comes out of a master file or is made from a zone table.

use super::rdata;
use crate::dns::{Name, Rtype};

/// A resource record of class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// Seconds, at most 2^31 - 1 (RFC 2181 section 8).
    pub ttl_secs: u32,
    /// Wire form, names in it uncompressed and in the case they were written in; at most 65535
    /// octets.
    pub rdata: Box<[u8]>,
}

impl Record {
    /// The name that the record leads to: that of a name server, mail exchange, SRV target, CNAME,
    /// DNAME or PTR.
    pub fn target(&self) -> Option<Name> {
        Name::from_wire(&rdata::target_name(&Name::root(), self.rtype, &self.rdata)?).ok()
    }
}
