//! The weights of networks: how much demand the addresses of a run stand for. Either each address
//! counts alike, or each observed network group spreads its samples evenly over those of its
//! addresses that the census counts.

use super::address_runs::JointRun;
use crate::demand::{FamilyDemand, NetworkGroup};

/// With fewer samples, clients are weighed by announced networks. With this many, the share of any
/// part of the clients is within 3 percentage points in 95 of 100 cases.
pub(super) const MIN_SAMPLES: f64 = 1000.0;
/// The part of the demand that is spread over all announced networks, so that a change that moves
/// only clients without a sample is still reported.
const UNOBSERVED_PART: f64 = 0.01;

/// The weights of one family's networks.
#[derive(Debug)]
pub(super) struct NetworkWeights {
    /// Narrow and wide groups, each in address order; none if each address counts alike.
    groups: [Vec<WeightedGroup>; 2],
    /// The demand of each address besides that of its groups.
    per_address: f64,
    /// How much was observed; `None` if no query was.
    pub(super) totals: Option<SampleTotals>,
}

/// The numbers of samples of one family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SampleTotals {
    /// The number of samples in announced networks, and of networks that are not listed.
    pub(super) samples: f64,
    /// The number of samples of networks that are not listed.
    pub(super) other: f64,
    /// The number of announced network groups with samples.
    pub(super) networks: usize,
}

impl SampleTotals {
    /// Whether the samples are enough to weigh clients by.
    pub(super) fn is_used(self) -> bool {
        self.samples >= MIN_SAMPLES
    }
}

/// A network group with samples.
#[derive(Debug, Clone, Copy)]
struct WeightedGroup {
    first: u128,
    last: u128,
    samples: f64,
    /// The number of its addresses that the census counts.
    counted: f64,
}

impl NetworkWeights {
    /// Each address counts alike.
    pub(super) fn by_addresses() -> Self {
        Self { groups: [Vec::new(), Vec::new()], per_address: 1.0, totals: None }
    }

    /// Whether each address counts alike.
    pub(super) fn is_by_addresses(&self) -> bool {
        self.groups.iter().all(Vec::is_empty)
    }

    /// The weights by observed demand, or by addresses if there are too few samples. `runs` are the
    /// addresses that the census counts, in order.
    pub(super) fn by_samples(demand: &FamilyDemand, runs: impl Iterator<Item = JointRun>) -> Self {
        let mut weights = Self { groups: groups(demand), ..Self::by_addresses() };
        let population = weights.count_addresses(runs);
        let counted = weights.groups.iter().flatten().filter(|group| group.counted > 0.0);
        let listed: f64 = counted.clone().map(|group| group.samples).sum();
        // Without any sample in announced networks, the others say nothing about clients.
        let other = if listed > 0.0 { demand.other } else { 0.0 };
        let totals = SampleTotals { samples: listed + other, other, networks: counted.count() };
        if !totals.is_used() {
            return Self { totals: Some(totals), ..Self::by_addresses() };
        }
        // Samples of networks that are not listed may come from anywhere.
        weights.per_address = (other + UNOBSERVED_PART * totals.samples) / population.max(1.0);
        weights.totals = Some(totals);
        weights
    }

    /// Counts the addresses of each group, and returns the number of all.
    fn count_addresses(&mut self, runs: impl Iterator<Item = JointRun>) -> f64 {
        let mut next = [0; 2];
        let mut population = 0.0;
        for run in runs {
            population += addresses(run.first, run.last);
            for (groups, next) in self.groups.iter_mut().zip(&mut next) {
                for position in overlapping(groups, next, run.first, run.last) {
                    let group = &mut groups[position];
                    group.counted +=
                        addresses(run.first.max(group.first), run.last.min(group.last));
                }
            }
        }
        population
    }

    /// Reads the demand of runs in address order.
    pub(super) fn cursor(&self) -> WeightCursor<'_> {
        WeightCursor { weights: self, next: [0; 2] }
    }
}

/// The groups of a document: narrow and wide ones, each in address order.
fn groups(demand: &FamilyDemand) -> [Vec<WeightedGroup>; 2] {
    let mut groups = [Vec::new(), Vec::new()];
    for (group, samples) in &demand.networks {
        let (first, last) = group.range();
        let is_wide = NetworkGroup::wide(*group).is_none();
        let weighed = WeightedGroup { first, last, samples: samples.max(0.0), counted: 0.0 };
        groups[usize::from(is_wide)].push(weighed);
    }
    groups.iter_mut().for_each(|groups| groups.sort_unstable_by_key(|group| group.first));
    groups
}

