//! `geo`: the members of the most specific matching rule in order, then those of the next, then
//! `default`.

use super::candidates::{Candidates, MemberGroups, PickOrder};
use crate::steer::model::GeoRule;

pub(super) fn select(
    rules: &[GeoRule],
    matching: &[u16],
    default: &[u32],
    wanted: usize,
    candidates: &mut Candidates<'_>,
) -> MemberGroups {
    let members = MatchedRules::new(rules, matching).order(default);
    let order = PickOrder { members: &members, tied: &[], first: members.first().copied() };
    let is_empty_by_config = members.is_empty();
    MemberGroups { is_empty_by_config, ..candidates.pick_in_order(&order, wanted) }
}

/// The rules whose members a client is offered, the most specific first. The search ends at a rule
/// with `strict = true`, whose clients are never offered another rule's members, and at a rule
/// without members, whose clients get NODATA.
pub(in crate::steer) struct MatchedRules<'a> {
    rules: Vec<&'a GeoRule>,
}

impl<'a> MatchedRules<'a> {
    /// `matching` are positions in `rules`, the most specific first.
    pub(in crate::steer) fn new(rules: &'a [GeoRule], matching: &[u16]) -> Self {
        let matching = || matching.iter().map(|&rule| &rules[usize::from(rule)]);
        let count = matching().position(Self::ends_search).map_or(usize::MAX, |last| last + 1);
        Self { rules: matching().take(count).collect() }
    }

    fn ends_search(rule: &GeoRule) -> bool {
        rule.strict || rule.members.is_empty()
    }

    /// The rules up to the one that ends the search.
    pub(in crate::steer) fn rules(&self) -> impl Iterator<Item = &'a GeoRule> {
        self.rules.iter().copied()
    }

    /// The rule that ends the search; `None` where `default` follows the last rule.
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
