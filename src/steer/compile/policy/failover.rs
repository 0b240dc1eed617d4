//! `failover`: the first usable member in the order written. Clients may stay with another member
//! for a while (`failback`), and members behind the first may get a trickle of clients.

use super::{
    candidates::{Candidates, MemberGroups, PickOrder},
    decision::PickReason,
    select_context::FailoverState,
    tier::Tier,
};
use crate::steer::model::Fraction;

pub(super) fn select(
    state: FailoverState,
    trickle: Option<f64>,
    wanted: usize,
    candidates: &mut Candidates<'_>,
) -> MemberGroups {
    let count = candidates.count();
    // First the holder; then, during a failback, the member that clients return to, and the member
    // that still holds the rest of them.
    let returning = state.failback.map(|failback| [failback.to, failback.from]);
    let mut first: Vec<u16> =
        state.holder.into_iter().chain(returning.into_iter().flatten()).collect();
    first.retain(|&member| member < count);
    first.dedup();
    // Clients stay with a standby, too, until they return.
    first.iter().for_each(|&member| candidates.promote(member));
    if let Some(failback) = state.failback {
        candidates.cap_fraction(failback.to, failback.fraction);
    }
    let others = (0..count).filter(|member| !first.contains(member));
    let members: Vec<u16> = first.iter().copied().chain(others).collect();
    if let Some(trickle) = trickle {
        reserve_trickle(&members, trickle, candidates);
    }
    let order = PickOrder { members: &members, tied: &[], first: (count > 0).then_some(0) };
    let selection = candidates.pick_in_order(&order, wanted);
    if let Some(holder) = state.holder.filter(|&holder| selection.first() == Some(holder)) {
        candidates.note(holder, PickReason::Holder);
    }
    selection
}

/// Reserves for each usable member behind the first the share `trickle` of all clients, or its own
/// fraction of that share. Each member then receives its fraction of the clients that come to it,
/// less what is reserved for those behind it. The clients that no member takes go to the member
/// with the greatest fraction.
fn reserve_trickle(order: &[u16], trickle: f64, candidates: &mut Candidates<'_>) {
    let usable: Vec<u16> = order
        .iter()
        .copied()
        .filter(|&member| candidates.is_usable(member, Tier::Primary))
        .collect();
    let fractions: Vec<f64> =
        usable.iter().map(|&member| candidates.fraction(member).share()).collect();
    let greatest = fractions.iter().copied().fold(0.0, f64::max);
    let Some(fullest) =
        fractions.iter().position(|fraction| *fraction == greatest).filter(|_| greatest > 0.0)
    else {
        return;
    };
    let mut rest = 1.0;
    let mut shares = Vec::with_capacity(fractions.len());
    for (fraction, behind) in fractions.iter().zip((0..fractions.len()).rev()) {
        let share = fraction / greatest * (rest - behind as f64 * trickle).max(0.0);
        shares.push(share);
        rest -= share;
    }
    shares[fullest] += rest;
    for (position, &member) in usable.iter().enumerate() {
        // The sum is computed again for each member, so that the last one with a share receives
        // exactly the rest, without a rounding error.
        let coming: f64 = shares[position..].iter().sum();
        let taken = if coming > 0.0 { shares[position] / coming } else { 0.0 };
        candidates.reserve(member, Fraction::from_share(taken));
    }
}
