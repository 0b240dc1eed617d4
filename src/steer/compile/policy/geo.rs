//! `geo`: the members of the most specific matching rule in order, then those of the next, then
//! `default`.

use super::candidates::{Candidates, MemberGroups};
use crate::steer::model::GeoRule;

pub(in crate::steer) fn select(
    rules: &[GeoRule],
    matching: &[u16],
    default: &[u32],
    wanted: usize,
    ballot: &mut Candidates<'_>,
) -> MemberGroups {
    let order = MatchedRules::new(rules, matching).order(default);
    let deliberate = order.is_empty();
    MemberGroups { is_empty_by_config: deliberate, ..ballot.pick_in_order(&order, &[], wanted) }
}

/// The rules that a client's search reaches, the most specific first. It ends at a rule with
/// `strict = true`, whose clients are never given another rule's members, and at a rule without
/// members, whose clients are to get NODATA.
pub(in crate::steer) struct MatchedRules<'a> {
    rules: Vec<&'a GeoRule>,
}

impl<'a> MatchedRules<'a> {
    pub(in crate::steer) fn new(rules: &'a [GeoRule], matching: &[u16]) -> Self {
        let matching = || matching.iter().map(|&at| &rules[usize::from(at)]);
        let count = matching().position(Self::ends_search).map_or(usize::MAX, |at| at + 1);
        Self { rules: matching().take(count).collect() }
    }

    fn ends_search(rule: &GeoRule) -> bool {
        rule.strict || rule.members.is_empty()
    }

    pub(in crate::steer) fn rules(&self) -> impl Iterator<Item = &'a GeoRule> {
        self.rules.iter().copied()
    }

    /// The rule that ends the search; `None` where the default is tried in the end.
    pub(in crate::steer) fn final_rule(&self) -> Option<&'a GeoRule> {
        self.rules.last().copied().filter(|rule| Self::ends_search(rule))
    }

    /// The members that the client is offered, the first choice first, each once.
    pub(in crate::steer) fn order(&self, default: &[u32]) -> Vec<u16> {
        let default = if self.final_rule().is_none() { default } else { &[] };
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
