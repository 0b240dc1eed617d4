//! One side of a plan: charts, and what they were compiled from.

use ipnet::IpNet;

use crate::{
    geo::Databases,
    steer::{CompiledCharts, Policy, Topology},
};

/// One side of a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlanSide<'a> {
    /// The charts, with their topology and conditions.
    pub compiled: &'a CompiledCharts,
    /// The databases that they were compiled with.
    pub databases: &'a Databases,
}

impl<'a> PlanSide<'a> {
    pub(super) fn topology(&self) -> &'a Topology {
        self.compiled.compiler().topology()
    }

    /// The prefixes that the rules of pools name.
    pub(super) fn named_prefixes(&self) -> impl Iterator<Item = IpNet> + 'a {
        let rules = self.topology().pools.iter().flat_map(|pool| match &pool.policy {
            Policy::Geo { rules, .. } => rules.as_slice(),
            _ => &[],
        });
        rules.flat_map(|rule| rule.subnets.iter().copied())
    }
}
