//! `all`: every usable member in one answer, in the order written.

use super::{Ballot, Selection};

pub(super) fn select(ballot: &mut Ballot<'_>) -> Selection {
    Selection { groups: ballot.usable().into_iter().map(|member| vec![member]).collect(), deliberate: false }
}
