//! Least movement: each slot belongs to the member with the least score for it.
//!
//! A member's score is the exponentially distributed number of its *rank* for the slot, divided by
//! its weight. So each member has the least score with the probability of its share of the weight,
//! and the order of the scores is that of drawing by weight without replacement (Efraimidis and
//! Spirakis 2006). Ranks are a keyed permutation of the slots: each member has each rank once,
//! which makes shares more exact than independent numbers would.

use super::weighted_member::WeightedMember;
use crate::steer::chart::{
    BLOCK_SLOTS, InversePermutation, Permutation, ScoreCurve, ScoredMember, SlotScore,
};

/// Up to so many members, of up to so many different weights, all ranks of all slots are compared;
/// beyond, the lowest ranks first, until the slots are claimed.
const MAX_COMPARED_MEMBERS: usize = 32;

const MAX_COMPARED_WEIGHTS: usize = 8;

/// Seeds the permutation that says which slots a member takes part for.
const GROUP_SEED: u64 = 0x7061_7274;

/// The members of a group, sorted by the hashes of their names. Where scores are equal, the earlier
/// one wins, so that the order written does not matter.
pub(super) fn scored_members(group: &[WeightedMember], slots: usize) -> Box<[ScoredMember]> {
    let mut members: Vec<(&WeightedMember, u16)> = group.iter().zip(0..).collect();
    members.sort_unstable_by_key(|(member, _)| member.id);
    members
        .into_iter()
        .map(|(member, at)| ScoredMember::new(at, member.id, member.weight, slots))
        .collect()
}

/// The member of each slot.
pub(super) fn owners(contenders: &[ScoredMember], curve: &ScoreCurve) -> Box<[u16]> {
    let mut classes: Vec<(u64, Vec<u16>)> = Vec::new();
    if contenders.len() <= MAX_COMPARED_MEMBERS {
        for (contender, at) in contenders.iter().zip(0..) {
            let weight = contender.inverse_weight.to_bits();
            match classes.iter_mut().find(|(of, _)| *of == weight) {
                Some((_, class)) => class.push(at),
                None => classes.push((weight, vec![at])),
            }
        }
    }
    let mut claims = LowestScores::new(contenders, curve);
    if (1..=MAX_COMPARED_WEIGHTS).contains(&classes.len()) {
        classes.iter().for_each(|(_, class)| claims.score_weight_class(class));
    } else {
        claims.score_by_rank();
        claims.score_open_slots();
    }
    claims.least.iter().map(|claim| contenders[claim.at()].member).collect()
}

/// The member of each slot of a group whose members may take parts. The owner by weight keeps a
/// slot that it takes part for; any other slot goes to the next in the order of scores that does.
pub(super) fn owners_with_fractions(
    group: &[WeightedMember],
    contenders: &[ScoredMember],
    curve: &ScoreCurve,
) -> Box<[u16]> {
    let mut owners = owners(contenders, curve);
    if group.iter().all(|stake| stake.fraction.is_full()) {
        return owners;
    }
    let willing: Vec<AcceptedSlots> =
        group.iter().map(|stake| AcceptedSlots::of_group(stake, curve.len())).collect();
    for (owner, slot) in owners.iter_mut().zip(0..=u16::MAX) {
        if !willing[usize::from(*owner)].contains(slot) {
            let takers = contenders
                .iter()
                .zip(0..)
                .filter(|(one, _)| willing[usize::from(one.member)].contains(slot));
            let least = takers.map(|(one, at)| one.score(slot, at, curve)).min();
            *owner = least.map_or(*owner, |claim| contenders[claim.at()].member);
        }
    }
    owners
}

/// The layer of each slot: the first that takes part for it, or the last.
pub(super) fn layers(layers: &[WeightedMember], slots: usize) -> Box<[u16]> {
    let willing: Vec<AcceptedSlots> =
        layers.iter().map(|layer| AcceptedSlots::of_group(layer, slots)).collect();
    let layer =
        |slot| willing.iter().position(|layer| layer.contains(slot)).unwrap_or(willing.len() - 1);
    (0..slots).map(|slot| layer(slot as u16) as u16).collect()
}

/// The least claim to each slot.
pub(super) struct LowestScores<'a> {
    contenders: &'a [ScoredMember],
    curve: &'a [f64],
    pub(super) least: Vec<SlotScore>,
    /// Slots without a claim.
    open: usize,
}

impl<'a> LowestScores<'a> {
    pub(super) fn new(contenders: &'a [ScoredMember], curve: &'a [f64]) -> Self {
        Self { contenders, curve, least: vec![SlotScore::NONE; curve.len()], open: curve.len() }
    }

    /// Claims every slot for the members of one weight: of these, the one with the least rank has
    /// the least score.
    pub(super) fn score_weight_class(&mut self, class: &[u16]) {
        let Some(inverse) =
            class.first().map(|&at| self.contenders[usize::from(at)].inverse_weight)
        else {
            return;
        };
        for (least, block) in self.least.as_chunks_mut::<BLOCK_SLOTS>().0.iter_mut().zip(0_u16..) {
            let (mut ranks, mut owners) = ([u16::MAX; BLOCK_SLOTS], [class[0]; BLOCK_SLOTS]);
            for &at in class {
                let permutation = self.contenders[usize::from(at)].permutation;
                permutation.keep_lowest_ranks(
                    block * BLOCK_SLOTS as u16,
                    at,
                    &mut ranks,
                    &mut owners,
                );
            }
            for (slot, (&rank, &at)) in ranks.iter().zip(&owners).enumerate() {
                least[slot] =
                    least[slot].min(SlotScore::new(self.curve[usize::from(rank)] * inverse, at));
            }
        }
    }

