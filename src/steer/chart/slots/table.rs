//! Slot tables: from a slot to the members of an answer. Every table has a power of two of slots.

use super::inclusion::drawn_shares;
use super::score::{ScoreCurve, ScoredMember};

/// What a query draws positions of members from. Every table has a power of two of slots.
#[derive(Debug)]
pub(in crate::steer) enum Slots {
    /// One slot names all members of an answer.
    Lookup(LookupTable),
    /// One slot for each member of an answer.
    Distinct(DistinctDraw),
    /// One slot names the first member, and all others follow.
    Rotated(RotatedOrder),
    /// Groups, one after the other.
    Chain(Box<[GroupSlots]>),
}

/// Slots that each name all members of an answer.
#[derive(Debug)]
pub(in crate::steer) struct LookupTable {
    /// Slot-major, the first pick first.
    pub(in crate::steer) table: Box<[u16]>,
    pub(in crate::steer) picks: usize,
    /// The number of slots less one.
    pub(in crate::steer) mask: usize,
    /// How many slots, from the first on, make one cycle of turns: all of them, but where the rest
    /// only fills the table up to a power of two.
    pub(in crate::steer) cycle: usize,
}

impl LookupTable {
    pub(in crate::steer) fn of(table: Box<[u16]>, picks: usize) -> Self {
        let cycle = table.len() / picks;
        Self { table, picks, mask: cycle - 1, cycle }
    }

    /// Slots with one member each, of which turns come to those of the cycle only.
    pub(in crate::steer) fn of_cycle(cycle: &[u16]) -> Self {
        Self { cycle: cycle.len(), ..Self::of(padded_to_power_of_two(cycle), 1) }
    }

    /// The slots of the cycle, each of which has the same share of the answers.
    fn used(&self) -> &[u16] {
        &self.table[..self.cycle * self.picks]
    }
}

/// Distinct members of one group, each drawn by weight among those that are left.
#[derive(Debug)]
pub(in crate::steer) struct DistinctDraw {
    /// The member of each slot.
    pub(in crate::steer) owners: Box<[u16]>,
    pub(in crate::steer) picks: usize,
    pub(in crate::steer) members: RemainingDraw,
}

/// What draws among the remaining members where the owner of a slot has been drawn before.
#[derive(Debug)]
pub(in crate::steer) enum RemainingDraw {
    /// By the weights of the remaining members.
    ByWeight(Box<[u32]>),
    /// By their scores for the slot; in order of preference where these are equal.
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
                contenders.iter().for_each(|one| {
                    weights[usize::from(one.member)] = (1.0 / one.inverse_weight).round()
                });
                weights
            }
        }
    }
}

/// All members of one group in the order written, from a drawn one on; after the last comes the
/// first.
#[derive(Debug)]
pub(in crate::steer) struct RotatedOrder {
    /// The first member for each slot.
    pub(in crate::steer) owners: Box<[u16]>,
    /// How many slots make one cycle of turns.
    pub(in crate::steer) cycle: usize,
    pub(in crate::steer) members: usize,
}

/// Slots of one group, or of several with one member each.
#[derive(Debug)]
pub(in crate::steer) struct GroupSlots {
    /// The position of the group's first member.
    pub(in crate::steer) first: u16,
    pub(in crate::steer) slots: Slots,
}

impl Slots {
    /// Slots that nothing is drawn from.
    pub(in crate::steer) fn undrawn() -> Self {
        Self::Lookup(LookupTable::of(Box::new([0]), 1))
    }

    /// How many members an answer has.
    pub(in crate::steer) fn picks(&self) -> usize {
        match self {
            Self::Lookup(lookup) => lookup.picks,
            Self::Distinct(distinct) => distinct.picks,
            Self::Rotated(round) => round.members,
            Self::Chain(links) => links.iter().map(|link| link.slots.picks()).sum(),
        }
    }

    /// The number of slots; of several groups, that of the group with most.
    pub(in crate::steer) fn count(&self) -> usize {
        match self {
            Self::Lookup(lookup) => lookup.cycle,
            Self::Distinct(distinct) => distinct.owners.len(),
            Self::Rotated(round) => round.cycle,
            Self::Chain(links) => links.iter().map(|link| link.slots.count()).max().unwrap_or(1),
        }
    }

    /// The number of turns after which they begin again; 0 where they go on and on.
    pub(in crate::steer) fn cycle(&self) -> u32 {
        match self {
            Self::Lookup(LookupTable { cycle, .. }) | Self::Rotated(RotatedOrder { cycle, .. }) => {
                *cycle as u32
            }
            Self::Distinct(_) | Self::Chain(_) => 0,
        }
    }

    /// Of each of so many members, whether any answer holds it.
    pub(in crate::steer) fn used_members(&self, members: usize) -> Vec<bool> {
        let mut named = vec![false; members];
        self.for_each_member(0, &mut |member| named[member] = true);
        named
    }

    fn for_each_member(&self, first: usize, note: &mut impl FnMut(usize)) {
        match self {
            Self::Lookup(lookup) => {
                lookup.table.iter().for_each(|&member| note(first + usize::from(member)))
            }
            Self::Distinct(distinct) => {
                (0..distinct.members.count()).for_each(|member| note(first + member))
            }
            Self::Rotated(round) => (0..round.members).for_each(|member| note(first + member)),
            Self::Chain(links) => {
                links.iter().for_each(|link| {
                    link.slots.for_each_member(first + usize::from(link.first), note)
                });
            }
        }
    }

    /// Of each of so many members, the share of the answers that hold it, from 0 to 1.
    pub(in crate::steer) fn shares(&self, members: usize) -> Vec<f64> {
        let mut shares = vec![0.0; members];
        self.add_shares(&mut shares);
        shares
    }

    fn add_shares(&self, shares: &mut [f64]) {
        match self {
            Self::Lookup(lookup) => {
                let one = 1.0 / lookup.cycle as f64;
                lookup.used().iter().for_each(|&member| shares[usize::from(member)] += one);
            }
            Self::Distinct(distinct) => {
                let found = drawn_shares(distinct.members.weights(), distinct.picks);
                shares.iter_mut().zip(found).for_each(|(share, found)| *share += found);
            }
            Self::Rotated(round) => {
                shares.iter_mut().take(round.members).for_each(|share| *share += 1.0)
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
