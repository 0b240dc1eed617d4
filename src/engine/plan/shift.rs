//! Shifts: how the answers of one service and one record type change, and for which clients.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    census::{ClientCensus, ClientFamily},
    view::{CountryView, FlowView, ShiftView},
};
use crate::{
    geo::{Area, Atlas},
    steer::{Chart, Family, Topology},
};

/// Shown as the datacenter of an answer without records.
pub(super) const NO_RECORDS: &str = "nothing";
/// Shown as the datacenter of endpoints that are in none.
const NO_DATACENTER: &str = "no datacenter";
/// Smaller differences between shares are rounding errors of quotas.
const MAX_ROUNDING_ERROR: f64 = 1e-9;
/// The maximum number of countries in a shift.
const MAX_COUNTRIES: usize = 5;

/// The share of answers by datacenter and records. The shares add up to 1.
type Distribution = BTreeMap<(String, String), f64>;

/// The chart of a service before or after the change, and the topology that its ids refer to.
#[derive(Clone, Copy)]
pub(super) struct PlanSide<'a> {
    pub(super) chart: &'a Chart,
    pub(super) topology: &'a Topology,
}

impl PlanSide<'_> {
    /// The distribution of answers in each area. A family without an atlas has one area, which gets
    /// [`NO_RECORDS`].
    fn distributions(&self, family: Family) -> Vec<Distribution> {
        (0..self.chart.area_count(family).max(1) as u32)
            .map(|area| self.distribution(family, Area(area)))
            .collect()
    }

    fn distribution(&self, family: Family, area: Area) -> Distribution {
        let mut distribution = Distribution::new();
        for (share, answer) in self.chart.shares(family, area) {
            let datacenter = answer
                .datacenter
                .map_or(NO_DATACENTER, |id| &self.topology.datacenters[id.index()].name);
            let mut records = answer.rdata.texts();
            records.sort();
            *distribution.entry((datacenter.to_owned(), records.join(" "))).or_default() += share;
        }
        if distribution.is_empty() {
            distribution.insert((NO_RECORDS.to_owned(), String::new()), 1.0);
        }
        distribution
    }
}

/// The change of one pair of areas: the share of answers that differ, and the flows between
/// datacenters.
#[derive(Default)]
struct AreaChange {
    moved: f64,
    flows: BTreeMap<(String, String), f64>,
}

impl AreaChange {
    fn between(before: &Distribution, after: &Distribution) -> Self {
        let excess = |shares: &Distribution, other: &Distribution| -> BTreeMap<String, f64> {
            let mut excess = BTreeMap::new();
            for (key, share) in shares {
                let more = share - other.get(key).copied().unwrap_or(0.0);
                if more > MAX_ROUNDING_ERROR {
                    *excess.entry(key.0.clone()).or_default() += more;
                }
            }
            excess
        };
        let (mut lost, mut gained) = (excess(before, after), excess(after, before));
        let moved = lost.values().sum();
        let mut flows = BTreeMap::new();
        // As many clients as possible stay in their datacenter and only change endpoints. The rest
        // goes to the datacenters that gain, in proportion to their gain.
        for (datacenter, loss) in &mut lost {
            if let Some(gain) = gained.get_mut(datacenter) {
                let stays = loss.min(*gain);
                flows.insert((datacenter.clone(), datacenter.clone()), stays);
                *loss -= stays;
                *gain -= stays;
            }
        }
        let total: f64 = gained.values().sum();
        for (from, loss) in lost.iter().filter(|(_, loss)| **loss > MAX_ROUNDING_ERROR) {
            for (to, gain) in gained.iter().filter(|(_, gain)| **gain > MAX_ROUNDING_ERROR) {
                *flows.entry((from.clone(), to.clone())).or_default() += loss * gain / total;
            }
        }
        Self { moved, flows }
    }
}

/// The shifts of a service: for both record types and both families of clients, those with a
/// change.
pub(super) fn shifts(
    before: PlanSide<'_>,
    after: PlanSide<'_>,
    census: &mut ClientCensus,
) -> Vec<ShiftView> {
    let mut shifts = Vec::new();
    for family in [Family::V4, Family::V6] {
        let records = after.chart.kind().record_type(family);
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
            shifts.extend(shift(&was, &is, old_atlas, new_atlas, records, clients, census));
        }
    }
    shifts
}

fn shift(
    was: &[Distribution],
    is: &[Distribution],
    before: Option<&Arc<Atlas>>,
    after: Option<&Arc<Atlas>>,
    records: &str,
    clients: ClientFamily,
    census: &mut ClientCensus,
) -> Option<ShiftView> {
    let cells = census.overlap(before, after, clients);
    let mut changes: BTreeMap<(u32, u32), AreaChange> = BTreeMap::new();
    let (mut total, mut touched, mut moved) = (0.0, 0.0, 0.0);
    let mut flows: BTreeMap<(String, String), f64> = BTreeMap::new();
    // The clients of each country, and how many of them move.
    let mut countries: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for cell in cells.iter() {
        let pair = (cell.before, cell.after);
        let change_of_pair =
            || AreaChange::between(&was[cell.before as usize], &is[cell.after as usize]);
        let change = changes.entry(pair).or_insert_with(change_of_pair);
        let addresses = cell.addresses as f64;
        let country = countries.entry(cell.country).or_default();
        total += addresses;
        country.0 += addresses;
        if change.moved > MAX_ROUNDING_ERROR {
            touched += addresses;
            moved += addresses * change.moved;
            country.1 += addresses * change.moved;
            change.flows.iter().for_each(|(flow, share)| {
                *flows.entry(flow.clone()).or_default() += addresses * share
            });
        }
    }
    if moved <= 0.0 {
        return None;
    }
    let percent = |addresses: f64| rounded(100.0 * addresses / total);
    let mut flows: Vec<FlowView> = flows
        .into_iter()
        .map(|((from, to), share)| FlowView { from, to, percent: percent(share) })
        .collect();
    flows.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    let country_view = |(area, (all, moved)): (u32, (f64, f64))| {
        let country = census.countries[area as usize].as_ref()?.to_string();
        (moved > 0.0)
            .then(|| (moved, CountryView { country, percent: rounded(100.0 * moved / all) }))
    };
    let mut countries: Vec<(f64, CountryView)> =
        countries.into_iter().filter_map(country_view).collect();
    countries.sort_by(|a, b| b.0.total_cmp(&a.0));
    Some(ShiftView {
        records: records.to_owned(),
        clients: clients.name().to_owned(),
        touched_percent: percent(touched),
        moved_percent: percent(moved),
        flows,
        countries: countries.into_iter().take(MAX_COUNTRIES).map(|(_, view)| view).collect(),
    })
}

/// A percentage rounded to a thousandth, so that it is short in JSON and equal after a round trip.
fn rounded(percent: f64) -> f64 {
    (percent * 1000.0).round() / 1000.0
}
