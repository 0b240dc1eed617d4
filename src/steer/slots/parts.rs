//! Parts: who gets which share where members take only a part of it, during a drain, a slow start, a shed or a spill.
//!
//! A member with part p takes part for a share p of the clients. Within a group these are the same clients for every member:
//! a greater part has all clients of a lesser one. Each client is shared by weight among the members that take part for it.
//! So one member with share s and part p gets p·s, members with equal parts too, a member whose part has fallen to nothing is
//! like one that is gone, and a part that changes moves nobody but clients that come to this member or leave it.
//!
//! What no member of a group takes goes to the group behind it. Parts count against the greatest part of all, so that
//! somebody takes what comes.

use super::{MAX_SLOTS, Stake, quotas::largest_remainder};
use crate::steer::part::Part;

/// Weights made of shares add up to this, or to more where there are many members.
const WEIGHT_STEPS: usize = 1 << 12;

/// Divides all parts by the greatest, so that one member at least takes all that comes to it.
pub(in crate::steer) fn normalise(groups: &mut [Vec<Stake>]) {
    let greatest = groups.iter().flatten().map(|stake| stake.part).max().unwrap_or_default();
    if greatest.is_full() {
        return;
    }
    for stake in groups.iter_mut().flatten() {
        stake.part = if greatest.is_none() { Part::FULL } else { Part::of(stake.part.share() / greatest.share()) };
    }
}

/// The share of each member among all clients, from 0 to 1, where an answer has one member. Parts are normalised.
pub(in crate::steer) fn shares(groups: &[Vec<Stake>]) -> Vec<f64> {
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
fn group_shares(group: &[Stake]) -> (Vec<f64>, f64) {
    let mut shares = vec![0.0; group.len()];
    let mut below = 0.0;
    for cut in cuts(group) {
        let takes_part = |stake: &&Stake| stake.part >= cut;
        let weight: f64 = group.iter().filter(takes_part).map(|stake| f64::from(stake.weight)).sum();
        for (share, stake) in shares.iter_mut().zip(group).filter(|(_, stake)| takes_part(stake)) {
            *share += (cut.share() - below) * f64::from(stake.weight) / weight;
        }
        below = cut.share();
    }
    (shares, 1.0 - below)
}

/// The different parts of a group's members, the least first, but for nothing.
pub(in crate::steer) fn cuts(group: &[Stake]) -> Vec<Part> {
    let mut cuts: Vec<Part> = group.iter().map(|stake| stake.part).filter(|part| !part.is_none()).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// One group of equal rank whose weights give its members the shares that their parts leave them. A member with any share has
/// a weight of 1 at least.
pub(super) fn weighed(groups: &[Vec<Stake>]) -> Vec<Stake> {
    let shares = shares(groups);
    let steps = (shares.len() * 16).next_power_of_two().clamp(WEIGHT_STEPS, MAX_SLOTS);
    let weights = largest_remainder(&shares, steps);
    let members = groups.iter().flatten().zip(weights.into_iter().zip(shares));
    let weighed = |(stake, (weight, share)): (&Stake, (u32, f64))| {
        let weight = weight.max(u32::from(share > 0.0));
        Stake { weight, part: Part::FULL, ..*stake }
    };
    members.map(weighed).collect()
}
