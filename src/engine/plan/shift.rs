//! Shifts: how the answers of one service and one record type change, and for which clients.

use std::{collections::HashMap, sync::Arc};

use super::{
    area_change::{AreaChange, ServiceSide},
    census::{AreaOverlaps, ChartOverlap, ClientCensus},
    client_family::ClientFamily,
    datacenter_index::DatacenterIndex,
    moved_clients::MovedClients,
    view::{FlowView, ShiftView, rounded},
};
use crate::steer::{Chart, Family};

/// The change of one service's answers of one type, for the clients of one family.
#[derive(Debug, Clone)]
pub(super) struct ServiceShift {
    pub(super) family: Family,
    pub(super) clients: ClientFamily,
    pub(super) overlap: Arc<ChartOverlap>,
    /// The change of each pair of the overlap.
    pub(super) changes: Arc<[AreaChange]>,
    pub(super) moved: Arc<MovedClients>,
}

/// Makes the shifts of services. Services that move the same clients between the same datacenters,
/// as those with equal geography do, are counted once.
pub(super) struct ShiftCounter<'c> {
    census: &'c ClientCensus,
    index: &'c DatacenterIndex,
    overlaps: AreaOverlaps<'c>,
    /// By a number for each field of the changes.
    known: HashMap<Vec<u64>, Arc<MovedClients>>,
}

impl<'c> ShiftCounter<'c> {
    pub(super) fn new(census: &'c ClientCensus, index: &'c DatacenterIndex) -> Self {
        Self { census, index, overlaps: AreaOverlaps::new(census), known: HashMap::new() }
    }

    /// The shifts of a service: for both record types and both families of clients, those with a
    /// change.
    pub(super) fn shifts(
        &mut self,
        before: ServiceSide<'_>,
        after: ServiceSide<'_>,
    ) -> Vec<ServiceShift> {
        let mut shifts = Vec::new();
        for family in [Family::V4, Family::V6] {
            let (was, is) = (before.distributions(family), after.distributions(family));
            let (old_atlas, new_atlas) = (before.chart.atlas(family), after.chart.atlas(family));
            let is_same_atlas = match (old_atlas, new_atlas) {
                (None, None) => true,
                (Some(before), Some(after)) => Arc::ptr_eq(before, after),
                _ => false,
            };
            if is_same_atlas && was == is {
                continue;
            }
            for clients in ClientFamily::BOTH {
                let overlap = self.overlaps.overlap(old_atlas, new_atlas, clients);
                let changes: Arc<[AreaChange]> = overlap
                    .pairs
                    .iter()
                    .map(|pair| {
                        AreaChange::between(&was[pair.before as usize], &is[pair.after as usize])
                    })
                    .collect();
                let moved = self.moved(clients, &overlap, &changes);
                if moved.moved > 0.0 {
                    shifts.push(ServiceShift { family, clients, overlap, changes, moved });
                }
            }
        }
        shifts
    }

    fn moved(
        &mut self,
        clients: ClientFamily,
        overlap: &Arc<ChartOverlap>,
        changes: &[AreaChange],
    ) -> Arc<MovedClients> {
        // The cache of overlaps keeps this one, so that its memory address identifies it.
        let mut key = vec![clients.index() as u64, Arc::as_ptr(overlap).addr() as u64];
        for change in changes {
            key.extend([change.moved.to_bits(), change.flows.len() as u64]);
            for (from, to, share) in &change.flows {
                key.extend([u64::from(*from) << 16 | u64::from(*to), share.to_bits()]);
            }
        }
        let new = || Arc::new(MovedClients::of(self.census, clients, overlap, changes, self.index));
        Arc::clone(self.known.entry(key).or_insert_with(new))
    }

    /// A shift as shown. `chart` is that of the service after the change.
    pub(super) fn view(&self, shift: &ServiceShift, chart: &Chart) -> ShiftView {
        let all = shift.overlap.demand;
        let percent = |demand: f64| rounded(100.0 * demand / all);
        let flow = |((from, to), demand): (&(u16, u16), &f64)| FlowView {
            from: self.index.name(*from).to_owned(),
            to: self.index.name(*to).to_owned(),
            percent: percent(*demand),
        };
        let mut flows: Vec<FlowView> = shift.moved.flows.iter().map(flow).collect();
        flows.sort_by(|a, b| b.percent.total_cmp(&a.percent).then_with(|| a.to.cmp(&b.to)));
        ShiftView {
            records: chart.kind().record_type(shift.family).to_owned(),
            clients: shift.clients.name().to_owned(),
            touched_percent: percent(shift.moved.touched),
            moved_percent: percent(shift.moved.moved),
            flows,
            countries: shift.moved.places.top_countries(),
            systems: shift.moved.places.top_systems(),
            extra_km: shift.moved.distance.mean_km(),
        }
    }
}
