//! The changes of services: the shifts, losses and shares of each, and what all of them together
//! move.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    census::ClientCensus,
    client_family::ClientFamily,
    compared_side::{ComparedSide, PlannedService},
    datacenter_index::DatacenterIndex,
    datacenter_shares::{DatacenterShares, used_records},
    losses,
    movement::Movement,
    options::ServiceWeights,
    shift::{ServiceShift, ShiftCounter},
    view::{ServiceChange, ShareView, rounded},
};
use crate::steer::{Chart, FallbackStage, Family};

/// Finds the changes of services, and counts equal ones once.
pub(super) struct ServiceChanges<'a> {
    before: &'a ComparedSide<'a>,
    after: &'a ComparedSide<'a>,
    census: &'a ClientCensus,
    index: &'a DatacenterIndex,
    weights: ServiceWeights<'a>,
    counter: ShiftCounter<'a>,
    shares: DatacenterShares<'a>,
    /// By the memory addresses of the charts before and after.
    known: HashMap<(usize, usize), Arc<[ServiceShift]>>,
    /// The weight of all services that move the same clients, by the memory address of these.
    moved: HashMap<usize, (f64, ServiceShift)>,
    /// The weight of all services so far.
    weight: f64,
}

impl<'a> ServiceChanges<'a> {
    pub(super) fn new(
        (before, after): (&'a ComparedSide<'a>, &'a ComparedSide<'a>),
        census: &'a ClientCensus,
        index: &'a DatacenterIndex,
        weights: ServiceWeights<'a>,
    ) -> Self {
        Self {
            before,
            after,
            census,
            index,
            weights,
            counter: ShiftCounter::new(census, index),
            shares: DatacenterShares::new(census),
            known: HashMap::new(),
            moved: HashMap::new(),
            weight: 0.0,
        }
    }

    /// The change of a service that both sides have; `None` if it answers as before.
    pub(super) fn change(
        &mut self,
        old: &PlannedService<'_>,
        new: &PlannedService<'_>,
    ) -> Option<ServiceChange> {
        let name = old.service.name.to_string();
        let weight = self.weights.weight(&name);
        self.weight += weight;
        let (old_ttl, new_ttl) = (old.service.ttl_secs, new.service.ttl_secs);
        let ttl_secs = (old_ttl != new_ttl).then_some((old_ttl, new_ttl));
        if Arc::ptr_eq(old.chart, new.chart) && ttl_secs.is_none() {
            return None;
        }
        let shifts = self.shifts(old, new);
        self.add_moved(weight, &shifts, new.chart);
        let loses_all = loses_all(old.chart, new.chart);
        let losses =
            losses::losses(self.before.compiled_service(old), self.after.compiled_service(new));
        if shifts.is_empty() && ttl_secs.is_none() && loses_all.is_empty() && losses.is_empty() {
            return None;
        }
        Some(ServiceChange {
            name,
            shifts: shifts.iter().map(|shift| self.counter.view(shift, new.chart)).collect(),
            ttl_secs,
            loses_all,
            losses,
            shares: self.shares(old, new),
        })
    }

    /// Counts the change of a service, without its description.
    pub(super) fn note(&mut self, old: &PlannedService<'_>, new: &PlannedService<'_>) {
        let weight = self.weights.weight(&old.service.name.to_string());
        self.weight += weight;
        let shifts = self.shifts(old, new);
        self.add_moved(weight, &shifts, new.chart);
    }

    /// The weight of all services so far.
    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    /// The share of all demand of one family of clients that moves, by the datacenters from which
    /// and to which. The families have the order of [`ClientFamily::BOTH`].
    pub(super) fn flows(&self, clients: usize) -> BTreeMap<(u16, u16), f64> {
        let mut flows: BTreeMap<(u16, u16), f64> = BTreeMap::new();
        let moved = self.moved.values().filter(|(_, shift)| shift.clients.index() == clients);
        for (weight, shift) in moved.filter(|(weight, _)| *weight > 0.0) {
            for (ends, demand) in &shift.moved.flows {
                *flows.entry(*ends).or_default() +=
                    weight / self.weight * demand / shift.overlap.demand;
            }
        }
        flows
    }

    fn shifts(
        &mut self,
        old: &PlannedService<'_>,
        new: &PlannedService<'_>,
    ) -> Arc<[ServiceShift]> {
        if Arc::ptr_eq(old.chart, new.chart) {
            return Arc::default();
        }
        // Services with the same charts have the same shifts.
        let key = (Arc::as_ptr(old.chart).addr(), Arc::as_ptr(new.chart).addr());
        let sides = (self.before.service_side(old), self.after.service_side(new));
        let counter = &mut self.counter;
        Arc::clone(self.known.entry(key).or_insert_with(|| counter.shifts(sides.0, sides.1).into()))
    }

    /// Adds what one service moves to what all of them move.
    fn add_moved(&mut self, weight: f64, shifts: &[ServiceShift], chart: &Chart) {
        for shift in shifts {
            // A client with both types of records at hand uses that of its own family.
            if shift.family == used_records(chart, shift.clients) {
                let key = Arc::as_ptr(&shift.moved).addr();
                self.moved.entry(key).or_insert_with(|| (0.0, shift.clone())).0 += weight;
            }
        }
    }

    /// What all services together move, by family of the clients.
    pub(super) fn movements(&self) -> [Movement; 2] {
        let mut movements = ClientFamily::BOTH.map(|clients| Movement::none(self.census, clients));
        for (weight, shift) in self.moved.values().filter(|(weight, _)| *weight > 0.0) {
            let movement = &mut movements[shift.clients.index()];
            movement.add(weight / self.weight, &shift.overlap, &shift.changes, &shift.moved);
        }
        movements
    }

    fn shares(&mut self, old: &PlannedService<'_>, new: &PlannedService<'_>) -> Vec<ShareView> {
        let was = self.shares.of(old.chart, &self.before.datacenters, self.index);
        let is = self.shares.of(new.chart, &self.after.datacenters, self.index);
        (0_u16..)
            .zip(was.iter().zip(&*is))
            .filter(|(_, (was, is))| **was > 0.0 || **is > 0.0)
            .map(|(number, (was, is))| ShareView {
                datacenter: self.index.name(number).to_owned(),
                before_percent: rounded(100.0 * was),
                after_percent: rounded(100.0 * is),
            })
            .collect()
    }
}

/// The types for which every area has something usable before, and some area has nothing after.
fn loses_all(before: &Chart, after: &Chart) -> Vec<String> {
    let loses = |family| {
        let was_normal =
            before.area_count(family) > 0 && before.fallback_stage(family) == FallbackStage::Normal;
        was_normal && after.fallback_stage(family) > FallbackStage::Normal
    };
    let types = [Family::V4, Family::V6].map(|family| (family, after.kind().record_type(family)));
    types
        .into_iter()
        .filter(|(family, _)| loses(*family))
        .map(|(_, records)| records.to_owned())
        .collect()
}
