//! The comparison of two sides.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    assumptions,
    census::ClientCensus,
    client_family::ClientFamily,
    compared_side::{ComparedSide, PlannedService},
    datacenter_index::DatacenterIndex,
    datacenter_shares::DatacenterShares,
    loads,
    map_places::ClientPlaces,
    movement::Movement,
    options::{PlanOptions, ServiceWeights},
    outages,
    service_changes::ServiceChanges,
    side::PlanSide,
    view::{
        BasisView, CacheView, DatacenterChange, MapDatacenter, MapView, ObservedDemandView, Plan,
        SampleTotalsView,
    },
};
use crate::{
    dns::Name,
    steer::{Service, Surveys},
};

/// Compares two sides. Clients are counted by the databases of the second. `surveys` are those of
/// the second side's compiler.
pub fn plan(
    before: PlanSide<'_>,
    after: PlanSide<'_>,
    options: &PlanOptions,
    surveys: &mut Surveys,
) -> Plan {
    let census = ClientCensus::of_sides(before, after, options.observed.as_ref());
    let index = DatacenterIndex::new(before.topology(), after.topology());
    let comparison = Comparison::new(before, after, &census, &index, options);
    let mut plan = comparison.run();
    if options.has_outages {
        plan.outages = outages::outages(&after, &census, &index, options, surveys);
    }
    plan
}

/// A comparison in progress.
struct Comparison<'a> {
    before: ComparedSide<'a>,
    after: ComparedSide<'a>,
    census: &'a ClientCensus,
    index: &'a DatacenterIndex,
    options: &'a PlanOptions,
    weights: ServiceWeights<'a>,
}

impl<'a> Comparison<'a> {
    fn new(
        before: PlanSide<'a>,
        after: PlanSide<'a>,
        census: &'a ClientCensus,
        index: &'a DatacenterIndex,
        options: &'a PlanOptions,
    ) -> Self {
        let (before, after) = ComparedSide::pair(before, after, index);
        Self { before, after, census, index, options, weights: ServiceWeights::of(options) }
    }

    fn run(&self) -> Plan {
        let (was, is) = (self.before.services(), self.after.services());
        let missing_in = |one: &BTreeMap<&Name, _>, other: &BTreeMap<&Name, _>| {
            one.keys().filter(|name| !other.contains_key(*name)).map(ToString::to_string).collect()
        };
        let mut plan = Plan {
            basis: self.basis(),
            assumptions: assumptions::assumptions(&self.after.side),
            datacenters: self.datacenters(),
            added: missing_in(&is, &was),
            removed: missing_in(&was, &is),
            ..Plan::default()
        };
        self.compare_loads(&mut plan);
        self.compare_services(&was, &is, &mut plan);
        plan
    }

    fn compare_loads(&self, plan: &mut Plan) {
        let (before, after) = (self.before.load_side(), self.after.load_side());
        let mut shares = DatacenterShares::new(self.census);
        let totals = [before, after]
            .map(|side| loads::total_shares(side, self.weights, &mut shares, self.index));
        plan.loads =
            loads::loads((&totals[0], &totals[1]), after.topology, self.index, self.options.demand);
        plan.exceeded = loads::exceeded_datacenters(&plan.loads);
        plan.exceeded.extend(loads::exceeded_pools((before, after), self.options, &mut shares));
    }

    fn compare_services(
        &self,
        was: &BTreeMap<&Name, PlannedService<'_>>,
        is: &BTreeMap<&Name, PlannedService<'_>>,
        plan: &mut Plan,
    ) {
        let sides = (&self.before, &self.after);
        let mut changes = ServiceChanges::new(sides, self.census, self.index, self.weights);
        for (name, old) in was {
            let Some(new) = is.get(name) else { continue };
            match changes.change(old, new) {
                Some(change) => {
                    if !change.shifts.is_empty() {
                        self.note_cache(&mut plan.caches, old.service);
                    }
                    plan.changed.push(change);
                }
                None => plan.unchanged += 1,
            }
        }
        let movements = changes.movements();
        if self.options.has_map {
            plan.map = Some(self.map(&movements[self.census.main_clients().index()]));
        }
        plan.movements =
            movements.iter().filter_map(|movement| movement.view(self.census)).collect();
        plan.changed.sort_by(|a, b| {
            b.moved_percent().total_cmp(&a.moved_percent()).then(a.name.cmp(&b.name))
        });
    }

