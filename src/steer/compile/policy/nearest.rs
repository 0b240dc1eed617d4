//! `nearest`: the nearest usable member, and those that tie with it by weight. A nearest member
//! that keeps but a part of its clients gives those away first who lose the least distance by it.

use super::{
    candidates::{Candidates, MemberGroups},
    tier::Tier,
};
use crate::steer::compile::preference::LossRange;

pub(super) fn select(
    order: &[u16],
    tied: &[u16],
    span: Option<LossRange>,
    wanted: usize,
    ballot: &mut Candidates<'_>,
) -> MemberGroups {
    if let (Some(span), Some(&first)) = (span, order.first())
        && ballot.is_usable(first, Tier::Primary)
    {
        ballot.keep_by_loss(first, span);
    }
    ballot.pick_in_order(order, tied, wanted)
}
