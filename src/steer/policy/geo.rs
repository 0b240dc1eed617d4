//! `geo`: the members of the most specific matching rule in order, then those of the next, then
//! `default`.

use super::{Ballot, Selection};
use crate::steer::pool::Rule;

pub(super) fn select(
    rules: &[Rule],
    matching: &[u16],
    default: &[u32],
    wanted: usize,
    ballot: &mut Ballot<'_>,
) -> Selection {
    let order = Reached::of(rules, matching).order(default);
    let deliberate = order.is_empty();
    Selection { deliberate, ..ballot.ranked(&order, &[], wanted) }
}

/// The rules that a client's search reaches, the most specific first. It ends at a rule with
/// `strict = true`, whose clients are never given another rule's members, and at a rule without
/// members, whose clients are to get NODATA.
pub(in crate::steer) struct Reached<'a> {
    rules: Vec<&'a Rule>,
}

impl<'a> Reached<'a> {
    pub(in crate::steer) fn of(rules: &'a [Rule], matching: &[u16]) -> Self {
        let matching = || matching.iter().map(|&at| &rules[usize::from(at)]);
        let count = matching().position(Self::ends_search).map_or(usize::MAX, |at| at + 1);
        Self { rules: matching().take(count).collect() }
    }

    fn ends_search(rule: &Rule) -> bool {
        rule.strict || rule.members.is_empty()
    }

    pub(in crate::steer) fn rules(&self) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().copied()
    }

    /// The rule that ends the search; `None` where the default is tried in the end.
    pub(in crate::steer) fn last_word(&self) -> Option<&'a Rule> {
        self.rules.last().copied().filter(|rule| Self::ends_search(rule))
    }

    /// The members that the client is offered, the first choice first, each once.
    pub(in crate::steer) fn order(&self, default: &[u32]) -> Vec<u16> {
        let default = if self.last_word().is_none() { default } else { &[] };
        let mut order: Vec<u16> = Vec::new();
        for &member in self.rules().flat_map(|rule| &rule.members).chain(default) {
            let member = member as u16;
            if !order.contains(&member) {
                order.push(member);
            }
        }
        order
    }
}