    fn map(&self, movement: &Movement) -> MapView {
        let sides = [self.before.load_side(), self.after.load_side()];
        let places = ClientPlaces::of(self.census);
        let datacenter = |number| {
            let location = self.index.location(number)?;
            Some(MapDatacenter {
                name: self.index.name(number).to_owned(),
                latitude: location.latitude(),
                longitude: location.longitude(),
            })
        };
        MapView {
            datacenters: self.index.datacenters().filter_map(datacenter).collect(),
            places: places.views(sides, self.weights, self.index, movement.fractions()),
        }
    }

    /// Keeps the service with the longest TTL.
    fn note_cache(&self, longest: &mut Option<CacheView>, service: &Service) {
        let ttl_secs = service.ttl_secs;
        if longest.as_ref().is_none_or(|known| known.ttl_secs < ttl_secs) {
            let until = self.options.now + i64::from(ttl_secs);
            *longest = Some(CacheView { service: service.name.to_string(), ttl_secs, until });
        }
    }

    fn basis(&self) -> BasisView {
        let census = self.census;
        // A /48 has 2^80 addresses.
        let networks = census.population(ClientFamily::V6) >> 80;
        BasisView {
            ipv4_addresses: census.population(ClientFamily::V4) as u64,
            ipv6_networks: networks as u64,
            is_by_country: (
                census.is_by_country(ClientFamily::V4),
                census.is_by_country(ClientFamily::V6),
            ),
            observed: self.observed(),
            is_by_answers: matches!(self.weights, ServiceWeights::Counted(_)),
            demand: self.options.demand,
        }
    }

    /// What was observed of each family; `None` if no query was observed.
    fn observed(&self) -> Option<ObservedDemandView> {
        let since = self.options.observed.as_ref()?.since;
        let view = |clients| {
            let totals = self.census.totals(clients)?;
            Some(SampleTotalsView {
                samples: totals.samples.round() as u64,
                networks: totals.networks,
                other_samples: totals.other.round() as u64,
                is_used: totals.is_used(),
            })
        };
        let (ipv4, ipv6) = (view(ClientFamily::V4)?, view(ClientFamily::V6)?);
        Some(ObservedDemandView { since, ipv4, ipv6 })
    }

    fn datacenters(&self) -> Vec<DatacenterChange> {
        let (was, is) = (states(&self.before.side), states(&self.after.side));
        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let change = |name: &&String| {
            let state = |states: &BTreeMap<String, (String, Option<String>)>| {
                states.get(*name).map(|(state, _)| state.clone())
            };
            let reason = is.get(*name).and_then(|(_, reason)| reason.clone());
            DatacenterChange {
                name: (*name).clone(),
                before: state(&was),
                after: state(&is),
                reason,
            }
        };
        names.iter().map(change).filter(|change| change.before != change.after).collect()
    }
}

/// The state of each datacenter by name, and the reason for it.
fn states(side: &PlanSide<'_>) -> BTreeMap<String, (String, Option<String>)> {
    let conditions = side.compiled.conditions();
    let state = |(index, datacenter): (usize, &crate::steer::Datacenter)| {
        let state = conditions.datacenters.get(index).copied().unwrap_or(datacenter.state);
        let reason = datacenter.reason.as_ref().map(|reason| reason.to_string());
        (datacenter.name.to_string(), (state.as_str().to_owned(), reason))
    };
    side.topology().datacenters.iter().enumerate().map(state).collect()
}
