//! `failover`: the first usable member in the order written, but that clients may stay with another one for a while, and that
//! those behind may get a trickle.

use super::{Ballot, Selection, Tier};
use crate::steer::part::Part;

pub(super) fn select(holder: Option<u16>, trickle: Option<f64>, wanted: usize, ballot: &mut Ballot<'_>) -> Selection {
    let count = ballot.seen.len() as u16;
    let others = (0..count).filter(|&member| Some(member) != holder);
    let order: Vec<u16> = holder.into_iter().filter(|&member| member < count).chain(others).collect();
    // Clients stay with a standby, too, until they are given back.
    if let Some(&first) = holder.and(order.first()) {
        ballot.promote(first);
    }
    if let Some(trickle) = trickle {
        spare(&order, trickle, ballot);
    }
    ballot.ranked(&order, &[], wanted)
}

/// Leaves each usable member behind the first the share `trickle` of all clients: of what comes to a member, it takes all but
/// what those behind it are to have.
fn spare(order: &[u16], trickle: f64, ballot: &mut Ballot<'_>) {
    let usable: Vec<u16> = order.iter().copied().filter(|&member| ballot.is_usable(member, Tier::Primary)).collect();
    let mut left = 1.0;
    for (at, &member) in usable.iter().enumerate() {
        let behind = (usable.len() - 1 - at) as f64 * trickle;
        let part = ballot.part(member).times(Part::of((left - behind) / left));
        ballot.parts[usize::from(member)] = part;
        left *= 1.0 - part.share();
        if left <= 0.0 {
            return;
        }
    }
}
