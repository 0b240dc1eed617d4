//! Geography: coordinates, what a database says of an address, and the atlas compiled from both.
//! Layer 1: pure; bytes come in as arguments.
//!
//! [`Database::open`] checks a file and keeps its networks; [`Databases`] reads several as one; a
//! [`Grid`] joins them, the prefixes that rules name and the special-purpose addresses into cells;
//! a [`Division`] of it joins cells into areas; a fold makes areas one that are answered alike, so
//! that each answer gets the widest scope for which it holds, and is an [`Atlas`].

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
pub use grid::{Division, Grid};
pub use location::Location;
pub use special_purpose::is_special_purpose;
pub use tree::TreeFault;

#[cfg(test)]
mod tests;
