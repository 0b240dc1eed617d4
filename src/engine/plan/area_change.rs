//! What the clients of an area are answered, and how that changes.

use std::collections::BTreeMap;

use super::datacenter_index::DatacenterIndex;
use crate::{
    geo::Area,
    steer::{Chart, Family},
};

/// Smaller differences between shares are rounding errors of quotas.
pub(super) const MAX_ROUNDING_ERROR: f64 = 1e-9;

/// The share of answers by datacenter and records. The shares add up to 1.
pub(super) type Distribution = BTreeMap<(u16, String), f64>;

/// The chart of a service before or after the change.
#[derive(Clone, Copy)]
pub(super) struct ServiceSide<'a> {
    pub(super) chart: &'a Chart,
    /// The number of each datacenter, by id.
    pub(super) datacenters: &'a [u16],
}

impl ServiceSide<'_> {
    /// The distribution of answers in each area. A family without an atlas has one area, which gets
    /// no records.
    pub(super) fn distributions(&self, family: Family) -> Vec<Distribution> {
        self.areas(family).map(|area| self.distribution(family, area)).collect()
    }

    /// The share of each datacenter in each area, in order of their numbers.
    pub(super) fn datacenter_shares(&self, family: Family) -> Vec<Vec<(u16, f64)>> {
        let shares = |area| {
            let mut shares: BTreeMap<u16, f64> = BTreeMap::new();
            for (share, answer) in self.chart.shares(family, area) {
                *shares.entry(self.number(answer.datacenter)).or_default() += share;
            }
            if shares.is_empty() {
                shares.insert(DatacenterIndex::NO_RECORDS, 1.0);
            }
            shares.into_iter().collect()
        };
        self.areas(family).map(shares).collect()
    }

    fn areas(&self, family: Family) -> impl Iterator<Item = Area> + use<> {
        (0..self.chart.area_count(family).max(1) as u32).map(Area)
    }

    fn distribution(&self, family: Family, area: Area) -> Distribution {
        let mut distribution = Distribution::new();
        for (share, answer) in self.chart.shares(family, area) {
            let mut records = answer.rdata.texts();
            records.sort();
            let key = (self.number(answer.datacenter), records.join(" "));
            *distribution.entry(key).or_default() += share;
        }
        if distribution.is_empty() {
            distribution.insert((DatacenterIndex::NO_RECORDS, String::new()), 1.0);
        }
        distribution
    }

    fn number(&self, datacenter: Option<crate::steer::DatacenterId>) -> u16 {
        datacenter
            .and_then(|id| self.datacenters.get(id.index()).copied())
            .unwrap_or(DatacenterIndex::NO_DATACENTER)
    }
}

/// The change of one pair of areas: the share of answers that differ, and the flows between
/// datacenters.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct AreaChange {
    pub(super) moved: f64,
    /// From, to and share, in order of the numbers.
    pub(super) flows: Vec<(u16, u16, f64)>,
}

impl AreaChange {
    pub(super) fn between(before: &Distribution, after: &Distribution) -> Self {
        let excess = |shares: &Distribution, other: &Distribution| -> BTreeMap<u16, f64> {
            let mut excess = BTreeMap::new();
            for (key, share) in shares {
                let more = share - other.get(key).copied().unwrap_or(0.0);
                if more > MAX_ROUNDING_ERROR {
                    *excess.entry(key.0).or_default() += more;
                }
            }
            excess
        };
        let (mut lost, mut gained) = (excess(before, after), excess(after, before));
        let moved = lost.values().sum();
        let mut flows: BTreeMap<(u16, u16), f64> = BTreeMap::new();
        // As many clients as possible stay in their datacenter and only change endpoints. The rest
        // goes to the datacenters that gain, in proportion to their gain.
        for (datacenter, loss) in &mut lost {
            if let Some(gain) = gained.get_mut(datacenter) {
                let stays = loss.min(*gain);
                flows.insert((*datacenter, *datacenter), stays);
                *loss -= stays;
                *gain -= stays;
            }
        }
        let total: f64 = gained.values().sum();
        for (from, loss) in lost.iter().filter(|(_, loss)| **loss > MAX_ROUNDING_ERROR) {
            for (to, gain) in gained.iter().filter(|(_, gain)| **gain > MAX_ROUNDING_ERROR) {
                *flows.entry((*from, *to)).or_default() += loss * gain / total;
            }
        }
        let flows = flows.into_iter().map(|((from, to), share)| (from, to, share)).collect();
        Self { moved, flows }
    }

    /// Whether more than a rounding error moves.
    pub(super) fn moves(&self) -> bool {
        self.moved > MAX_ROUNDING_ERROR
    }
}
