//! The client census: how much demand comes from each cell of the address space. All addresses of a
//! cell have the same location in the databases, and the same prefixes of rules contain them, so
//! that any chart answers them alike. One representative address of each cell then shows which area
//! of an atlas its clients are in; no atlas is walked run by run.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use hashbrown::HashMap as FastMap;
use ipnet::IpNet;

use super::{
    address_runs::{self, JointRun, joint_runs},
    client_family::ClientFamily,
    network_weights::{NetworkWeights, SampleTotals, WeightCursor},
    side::PlanSide,
};
use crate::{
    demand::ObservedDemand,
    geo::{Atlas, Coordinates, Databases, Location},
};

/// Where the clients of a cell are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClientPlace {
    pub(super) country: Option<Box<str>>,
    pub(super) coordinates: Option<Coordinates>,
    pub(super) asn: Option<u32>,
    pub(super) organization: Option<Box<str>>,
}

/// Addresses that every chart answers alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct CensusCell {
    /// One address of the cell.
    pub(super) representative: IpAddr,
    /// A position in the places of the census.
    place: u32,
    /// The number of addresses, or of samples of observed queries.
    pub(super) demand: f64,
    addresses: u128,
}

/// The clients that are counted: networks whose country a database has; all networks if no database
/// has countries; never special-purpose addresses.
pub(super) struct ClientCensus {
    /// The cells of the databases before and after the change, as areas; one atlas if the databases
    /// are the same.
    atlases: (Arc<Atlas>, Arc<Atlas>),
    /// The place of each area of the second atlas.
    places: Vec<ClientPlace>,
    /// Whether only networks with a known country are counted, for IPv4 and IPv6.
    is_by_country: [bool; 2],
    /// The cells of each family.
    cells: [Vec<CensusCell>; 2],
    /// By family: the position of the cell of two areas.
    numbers: [FastMap<(u32, u32), u32>; 2],
    /// How the networks of each family are weighed.
    weights: [NetworkWeights; 2],
}

impl ClientCensus {
    /// Counts the clients for a comparison of two sides, and weighs them by `observed` demand if
    /// there is enough of it.
    pub(super) fn of_sides(
        before: PlanSide<'_>,
        after: PlanSide<'_>,
        observed: Option<&ObservedDemand>,
    ) -> Self {
        let mut named: Vec<_> = before.named_prefixes().chain(after.named_prefixes()).collect();
        named.sort_unstable();
        named.dedup();
        Self::new(before.databases, after.databases, &named, observed)
    }

    /// Counts the clients by address, and weighs them by `observed` demand if there is enough of
    /// it. `named` are the prefixes of all rules.
    pub(super) fn new(
        before: &Databases,
        after: &Databases,
        named: &[IpNet],
        observed: Option<&ObservedDemand>,
    ) -> Self {
        let (second, places) = cell_atlas(after, named);
        let is_same = before.list().len() == after.list().len()
            && before.list().iter().zip(after.list()).all(|(a, b)| Arc::ptr_eq(a, b));
        let first = if is_same { Arc::clone(&second) } else { cell_atlas(before, named).0 };
        let has_countries = |clients: ClientFamily| {
            joint_runs(&second, &second, clients)
                .any(|run| !run.is_special && places[run.areas.1 as usize].country.is_some())
        };
        let mut census = Self {
            is_by_country: ClientFamily::BOTH.map(has_countries),
            atlases: (first, second),
            places,
            cells: [Vec::new(), Vec::new()],
            numbers: [FastMap::new(), FastMap::new()],
            weights: ClientFamily::BOTH.map(|_| NetworkWeights::by_addresses()),
        };
        ClientFamily::BOTH.into_iter().for_each(|clients| census.count(clients));
        if let Some(ObservedDemand { ipv4, ipv6, .. }) = observed {
            for (clients, demand) in ClientFamily::BOTH.into_iter().zip([ipv4, ipv6]) {
                let runs = census.runs(clients).map(|(run, _)| run);
                census.weights[clients.index()] = NetworkWeights::by_samples(demand, runs);
            }
        }
        ClientFamily::BOTH.into_iter().for_each(|clients| census.weigh(clients));
        census
    }

