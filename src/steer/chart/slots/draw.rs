//! A draw: from a query's random numbers, hash or turn to the members of its answer. It allocates
//! nothing.

use super::{
    score::mix,
    table::{DistinctDraw, LookupTable, RemainingDraw, RotatedOrder, Slots},
};
use crate::steer::chart::draw_state::DrawState;

/// The maximum number of slots tried for one member of an answer; after that, all of the remaining
/// members are examined.
const MAX_TRIES: u32 = 8;
/// The number of 64-bit words for the set of drawn members of a group of up to 1,024.
const SMALL_SET_WORDS: usize = 16;
/// The same number for a group of up to 65,536 members.
const MAX_SET_WORDS: usize = 1 << 10;

/// The source of the numbers that pick the slots of one answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) enum DrawSeed {
    /// The shard's random numbers, a new one for each draw.
    Random,
    /// A hash of the client's prefix.
    Client(u64),
    /// The next turn of the shard's counter.
    Turn(u32),
}

impl DrawSeed {
    /// The number of one draw, with uniformly distributed bits. Draws of one answer have different
    /// ordinals.
    #[inline(always)]
    fn number(self, ordinal: u32, draws: &mut DrawState) -> u64 {
        match (self, ordinal) {
            (Self::Random, _) => draws.random(),
            (Self::Client(hash), 0) => hash,
            (Self::Client(hash), _) => mix(hash.wrapping_add(ordinal.into())),
            (Self::Turn(turn), _) => mix(u64::from(turn) << 32 | u64::from(ordinal)),
        }
    }

    /// The number by which a single slot is picked.
    #[inline(always)]
    fn first(self, draws: &mut DrawState) -> usize {
        match self {
            Self::Turn(turn) => turn as usize,
            _ => self.number(0, draws) as usize,
        }
    }
}

impl LookupTable {
    /// Whether there is only one slot.
    #[inline(always)]
    pub(in crate::steer) fn has_one_slot(&self) -> bool {
        self.mask == 0
    }

    /// The members of the slot that a number picks.
    #[inline(always)]
    pub(in crate::steer) fn slot(&self, number: usize) -> &[u16] {
        let slot = number & self.mask;
        &self.table[slot * self.picks..(slot + 1) * self.picks]
    }
}

impl Slots {
    /// Draws the members of one answer and calls `each` with the position of each, in order.
    #[inline(never)]
    pub(in crate::steer) fn draw(
        &self,
        seed: DrawSeed,
        draws: &mut DrawState,
        each: &mut impl FnMut(u16, &mut DrawState),
    ) {
        match self {
            Self::Chain(links) => {
                for link in links {
                    let each =
                        &mut |member, draws: &mut DrawState| each(link.first + member, draws);
                    link.slots.draw_group(seed, draws, each);
                }
            }
            _ => self.draw_group(seed, draws, each),
        }
    }

    fn draw_group(
        &self,
        seed: DrawSeed,
        draws: &mut DrawState,
        each: &mut impl FnMut(u16, &mut DrawState),
    ) {
        match self {
            Self::Lookup(lookup) => {
                let number = if lookup.has_one_slot() { 0 } else { seed.first(draws) };
                lookup.slot(number).iter().for_each(|&member| each(member, draws));
            }
            Self::Distinct(distinct) if distinct.members.count() <= SMALL_SET_WORDS * 64 => {
                distinct.draw(seed, draws, &mut DrawnBits([0; SMALL_SET_WORDS]), each);
            }
            Self::Distinct(distinct) => {
                distinct.draw(seed, draws, &mut DrawnBits([0; MAX_SET_WORDS]), each)
            }
            Self::Rotated(rotated) => rotated.draw(seed, draws, each),
            // The groups of a chain are never chains.
            Self::Chain(_) => {}
        }
    }
}

impl RotatedOrder {
    fn draw(
        &self,
        seed: DrawSeed,
        draws: &mut DrawState,
        each: &mut impl FnMut(u16, &mut DrawState),
    ) {
        let first = self.owners[seed.first(draws) & (self.owners.len() - 1)];
        let members = self.members as u16;
        (first..members).chain(0..first).for_each(|member| each(member, draws));
    }
}

/// The set of members drawn for an answer, one bit for each.
struct DrawnBits<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> DrawnBits<WORDS> {
    #[inline(always)]
    fn holds(&self, member: u16) -> bool {
        self.0[usize::from(member) / 64 % WORDS] >> (member % 64) & 1 == 1
    }

    #[inline(always)]
    fn add(&mut self, member: u16) {
        self.0[usize::from(member) / 64 % WORDS] |= 1 << (member % 64);
    }
}

impl DistinctDraw {
    fn draw<const WORDS: usize>(
        &self,
        seed: DrawSeed,
        draws: &mut DrawState,
        drawn: &mut DrawnBits<WORDS>,
        each: &mut impl FnMut(u16, &mut DrawState),
    ) {
        let mut tried = 0;
        for _ in 0..self.picks {
            let member = match &self.members {
                RemainingDraw::ByWeight(weights) => {
                    self.by_weight(weights, seed, &mut tried, draws, drawn)
                }
                RemainingDraw::ByScore(contenders, curve) => {
                    // Each position of the answer picks its own slot, which the best of the
                    // remaining members gets. So if a member is removed, one other member replaces
                    // it, and the rest of the answer stays the same.
                    let slot = seed.number(tried, draws) as usize & (self.owners.len() - 1);
                    tried += 1;
                    let owner = self.owners[slot];
                    if drawn.holds(owner) {
                        let scores = contenders
                            .iter()
                            .zip(0..)
                            .filter(|(contender, _)| !drawn.holds(contender.member))
                            .map(|(contender, at)| contender.score(slot as u16, at, curve));
                        scores.min().map(|score| contenders[score.at()].member)
                    } else {
                        Some(owner)
                    }
                }
            };
            let Some(member) = member else { return };
            drawn.add(member);
            each(member, draws);
        }
    }

    /// The owner of a slot, if it has not been drawn; after [`MAX_TRIES`] slots, a member drawn
    /// among the remaining ones. Either way each of these is drawn with its share of the remaining
    /// weight.
    fn by_weight<const WORDS: usize>(
        &self,
        weights: &[u32],
        seed: DrawSeed,
        tried: &mut u32,
        draws: &mut DrawState,
        drawn: &DrawnBits<WORDS>,
    ) -> Option<u16> {
        for _ in 0..MAX_TRIES {
            let number = match seed {
                // The next slots of the cycle, which are interleaved.
                DrawSeed::Turn(turn) => u64::from(turn.wrapping_add(*tried)),
                _ => seed.number(*tried, draws),
            };
            *tried += 1;
            let owner = self.owners[number as usize & (self.owners.len() - 1)];
            if !drawn.holds(owner) {
                return Some(owner);
            }
        }
        let remaining = || weights.iter().zip(0..).filter(|(_, member)| !drawn.holds(*member));
        let weight: u64 = remaining().map(|(&weight, _)| u64::from(weight)).sum();
        let number = seed.number(*tried, draws);
        *tried += 1;
        let mut left = ((u128::from(number) * u128::from(weight)) >> 64) as u64;
        let mut last = None;
        for (&weight, member) in remaining() {
            last = Some(member);
            if left < u64::from(weight) {
                break;
            }
            left -= u64::from(weight);
        }
        last
    }
}
