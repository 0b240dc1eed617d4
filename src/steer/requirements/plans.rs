//! The chart plans of the services that requirements are about: services with equal settings share
//! one, as in a compilation.

use std::collections::HashMap;

use crate::{
    geo::Databases,
    steer::{
        compile::{ChartKey, ChartPlan, Surveys},
        model::{ServiceId, Topology},
    },
};

/// The plans of some services.
pub(super) struct PlanSet {
    pub(super) plans: Vec<ChartPlan>,
    by_service: HashMap<ServiceId, usize>,
}

impl PlanSet {
    /// Makes the plans of these services, with surveys of the grid that `surveys` has.
    pub(super) fn new(
        topology: &Topology,
        databases: &Databases,
        surveys: &mut Surveys,
        services: impl IntoIterator<Item = ServiceId>,
    ) -> Self {
        let mut by_key: HashMap<ChartKey, usize> = HashMap::new();
        let (mut plans, mut by_service) = (Vec::new(), HashMap::new());
        for id in services {
            let key = ChartKey::new(&topology.services[id.index()]);
            let position = *by_key.entry(key).or_insert_with_key(|key| {
                plans.push(ChartPlan::new(topology, key.clone(), databases, surveys));
                plans.len() - 1
            });
            by_service.insert(id, position);
        }
        Self { plans, by_service }
    }

    /// The position of a service's plan in `plans`.
    pub(super) fn position(&self, service: ServiceId) -> usize {
        self.by_service[&service]
    }

    /// The plan of a service.
    pub(super) fn plan(&self, service: ServiceId) -> &ChartPlan {
        &self.plans[self.position(service)]
    }
}
