//! The input of `explain` and `plan`.

use crate::{geo::Databases, snapshot::Snapshot, steer::Conditions};

/// A snapshot and what its charts were compiled from.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotContext<'a> {
    /// The snapshot that queries are answered from.
    pub snapshot: &'a Snapshot,
    /// The databases that the snapshot's atlases were made from.
    pub databases: &'a Databases,
    /// The conditions under which the snapshot's charts were compiled.
    pub conditions: &'a Conditions,
}
