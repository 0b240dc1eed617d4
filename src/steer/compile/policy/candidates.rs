//! Candidates: a pool's members as its policy sees them.

use super::{
    decision::{PickReason, SkipReason},
    search_result::SearchResult,
    tier::Tier,
};
use crate::steer::{compile::preference::LossRange, model::Fraction};

/// A pool's members. Each is searched once, and only if the policy evaluates it: the verdicts of
/// the evaluated members bound the TTL of the answer.
pub(in crate::steer) struct Candidates<'a> {
    search: &'a mut dyn FnMut(usize) -> SearchResult,
    evaluated: Vec<Option<Evaluation>>,
    fractions: Vec<Fraction>,
    flips_in_secs: u32,
    /// By member: why it was picked. `None` in a compilation, which does not ask for reasons.
    pick_reasons: Option<Vec<Option<PickReason>>>,
}

/// What a policy knows of a member.
#[derive(Debug, Clone, Copy)]
struct Evaluation {
    is_usable: bool,
    /// The tier by state and health.
    tier: Tier,
    /// The tier that it is picked by: of a promoted standby, that of a member in service.
    pick_tier: Tier,
    /// The fraction of its clients that it keeps in the client's area.
    kept_fraction: Fraction,
    /// The fraction that it takes of the clients that come to it, before any trickle.
    taken_fraction: Fraction,
}

/// The members picked, as positions in the pool: those of an earlier group always before those of a
/// later one.
#[derive(Debug, Default)]
pub(in crate::steer) struct MemberGroups {
    pub groups: Vec<Vec<u16>>,
    /// Whether the clients that a member does not take go to the members behind it, and not to
    /// those of its own group.
    pub is_ranked: bool,
    /// No member is offered because the configuration says so.
    pub is_empty_by_config: bool,
}

impl MemberGroups {
    /// The first member picked.
    pub(super) fn first(&self) -> Option<u16> {
        self.groups.first()?.first().copied()
    }
}

/// The order in which members are picked.
pub(super) struct PickOrder<'a> {
    /// Positions in the pool, the first choice first.
    pub members: &'a [u16],
    /// By rank: how many of the next ranks tie with it. Empty where none do.
    pub tied: &'a [u16],
    /// The member that is picked first when all are usable.
    pub first: Option<u16>,
}

impl<'a> Candidates<'a> {
    /// The members of a pool; `search` finds what the one at a position answers.
    pub(in crate::steer) fn new(
        members: usize,
        search: &'a mut dyn FnMut(usize) -> SearchResult,
    ) -> Self {
        Self {
            search,
            evaluated: vec![None; members],
            fractions: vec![Fraction::FULL; members],
            flips_in_secs: u32::MAX,
            pick_reasons: None,
        }
    }

    /// Has the policy record why it picks each member.
    pub(in crate::steer) fn record_reasons(&mut self) {
        self.pick_reasons = Some(vec![None; self.evaluated.len()]);
    }

    /// The least time until a verdict of an evaluated member could flip, in seconds.
    pub(in crate::steer) fn flips_in_secs(&self) -> u32 {
        self.flips_in_secs
    }

    /// By member: the fraction that it takes of the clients that come to it.
    pub(in crate::steer) fn into_fractions(self) -> Vec<Fraction> {
        self.fractions
    }

    pub(super) fn count(&self) -> u16 {
        self.evaluated.len() as u16
    }

    pub(super) fn is_usable(&mut self, member: u16, tier: Tier) -> bool {
        let evaluation = self.evaluate(member);
        evaluation.is_usable && evaluation.pick_tier == tier
    }

    fn evaluate(&mut self, member: u16) -> Evaluation {
        let position = usize::from(member);
        if let Some(evaluation) = self.evaluated[position] {
            return evaluation;
        }
        let result = (self.search)(position);
        self.flips_in_secs = self.flips_in_secs.min(result.flips_in_secs);
        let taken_fraction = result.fraction.times(result.kept_fraction);
        self.fractions[position] = taken_fraction;
        *self.evaluated[position].insert(Evaluation {
            is_usable: result.choice.is_some(),
            tier: result.tier,
            pick_tier: result.tier,
            kept_fraction: result.kept_fraction,
            taken_fraction,
        })
    }

