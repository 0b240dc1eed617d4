//! Loads: the share of all demand that each datacenter and each pool gets, compared with its
//! capacity.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    datacenter_index::DatacenterIndex,
    datacenter_shares::DatacenterShares,
    options::{PlanOptions, ServiceWeights},
    view::{ExceededCapacity, LoadView, rounded},
};
use crate::{
    dns::Name,
    steer::{Chart, PoolId, Topology},
};

/// The charts of one snapshot by service, with the numbers of its datacenters.
#[derive(Clone, Copy)]
pub(super) struct LoadSide<'a> {
    pub(super) topology: &'a Topology,
    pub(super) charts: &'a [Arc<Chart>],
    pub(super) datacenters: &'a [u16],
}

impl LoadSide<'_> {
    pub(super) fn services(&self) -> impl Iterator<Item = (&Name, &Arc<Chart>)> {
        self.topology.services.iter().map(|service| &service.name).zip(self.charts)
    }
}

/// The share of all demand by the number of the datacenter.
pub(super) fn total_shares(
    side: LoadSide<'_>,
    weights: ServiceWeights<'_>,
    shares: &mut DatacenterShares<'_>,
    index: &DatacenterIndex,
) -> Vec<f64> {
    let mut totals = vec![0.0; index.len()];
    let mut all = 0.0;
    for (name, chart) in side.services() {
        let weight = weights.weight(&name.to_string());
        let of_chart = shares.of(chart, side.datacenters, index);
        totals.iter_mut().zip(&*of_chart).for_each(|(total, share)| *total += weight * share);
        all += weight;
    }
    totals.iter_mut().for_each(|total| *total /= f64::max(all, f64::MIN_POSITIVE));
    totals
}

/// The loads of all datacenters, and of clients without one, in the order of the index.
pub(super) fn loads(
    (before, after): (&[f64], &[f64]),
    topology: &Topology,
    index: &DatacenterIndex,
    demand: Option<f64>,
) -> Vec<LoadView> {
    let capacities: BTreeMap<&str, f64> = topology
        .datacenters
        .iter()
        .filter_map(|datacenter| Some((&*datacenter.name, datacenter.capacity?)))
        .collect();
    let is_datacenter = |number: u16| number > DatacenterIndex::NO_DATACENTER;
    (0..index.len() as u16)
        .filter(|number| {
            let position = usize::from(*number);
            is_datacenter(*number) || before[position] > 0.0 || after[position] > 0.0
        })
        .map(|number| {
            let position = usize::from(number);
            let capacity = capacities.get(index.name(number)).copied();
            // The demand at which the datacenter is full.
            let full_at = |share: f64| {
                capacity.filter(|_| share > 0.0).map(|capacity| rounded(capacity / share))
            };
            LoadView {
                datacenter: index.name(number).to_owned(),
                before_percent: rounded(100.0 * before[position]),
                after_percent: rounded(100.0 * after[position]),
                capacity,
                load_before: demand.map(|demand| rounded(demand * before[position])),
                load_after: demand.map(|demand| rounded(demand * after[position])),
                full_at_before: full_at(before[position]),
                full_at_after: full_at(after[position]),
            }
        })
        .collect()
}

/// The datacenters that would have more load than their capacity.
pub(super) fn exceeded_datacenters(loads: &[LoadView]) -> Vec<ExceededCapacity> {
    let exceeded = |load: &LoadView| {
        let (capacity, before, after) = (load.capacity?, load.load_before?, load.load_after?);
        (after > capacity).then(|| ExceededCapacity {
            subject: format!("datacenter {}", load.datacenter),
            before,
            after,
            capacity,
        })
    };
    loads.iter().filter_map(exceeded).collect()
}

/// The pools that would have more load than their capacity: their measured load grows as their
/// share of all demand does.
pub(super) fn exceeded_pools(
    (before, after): (LoadSide<'_>, LoadSide<'_>),
    options: &PlanOptions,
    shares: &mut DatacenterShares<'_>,
) -> Vec<ExceededCapacity> {
    if options.pool_loads.is_empty() {
        return Vec::new();
    }
    let weights = ServiceWeights::of(options);
    let totals = [before, after].map(|side| endpoint_totals(side, weights, shares));
    let mut names: Vec<(&String, _)> = options.pool_loads.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    let mut exceeded = Vec::new();
    for (name, load) in names {
        let was = pool_total(before.topology, name, &totals[0]).filter(|share| *share > 0.0);
        let is = pool_total(after.topology, name, &totals[1]);
        let (Some(was), Some(is)) = (was, is) else { continue };
        let grown = rounded(load.level * is / was);
        if grown > load.target {
            exceeded.push(ExceededCapacity {
                subject: format!("pool {name}"),
                before: rounded(load.level),
                after: grown,
                capacity: load.target,
            });
        }
    }
    exceeded
}

/// The share of all demand that is answered with each endpoint, by id.
fn endpoint_totals(
    side: LoadSide<'_>,
    weights: ServiceWeights<'_>,
    shares: &mut DatacenterShares<'_>,
) -> Vec<f64> {
    let mut totals = vec![0.0; side.topology.endpoints.len()];
    let mut all = 0.0;
    for (name, chart) in side.services() {
        let weight = weights.weight(&name.to_string());
        shares.add_endpoints(chart, weight, &mut totals);
        all += weight;
    }
    totals.iter_mut().for_each(|total| *total /= f64::max(all, f64::MIN_POSITIVE));
    totals
}

/// The share of all demand that is answered with endpoints of a pool; `None` if there is no such
/// pool.
fn pool_total(topology: &Topology, pool: &str, totals: &[f64]) -> Option<f64> {
    let position = topology.pools.iter().position(|known| &*known.name == pool)?;
    let endpoints = topology.endpoints_below([PoolId(position as u32)]);
    Some(endpoints.into_iter().filter_map(|id| totals.get(id.index())).sum())
}
