//! The places of a map: clients near each other, and the datacenter that most of them are answered
//! with before and after the change.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    area_change::ServiceSide,
    census::{AreaOverlaps, CensusCell, ChartOverlap, ClientCensus},
    datacenter_index::DatacenterIndex,
    datacenter_shares::used_records,
    loads::LoadSide,
    options::ServiceWeights,
    view::{MapPlace, rounded},
};

/// Clients within this number of degrees of each other are one place.
const DEGREES: f64 = 2.0;

/// The places of one family's clients.
pub(super) struct ClientPlaces<'c> {
    census: &'c ClientCensus,
    places: Vec<PlaceTotals>,
    /// For each cell of the census: its place, unless its location is not known.
    place_of: Vec<Option<u32>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct PlaceTotals {
    demand: f64,
    /// The sum of the latitudes of its clients, in degrees, times their demand.
    latitude: f64,
    /// The sum of the longitudes of its clients, in degrees, times their demand.
    longitude: f64,
}

/// By place and by datacenter: the demand that it is answered with, over all services.
type AnsweredDemand = Vec<f64>;

impl<'c> ClientPlaces<'c> {
    pub(super) fn of(census: &'c ClientCensus) -> Self {
        let mut numbers: BTreeMap<(i32, i32), u32> = BTreeMap::new();
        let mut places: Vec<PlaceTotals> = Vec::new();
        let mut place = |cell: &CensusCell| {
            let coordinates = census.place(cell).coordinates?;
            let step = |degrees: f64| (degrees / DEGREES).floor() as i32;
            let key = (step(coordinates.latitude()), step(coordinates.longitude()));
            let number = *numbers.entry(key).or_insert_with(|| {
                places.push(PlaceTotals::default());
                places.len() as u32 - 1
            });
            let sum = &mut places[number as usize];
            sum.demand += cell.demand;
            sum.latitude += cell.demand * coordinates.latitude();
            sum.longitude += cell.demand * coordinates.longitude();
            Some(number)
        };
        let place_of = census.cells(census.main_clients()).iter().map(&mut place).collect();
        Self { census, places, place_of }
    }

    /// The places as shown. `moved` is the part of each cell's demand that moves.
    pub(super) fn views(
        &self,
        sides: [LoadSide<'_>; 2],
        weights: ServiceWeights<'_>,
        index: &DatacenterIndex,
        moved: &[f64],
    ) -> Vec<MapPlace> {
        let [before, after] = sides.map(|side| self.answered(side, weights, index));
        let mut moved_of = vec![0.0; self.places.len()];
        let cells = self.census.cells(self.census.main_clients());
        for ((cell, place), moved) in cells.iter().zip(&self.place_of).zip(moved) {
            if let Some(place) = place {
                moved_of[*place as usize] += cell.demand * moved;
            }
        }
        let all: f64 = self.places.iter().map(|place| place.demand).sum();
        let most = |answered: &AnsweredDemand, place: usize| {
            let row = &answered[place * index.len()..][..index.len()];
            let most = (0_u16..).zip(row).max_by(|a, b| a.1.total_cmp(b.1));
            most.map_or("", |(number, _)| index.name(number)).to_owned()
        };
        let view = |(number, sum): (usize, &PlaceTotals)| MapPlace {
            latitude: rounded(sum.latitude / sum.demand),
            longitude: rounded(sum.longitude / sum.demand),
            demand_percent: rounded(100.0 * sum.demand / all),
            before: most(&before, number),
            after: most(&after, number),
            moved_percent: rounded(100.0 * moved_of[number] / sum.demand),
        };
        self.places.iter().enumerate().filter(|(_, sum)| sum.demand > 0.0).map(view).collect()
    }

    fn answered(
        &self,
        side: LoadSide<'_>,
        weights: ServiceWeights<'_>,
        index: &DatacenterIndex,
    ) -> AnsweredDemand {
        let clients = self.census.main_clients();
        let mut overlaps = AreaOverlaps::new(self.census);
        // The demand in each pair of a place and an area, by the memory address of the overlap.
        let mut demands: HashMap<usize, Vec<(u32, u32, f64)>> = HashMap::new();
        let mut by_chart: HashMap<usize, (&Arc<crate::steer::Chart>, f64)> = HashMap::new();
        for (name, chart) in side.services() {
            let weight = weights.weight(&name.to_string());
            by_chart.entry(Arc::as_ptr(chart).addr()).or_insert((chart, 0.0)).1 += weight;
        }
        let mut answered = vec![0.0; self.places.len() * index.len()];
        for (chart, weight) in by_chart.into_values() {
            let family = used_records(chart, clients);
            let atlas = chart.atlas(family);
            let overlap = overlaps.overlap(atlas, atlas, clients);
            let demand = demands
                .entry(Arc::as_ptr(&overlap).addr())
                .or_insert_with(|| self.demand_by_area(&overlap));
            let side = ServiceSide { chart, datacenters: side.datacenters };
            let shares = side.datacenter_shares(family);
            for (place, area, demand) in demand.iter() {
                for (datacenter, share) in &shares[*area as usize] {
                    let position = *place as usize * index.len() + usize::from(*datacenter);
                    answered[position] += weight * demand * share;
                }
            }
        }
        answered
    }

    fn demand_by_area(&self, overlap: &ChartOverlap) -> Vec<(u32, u32, f64)> {
        let mut demand: BTreeMap<(u32, u32), f64> = BTreeMap::new();
        let cells = self.census.cells(self.census.main_clients());
        for ((cell, place), pair) in cells.iter().zip(&self.place_of).zip(&overlap.pair_of) {
            if let Some(place) = place {
                let area = overlap.pairs[*pair as usize].after;
                *demand.entry((*place, area)).or_default() += cell.demand;
            }
        }
        demand.into_iter().map(|((place, area), demand)| (place, area, demand)).collect()
    }
}