    /// Evaluates a member that the selection does not depend on: its verdicts do not bound the TTL.
    fn evaluate_for_reason(&mut self, member: u16) -> Evaluation {
        let flips_in_secs = self.flips_in_secs;
        let evaluation = self.evaluate(member);
        self.flips_in_secs = flips_in_secs;
        evaluation
    }

    /// The usable members of the best tier that has any. Members that take no clients are among
    /// them only where there is no other.
    pub(super) fn receiving(&mut self) -> Vec<u16> {
        let usable = self.usable();
        let receiving: Vec<u16> =
            usable.iter().copied().filter(|&member| !self.fraction(member).is_zero()).collect();
        if receiving.is_empty() { usable } else { receiving }
    }

    /// Picks a usable standby as if it were in service.
    pub(super) fn promote(&mut self, member: u16) {
        let evaluation = self.evaluate(member);
        let pick_tier = evaluation.pick_tier.promoted();
        self.evaluated[usize::from(member)] = Some(Evaluation { pick_tier, ..evaluation });
    }

    /// Lets a member give away first the clients that lose the least distance, instead of an equal
    /// fraction of the clients of every area.
    pub(super) fn keep_by_loss(&mut self, member: u16, range: LossRange) {
        let result = (self.search)(usize::from(member));
        let kept_fraction = range.kept_fraction(result.kept_fraction);
        self.set_fractions(member, result.fraction, kept_fraction);
    }

    /// Limits what a usable member takes.
    pub(super) fn cap_fraction(&mut self, member: u16, cap: Fraction) {
        if member < self.count() && self.evaluate(member).is_usable {
            let result = (self.search)(usize::from(member));
            self.set_fractions(member, result.fraction.min(cap), result.kept_fraction);
        }
    }

    fn set_fractions(&mut self, member: u16, fraction: Fraction, kept_fraction: Fraction) {
        let taken_fraction = fraction.times(kept_fraction);
        let evaluation = self.evaluate(member);
        self.fractions[usize::from(member)] = taken_fraction;
        self.evaluated[usize::from(member)] =
            Some(Evaluation { kept_fraction, taken_fraction, ..evaluation });
    }

    /// Sets what a member takes of the clients that come to it, so that members behind it get a
    /// trickle.
    pub(super) fn reserve(&mut self, member: u16, fraction: Fraction) {
        self.fractions[usize::from(member)] = fraction;
    }

    pub(super) fn fraction(&self, member: u16) -> Fraction {
        self.fractions[usize::from(member)]
    }

    /// The usable members of the best tier that has any.
    pub(super) fn usable(&mut self) -> Vec<u16> {
        for tier in Tier::ALL {
            let usable: Vec<u16> =
                (0..self.count()).filter(|&member| self.is_usable(member, tier)).collect();
            if !usable.is_empty() {
                return usable;
            }
        }
        Vec::new()
    }

    /// Picks the first `wanted` usable members in order, of the best tier that has any. Those tied
    /// with the first one share its group; every other has a group of its own. A member that takes
    /// only a fraction leaves the rest to those behind it: these are picked, too, until `wanted`
    /// members accept all that comes to them.
    pub(super) fn pick_in_order(&mut self, order: &PickOrder<'_>, wanted: usize) -> MemberGroups {
        for tier in Tier::ALL {
            let groups = self.groups_in_order(order, tier, wanted);
            if !groups.is_empty() {
                let groups = self.without_zero_fractions(groups);
                self.note_order(&groups, order, wanted);
                return MemberGroups { groups, is_ranked: true, is_empty_by_config: false };
            }
        }
        MemberGroups::default()
    }

    fn groups_in_order(
        &mut self,
        order: &PickOrder<'_>,
        tier: Tier,
        wanted: usize,
    ) -> Vec<Vec<u16>> {
        let PickOrder { members, tied, .. } = *order;
        let mut groups: Vec<Vec<u16>> = Vec::new();
        let (mut picked, mut rank) = (0, 0);
        while rank < members.len() && picked < wanted {
            let last = if groups.is_empty() {
                rank + tied.get(rank).map_or(0, |&next| usize::from(next))
            } else {
                rank
            };
            if self.is_usable(members[rank], tier) {
                let group: Vec<u16> = members[rank..=last]
                    .iter()
                    .copied()
                    .filter(|&member| self.is_usable(member, tier))
                    .collect();
                picked += group.iter().filter(|&&member| self.fraction(member).is_full()).count();
                groups.push(group);
                rank = last;
            }
            rank += 1;
        }
        groups
    }

