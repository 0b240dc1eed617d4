//! Candidates: a pool's members as its policy sees them.

use super::tier::Tier;
use crate::steer::{chart::WheelChoice, compile::preference::LossRange, model::Fraction};

/// What a member or a pool comes to, for one family and one area.
#[derive(Debug, Clone)]
pub(in crate::steer) struct SearchResult {
    /// What to answer; `None` is not usable.
    pub choice: Option<WheelChoice>,
    /// Which members it is picked before.
    pub tier: Tier,
    /// How much of what it would get it takes: less than all amid a drain or a slow start.
    pub fraction: Fraction,
    /// How much of its clients it keeps: less than all where it sheds or spills.
    pub kept_fraction: Fraction,
    /// Until a verdict that this finding hangs on could flip, in seconds.
    pub flips_in_secs: u32,
    /// There is nothing by the operator's will (`default = []`), not by a failure.
    pub is_empty_by_config: bool,
}

impl SearchResult {
    /// Nothing usable.
    pub(in crate::steer) fn nothing(flips_in_secs: u32) -> Self {
        Self {
            choice: None,
            tier: Tier::Primary,
            fraction: Fraction::FULL,
            kept_fraction: Fraction::FULL,
            flips_in_secs,
            is_empty_by_config: false,
        }
    }
}

/// A pool's members as a policy sees them. Each is looked at once, and only if the policy wants to
/// know.
pub(in crate::steer) struct Candidates<'a> {
    evaluate: &'a mut dyn FnMut(usize) -> SearchResult,
    pub(super) evaluated: Vec<Option<(bool, Tier)>>,
    /// What each member seen takes of what it would get.
    pub(super) fractions: Vec<Fraction>,
    flips_in_secs: u32,
}

/// The members picked, as positions in the pool: those of an earlier group always before those of a
/// later.
#[derive(Debug, Default)]
pub(in crate::steer) struct MemberGroups {
    pub groups: Vec<Vec<u16>>,
    /// Whether what a member does not take goes to those behind it, and not to its equals.
    pub is_ranked: bool,
    /// There is nothing by the operator's will.
    pub is_empty_by_config: bool,
}

impl<'a> Candidates<'a> {
    pub(in crate::steer) fn new(
        members: usize,
        evaluate: &'a mut dyn FnMut(usize) -> SearchResult,
    ) -> Self {
        Self {
            evaluate,
            evaluated: vec![None; members],
            fractions: vec![Fraction::FULL; members],
            flips_in_secs: u32::MAX,
        }
    }

    /// The least time until a verdict that was looked at could flip, in seconds.
    pub(in crate::steer) fn flips_in_secs(&self) -> u32 {
        self.flips_in_secs
    }

    /// What each member takes of what it would get.
    pub(in crate::steer) fn into_fractions(self) -> Vec<Fraction> {
        self.fractions
    }

    pub(super) fn is_usable(&mut self, member: u16, tier: Tier) -> bool {
        self.tier(member) == Some(tier)
    }

    /// The tier of a member that is usable.
    fn tier(&mut self, member: u16) -> Option<Tier> {
        let at = usize::from(member);
        let (usable, tier) = match self.evaluated[at] {
            Some(seen) => seen,
            None => {
                let finding = (self.evaluate)(at);
                self.flips_in_secs = self.flips_in_secs.min(finding.flips_in_secs);
                self.fractions[at] = finding.fraction.times(finding.kept_fraction);
                *self.evaluated[at].insert((finding.choice.is_some(), finding.tier))
            }
        };
        usable.then_some(tier)
    }

    /// The usable members of the best tier that has any; those that take nothing only where there
    /// is nobody else.
    pub(super) fn receiving(&mut self) -> Vec<u16> {
        let usable = self.usable();
        let taking: Vec<u16> =
            usable.iter().copied().filter(|&member| !self.fraction(member).is_zero()).collect();
        if taking.is_empty() { usable } else { taking }
    }

    /// Makes a usable standby count as in service.
    pub(super) fn promote(&mut self, member: u16) {
        if let Some(tier) = self.tier(member) {
            self.evaluated[usize::from(member)] = Some((true, tier.promoted()));
        }
    }

    /// Has a member keep its clients by how much distance they would lose, and not one as soon as
    /// another.
    pub(super) fn keep_by_loss(&mut self, member: u16, span: LossRange) {
        let at = usize::from(member);
        let finding = (self.evaluate)(at);
        self.fractions[at] = finding.fraction.times(span.kept_fraction(finding.kept_fraction));
    }

    /// Has a usable member take no more than a part.
    pub(super) fn cap_fraction(&mut self, member: u16, part: Fraction) {
        let at = usize::from(member);
        if at < self.evaluated.len() && self.tier(member).is_some() {
            let finding = (self.evaluate)(at);
            self.fractions[at] = finding.fraction.min(part).times(finding.kept_fraction);
        }
    }

    pub(super) fn fraction(&self, member: u16) -> Fraction {
        self.fractions[usize::from(member)]
    }

    /// The usable members of the best tier that has any.
    pub(super) fn usable(&mut self) -> Vec<u16> {
        for tier in Tier::ALL {
            let usable: Vec<u16> = (0..self.evaluated.len() as u16)
                .filter(|&member| self.is_usable(member, tier))
                .collect();
            if !usable.is_empty() {
                return usable;
            }
        }
        Vec::new()
    }

    /// The first `wanted` usable members along `order`, of the best tier that has any. Those tied
    /// with the first one (how many of the next ranks, by rank, in `tied`) make one group with it;
    /// every other is a group of its own. A member that takes but a part leaves the rest to those
    /// behind it: they are picked, too, up to as many as take all.
    pub(super) fn pick_in_order(
        &mut self,
        order: &[u16],
        tied: &[u16],
        wanted: usize,
    ) -> MemberGroups {
        for tier in Tier::ALL {
            let mut groups: Vec<Vec<u16>> = Vec::new();
            let mut picked = 0;
            let mut rank = 0;
            while rank < order.len() && picked < wanted {
                let last = if groups.is_empty() {
                    rank + tied.get(rank).map_or(0, |&next| usize::from(next))
                } else {
                    rank
                };
                if self.is_usable(order[rank], tier) {
                    let group: Vec<u16> = order[rank..=last]
                        .iter()
                        .copied()
                        .filter(|&member| self.is_usable(member, tier))
                        .collect();
                    picked +=
                        group.iter().filter(|&&member| self.fraction(member).is_full()).count();
                    groups.push(group);
                    rank = last;
                }
                rank += 1;
            }
            if !groups.is_empty() {
                return MemberGroups {
                    groups: self.without_zero_fractions(groups),
                    is_ranked: true,
                    is_empty_by_config: false,
                };
            }
        }
        MemberGroups::default()
    }

    /// Without those that take nothing, unless nobody takes anything.
    fn without_zero_fractions(&self, groups: Vec<Vec<u16>>) -> Vec<Vec<u16>> {
        let taking = |group: &Vec<u16>| -> Vec<u16> {
            group.iter().copied().filter(|&member| !self.fraction(member).is_zero()).collect()
        };
        let busy: Vec<Vec<u16>> =
            groups.iter().map(taking).filter(|group| !group.is_empty()).collect();
        if busy.is_empty() { groups } else { busy }
    }
}
