//! Slot tables: from a slot to the members of an answer. Every table has a power of two of slots.

use super::inclusion::drawn_shares;
use super::score::{ScoreCurve, ScoredMember};

/// The slots that a query draws members from, by position. Every table has a power of two of slots.
#[derive(Debug)]
pub(in crate::steer) enum Slots {
    /// One slot names all members of an answer.
    Lookup(LookupTable),
    /// One slot for each member of an answer.
    Distinct(DistinctDraw),
    /// One slot names the first member, and all others follow in order.
    Rotated(RotatedOrder),
    /// Several groups, answered one after the other.
    Chain(Box<[GroupSlots]>),
}

/// Slots that each name all members of an answer.
#[derive(Debug)]
pub(in crate::steer) struct LookupTable {
    /// The members of each slot, slot-major, the first pick first.
    pub(in crate::steer) table: Box<[u16]>,
    pub(in crate::steer) picks: usize,
    /// The number of slots less one.
    pub(in crate::steer) mask: usize,
    /// The number of slots, from the first on, that make one cycle of turns. The rest, if any, only
    /// fills the table up to a power of two.
    pub(in crate::steer) cycle: usize,
}

impl LookupTable {
    pub(in crate::steer) fn of(table: Box<[u16]>, picks: usize) -> Self {
        let cycle = table.len() / picks;
        Self { table, picks, mask: cycle - 1, cycle }
    }

    /// Slots with one member each. Turns use only those of the cycle.
    pub(in crate::steer) fn of_cycle(cycle: &[u16]) -> Self {
        Self { cycle: cycle.len(), ..Self::of(padded_to_power_of_two(cycle), 1) }
    }

    /// The slots of the cycle, each of which has the same share of the answers.
    fn used(&self) -> &[u16] {
        &self.table[..self.cycle * self.picks]
    }
}

/// Distinct members of one group, each drawn by weight among those that remain.
#[derive(Debug)]
pub(in crate::steer) struct DistinctDraw {
    /// The member that owns each slot.
    pub(in crate::steer) owners: Box<[u16]>,
    pub(in crate::steer) picks: usize,
    pub(in crate::steer) members: RemainingDraw,
}

/// How one of the remaining members is drawn if the owner of a slot has been drawn before.
#[derive(Debug)]
pub(in crate::steer) enum RemainingDraw {
    /// By the weights of the remaining members.
    ByWeight(Box<[u32]>),
    /// By their scores for the slot; of equal scores the earlier contender wins.
    ByScore(Box<[ScoredMember]>, ScoreCurve),
}

impl RemainingDraw {
    pub(in crate::steer) fn count(&self) -> usize {
        match self {
            Self::ByWeight(weights) => weights.len(),
            Self::ByScore(contenders, _) => contenders.len(),
        }
    }

    /// The weight of each member, by position in the group.
    fn weights(&self) -> Vec<f64> {
        match self {
            Self::ByWeight(weights) => weights.iter().map(|&weight| f64::from(weight)).collect(),
            Self::ByScore(contenders, _) => {
                let mut weights = vec![0.0; contenders.len()];
                for contender in contenders {
                    weights[usize::from(contender.member)] =
                        (1.0 / contender.inverse_weight).round();
                }
                weights
            }
        }
    }
}

/// All members of one group in the order written, starting with a drawn one; the first follows the
/// last.
#[derive(Debug)]
pub(in crate::steer) struct RotatedOrder {
    /// The first member for each slot.
    pub(in crate::steer) owners: Box<[u16]>,
    /// The number of slots of one cycle of turns.
    pub(in crate::steer) cycle: usize,
    pub(in crate::steer) members: usize,
}

/// The slots of one group, or of several groups with one member each.
#[derive(Debug)]
pub(in crate::steer) struct GroupSlots {
    /// The position of the group's first member.
    pub(in crate::steer) first: u16,
    pub(in crate::steer) slots: Slots,
}

impl Slots {
    /// Placeholder slots of a wheel that is only inspected, never drawn from.
    pub(in crate::steer) fn undrawn() -> Self {
        Self::Lookup(LookupTable::of(Box::new([0]), 1))
    }

    /// The number of members of an answer.
    pub(in crate::steer) fn picks(&self) -> usize {
        match self {
            Self::Lookup(lookup) => lookup.picks,
            Self::Distinct(distinct) => distinct.picks,
            Self::Rotated(rotated) => rotated.members,
            Self::Chain(links) => links.iter().map(|link| link.slots.picks()).sum(),
        }
    }

    /// The number of slots; for several groups, the greatest number of any group.
    pub(in crate::steer) fn count(&self) -> usize {
        match self {
            Self::Lookup(lookup) => lookup.cycle,
            Self::Distinct(distinct) => distinct.owners.len(),
            Self::Rotated(rotated) => rotated.cycle,
            Self::Chain(links) => links.iter().map(|link| link.slots.count()).max().unwrap_or(1),
        }
    }

    /// The number of turns of one cycle; 0 if turns have no cycle.
    pub(in crate::steer) fn cycle(&self) -> u32 {
        match self {
            Self::Lookup(LookupTable { cycle, .. }) | Self::Rotated(RotatedOrder { cycle, .. }) => {
                *cycle as u32
            }
            Self::Distinct(_) | Self::Chain(_) => 0,
        }
    }

    /// For each of `members` members, whether any answer holds it.
    pub(in crate::steer) fn used_members(&self, members: usize) -> Vec<bool> {
        let mut is_used = vec![false; members];
        self.for_each_member(0, &mut |member| is_used[member] = true);
        is_used
    }

    fn for_each_member(&self, first: usize, each: &mut impl FnMut(usize)) {
        match self {
            Self::Lookup(lookup) => {
                lookup.table.iter().for_each(|&member| each(first + usize::from(member)))
            }
            Self::Distinct(distinct) => {
                (0..distinct.members.count()).for_each(|member| each(first + member))
            }
            Self::Rotated(rotated) => (0..rotated.members).for_each(|member| each(first + member)),
            Self::Chain(links) => {
                links.iter().for_each(|link| {
                    link.slots.for_each_member(first + usize::from(link.first), each)
                });
            }
        }
    }

    /// For each of `members` members, the share of the answers that hold it, from 0 to 1.
    pub(in crate::steer) fn shares(&self, members: usize) -> Vec<f64> {
        let mut shares = vec![0.0; members];
        self.add_shares(&mut shares);
        shares
    }

    fn add_shares(&self, shares: &mut [f64]) {
        match self {
            Self::Lookup(lookup) => {
                let slot_share = 1.0 / lookup.cycle as f64;
                lookup.used().iter().for_each(|&member| shares[usize::from(member)] += slot_share);
            }
            Self::Distinct(distinct) => {
                let drawn = drawn_shares(distinct.members.weights(), distinct.picks);
                shares.iter_mut().zip(drawn).for_each(|(share, drawn)| *share += drawn);
            }
            Self::Rotated(rotated) => {
                shares.iter_mut().take(rotated.members).for_each(|share| *share += 1.0)
            }
            Self::Chain(links) => links
                .iter()
                .for_each(|link| link.slots.add_shares(&mut shares[link.first.into()..])),
        }
    }
}

/// A cycle of slots repeated up to a power of two.
pub(in crate::steer) fn padded_to_power_of_two(cycle: &[u16]) -> Box<[u16]> {
    cycle.iter().copied().cycle().take(cycle.len().next_power_of_two()).collect()
}