    fn count(&mut self, clients: ClientFamily) {
        let (first, second) = (Arc::clone(&self.atlases.0), Arc::clone(&self.atlases.1));
        for run in joint_runs(&first, &second, clients) {
            if !self.counts(&run, clients) {
                continue;
            }
            let cells = &mut self.cells[clients.index()];
            let next = cells.len() as u32;
            let number = *self.numbers[clients.index()].entry(run.areas).or_insert(next);
            if number == next {
                let representative = address_runs::address(run.first, clients);
                let place = run.areas.1;
                cells.push(CensusCell { representative, place, demand: 0.0, addresses: 0 });
            }
            let addresses = (run.last - run.first).saturating_add(1);
            let cell = &mut cells[number as usize];
            cell.addresses = cell.addresses.saturating_add(addresses);
        }
    }

    /// Gives each cell its demand, once the networks have their weights.
    fn weigh(&mut self, clients: ClientFamily) {
        if self.weights[clients.index()].is_by_addresses() {
            let cells = self.cells[clients.index()].iter_mut();
            return cells.for_each(|cell| cell.demand = cell.addresses as f64);
        }
        let mut demands = vec![0.0; self.cells(clients).len()];
        let mut weights = self.weights(clients);
        for (run, cell) in self.runs(clients) {
            demands[cell as usize] += weights.demand(run.first, run.last);
        }
        for (cell, demand) in self.cells[clients.index()].iter_mut().zip(demands) {
            cell.demand = demand;
        }
    }

    fn counts(&self, run: &JointRun, clients: ClientFamily) -> bool {
        !run.is_special
            && (!self.is_by_country(clients) || self.places[run.areas.1 as usize].country.is_some())
    }

    /// The cells of one family that are counted.
    pub(super) fn cells(&self, clients: ClientFamily) -> &[CensusCell] {
        &self.cells[clients.index()]
    }

    pub(super) fn place(&self, cell: &CensusCell) -> &ClientPlace {
        &self.places[cell.place as usize]
    }

    /// Whether only networks with a known country are counted.
    pub(super) fn is_by_country(&self, clients: ClientFamily) -> bool {
        self.is_by_country[clients.index()]
    }

    /// The number of addresses that are counted.
    pub(super) fn population(&self, clients: ClientFamily) -> u128 {
        self.cells(clients).iter().map(|cell| cell.addresses).sum()
    }

    /// The demand of runs of one family, which are read in address order.
    pub(super) fn weights(&self, clients: ClientFamily) -> WeightCursor<'_> {
        self.weights[clients.index()].cursor()
    }

    /// How much demand of one family was observed; `None` if no query was observed.
    pub(super) fn totals(&self, clients: ClientFamily) -> Option<SampleTotals> {
        self.weights[clients.index()].totals
    }

    /// The family that loads are estimated by: the one with more observed demand. Without that,
    /// IPv4, unless no IPv4 client is counted.
    pub(super) fn main_clients(&self) -> ClientFamily {
        let used = |clients| self.totals(clients).filter(|totals| totals.is_used());
        let [v4, v6] = ClientFamily::BOTH.map(|clients| used(clients).map_or(0.0, |of| of.samples));
        match self.cells(ClientFamily::V4).is_empty() || v6 > v4 {
            true => ClientFamily::V6,
            false => ClientFamily::V4,
        }
    }

    /// All counted addresses of one family in order, as runs of one cell each.
    pub(super) fn runs(&self, clients: ClientFamily) -> impl Iterator<Item = (JointRun, u32)> {
        let numbers = &self.numbers[clients.index()];
        joint_runs(&self.atlases.0, &self.atlases.1, clients)
            .filter(move |run| self.counts(run, clients))
            .filter_map(move |run| Some((run, *numbers.get(&run.areas)?)))
    }
}

