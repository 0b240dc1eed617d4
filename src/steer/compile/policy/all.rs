//! `all`: every usable member in one answer, in the order written.

use super::candidates::{Candidates, MemberGroups};

pub(super) fn select(ballot: &mut Candidates<'_>) -> MemberGroups {
    let groups = ballot.usable().into_iter().map(|member| vec![member]).collect();
    MemberGroups { groups, is_ranked: false, is_empty_by_config: false }
}
