//! The movement of all services together: which part of each cell's demand gets another answer.

use std::{cmp::Ordering, collections::BinaryHeap, net::IpAddr};

use ipnet::IpNet;

use super::{
    address_runs,
    area_change::{AreaChange, MAX_ROUNDING_ERROR},
    census::{ChartOverlap, ClientCensus},
    client_family::ClientFamily,
    moved_clients::{ExtraDistance, MovedClients, MovedPlaces},
    network_weights::WeightCursor,
    view::{CountryView, MovementView, NetworkView, rounded},
};

/// The maximum number of networks in a list.
const MAX_NETWORKS: usize = 10;

/// The clients of one family that a change moves, on average over all services by their weights.
#[derive(Debug)]
pub(super) struct Movement {
    clients: ClientFamily,
    /// For each cell of the census: the part of its demand that moves, from 0 to 1.
    fractions: Vec<f64>,
    distance: ExtraDistance,
}

impl Movement {
    pub(super) fn none(census: &ClientCensus, clients: ClientFamily) -> Self {
        let fractions = vec![0.0; census.cells(clients).len()];
        Self { clients, fractions, distance: ExtraDistance::default() }
    }

    /// Adds the change of one or several equal services, which have this part of all demand.
    pub(super) fn add(
        &mut self,
        weight: f64,
        overlap: &ChartOverlap,
        changes: &[AreaChange],
        moved: &MovedClients,
    ) {
        for (fraction, pair) in self.fractions.iter_mut().zip(&overlap.pair_of) {
            let change = &changes[*pair as usize];
            if change.moves() {
                *fraction += weight * change.moved;
            }
        }
        self.distance.weighted_km += weight * moved.distance.weighted_km;
        self.distance.demand += weight * moved.distance.demand;
    }

    /// For each cell of the census: the part of its demand that moves, from 0 to 1.
    pub(super) fn fractions(&self) -> &[f64] {
        &self.fractions
    }

    /// The part of all demand that moves, from 0 to 1.
    pub(super) fn moved_share(&self, census: &ClientCensus) -> f64 {
        let (mut all, mut moved) = (0.0, 0.0);
        for (cell, fraction) in census.cells(self.clients).iter().zip(&self.fractions) {
            all += cell.demand;
            moved += cell.demand * fraction;
        }
        if all > 0.0 { moved / all } else { 0.0 }
    }

    /// The countries with the most moved clients.
    pub(super) fn countries(&self, census: &ClientCensus) -> Vec<CountryView> {
        let mut places = MovedPlaces::default();
        for (cell, fraction) in census.cells(self.clients).iter().zip(&self.fractions) {
            places.add(census, cell, cell.demand * fraction);
        }
        places.top_countries()
    }

    /// The movement as shown; `None` if nothing moves.
    pub(super) fn view(&self, census: &ClientCensus) -> Option<MovementView> {
        let (mut all, mut moved) = (0.0, 0.0);
        let mut places = MovedPlaces::default();
        for (cell, fraction) in census.cells(self.clients).iter().zip(&self.fractions) {
            all += cell.demand;
            moved += cell.demand * fraction;
            places.add(census, cell, cell.demand * fraction);
        }
        (moved > all * MAX_ROUNDING_ERROR).then(|| MovementView {
            clients: self.clients.name().to_owned(),
            moved_percent: rounded(100.0 * moved / all),
            extra_km: self.distance.mean_km(),
            countries: places.top_countries(),
            systems: places.top_systems(),
            networks: self.networks(census, all),
        })
    }

    /// The widest prefixes that move as a whole, those with the most moved demand first.
    fn networks(&self, census: &ClientCensus, all: f64) -> Vec<NetworkView> {
        let mut largest = LargestNetworks::new(census.weights(self.clients));
        let mut open: Option<MovedRange> = None;
        for (run, cell) in census.runs(self.clients) {
            let fraction = self.fractions[cell as usize];
            if fraction <= MAX_ROUNDING_ERROR {
                continue;
            }
            match &mut open {
                Some(range)
                    if range.last.checked_add(1) == Some(run.first)
                        && (range.fraction - fraction).abs() < MAX_ROUNDING_ERROR =>
                {
                    range.last = run.last
                }
                _ => {
                    let new = MovedRange { first: run.first, last: run.last, fraction };
                    open.replace(new)
                        .into_iter()
                        .for_each(|range| largest.add(range, self.clients));
                }
            }
        }
        open.into_iter().for_each(|range| largest.add(range, self.clients));
        largest.into_views(self.clients, all)
    }
}