/// An atlas whose areas are the cells of these databases, and the place of each area.
fn cell_atlas(databases: &Databases, named: &[IpNet]) -> (Arc<Atlas>, Vec<ClientPlace>) {
    let (atlas, cells) = Atlas::survey(databases, named, |location, prefixes| {
        // The name of a city is only displayed.
        let location = Location { city: None, ..location.clone() };
        (location, Box::<[u32]>::from(prefixes))
    });
    let place = |(location, _): (Location, Box<[u32]>)| ClientPlace {
        country: location.country,
        coordinates: location.coordinates,
        asn: location.asn,
        organization: location.organization,
    };
    (Arc::new(atlas), cells.into_iter().map(place).collect())
}

/// The clients of one area before and one area after a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct AreaPair {
    pub(super) before: u32,
    pub(super) after: u32,
    pub(super) demand: f64,
}

/// The clients of one family in pairs of an area before and an area after a change.
#[derive(Debug)]
pub(super) struct ChartOverlap {
    pub(super) pairs: Vec<AreaPair>,
    /// For each cell of the census: the position of its pair.
    pub(super) pair_of: Vec<u32>,
    /// The demand of all pairs.
    pub(super) demand: f64,
}

/// The atlases of an overlap; `None` is one area for all addresses.
type AtlasPair = (Option<Arc<Atlas>>, Option<Arc<Atlas>>);

/// The overlaps of pairs of atlases, each computed once.
#[derive(Clone)]
pub(super) struct AreaOverlaps<'c> {
    census: &'c ClientCensus,
    /// By the memory addresses of the atlases, which the values keep alive.
    known: HashMap<(usize, usize, ClientFamily), (AtlasPair, Arc<ChartOverlap>)>,
}

impl<'c> AreaOverlaps<'c> {
    pub(super) fn new(census: &'c ClientCensus) -> Self {
        Self { census, known: HashMap::new() }
    }

    /// The demand in each pair of areas of two atlases; pairs without clients are left out.
    pub(super) fn overlap(
        &mut self,
        before: Option<&Arc<Atlas>>,
        after: Option<&Arc<Atlas>>,
        clients: ClientFamily,
    ) -> Arc<ChartOverlap> {
        let identity =
            |atlas: Option<&Arc<Atlas>>| atlas.map_or(0, |atlas| Arc::as_ptr(atlas).addr());
        let key = (identity(before), identity(after), clients);
        let census = self.census;
        let new = || {
            let overlap = Arc::new(ChartOverlap::of(census, before, after, clients));
            ((before.cloned(), after.cloned()), overlap)
        };
        Arc::clone(&self.known.entry(key).or_insert_with(new).1)
    }
}

impl ChartOverlap {
    fn of(
        census: &ClientCensus,
        before: Option<&Arc<Atlas>>,
        after: Option<&Arc<Atlas>>,
        clients: ClientFamily,
    ) -> Self {
        let is_same = match (before, after) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        let area = |atlas: Option<&Arc<Atlas>>, address: &IpAddr| {
            atlas.map_or(0, |atlas| atlas.locate(address).area.0)
        };
        let mut numbers: FastMap<(u32, u32), u32> = FastMap::new();
        let (mut pairs, mut pair_of) = (Vec::new(), Vec::new());
        for cell in census.cells(clients) {
            let after = area(after, &cell.representative);
            let before = if is_same { after } else { area(before, &cell.representative) };
            let next = pairs.len() as u32;
            let number = *numbers.entry((before, after)).or_insert(next);
            if number == next {
                pairs.push(AreaPair { before, after, demand: 0.0 });
            }
            pairs[number as usize].demand += cell.demand;
            pair_of.push(number);
        }
        let demand = pairs.iter().map(|pair| pair.demand).sum();
        Self { pairs, pair_of, demand }
    }
}