    /// Leaves out the members that accept no clients, unless none accepts any.
    fn without_zero_fractions(&self, groups: Vec<Vec<u16>>) -> Vec<Vec<u16>> {
        let taking = |group: &Vec<u16>| -> Vec<u16> {
            group.iter().copied().filter(|&member| !self.fraction(member).is_zero()).collect()
        };
        let receiving: Vec<Vec<u16>> =
            groups.iter().map(taking).filter(|group| !group.is_empty()).collect();
        if receiving.is_empty() { groups } else { receiving }
    }

    /// Records why a member was picked, where reasons are asked for.
    pub(super) fn note(&mut self, member: u16, reason: PickReason) {
        let is_standby =
            self.evaluated[usize::from(member)].is_some_and(|seen| seen.tier.is_standby());
        if let Some(reasons) = &mut self.pick_reasons {
            let is_last_resort = is_standby && reason != PickReason::Holder;
            reasons[usize::from(member)] =
                Some(if is_last_resort { PickReason::LastResort } else { reason });
        }
    }

    fn note_order(&mut self, groups: &[Vec<u16>], order: &PickOrder<'_>, wanted: usize) {
        if self.pick_reasons.is_none() {
            return;
        }
        for (rank, group) in groups.iter().enumerate() {
            for &member in group {
                let reason = if rank == 0 {
                    self.reason_in_first_group(member, group, order)
                } else if wanted > 1 {
                    PickReason::NextInOrder
                } else if groups[..rank].iter().flatten().any(|&before| self.would_take_all(before))
                {
                    PickReason::Trickle
                } else {
                    PickReason::Remainder
                };
                self.note(member, reason);
            }
        }
    }

    fn reason_in_first_group(
        &mut self,
        member: u16,
        group: &[u16],
        order: &PickOrder<'_>,
    ) -> PickReason {
        if group.first() != Some(&member) {
            PickReason::Tied
        } else if order.first == Some(member) {
            PickReason::First
        } else if order.first.is_some_and(|first| self.gives_all_away(first)) {
            PickReason::Remainder
        } else {
            PickReason::FirstUsable
        }
    }

    /// Whether a usable member gives away every client of the area.
    fn gives_all_away(&mut self, member: u16) -> bool {
        let evaluation = self.evaluate_for_reason(member);
        evaluation.is_usable && evaluation.kept_fraction.is_zero()
    }

    /// Whether a member accepts all clients that the policy gives it, before any are reserved for a
    /// trickle.
    fn would_take_all(&self, member: u16) -> bool {
        self.evaluated[usize::from(member)].is_some_and(|seen| seen.taken_fraction.is_full())
    }

    /// Why a member was picked; `None` for a member that was not, or where no reason was asked for.
    pub(super) fn pick_reason(&self, member: u16) -> Option<PickReason> {
        self.pick_reasons.as_ref()?[usize::from(member)]
    }

    /// Why a member was not picked, while `first` was picked first and clients of a `failover` pool
    /// stay with `holder`.
    pub(super) fn skip_reason(
        &mut self,
        member: u16,
        first: Option<u16>,
        holder: Option<u16>,
    ) -> SkipReason {
        let evaluation = self.evaluate_for_reason(member);
        let Some(first) = first.filter(|_| evaluation.is_usable) else {
            return SkipReason::Unusable;
        };
        let (tier, first_tier) = (evaluation.tier, self.evaluate_for_reason(first).tier);
        if holder == Some(first) && member < first {
            SkipReason::AwaitingFailback(first.into())
        } else if evaluation.kept_fraction.is_zero() {
            SkipReason::GivesClientsAway
        } else if tier.has_family_down() && !first_tier.has_family_down() {
            SkipReason::OtherFamilyDown
        } else if tier.is_pending() && !first_tier.is_pending() {
            SkipReason::Pending
        } else if tier.is_standby() && !first_tier.is_standby() {
            SkipReason::Standby
        } else {
            SkipReason::Behind(first.into())
        }
    }
}