/// The positions of the groups that have addresses from `first` to `last`. Groups are in address
/// order, and so are the calls; `next` is the position from which on groups may follow.
fn overlapping(
    groups: &[WeightedGroup],
    next: &mut usize,
    first: u128,
    last: u128,
) -> std::ops::Range<usize> {
    let is_before = |group: &&WeightedGroup| group.last < first;
    *next += groups[*next..].iter().take_while(is_before).count();
    let found = groups[*next..].iter().take_while(|group| group.first <= last).count();
    *next..*next + found
}

/// The number of addresses from `first` to `last`.
fn addresses(first: u128, last: u128) -> f64 {
    (last - first) as f64 + 1.0
}

/// Reads the demand of runs in address order, with one pass over the groups.
#[derive(Debug)]
pub(super) struct WeightCursor<'w> {
    weights: &'w NetworkWeights,
    next: [usize; 2],
}

impl WeightCursor<'_> {
    /// The demand of the addresses from `first` to `last`, all of which the census counts. They are
    /// behind those of the call before.
    pub(super) fn demand(&mut self, first: u128, last: u128) -> f64 {
        let mut demand = self.weights.per_address * addresses(first, last);
        for (groups, next) in self.weights.groups.iter().zip(&mut self.next) {
            for group in &groups[overlapping(groups, next, first, last)] {
                let inside = addresses(first.max(group.first), last.min(group.last));
                demand += group.samples * inside / group.counted.max(1.0);
            }
        }
        demand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u128, last: u128) -> JointRun {
        JointRun { first, last, areas: (0, 0), is_special: false }
    }

    fn narrow(text: &str) -> NetworkGroup {
        NetworkGroup::containing(text.parse().unwrap())
    }

    #[test]
    fn a_group_spreads_its_samples_over_its_counted_addresses() {
        let networks = vec![
            (narrow("10.0.1.0"), 6000.0),
            (narrow("10.0.0.0").wide().unwrap(), 3000.0),
            (narrow("192.0.2.0"), 5000.0),
        ];
        let demand = FamilyDemand { networks, other: 900.0 };
        // Half of 10.0.1.0/24, and 511 more addresses of 10.0.0.0/16; 192.0.2.0/24 is not counted.
        let runs = || [run(0x0a00_0100, 0x0a00_017f), run(0x0a00_0200, 0x0a00_03fe)].into_iter();
        let weights = NetworkWeights::by_samples(&demand, runs());
        let expected = SampleTotals { samples: 9900.0, other: 900.0, networks: 2 };
        assert_eq!(weights.totals, Some(expected));
        let mut cursor = weights.cursor();
        let found: Vec<f64> =
            runs().map(|run| cursor.demand(run.first, run.last).round()).collect();
        let (wide, rest) = (3000.0 / 639.0, (900.0 + 99.0) / 639.0);
        let expected = [6000.0 + 128.0 * (wide + rest), 511.0 * (wide + rest)].map(f64::round);
        assert_eq!(found, expected);
        // A part of a run has its part of the demand.
        let half = weights.cursor().demand(0x0a00_0100, 0x0a00_013f);
        assert!((half - (3000.0 + 64.0 * (wide + rest))).abs() < 0.001, "{half}");
    }

    #[test]
    fn each_address_counts_alike_while_there_are_too_few_samples() {
        let few = FamilyDemand { networks: vec![(narrow("10.0.1.0"), 999.0)], other: 0.0 };
        let elsewhere = FamilyDemand { networks: vec![(narrow("192.0.2.0"), 5000.0)], other: 7.0 };
        for (demand, samples, why) in
            [(few, 999.0, "under the minimum"), (elsewhere, 0.0, "none in announced networks")]
        {
            let runs = [run(0x0a00_0100, 0x0a00_01ff)].into_iter();
            let weights = NetworkWeights::by_samples(&demand, runs);
            assert_eq!(weights.cursor().demand(0x0a00_0100, 0x0a00_01ff), 256.0, "{why}");
            let totals = weights.totals.unwrap();
            assert_eq!((totals.samples, totals.is_used()), (samples, false), "{why}");
        }
    }
}
