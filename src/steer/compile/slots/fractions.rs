//! Parts: the shares of members that take only a part of theirs, during a drain, a slow start, a
//! shed or a spill.
//!
//! A member with part p takes part for a share p of the clients. Within a group these are the same
//! clients for every member: a greater part has all clients of a lesser one. Each client is shared
//! by weight among the members that take part for it. It follows that a member with share s and
//! part p gets p·s, if it is the only one with a part or all parts are equal. A member whose part
//! is 0 is like one that is gone. A change of a part moves only clients that come to that member or
//! leave it.
//!
//! What no member of a group takes goes to the group behind it. What no group takes is shared by
//! all groups in proportion to what they take, so that every client gets an answer.

use super::{
    quotas::largest_remainder,
    weighted_member::{MAX_SLOTS, WeightedMember},
};
use crate::steer::model::Fraction;

/// Weights made of shares add up to this, or to more where there are many members.
const WEIGHT_STEPS: usize = 1 << 12;

/// Raises parts until all clients are taken, with each group's share in proportion to what it took
/// before. In a single group this divides all parts by the greatest. If all parts are 0, all become
/// whole.
pub(in crate::steer) fn normalise(groups: &mut [Vec<WeightedMember>]) {
    let parts: Vec<f64> = groups.iter().map(|group| greatest(group).share()).collect();
    let takes_none = parts.iter().all(|part| *part == 0.0);
    for (group, (part, raised)) in
        groups.iter_mut().zip(parts.iter().zip(raised_to_cover_all(&parts)))
    {
        for stake in group.iter_mut().filter(|stake| takes_none || !stake.fraction.is_zero()) {
            stake.fraction = if takes_none {
                Fraction::FULL
            } else {
                Fraction::from_share(stake.fraction.share() * raised / part)
            };
        }
    }
}

/// The parts that ranked takers take, from 0 to 1 of what comes to each, once what nobody takes is
/// shared by all in proportion to what they take. The last one that takes anything then takes all
/// that comes to it. Unchanged where somebody takes all already, or nobody anything.
pub(in crate::steer) fn raised_to_cover_all(parts: &[f64]) -> Vec<f64> {
    let untaken: f64 = parts.iter().map(|part| 1.0 - part).product();
    let mut raised = parts.to_vec();
    if untaken == 0.0 || untaken == 1.0 {
        return raised;
    }
    let (mut before, mut after) = (1.0, 1.0);
    for (raised, part) in raised.iter_mut().zip(parts) {
        let taken = before * part / (1.0 - untaken);
        *raised = (taken / after).min(1.0);
        before *= 1.0 - part;
        after = f64::max(after - taken, f64::MIN_POSITIVE);
    }
    if let Some(last) = parts.iter().rposition(|part| *part > 0.0) {
        raised[last] = 1.0;
    }
    raised
}

fn greatest(group: &[WeightedMember]) -> Fraction {
    group.iter().map(|stake| stake.fraction).max().unwrap_or(Fraction::ZERO)
}

/// The share of each member among all clients, from 0 to 1, where an answer has one member. Parts
/// are normalised.
pub(in crate::steer) fn shares(groups: &[Vec<WeightedMember>]) -> Vec<f64> {
    let mut left = 1.0;
    let mut shares = Vec::new();
    for group in groups {
        let (of_group, rest) = group_shares(group);
        shares.extend(of_group.into_iter().map(|share| share * left));
        left *= rest;
    }
    shares
}

/// Each member's share of what comes to its group, and what nobody in it takes.
fn group_shares(group: &[WeightedMember]) -> (Vec<f64>, f64) {
    let mut shares = vec![0.0; group.len()];
    let mut below = 0.0;
    for cut in distinct_fractions(group) {
        let takes_part = |stake: &&WeightedMember| stake.fraction >= cut;
        let weight: f64 =
            group.iter().filter(takes_part).map(|stake| f64::from(stake.weight)).sum();
        for (share, stake) in shares.iter_mut().zip(group).filter(|(_, stake)| takes_part(stake)) {
            *share += (cut.share() - below) * f64::from(stake.weight) / weight;
        }
        below = cut.share();
    }
    (shares, 1.0 - below)
}

/// The different parts of a group's members, the least first, but for nothing.
pub(in crate::steer) fn distinct_fractions(group: &[WeightedMember]) -> Vec<Fraction> {
    let mut cuts: Vec<Fraction> =
        group.iter().map(|stake| stake.fraction).filter(|part| !part.is_zero()).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// One group of equal rank whose weights give its members the shares that their parts leave them. A
/// member with any share has a weight of 1 at least.
pub(in crate::steer) fn weights_from_fractions(
    groups: &[Vec<WeightedMember>],
) -> Vec<WeightedMember> {
    let shares = shares(groups);
    let steps = (shares.len() * 16).next_power_of_two().clamp(WEIGHT_STEPS, MAX_SLOTS);
    let weights = largest_remainder(&shares, steps);
    let members = groups.iter().flatten().zip(weights.into_iter().zip(shares));
    let weighed = |(stake, (weight, share)): (&WeightedMember, (u32, f64))| {
        let weight = weight.max(u32::from(share > 0.0));
        WeightedMember { weight, fraction: Fraction::FULL, ..*stake }
    };
    members.map(weighed).collect()
}
