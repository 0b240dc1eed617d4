//! `nearest`: the nearest usable member, and those that tie with it by weight. A nearest member
//! that keeps only a fraction of its clients gives away first those that lose the least distance.

use super::{
    candidates::{Candidates, MemberGroups, PickOrder},
    tier::Tier,
};
use crate::steer::compile::preference::LossRange;

pub(super) fn select(
    members: &[u16],
    tied: &[u16],
    loss_range: Option<LossRange>,
    wanted: usize,
    candidates: &mut Candidates<'_>,
) -> MemberGroups {
    let first = members.first().copied();
    if let (Some(range), Some(first)) = (loss_range, first)
        && candidates.is_usable(first, Tier::Primary)
    {
        candidates.keep_by_loss(first, range);
    }
    candidates.pick_in_order(&PickOrder { members, tied, first }, wanted)
}
