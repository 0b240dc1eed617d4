//! `nearest`: the nearest usable member, and those that tie with it by weight.

use super::{Ballot, Selection};

pub(super) fn select(order: &[u16], tied: &[u16], wanted: usize, ballot: &mut Ballot<'_>) -> Selection {
    ballot.ranked(order, tied, wanted)
}
