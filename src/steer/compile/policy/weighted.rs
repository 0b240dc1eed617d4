//! `weighted` and `load`: shares among the usable members, by their configured weights or by the
//! weights that load reports lead to.

use super::{
    candidates::{Candidates, MemberGroups},
    decision::PickReason,
};

pub(super) fn select(candidates: &mut Candidates<'_>) -> MemberGroups {
    let receiving = candidates.receiving();
    receiving.iter().for_each(|&member| candidates.note(member, PickReason::Weight));
    let groups = if receiving.is_empty() { Vec::new() } else { vec![receiving] };
    MemberGroups { groups, is_ranked: false, is_empty_by_config: false }
}
