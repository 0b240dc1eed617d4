//! `failover`: the first usable member in the order written.

use super::{Ballot, Selection};

pub(super) fn select(wanted: usize, ballot: &mut Ballot<'_>) -> Selection {
    let order: Vec<u16> = (0..ballot.seen.len() as u16).collect();
    ballot.ranked(&order, &[], wanted)
}
