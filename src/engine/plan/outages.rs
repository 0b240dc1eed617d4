//! Outages: for each datacenter, what happens if it goes down after the change.

use std::sync::Arc;

use super::{
    census::ClientCensus,
    datacenter_index::DatacenterIndex,
    datacenter_shares::DatacenterShares,
    loads::{self, LoadSide},
    losses::{self, CompiledService},
    options::{PlanOptions, ServiceWeights},
    side::PlanSide,
    view::{OutageView, ServiceLossView},
};
use crate::steer::{Compilation, DatacenterId, ServiceId, Surveys, WheelCache};

/// The outage of each datacenter that gets clients. Those come first that exceed the most
/// capacities, leave the most clients with nothing, or fill a datacenter at the lowest demand.
pub(super) fn outages(
    side: &PlanSide<'_>,
    census: &ClientCensus,
    index: &DatacenterIndex,
    options: &PlanOptions,
    surveys: &mut Surveys,
) -> Vec<OutageView> {
    let topology = side.topology();
    let datacenters = index.numbers(topology);
    let (weights, charts) = (ServiceWeights::of(options), side.compiled.charts());
    let normal = LoadSide { topology, charts: &charts, datacenters: &datacenters };
    let mut shares = DatacenterShares::new(census);
    let before = loads::total_shares(normal, weights, &mut shares, index);
    let mut wheels = WheelCache::default();
    let mut found = Vec::new();
    for (datacenter, id) in topology.datacenters.iter().zip((0..).map(DatacenterId)) {
        if before[usize::from(datacenters[id.index()])] <= 0.0 {
            continue;
        }
        let endpoints = topology.endpoints_in(&[id]);
        let conditions = side.compiled.conditions().with_endpoints_down(topology, endpoints);
        let compiler = Arc::clone(side.compiled.compiler());
        let compilation = Compilation::after(side.compiled, compiler, Arc::new(conditions));
        let compiled = compilation.finish(surveys, &mut wheels);
        let charts_of_outage = compiled.charts();
        let outage = LoadSide { charts: &charts_of_outage, ..normal };
        let mut shares_of_outage = shares.clone();
        let after = loads::total_shares(outage, weights, &mut shares_of_outage, index);
        let loads = loads::loads((&before, &after), topology, index, options.demand);
        let mut exceeded = loads::exceeded_datacenters(&loads);
        exceeded.extend(loads::exceeded_pools((normal, outage), options, &mut shares_of_outage));
        let services = (0..).map(ServiceId).zip(charts.iter().zip(&charts_of_outage));
        let mut losses = Vec::new();
        for (id, (old, new)) in services.filter(|(_, (old, new))| !Arc::ptr_eq(old, new)) {
            let compiler = side.compiled.compiler();
            let of = |chart| CompiledService { compiler, id, chart };
            let name = &topology.services[id.index()].name;
            let of_service = losses::losses(of(old), of(new)).into_iter();
            losses
                .extend(of_service.map(|loss| ServiceLossView { service: name.to_string(), loss }));
        }
        drop((compiled, shares_of_outage));
        surveys.prune();
        found.push(OutageView { datacenter: datacenter.name.to_string(), loads, exceeded, losses });
    }
    found.sort_by(|a, b| {
        let faults = |outage: &OutageView| (new_breaches(outage), outage.losses.len());
        faults(b).cmp(&faults(a)).then(first_full_at(a).total_cmp(&first_full_at(b)))
    });
    found
}

/// The number of capacities that the outage alone exceeds.
fn new_breaches(outage: &OutageView) -> usize {
    outage.exceeded.iter().filter(|exceeded| exceeded.is_new()).count()
}

/// The total demand at which the first datacenter is full during the outage.
fn first_full_at(outage: &OutageView) -> f64 {
    let demands = outage.loads.iter().filter_map(|load| load.full_at_after);
    demands.fold(f64::INFINITY, f64::min)
}