    /// Claims slots for every member, in order of its ranks, up to a limit of the score that is
    /// raised step by step. At the end of a step the owner of a slot is final: all other scores for
    /// the slot are above the limit. Each step makes about as many claims as there are slots, and
    /// leaves 1/e of the open slots open. The steps end where comparing every member for the open
    /// slots costs no more than another step.
    pub(super) fn score_by_rank(&mut self) {
        let weight: f64 =
            self.contenders.iter().map(|contender| 1.0 / contender.inverse_weight).sum();
        let inverses: Vec<InversePermutation> =
            self.contenders.iter().map(|contender| contender.permutation.inverse()).collect();
        let mut ranks = vec![0_usize; inverses.len()];
        let mut limit = 0.0;
        while self.open * inverses.len() > self.curve.len() {
            limit += 1.0 / weight;
            for (at, (inverse, rank)) in inverses.iter().zip(&mut ranks).enumerate() {
                let scale = self.contenders[at].inverse_weight;
                while let Some(score) = self.curve.get(*rank).map(|score| score * scale)
                    && score <= limit
                {
                    let least = &mut self.least[usize::from(inverse.slot(*rank as u16))];
                    self.open -= usize::from(*least == SlotScore::NONE);
                    *least = SlotScore::new(score, at as u16).min(*least);
                    *rank += 1;
                }
            }
        }
    }

    /// Gives each slot without a claim to the member with the least score.
    pub(super) fn score_open_slots(&mut self) {
        for (least, slot) in
            self.least.iter_mut().zip(0..=u16::MAX).filter(|(least, _)| **least == SlotScore::NONE)
        {
            let claims = self
                .contenders
                .iter()
                .zip(0..)
                .map(|(contender, at)| contender.score(slot, at, self.curve));
            *least = claims.min().unwrap_or(SlotScore::NONE);
        }
    }
}

/// The members of each slot, slot-major, where ranked members take parts: each slot orders every
/// group by score and keeps the first `picks` of those that take part for it. Where too few members
/// do, the first of the others get it.
pub(super) fn ranked_with_fractions(
    groups: &[Vec<WeightedMember>],
    picks: usize,
    curve: &ScoreCurve,
) -> Box<[u16]> {
    let mut first = 0;
    let ranked: Vec<Vec<FractionalMember>> = groups
        .iter()
        .map(|group| {
            let partaker = |(stake, at): (&WeightedMember, u16)| FractionalMember {
                contender: ScoredMember::new(at, stake.id, stake.weight, curve.len()),
                accepted: match group.len() {
                    1 => AcceptedSlots::alone(stake, curve.len()),
                    _ => AcceptedSlots::of_group(stake, curve.len()),
                },
            };
            let members = group.iter().zip(first..).map(partaker).collect();
            first += group.len() as u16;
            members
        })
        .collect();
    let mut table = Vec::with_capacity(curve.len() * picks);
    let mut claims: Vec<SlotScore> = Vec::new();
    for slot in (0..curve.len()).map(|slot| slot as u16) {
        let end = table.len() + picks;
        for (is_willing, group) in [true, false]
            .into_iter()
            .flat_map(|is_willing| ranked.iter().map(move |group| (is_willing, group)))
        {
            if table.len() == end {
                break;
            }
            let takers = group.iter().filter(|member| member.accepted.contains(slot) == is_willing);
            claims.clear();
            claims.extend(
                takers.map(|member| member.contender.score(slot, member.contender.member, curve)),
            );
            claims.sort_unstable();
            table.extend(claims.iter().take(end - table.len()).map(|claim| claim.at() as u16));
        }
    }
    table.into_boxed_slice()
}

/// A ranked member that takes a part of the slots.
struct FractionalMember {
    contender: ScoredMember,
    accepted: AcceptedSlots,
}

/// The slots that a member takes part for: those whose ranks by a permutation are below its part. A
/// greater part has all slots of a lesser one, so that a ramp moves each slot once.
pub(super) struct AcceptedSlots {
    permutation: Permutation,
    /// How many slots it takes part for.
    slots: usize,
}

impl AcceptedSlots {
    /// Of one member among several of equal rank: members with equal parts take part for the same
    /// slots.
    pub(super) fn of_group(stake: &WeightedMember, slots: usize) -> Self {
        Self::new(GROUP_SEED, stake, slots)
    }

    /// Of a member that is alone in its rank: whether it takes a slot says nothing about the ranks
    /// behind it.
    fn alone(stake: &WeightedMember, slots: usize) -> Self {
        Self::new(stake.id.rotate_left(32) ^ GROUP_SEED, stake, slots)
    }

    fn new(seed: u64, stake: &WeightedMember, slots: usize) -> Self {
        let taken = (stake.fraction.share() * slots as f64).round() as usize;
        Self { permutation: Permutation::new(seed, slots), slots: taken }
    }

    pub(super) fn contains(&self, slot: u16) -> bool {
        usize::from(self.permutation.rank(slot)) < self.slots
    }
}
