//! `all`: every usable member in one answer, in the order written.

use super::{
    candidates::{Candidates, MemberGroups},
    decision::PickReason,
};

pub(super) fn select(candidates: &mut Candidates<'_>) -> MemberGroups {
    let usable = candidates.usable();
    usable.iter().for_each(|&member| candidates.note(member, PickReason::AllUsable));
    let groups = usable.into_iter().map(|member| vec![member]).collect();
    MemberGroups { groups, is_ranked: false, is_empty_by_config: false }
}
