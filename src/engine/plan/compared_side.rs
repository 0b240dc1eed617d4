//! One side of a comparison, with what is looked up in it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    area_change::ServiceSide, datacenter_index::DatacenterIndex, loads::LoadSide,
    losses::CompiledService, side::PlanSide,
};
use crate::{
    dns::Name,
    steer::{Chart, Service, ServiceId},
};

/// One service of one side.
#[derive(Clone, Copy)]
pub(super) struct PlannedService<'a> {
    id: ServiceId,
    pub(super) service: &'a Service,
    pub(super) chart: &'a Arc<Chart>,
}

/// One side with what is looked up in it.
pub(super) struct ComparedSide<'a> {
    pub(super) side: PlanSide<'a>,
    charts: Vec<Arc<Chart>>,
    /// The number of each datacenter, by id.
    pub(super) datacenters: Arc<[u16]>,
}

impl<'a> ComparedSide<'a> {
    /// Both sides of a comparison.
    pub(super) fn pair(
        before: PlanSide<'a>,
        after: PlanSide<'a>,
        index: &DatacenterIndex,
    ) -> (Self, Self) {
        let before = Self::new(before, index);
        let mut after = Self::new(after, index);
        if before.datacenters == after.datacenters {
            after.datacenters = Arc::clone(&before.datacenters);
        }
        (before, after)
    }

    fn new(side: PlanSide<'a>, index: &DatacenterIndex) -> Self {
        Self {
            side,
            charts: side.compiled.charts(),
            datacenters: index.numbers(side.topology()).into(),
        }
    }

    pub(super) fn services(&self) -> BTreeMap<&Name, PlannedService<'_>> {
        let services = self.side.topology().services.iter().zip(&self.charts);
        let planned = services.zip((0..).map(ServiceId));
        planned
            .map(|((service, chart), id)| (&service.name, PlannedService { id, service, chart }))
            .collect()
    }

    pub(super) fn load_side(&self) -> LoadSide<'_> {
        LoadSide {
            topology: self.side.topology(),
            charts: &self.charts,
            datacenters: &self.datacenters,
        }
    }

    pub(super) fn service_side<'s>(&'s self, service: &PlannedService<'s>) -> ServiceSide<'s> {
        ServiceSide { chart: service.chart, datacenters: &self.datacenters }
    }

    pub(super) fn compiled_service<'s>(
        &'s self,
        service: &PlannedService<'s>,
    ) -> CompiledService<'s> {
        let compiler = self.side.compiled.compiler();
        CompiledService { compiler, id: service.id, chart: service.chart }
    }
}
