//! `weighted` and `load`: shares among the usable members, by weight as configured or as load
//! reports make it.

use super::candidates::{Candidates, MemberGroups};

pub(super) fn select(ballot: &mut Candidates<'_>) -> MemberGroups {
    let sharing = ballot.receiving();
    let groups = if sharing.is_empty() { Vec::new() } else { vec![sharing] };
    MemberGroups { groups, is_ranked: false, is_empty_by_config: false }
}
