//! Fractions: the shares of members that accept only a fraction of their clients, during a drain, a
//! slow start, a shed or a spill.
//!
//! A member with fraction p accepts a share p of the clients. Within a group these are the same
//! clients for every member: a greater fraction has all clients of a lesser one. Each client is
//! shared by weight among the members that accept it. It follows that a member with share s and
//! fraction p gets p·s, if the other members have their full share or all fractions are equal. A
//! member whose fraction is 0 is like one that is removed. A change of a fraction moves only
//! clients that come to that member or leave it.
//!
//! Clients that no member of a group accepts go to the next group. Clients that no group accepts
//! are shared by all groups in proportion to what they accept, so that every client gets an answer.

use super::{
    quotas::largest_remainder,
    weighted_member::{MAX_SLOTS, WeightedMember},
};
use crate::steer::model::Fraction;

/// The sum of weights that are derived from shares; more if there are many members.
const WEIGHT_STEPS: usize = 1 << 12;

/// Raises fractions until all clients are accepted, with each group's share in proportion to what
/// it accepted before. In a single group this divides all fractions by the greatest. If all
/// fractions are 0, all become full.
pub(in crate::steer) fn normalise(groups: &mut [Vec<WeightedMember>]) {
    let fractions: Vec<f64> = groups.iter().map(|group| greatest(group).share()).collect();
    let accepts_none = fractions.iter().all(|fraction| *fraction == 0.0);
    for (group, (fraction, raised)) in
        groups.iter_mut().zip(fractions.iter().zip(raised_to_cover_all(&fractions)))
    {
        for member in group.iter_mut().filter(|member| accepts_none || !member.fraction.is_zero()) {
            member.fraction = if accepts_none {
                Fraction::FULL
            } else {
                Fraction::from_share(member.fraction.share() * raised / fraction)
            };
        }
    }
}

/// The fractions of ranked groups, from 0 to 1 of the clients that reach each, raised so that the
/// clients which no group accepts are shared in proportion to what the groups accept. The last
/// group that accepts any clients then accepts all that reach it. The fractions stay the same if
/// some group accepts all already, or none accepts any.
pub(in crate::steer) fn raised_to_cover_all(fractions: &[f64]) -> Vec<f64> {
    let unaccepted: f64 = fractions.iter().map(|fraction| 1.0 - fraction).product();
    let mut raised = fractions.to_vec();
    if unaccepted == 0.0 || unaccepted == 1.0 {
        return raised;
    }
    let (mut before, mut after) = (1.0, 1.0);
    for (raised, fraction) in raised.iter_mut().zip(fractions) {
        let accepted = before * fraction / (1.0 - unaccepted);
        *raised = (accepted / after).min(1.0);
        before *= 1.0 - fraction;
        after = f64::max(after - accepted, f64::MIN_POSITIVE);
    }
    if let Some(last) = fractions.iter().rposition(|fraction| *fraction > 0.0) {
        raised[last] = 1.0;
    }
    raised
}

fn greatest(group: &[WeightedMember]) -> Fraction {
    group.iter().map(|member| member.fraction).max().unwrap_or(Fraction::ZERO)
}

/// The share of each member among all clients, from 0 to 1, if an answer has one member. The
/// fractions are normalised ([`normalise`]).
pub(in crate::steer) fn shares(groups: &[Vec<WeightedMember>]) -> Vec<f64> {
    let mut remaining = 1.0;
    let mut shares = Vec::new();
    for group in groups {
        let (in_group, unaccepted) = group_shares(group);
        shares.extend(in_group.into_iter().map(|share| share * remaining));
        remaining *= unaccepted;
    }
    shares
}

/// Each member's share of the clients that reach its group, and the share that no member accepts.
fn group_shares(group: &[WeightedMember]) -> (Vec<f64>, f64) {
    let mut shares = vec![0.0; group.len()];
    let mut below = 0.0;
    for fraction in distinct_fractions(group) {
        let accepts = |member: &&WeightedMember| member.fraction >= fraction;
        let weight: f64 = group.iter().filter(accepts).map(|member| f64::from(member.weight)).sum();
        for (share, member) in shares.iter_mut().zip(group).filter(|(_, member)| accepts(member)) {
            *share += (fraction.share() - below) * f64::from(member.weight) / weight;
        }
        below = fraction.share();
    }
    (shares, 1.0 - below)
}

/// The distinct fractions of a group's members above 0, in ascending order.
pub(in crate::steer) fn distinct_fractions(group: &[WeightedMember]) -> Vec<Fraction> {
    let mut fractions: Vec<Fraction> =
        group.iter().map(|member| member.fraction).filter(|fraction| !fraction.is_zero()).collect();
    fractions.sort_unstable();
    fractions.dedup();
    fractions
}

/// One group of equal rank whose weights give the members the shares that follow from their
/// fractions. A member with any share has a weight of at least 1.
pub(in crate::steer) fn weights_from_fractions(
    groups: &[Vec<WeightedMember>],
) -> Vec<WeightedMember> {
    let shares = shares(groups);
    let steps = (shares.len() * 16).next_power_of_two().clamp(WEIGHT_STEPS, MAX_SLOTS);
    let weights = largest_remainder(&shares, steps);
    let members = groups.iter().flatten().zip(weights.into_iter().zip(shares));
    let weighted = |(member, (weight, share)): (&WeightedMember, (u32, f64))| {
        let weight = weight.max(u32::from(share > 0.0));
        WeightedMember { weight, fraction: Fraction::FULL, ..*member }
    };
    members.map(weighted).collect()
}
