//! A draw: from a query's numbers to the members of its answer. The query side of the slots; it
//! allocates nothing.

use super::{
    score::mix,
    table::{DistinctDraw, LookupTable, RemainingDraw, RotatedOrder, Slots},
};
use crate::steer::chart::draw_state::DrawState;

/// So many slots are tried for one member of an answer before all of the remaining members are
/// looked at.
const MAX_TRIES: u32 = 8;
/// The words of 64 bits that hold which members have been drawn: of up to 1,024 members, and of up
/// to 65,536.
const SMALL_SET_WORDS: usize = 16;
const MAX_SET_WORDS: usize = 1 << 10;

/// What the slots of one answer are picked by.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) enum DrawSeed {
    /// A new random number for each draw.
    Random,
    /// A hash of the client.
    Client(u64),
    /// The turn of the shard.
    Turn(u32),
}

impl DrawSeed {
    /// The number of one draw, whose bits are all evenly distributed. Draws of one answer have
    /// different ordinals.
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
    /// Draws the members of one answer and hands the position of each to `each`, in order.
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
            Self::Rotated(round) => round.draw(seed, draws, each),
            // No link of a chain is a chain.
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

/// Which members have been drawn for an answer, one bit for each.
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
                    // Each place of the answer has a slot of its own, which the best of the
                    // remaining members gets. So when a member is removed, one other member
                    // replaces it, and the rest of the answer stays.
                    let slot = seed.number(tried, draws) as usize & (self.owners.len() - 1);
                    tried += 1;
                    let owner = self.owners[slot];
                    if drawn.holds(owner) {
                        let remaining =
                            contenders.iter().zip(0..).filter(|(one, _)| !drawn.holds(one.member));
                        let claims = remaining.map(|(one, at)| one.score(slot as u16, at, curve));
                        claims.min().map(|claim| contenders[claim.at()].member)
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

    /// The owner of a slot that has not been drawn; after some tries, a draw among the remaining
    /// members. Each of them is drawn with its share of the remaining weight either way.
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
