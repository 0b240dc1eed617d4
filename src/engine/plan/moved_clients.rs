//! Moved clients: which clients get another answer, where they are, and how much farther their new
//! datacenter is.

use std::collections::BTreeMap;

use super::{
    area_change::AreaChange,
    census::{ChartOverlap, ClientCensus},
    client_family::ClientFamily,
    datacenter_index::DatacenterIndex,
    view::{AsnView, CountryView, rounded},
};

/// The maximum number of countries and autonomous systems in a list.
const MAX_LISTED: usize = 5;

/// The distance that moved clients are farther from their datacenter than before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ExtraDistance {
    /// Kilometres times demand; negative if clients come nearer.
    pub(super) weighted_km: f64,
    /// The demand that moved between datacenters, as far as all locations are known.
    pub(super) demand: f64,
}

impl ExtraDistance {
    /// The mean over the clients that move between datacenters; `None` if no location is known.
    pub(super) fn mean_km(self) -> Option<f64> {
        (self.demand > 0.0).then(|| rounded(self.weighted_km / self.demand))
    }
}

/// All clients of one place, and how many of them move.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MovedDemand {
    pub(super) all: f64,
    pub(super) moved: f64,
}

/// The clients of one family that a change of one service's answers moves.
#[derive(Debug, Clone, Default)]
pub(super) struct MovedClients {
    pub(super) moved: f64,
    /// The clients whose shares of answers change.
    pub(super) touched: f64,
    /// The demand that moves, by the datacenters from which and to which.
    pub(super) flows: BTreeMap<(u16, u16), f64>,
    pub(super) distance: ExtraDistance,
    pub(super) places: MovedPlaces,
}

/// Moved clients by country and by autonomous system.
#[derive(Debug, Clone, Default)]
pub(super) struct MovedPlaces {
    countries: BTreeMap<Box<str>, MovedDemand>,
    systems: BTreeMap<u32, (Option<Box<str>>, MovedDemand)>,
}

impl MovedClients {
    /// The clients that `changes` move, which has a change for each pair of the overlap.
    pub(super) fn of(
        census: &ClientCensus,
        clients: ClientFamily,
        overlap: &ChartOverlap,
        changes: &[AreaChange],
        index: &DatacenterIndex,
    ) -> Self {
        let mut found = Self::default();
        for (pair, change) in overlap.pairs.iter().zip(changes).filter(|(_, change)| change.moves())
        {
            found.touched += pair.demand;
            found.moved += pair.demand * change.moved;
            for (from, to, share) in &change.flows {
                *found.flows.entry((*from, *to)).or_default() += pair.demand * share;
            }
        }
        if found.moved <= 0.0 {
            return found;
        }
        for (cell, pair) in census.cells(clients).iter().zip(&overlap.pair_of) {
            let place = census.place(cell);
            let change = &changes[*pair as usize];
            let moved = if change.moves() { cell.demand * change.moved } else { 0.0 };
            found.places.add(census, cell, moved);
            let Some(client) = place.coordinates.filter(|_| moved > 0.0) else { continue };
            for (from, to, share) in change.flows.iter().filter(|(from, to, _)| from != to) {
                let (Some(old), Some(new)) = (index.location(*from), index.location(*to)) else {
                    continue;
                };
                let demand = cell.demand * share;
                found.distance.demand += demand;
                found.distance.weighted_km +=
                    demand * (client.distance_km(new) - client.distance_km(old));
            }
        }
        found
    }
}

impl MovedPlaces {
    pub(super) fn add(
        &mut self,
        census: &ClientCensus,
        cell: &super::census::CensusCell,
        moved: f64,
    ) {
        let place = census.place(cell);
        let add = |entry: &mut MovedDemand| {
            entry.all += cell.demand;
            entry.moved += moved;
        };
        if let Some(country) = &place.country {
            match self.countries.get_mut(country) {
                Some(known) => add(known),
                None => add(self.countries.entry(country.clone()).or_default()),
            }
        }
        if let Some(asn) = place.asn {
            let known = self
                .systems
                .entry(asn)
                .or_insert_with(|| (place.organization.clone(), MovedDemand::default()));
            add(&mut known.1);
        }
    }

    /// The countries with the most moved clients.
    pub(super) fn top_countries(&self) -> Vec<CountryView> {
        let countries = self.countries.iter().map(|(country, of)| (&**country, of));
        let top = top(countries, |(_, of)| **of);
        let view = |(country, of): (&str, &MovedDemand)| CountryView {
            country: country.to_owned(),
            percent: rounded(100.0 * of.moved / of.all),
        };
        top.into_iter().map(view).collect()
    }

    /// The autonomous systems with the most moved clients.
    pub(super) fn top_systems(&self) -> Vec<AsnView> {
        let top = top(self.systems.iter(), |(_, (_, of))| *of);
        let view = |(asn, (name, of)): (&u32, &(Option<Box<str>>, MovedDemand))| AsnView {
            asn: *asn,
            name: name.as_ref().map(ToString::to_string),
            percent: rounded(100.0 * of.moved / of.all),
        };
        top.into_iter().map(view).collect()
    }
}

fn top<T>(items: impl Iterator<Item = T>, of: impl Fn(&T) -> MovedDemand) -> Vec<T> {
    let mut items: Vec<T> = items.filter(|item| of(item).moved > 0.0).collect();
    items.sort_by(|a, b| of(b).moved.total_cmp(&of(a).moved));
    items.truncate(MAX_LISTED);
    items
}
