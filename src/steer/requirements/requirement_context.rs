//! What both kinds of requirements are verified against.

use super::plans::PlanSet;
use crate::{
    geo::Databases,
    steer::model::{DatacenterId, Topology},
};

/// The configuration and the databases, at one moment.
pub(super) struct RequirementContext<'a> {
    pub(super) topology: &'a Topology,
    pub(super) databases: &'a Databases,
    /// Seconds since 1970, for states that end.
    pub(super) now: i64,
    pub(super) plans: &'a PlanSet,
}

impl RequirementContext<'_> {
    /// The names of datacenters, for messages.
    pub(super) fn names(&self, datacenters: &[DatacenterId]) -> Vec<Box<str>> {
        datacenters.iter().map(|id| self.topology.datacenters[id.index()].name.clone()).collect()
    }
}
