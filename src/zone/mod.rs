//! Zones: static records, the nodes they make, and how a name is looked up among them (RFC 1034
//! section 4.3.2). Layer 3: pure.

mod builder;
mod content;
mod draft;
mod error;
mod hash;
mod index;
mod lookup;
pub mod master;
mod rdata;
mod record;
mod rrset;
mod zones;

pub use builder::{DraftedNode, ZoneBuilder};
pub(crate) use hash::hash;
pub use hash::{SeedsInUse, set_hash_seeds};

pub use content::{Node, Standpoint, Zone};
pub use error::{RecordError, ZoneError};
pub(crate) use lookup::Lead;
pub use lookup::{Finding, Outcome};
pub use record::Record;
pub use rrset::{
    FIXED_OCTETS as RECORD_OCTETS, MAX_OCTETS as MOST_RRSET_OCTETS, Place, ReadyRecord, ReadyRrset,
};
pub use zones::Zones;

#[cfg(test)]
mod tests;
