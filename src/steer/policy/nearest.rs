//! `nearest`: the nearest usable member, and those that tie with it by weight. A nearest member
//! that keeps but a part of its clients gives those away first who lose the least distance by it.

use super::{Ballot, Selection, Tier};
use crate::steer::preference::Span;

pub(super) fn select(
    order: &[u16],
    tied: &[u16],
    span: Option<Span>,
    wanted: usize,
    ballot: &mut Ballot<'_>,
) -> Selection {
    if let (Some(span), Some(&first)) = (span, order.first())
        && ballot.is_usable(first, Tier::Primary)
    {
        ballot.keep_nearest(first, span);
    }
    ballot.ranked(order, tied, wanted)
}
