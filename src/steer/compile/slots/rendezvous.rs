//! Rendezvous hashing, for minimal movement: each slot belongs to the member with the least score
//! for it.
//!
//! A member's score is the exponentially distributed number of its *rank* for the slot, divided by
//! its weight. So each member has the least score with the probability of its share of the weight,
//! and the order of the scores is that of drawing by weight without replacement (Efraimidis and
//! Spirakis 2006). Ranks are a keyed permutation of the slots: each member has each rank once,
//! which makes shares more exact than independent random numbers would.

use super::weighted_member::WeightedMember;
use crate::steer::chart::{
    BLOCK_SLOTS, InversePermutation, Permutation, ScoreCurve, ScoredMember, SlotScore,
};

/// The maximum number of members for which the ranks of all members are compared for every slot.
/// Beyond this or [`MAX_COMPARED_WEIGHTS`], slots are scored by ascending rank until all have an
/// owner.
const MAX_COMPARED_MEMBERS: usize = 32;

/// The maximum number of different weights for which all ranks are compared.
const MAX_COMPARED_WEIGHTS: usize = 8;

/// The seed of the permutation that decides which slots a member accepts.
const GROUP_SEED: u64 = 0x7061_7274;

/// The members of a group, sorted by the hashes of their names. Of equal scores the earlier member
/// wins, so that the order written does not matter.
pub(super) fn scored_members(group: &[WeightedMember], slots: usize) -> Box<[ScoredMember]> {
    let mut members: Vec<(&WeightedMember, u16)> = group.iter().zip(0..).collect();
    members.sort_unstable_by_key(|(member, _)| member.id);
    members
        .into_iter()
        .map(|(member, position)| ScoredMember::new(position, member.id, member.weight, slots))
        .collect()
}

/// The member of each slot.
pub(super) fn owners(contenders: &[ScoredMember], curve: &ScoreCurve) -> Box<[u16]> {
    let mut classes: Vec<(u64, Vec<u16>)> = Vec::new();
    if contenders.len() <= MAX_COMPARED_MEMBERS {
        for (contender, index) in contenders.iter().zip(0..) {
            let weight = contender.inverse_weight.to_bits();
            match classes.iter_mut().find(|(other, _)| *other == weight) {
                Some((_, class)) => class.push(index),
                None => classes.push((weight, vec![index])),
            }
        }
    }
    let mut lowest = LowestScores::new(contenders, curve);
    if (1..=MAX_COMPARED_WEIGHTS).contains(&classes.len()) {
        classes.iter().for_each(|(_, class)| lowest.score_weight_class(class));
    } else {
        lowest.score_by_rank();
        lowest.score_open_slots();
    }
    lowest.least.iter().map(|score| contenders[score.at()].member).collect()
}

/// The member of each slot of a group whose members may have fractions. The owner by weight keeps a
/// slot that it accepts; any other slot goes to the next member in order of score that accepts it.
pub(super) fn owners_with_fractions(
    group: &[WeightedMember],
    contenders: &[ScoredMember],
    curve: &ScoreCurve,
) -> Box<[u16]> {
    let mut owners = owners(contenders, curve);
    if group.iter().all(|member| member.fraction.is_full()) {
        return owners;
    }
    let accepted: Vec<AcceptedSlots> =
        group.iter().map(|member| AcceptedSlots::of_group(member, curve.len())).collect();
    for (owner, slot) in owners.iter_mut().zip(0..=u16::MAX) {
        if !accepted[usize::from(*owner)].contains(slot) {
            let accepting = contenders
                .iter()
                .zip(0..)
                .filter(|(contender, _)| accepted[usize::from(contender.member)].contains(slot));
            let least =
                accepting.map(|(contender, index)| contender.score(slot, index, curve)).min();
            *owner = least.map_or(*owner, |score| contenders[score.at()].member);
        }
    }
    owners
}

/// The layer of each slot: the first that accepts it, or the last.
pub(super) fn layers(layers: &[WeightedMember], slots: usize) -> Box<[u16]> {
    let accepted: Vec<AcceptedSlots> =
        layers.iter().map(|layer| AcceptedSlots::of_group(layer, slots)).collect();
    let layer =
        |slot| accepted.iter().position(|layer| layer.contains(slot)).unwrap_or(accepted.len() - 1);
    (0..slots).map(|slot| layer(slot as u16) as u16).collect()
}

/// The least score of each slot, while members are scored.
pub(super) struct LowestScores<'a> {
    contenders: &'a [ScoredMember],
    curve: &'a [f64],
    pub(super) least: Vec<SlotScore>,
    /// The number of slots without a score.
    open: usize,
}

impl<'a> LowestScores<'a> {
    pub(super) fn new(contenders: &'a [ScoredMember], curve: &'a [f64]) -> Self {
        Self { contenders, curve, least: vec![SlotScore::NONE; curve.len()], open: curve.len() }
    }

    /// Scores every slot for the members of one weight: of these, the one with the least rank has
    /// the least score.
    pub(super) fn score_weight_class(&mut self, class: &[u16]) {
        let Some(inverse) =
            class.first().map(|&index| self.contenders[usize::from(index)].inverse_weight)
        else {
            return;
        };
        for (least, block) in self.least.as_chunks_mut::<BLOCK_SLOTS>().0.iter_mut().zip(0_u16..) {
            let (mut ranks, mut owners) = ([u16::MAX; BLOCK_SLOTS], [class[0]; BLOCK_SLOTS]);
            for &index in class {
                let permutation = self.contenders[usize::from(index)].permutation;
                permutation.keep_lowest_ranks(
                    block * BLOCK_SLOTS as u16,
                    index,
                    &mut ranks,
                    &mut owners,
                );
            }
            for (slot, (&rank, &index)) in ranks.iter().zip(&owners).enumerate() {
                let score = SlotScore::new(self.curve[usize::from(rank)] * inverse, index);
                least[slot] = least[slot].min(score);
            }
        }
    }

