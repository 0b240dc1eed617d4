//! Exact shares: the number of slots of each member by largest remainder, interleaved.

use super::weighted_member::{MAX_SLOTS, WeightedMember, gcd};

/// The maximum number of draw orders that are enumerated.
const MAX_SEQUENCES: usize = 512;
/// The maximum length of a cycle of turns whose length is the sum of the weights.
const MAX_CYCLE: u64 = 1 << 12;
/// The maximum error of quotas against weights, as the chi-square statistic of one query: 0.1 after
/// 100,000 queries.
const QUOTA_ERROR: f64 = 1e-6;

/// An order in which members can be drawn.
pub(super) struct DrawOrder {
    members: Vec<u16>,
    probability: f64,
}

/// The member of each slot, by weight.
pub(super) fn owners(group: &[WeightedMember]) -> Box<[u16]> {
    let total: f64 = group.iter().map(|member| f64::from(member.weight)).sum();
    let shares: Vec<f64> = group.iter().map(|member| f64::from(member.weight) / total).collect();
    interleave(&quotas(&shares)).collect()
}

/// The member of each slot of a cycle of turns. The number of slots is the sum of the weights
/// divided by their common divisor, up to [`MAX_CYCLE`], so that each member has exactly its share
/// of a cycle. Beyond, the slots are those of [`owners`].
pub(super) fn cycle(group: &[WeightedMember]) -> Box<[u16]> {
    let divisor = group.iter().fold(0, |divisor, member| gcd(divisor, member.weight)).max(1);
    let turns: Vec<u32> = group.iter().map(|member| member.weight / divisor).collect();
    let count: u64 = turns.iter().copied().map(u64::from).sum();
    if count <= MAX_CYCLE { interleave(&turns).collect() } else { owners(group) }
}

/// The members of each slot, slot-major: every order as often as its probability demands.
pub(super) fn interleaved(sequences: &[DrawOrder]) -> Box<[u16]> {
    let shares: Vec<f64> = sequences.iter().map(|sequence| sequence.probability).collect();
    let order = interleave(&quotas(&shares));
    order.flat_map(|index| sequences[usize::from(index)].members.iter().copied()).collect()
}

/// Every order in which `picks` members can be drawn, with its probability; `None` if there are
/// more than [`MAX_SEQUENCES`].
pub(super) fn sequences(groups: &[Vec<WeightedMember>], picks: usize) -> Option<Vec<DrawOrder>> {
    let mut found = vec![DrawOrder { members: Vec::new(), probability: 1.0 }];
    let mut first = 0_u16;
    let mut wanted = picks;
    for group in groups {
        let last = first + group.len() as u16;
        for _ in 0..wanted.min(group.len()) {
            let longer =
                found.len() * (group.len() - found[0].members.len().saturating_sub(first.into()));
            if longer > MAX_SEQUENCES {
                return None;
            }
            found = found.iter().flat_map(|sequence| sequence.longer(group, first..last)).collect();
        }
        wanted -= wanted.min(group.len());
        first = last;
    }
    Some(found)
}

impl DrawOrder {
    /// The orders that follow from this one by adding a member of a group that it does not have
    /// yet.
    fn longer(&self, group: &[WeightedMember], positions: std::ops::Range<u16>) -> Vec<Self> {
        let first = positions.start;
        let weight = |member: u16| f64::from(group[usize::from(member - first)].weight);
        let is_undrawn = |member: &u16| !self.members.contains(member);
        let total: f64 = positions.clone().filter(is_undrawn).map(weight).sum();
        let with = |member: u16| {
            let members = self.members.iter().copied().chain([member]).collect();
            Self { members, probability: self.probability * weight(member) / total }
        };
        positions.filter(is_undrawn).map(with).collect()
    }
}

/// The number of slots of each share, by largest remainder. The total is the least power of two
/// whose error is at most [`QUOTA_ERROR`], or [`MAX_SLOTS`].
fn quotas(shares: &[f64]) -> Vec<u32> {
    let mut count = shares.len().next_power_of_two().min(MAX_SLOTS);
    if shares.len() == 1 {
        return vec![1];
    }
    loop {
        let quotas = largest_remainder(shares, count);
        let error = |(share, &quota): (&f64, &u32)| {
            let deviation = f64::from(quota) / count as f64 - share;
            if *share > 0.0 { deviation * deviation / share } else { 0.0 }
        };
        if count == MAX_SLOTS || shares.iter().zip(&quotas).map(error).sum::<f64>() <= QUOTA_ERROR {
            return quotas;
        }
        count *= 2;
    }
}

/// The number of slots of each share, out of `count`, by largest remainder.
pub(super) fn largest_remainder(shares: &[f64], count: usize) -> Vec<u32> {
    let mut quotas: Vec<u32> =
        shares.iter().map(|share| (share * count as f64).floor() as u32).collect();
    let assigned: u32 = quotas.iter().sum();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    let remainder = |index: usize| (shares[index] * count as f64).fract();
    by_remainder.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)).then(a.cmp(&b)));
    for &index in by_remainder.iter().cycle().take((count as u32).saturating_sub(assigned) as usize)
    {
        quotas[index] += 1;
    }
    quotas
}

/// A sequence with `quotas[i]` times each index `i`, spread evenly.
fn interleave(quotas: &[u32]) -> impl Iterator<Item = u16> + use<> {
    let mut positions: Vec<u64> = Vec::new();
    for (&quota, index) in quotas.iter().zip(0_u64..) {
        // The sequence is a line divided into `quota` equal lengths. An index belongs to the middle
        // of each, in units of 2^-47 of the line; the low bits hold the index.
        let middle = |turn: u64| ((2 * turn + 1) << 46) / u64::from(quota);
        positions.extend((0..quota).map(|turn| middle(turn.into()) << 16 | index));
    }
    positions.sort_unstable();
    positions.into_iter().map(|position| position as u16)
}
