//! What `explain` and `plan` read.

use crate::{geo::Databases, snapshot::Snapshot, steer::Conditions};

/// What is explained, or compared: a snapshot and what its charts were compiled from.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotContext<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The databases that its atlases were surveyed from.
    pub databases: &'a Databases,
    /// The conditions that its charts were compiled under.
    pub conditions: &'a Conditions,
}
