//! `all`: every usable member in one answer, in the order written.

use super::{Ballot, Selection};

pub(super) fn select(ballot: &mut Ballot<'_>) -> Selection {
    let groups = ballot.usable().into_iter().map(|member| vec![member]).collect();
    Selection { groups, is_ranked: false, deliberate: false }
}