    /// Scores slots for every member, in order of its ranks, up to a limit of the score that is
    /// raised step by step. At the end of a step the owner of a scored slot is final: all other
    /// scores for the slot are above the limit. Each step computes about as many scores as there
    /// are slots, and leaves 1/e of the open slots open. The steps end when comparing every member
    /// for the open slots costs no more than another step.
    pub(super) fn score_by_rank(&mut self) {
        let weight: f64 =
            self.contenders.iter().map(|contender| 1.0 / contender.inverse_weight).sum();
        let inverses: Vec<InversePermutation> =
            self.contenders.iter().map(|contender| contender.permutation.inverse()).collect();
        let mut ranks = vec![0_usize; inverses.len()];
        let mut limit = 0.0;
        while self.open * inverses.len() > self.curve.len() {
            limit += 1.0 / weight;
            for (index, (inverse, rank)) in inverses.iter().zip(&mut ranks).enumerate() {
                let scale = self.contenders[index].inverse_weight;
                while let Some(score) = self.curve.get(*rank).map(|score| score * scale)
                    && score <= limit
                {
                    let least = &mut self.least[usize::from(inverse.slot(*rank as u16))];
                    self.open -= usize::from(*least == SlotScore::NONE);
                    *least = SlotScore::new(score, index as u16).min(*least);
                    *rank += 1;
                }
            }
        }
    }

    /// Gives each slot without a score to the member with the least score.
    pub(super) fn score_open_slots(&mut self) {
        for (least, slot) in
            self.least.iter_mut().zip(0..=u16::MAX).filter(|(least, _)| **least == SlotScore::NONE)
        {
            let scores = self
                .contenders
                .iter()
                .zip(0..)
                .map(|(contender, index)| contender.score(slot, index, self.curve));
            *least = scores.min().unwrap_or(SlotScore::NONE);
        }
    }
}

/// The members of each slot, slot-major, for ranked members with fractions. Each slot orders every
/// group by score and keeps the first `picks` members that accept it. If too few members do, the
/// first of the others follow.
pub(super) fn ranked_with_fractions(
    groups: &[Vec<WeightedMember>],
    picks: usize,
    curve: &ScoreCurve,
) -> Box<[u16]> {
    let mut first = 0;
    let ranked: Vec<Vec<FractionalMember>> = groups
        .iter()
        .map(|group| {
            let fractional = |(member, position): (&WeightedMember, u16)| FractionalMember {
                contender: ScoredMember::new(position, member.id, member.weight, curve.len()),
                accepted: match group.len() {
                    1 => AcceptedSlots::alone(member, curve.len()),
                    _ => AcceptedSlots::of_group(member, curve.len()),
                },
            };
            let members = group.iter().zip(first..).map(fractional).collect();
            first += group.len() as u16;
            members
        })
        .collect();
    let mut table = Vec::with_capacity(curve.len() * picks);
    let mut scores: Vec<SlotScore> = Vec::new();
    for slot in (0..curve.len()).map(|slot| slot as u16) {
        let end = table.len() + picks;
        for (accepts, group) in [true, false]
            .into_iter()
            .flat_map(|accepts| ranked.iter().map(move |group| (accepts, group)))
        {
            if table.len() == end {
                break;
            }
            let members = group.iter().filter(|member| member.accepted.contains(slot) == accepts);
            scores.clear();
            scores.extend(
                members.map(|member| member.contender.score(slot, member.contender.member, curve)),
            );
            scores.sort_unstable();
            table.extend(scores.iter().take(end - table.len()).map(|score| score.at() as u16));
        }
    }
    table.into_boxed_slice()
}

/// A ranked member that accepts a fraction of the slots.
struct FractionalMember {
    contender: ScoredMember,
    accepted: AcceptedSlots,
}

/// The slots that a member accepts: those whose ranks by a permutation are below its fraction. A
/// greater fraction has all slots of a lesser one, so that a ramp moves each slot once.
pub(super) struct AcceptedSlots {
    permutation: Permutation,
    /// The number of slots accepted.
    slots: usize,
}

impl AcceptedSlots {
    /// The slots of a member among several of equal rank: members with equal fractions accept the
    /// same slots.
    pub(super) fn of_group(member: &WeightedMember, slots: usize) -> Self {
        Self::new(GROUP_SEED, member, slots)
    }

    /// The slots of a member that is alone in its rank: whether it accepts a slot is independent of
    /// the ranks after it.
    fn alone(member: &WeightedMember, slots: usize) -> Self {
        Self::new(member.id.rotate_left(32) ^ GROUP_SEED, member, slots)
    }

    fn new(seed: u64, member: &WeightedMember, slots: usize) -> Self {
        let accepted = (member.fraction.share() * slots as f64).round() as usize;
        Self { permutation: Permutation::new(seed, slots), slots: accepted }
    }

    pub(super) fn contains(&self, slot: u16) -> bool {
        usize::from(self.permutation.rank(slot)) < self.slots
    }
}
