//! `weighted`: shares by weight among the usable members.

use super::{Ballot, Selection};

pub(super) fn select(ballot: &mut Ballot<'_>) -> Selection {
    let usable = ballot.usable();
    Selection { groups: if usable.is_empty() { Vec::new() } else { vec![usable] }, deliberate: false }
}
