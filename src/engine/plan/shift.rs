//! Shifts: how the answers of one service and one type change, and for whom.

use std::collections::BTreeMap;

use super::{
    census::{ClientCensus, ClientFamily},
    view::{CountryView, FlowView, ShiftView},
};
use crate::{
    geo::Area,
    steer::{Chart, Family, Topology},
};

/// What stands for an answer without records.
pub(super) const NO_RECORDS: &str = "nothing";
/// What stands for endpoints that are in no datacenter.
const NO_DATACENTER: &str = "no datacenter";
/// Differences below this are what quotas round.
const MAX_ROUNDING_ERROR: f64 = 1e-9;
/// How many countries are told.
const MAX_COUNTRIES: usize = 5;

/// Datacenter and records to the share of answers; adds up to 1.
type Distribution = BTreeMap<(String, String), f64>;

/// A service's chart, and the topology that names what it holds.
#[derive(Clone, Copy)]
pub(super) struct PlanSide<'a> {
    pub(super) chart: &'a Chart,
    pub(super) topology: &'a Topology,
}

impl PlanSide<'_> {
    /// What each area is answered. A family that is not published answers nothing, in area 0.
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

/// Of one pair of areas: the share of answers that change, and from which datacenter to which.
#[derive(Default)]
struct AreaChange {
    moved: f64,
    flows: BTreeMap<(String, String), f64>,
}

impl AreaChange {
    fn between(before: &Distribution, after: &Distribution) -> Self {
        let excess = |of: &Distribution, over: &Distribution| -> BTreeMap<String, f64> {
            let mut excess = BTreeMap::new();
            for (key, share) in of {
                let more = share - over.get(key).copied().unwrap_or(0.0);
                if more > MAX_ROUNDING_ERROR {
                    *excess.entry(key.0.clone()).or_default() += more;
                }
            }
            excess
        };
        let (mut lost, mut gained) = (excess(before, after), excess(after, before));
        let moved = lost.values().sum();
        let mut flows = BTreeMap::new();
        // Who can stay in a datacenter and only changes its endpoint does; the rest goes to the
        // gainers in proportion.
        for (datacenter, less) in &mut lost {
            if let Some(more) = gained.get_mut(datacenter) {
                let stays = less.min(*more);
                flows.insert((datacenter.clone(), datacenter.clone()), stays);
                *less -= stays;
                *more -= stays;
            }
        }
        let total: f64 = gained.values().sum();
        for (from, less) in lost.iter().filter(|(_, less)| **less > MAX_ROUNDING_ERROR) {
            for (to, more) in gained.iter().filter(|(_, more)| **more > MAX_ROUNDING_ERROR) {
                *flows.entry((from.clone(), to.clone())).or_default() += less * more / total;
            }
        }
        Self { moved, flows }
    }
}

/// How a service's answers to both types change, for clients of both families; only where they do.
pub(super) fn shifts(
    before: PlanSide<'_>,
    after: PlanSide<'_>,
    census: &mut ClientCensus,
) -> Vec<ShiftView> {
    let mut shifts = Vec::new();
    for family in [Family::V4, Family::V6] {
        let records = after.chart.kind().record_type(family);
        let (was, is) = (before.distributions(family), after.distributions(family));
        let atlases = (before.chart.atlas(family), after.chart.atlas(family));
        let is_same_world = match atlases {
            (None, None) => true,
            (Some(before), Some(after)) => std::sync::Arc::ptr_eq(before, after),
            _ => false,
        };
        if is_same_world && was == is {
            continue;
        }
        for clients in ClientFamily::BOTH {
            shifts.extend(shift(&was, &is, atlases, records, clients, census));
        }
    }
    shifts
}

fn shift(
    was: &[Distribution],
    is: &[Distribution],
    (before, after): (
        Option<&std::sync::Arc<crate::geo::Atlas>>,
        Option<&std::sync::Arc<crate::geo::Atlas>>,
    ),
    records: &str,
    clients: ClientFamily,
    census: &mut ClientCensus,
) -> Option<ShiftView> {
    let cells = census.overlap(before, after, clients);
    let mut changes: BTreeMap<(u32, u32), AreaChange> = BTreeMap::new();
    let (mut total, mut touched, mut moved) = (0.0, 0.0, 0.0);
    let mut flows: BTreeMap<(String, String), f64> = BTreeMap::new();
    // By country: its clients, and how many of them move.
    let mut countries: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for cell in cells.iter() {
        let pair = (cell.before, cell.after);
        let of_pair = || AreaChange::between(&was[cell.before as usize], &is[cell.after as usize]);
        let change = changes.entry(pair).or_insert_with(of_pair);
        let addresses = cell.addresses as f64;
        let country = countries.entry(cell.country).or_default();
        total += addresses;
        country.0 += addresses;
        if change.moved > MAX_ROUNDING_ERROR {
            touched += addresses;
            moved += addresses * change.moved;
            country.1 += addresses * change.moved;
            change.flows.iter().for_each(|(way, share)| {
                *flows.entry(way.clone()).or_default() += addresses * share
            });
        }
    }
    if moved <= 0.0 {
        return None;
    }
    let percent = |part: f64| rounded(100.0 * part / total);
    let mut flows: Vec<FlowView> = flows
        .into_iter()
        .map(|((from, to), share)| FlowView { from, to, percent: percent(share) })
        .collect();
    flows.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    let named = |(at, (all, moved)): (u32, (f64, f64))| {
        let country = census.countries[at as usize].as_ref()?.to_string();
        (moved > 0.0)
            .then(|| (moved, CountryView { country, percent: rounded(100.0 * moved / all) }))
    };
    let mut countries: Vec<(f64, CountryView)> = countries.into_iter().filter_map(named).collect();
    countries.sort_by(|a, b| b.0.total_cmp(&a.0));
    Some(ShiftView {
        records: records.to_owned(),
        clients: clients.word().to_owned(),
        touched_percent: percent(touched),
        moved_percent: percent(moved),
        flows,
        countries: countries.into_iter().take(MAX_COUNTRIES).map(|(_, view)| view).collect(),
    })
}

/// To a thousandth: short in JSON, and equal after it.
fn rounded(percent: f64) -> f64 {
    (percent * 1000.0).round() / 1000.0
}
