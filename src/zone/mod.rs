//! Zones: static records, the nodes that they form, and how a name is looked up among them (RFC
//! 1034 section 4.3.2). Layer 3: pure.
//!
//! | file | contents |
//! |---|---|
//! | `record`, `rdata`, `rrset` | a record; checks of rdata; RRsets as they are stored |
//! | `builder`, `draft`, `occluders` | from records in any order to a zone |
//! | `content` | a finished zone and its nodes |
//! | `index`, `hash` | from names to numbers |
//! | `zones`, `lookup` | all zones with the names of services; a lookup in them |
//! | `master` | master files |

mod builder;
mod content;
mod draft;
mod error;
mod hash;
mod index;
mod limits;
mod lookup;
pub mod master;
mod occluders;
mod rdata;
mod record;
mod rrset;
mod zones;

pub use builder::{BuilderNode, ZoneBuilder};
pub use content::{NameAuthority, Node, Zone};
pub use error::{RecordError, ZoneError};
pub(crate) use hash::hash_name;
pub use hash::{HashSeedsInUse, set_hash_seeds};
pub use limits::MAX_RRSET_OCTETS;
pub(crate) use lookup::LookupHint;
pub use lookup::{LookupOutcome, LookupResult};
pub use record::Record;
pub use rrset::{NameOffsets, RECORD_FIXED_OCTETS, StoredRecord, StoredRrset};
pub use zones::Zones;

#[cfg(test)]
mod tests;
