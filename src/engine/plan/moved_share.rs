//! What a change moves of all demand, without the rest of a plan: safety rules ask for it before
//! each change.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    census::ClientCensus,
    compared_side::{ComparedSide, PlannedService},
    datacenter_index::DatacenterIndex,
    options::{PlanOptions, ServiceWeights},
    service_changes::ServiceChanges,
    side::PlanSide,
    view::{CountryView, FlowView, rounded},
};
use crate::dns::Name;

/// The share of all demand that a change moves to other records, and where.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MovedShare {
    /// From 0 to 1: of the family of clients of which more moves.
    pub share: f64,
    /// The moves between datacenters, the largest first, in percent of all demand.
    pub flows: Vec<FlowView>,
    /// The countries with the most moved clients, with the part of their clients that moves.
    pub countries: Vec<CountryView>,
}

/// How much of all demand two sides answer differently. A service that only the first side has
/// counts as moved. `options` weighs services and clients as in a plan.
pub fn moved_share(before: PlanSide<'_>, after: PlanSide<'_>, options: &PlanOptions) -> MovedShare {
    let index = DatacenterIndex::new(before.topology(), after.topology());
    let (old_side, new_side) = ComparedSide::pair(before, after, &index);
    let (was, is) = (old_side.services(), new_side.services());
    let is_same = |(name, old): (&&Name, &PlannedService<'_>)| {
        is.get(*name).is_some_and(|new| Arc::ptr_eq(old.chart, new.chart))
    };
    if was.iter().all(is_same) {
        // The clients need not be counted.
        return MovedShare::default();
    }
    let census = ClientCensus::of_sides(before, after, options.observed.as_ref());
    let weights = ServiceWeights::of(options);
    let mut changes = ServiceChanges::new((&old_side, &new_side), &census, &index, weights);
    let mut removed = 0.0;
    for (name, old) in &was {
        match is.get(name) {
            Some(new) => changes.note(old, new),
            None => removed += weights.weight(&name.to_string()),
        }
    }
    let all = changes.weight() + removed;
    if all <= 0.0 {
        return MovedShare::default();
    }
    // What moves is relative to the services that both sides have.
    let (remaining, removed) = (changes.weight() / all, removed / all);
    let movements = changes.movements();
    let shares = movements.each_ref().map(|movement| movement.moved_share(&census));
    let [v4, v6] = shares;
    let larger = usize::from(v6 > v4);
    let flows = flows(&changes.flows(larger), remaining, removed, &index);
    MovedShare {
        share: shares[larger] * remaining + removed,
        flows,
        countries: movements[larger].countries(&census),
    }
}

/// The moves as shown. `flows` has the share of the remaining services' demand.
fn flows(
    flows: &BTreeMap<(u16, u16), f64>,
    remaining: f64,
    removed: f64,
    index: &DatacenterIndex,
) -> Vec<FlowView> {
    let mut views: Vec<FlowView> = flows
        .iter()
        .map(|((from, to), share)| FlowView {
            from: index.name(*from).to_owned(),
            to: index.name(*to).to_owned(),
            percent: rounded(100.0 * share * remaining),
        })
        .collect();
    if removed > 0.0 {
        views.push(FlowView {
            from: "removed services".to_owned(),
            to: index.name(DatacenterIndex::NO_RECORDS).to_owned(),
            percent: rounded(100.0 * removed),
        });
    }
    views.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    views
}
