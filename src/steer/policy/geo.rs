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
    let order = order(rules, matching, default);
    let deliberate = order.is_empty();
    Selection { deliberate, ..ballot.ranked(&order, &[], wanted) }
}

/// The members that a client is offered, the first choice first, each once.
pub(super) fn order(rules: &[Rule], matching: &[u16], default: &[u32]) -> Vec<u16> {
    let of_rules = matching.iter().flat_map(|&rule| rules[usize::from(rule)].members.iter());
    let mut order: Vec<u16> = Vec::new();
    for &member in of_rules.chain(default) {
        let member = member as u16;
        if !order.contains(&member) {
            order.push(member);
        }
    }
    order
}
