//! `geo`: the members of the most specific matching rule in order, then those of the next, then `default`.

use super::{Ballot, Selection};
use crate::steer::pool::Rule;

pub(super) fn select(
    rules: &[Rule],
    matching: &[u16],
    default: &[u32],
    wanted: usize,
    ballot: &mut Ballot<'_>,
) -> Selection {
    let of_rules = matching.iter().flat_map(|&rule| rules[usize::from(rule)].members.iter());
    let mut order: Vec<u16> = Vec::new();
    for &member in of_rules.chain(default) {
        let member = member as u16;
        if !order.contains(&member) {
            order.push(member);
        }
    }
    let deliberate = order.is_empty();
    Selection { deliberate, ..ballot.ranked(&order, &[], wanted) }
}