/// Consecutive addresses of which the same part moves.
#[derive(Debug, Clone, Copy)]
struct MovedRange {
    first: u128,
    last: u128,
    fraction: f64,
}

/// One prefix, ordered by the demand in it that moves, the least first.
#[derive(Debug, Clone, Copy, PartialEq)]
struct MovedNetwork {
    moved: f64,
    fraction: f64,
    first: u128,
    length: u8,
}

impl Eq for MovedNetwork {}

impl Ord for MovedNetwork {
    fn cmp(&self, other: &Self) -> Ordering {
        other.moved.total_cmp(&self.moved).then(self.first.cmp(&other.first))
    }
}

impl PartialOrd for MovedNetwork {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The networks with the most moved demand so far.
#[derive(Debug)]
struct LargestNetworks<'c> {
    networks: BinaryHeap<MovedNetwork>,
    weights: WeightCursor<'c>,
}

impl<'c> LargestNetworks<'c> {
    fn new(weights: WeightCursor<'c>) -> Self {
        Self { networks: BinaryHeap::new(), weights }
    }

    /// Adds the prefixes that a range consists of. It is behind the ranges before.
    fn add(&mut self, range: MovedRange, clients: ClientFamily) {
        let mut first = range.first;
        loop {
            let size_bits = prefix_bits(first, range.last, clients);
            let host_mask = u128::MAX.checked_shr(128 - size_bits).unwrap_or(0);
            let last = first + host_mask;
            let moved = self.weights.demand(first, last) * range.fraction;
            let length = (clients.bits() - size_bits) as u8;
            self.networks.push(MovedNetwork { moved, fraction: range.fraction, first, length });
            if self.networks.len() > MAX_NETWORKS {
                self.networks.pop();
            }
            if last >= range.last {
                return;
            }
            first = last + 1;
        }
    }

    fn into_views(self, clients: ClientFamily, all: f64) -> Vec<NetworkView> {
        let view = |network: MovedNetwork| {
            let address: IpAddr = address_runs::address(network.first, clients);
            let prefix = IpNet::new(address, network.length).ok()?;
            Some(NetworkView {
                network: prefix.to_string(),
                percent: rounded(100.0 * network.fraction),
                of_all_percent: rounded(100.0 * network.moved / all),
            })
        };
        self.networks.into_sorted_vec().into_iter().filter_map(view).collect()
    }
}

/// The number of host bits of the widest prefix that begins at `first` and ends by `last`.
fn prefix_bits(first: u128, last: u128, clients: ClientFamily) -> u32 {
    let aligned = first.trailing_zeros().min(clients.bits());
    let length = last - first;
    let fitting = match length.checked_add(1) {
        Some(addresses) => addresses.ilog2(),
        None => 128,
    };
    aligned.min(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::network_weights::NetworkWeights;

    #[test]
    fn a_range_is_shown_as_the_widest_prefixes_that_it_consists_of() {
        for (first, last, clients, expected) in [
            (0x1400_0000, 0x14ff_ffff, ClientFamily::V4, &["20.0.0.0/8"][..]),
            (
                0x1400_0001,
                0x1400_0004,
                ClientFamily::V4,
                &["20.0.0.2/31", "20.0.0.1/32", "20.0.0.4/32"],
            ),
            (0, u128::from(u32::MAX), ClientFamily::V4, &["0.0.0.0/0"]),
            (0, u128::MAX, ClientFamily::V6, &["::/0"]),
            (
                u128::MAX - 1,
                u128::MAX,
                ClientFamily::V6,
                &["ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"],
            ),
        ] {
            let weights = NetworkWeights::by_addresses();
            let mut networks = LargestNetworks::new(weights.cursor());
            networks.add(MovedRange { first, last, fraction: 1.0 }, clients);
            let views = networks.into_views(clients, 1.0);
            let found: Vec<_> = views.iter().map(|view| view.network.as_str()).collect();
            assert_eq!(found, expected);
        }
    }
}
