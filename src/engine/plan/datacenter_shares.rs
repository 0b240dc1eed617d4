//! The share of all answers that each datacenter receives.

use std::{collections::HashMap, sync::Arc};

use super::{
    area_change::ServiceSide,
    census::{AreaOverlaps, ChartOverlap, ClientCensus},
    client_family::ClientFamily,
    datacenter_index::DatacenterIndex,
};
use crate::{
    geo::Area,
    steer::{Chart, Family},
};

/// A chart, and the share of its answers by the number of the datacenter.
type CountedShares = (Arc<Chart>, Arc<[f64]>);

/// The shares of one snapshot's charts, each chart counted once.
#[derive(Clone)]
pub(super) struct DatacenterShares<'c> {
    overlaps: AreaOverlaps<'c>,
    clients: ClientFamily,
    /// By the memory addresses of the chart, which the value keeps alive, and of the numbers.
    by_chart: HashMap<(usize, usize), CountedShares>,
}

/// The family of records that clients of this family use, if the service has any.
pub(super) fn used_records(chart: &Chart, clients: ClientFamily) -> Family {
    let own = match clients {
        ClientFamily::V4 => Family::V4,
        ClientFamily::V6 => Family::V6,
    };
    if chart.area_count(own) > 0 { own } else { own.other() }
}

impl<'c> DatacenterShares<'c> {
    pub(super) fn new(census: &'c ClientCensus) -> Self {
        let clients = census.main_clients();
        Self { overlaps: AreaOverlaps::new(census), clients, by_chart: HashMap::new() }
    }

    /// The share of a chart's answers by the number of the datacenter.
    pub(super) fn of(
        &mut self,
        chart: &Arc<Chart>,
        datacenters: &[u16],
        index: &DatacenterIndex,
    ) -> Arc<[f64]> {
        let key = (Arc::as_ptr(chart).addr(), datacenters.as_ptr().addr());
        if let Some((_, known)) = self.by_chart.get(&key) {
            return Arc::clone(known);
        }
        let family = used_records(chart, self.clients);
        let by_area = ServiceSide { chart, datacenters }.datacenter_shares(family);
        let overlap = self.area_demand(chart, family);
        let mut shares = vec![0.0; index.len()];
        for pair in overlap.pairs.iter().filter(|_| overlap.demand > 0.0) {
            for (datacenter, share) in &by_area[pair.after as usize] {
                shares[usize::from(*datacenter)] += share * pair.demand / overlap.demand;
            }
        }
        let shares: Arc<[f64]> = shares.into();
        self.by_chart.insert(key, (Arc::clone(chart), Arc::clone(&shares)));
        shares
    }

    /// Adds to the total of each endpoint the share of a chart's answers that name it, by weight.
    pub(super) fn add_endpoints(&mut self, chart: &Chart, weight: f64, totals: &mut [f64]) {
        let family = used_records(chart, self.clients);
        let overlap = self.area_demand(chart, family);
        for pair in overlap.pairs.iter().filter(|_| overlap.demand > 0.0) {
            for (share, answer) in chart.shares(family, Area(pair.after)) {
                if let Some(total) = totals.get_mut(answer.endpoint.index()) {
                    *total += weight * share * pair.demand / overlap.demand;
                }
            }
        }
    }

    fn area_demand(&mut self, chart: &Chart, family: Family) -> Arc<ChartOverlap> {
        let atlas = chart.atlas(family);
        self.overlaps.overlap(atlas, atlas, self.clients)
    }
}
