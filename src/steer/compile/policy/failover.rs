//! `failover`: the first usable member in the order written, but that clients may stay with another
//! one for a while, and that those behind may get a trickle.

use super::{
    candidates::{Candidates, MemberGroups},
    select_context::FailoverState,
    tier::Tier,
};
use crate::steer::model::Fraction;

pub(super) fn select(
    past: FailoverState,
    trickle: Option<f64>,
    wanted: usize,
    ballot: &mut Candidates<'_>,
) -> MemberGroups {
    let count = ballot.evaluated.len() as u16;
    // First the holder, or the member that clients return to and then the one that still has the
    // others.
    let returning = past.failback.map_or([None, None], |one| [Some(one.to), Some(one.from)]);
    let mut first: Vec<u16> =
        past.holder.into_iter().chain(returning.into_iter().flatten()).collect();
    first.retain(|&member| member < count);
    first.dedup();
    // Clients stay with a standby, too, until they are given back.
    first.iter().for_each(|&member| ballot.promote(member));
    if let Some(returning) = past.failback {
        ballot.cap_fraction(returning.to, returning.fraction);
    }
    let others = (0..count).filter(|member| !first.contains(member));
    let order: Vec<u16> = first.iter().copied().chain(others).collect();
    if let Some(trickle) = trickle {
        reserve_trickle(&order, trickle, ballot);
    }
    ballot.pick_in_order(&order, &[], wanted)
}

/// Leaves each usable member behind the first the share `trickle` of all clients, or its part of
/// that: of what comes to a member, it takes its part of all but what those behind it are to have.
/// What nobody takes goes to the member with the greatest part.
fn reserve_trickle(order: &[u16], trickle: f64, ballot: &mut Candidates<'_>) {
    let usable: Vec<u16> =
        order.iter().copied().filter(|&member| ballot.is_usable(member, Tier::Primary)).collect();
    let parts: Vec<f64> = usable.iter().map(|&member| ballot.fraction(member).share()).collect();
    let greatest = parts.iter().copied().fold(0.0, f64::max);
    let Some(fullest) = parts.iter().position(|part| *part == greatest).filter(|_| greatest > 0.0)
    else {
        return;
    };
    let mut left = 1.0;
    let mut shares = Vec::with_capacity(parts.len());
    for (part, behind) in parts.iter().zip((0..parts.len()).rev()) {
        let share = part / greatest * (left - behind as f64 * trickle).max(0.0);
        shares.push(share);
        left -= share;
    }
    shares[fullest] += left;
    for (at, &member) in usable.iter().enumerate() {
        // Summed anew for each, so that the last one with a share takes exactly all that comes to
        // it.
        let coming: f64 = shares[at..].iter().sum();
        ballot.fractions[usize::from(member)] =
            Fraction::from_share(if coming > 0.0 { shares[at] / coming } else { 0.0 });
    }
}
