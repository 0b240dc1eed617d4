//! Geography: coordinates, GeoIP databases, and the atlas compiled from them. Layer 1: pure; the
//! octets of files are arguments.
//!
//! [`Database::open`] checks a file and keeps its networks. [`Databases`] merges several databases.
//! A [`Grid`] divides the address space into cells, by the databases, the prefixes that rules name,
//! and the special-purpose blocks. A [`Division`] joins cells into areas. A fold joins the areas
//! that get the same answers, so that each answer has the widest scope for which it is valid, and
//! lays the result out as an [`Atlas`].

mod address;
mod atlas;
mod blocks;
mod column;
mod coordinates;
mod countries;
mod database;
mod databases;
mod grid;
mod hash_state;
mod joint_records;
mod location;
mod metadata;
mod network_list;
mod overlay;
mod record;
mod runs;
mod special_purpose;
mod survey;
mod tree;

pub use atlas::{AddressArea, Area, Atlas, Run};
pub use coordinates::{Coordinates, CoordinatesError};
pub use countries::is_country;
pub use database::{Database, DatabaseError, DatabaseProgress};
pub use databases::{Coverage, DatabaseLookup, Databases, LocationRef, MergedLookup};
pub use grid::{AreaOverlap, Division, Grid};
pub use location::Location;
pub use special_purpose::is_special_purpose;
pub use tree::TreeFault;

#[cfg(test)]
mod tests;
