//! Scores: a keyed permutation of the slots for each member gives each slot a rank, and each rank
//! has a score.

use std::{collections::HashMap, sync::Arc};

/// The number of slots whose ranks are computed together.
pub(in crate::steer) const BLOCK_SLOTS: usize = 64;

/// The score of each rank for a member of weight 1, in ascending order.
pub(in crate::steer) type ScoreCurve = Arc<[f64]>;

/// The score curves, by the number of slots.
#[derive(Debug, Clone, Default)]
pub(in crate::steer) struct ScoreCurves(HashMap<usize, ScoreCurve>);

impl ScoreCurves {
    pub(in crate::steer) fn curve(&mut self, slots: usize) -> ScoreCurve {
        let curve = || (0..slots).map(|rank| exponential(rank, slots)).collect();
        Arc::clone(self.0.entry(slots).or_insert_with(curve))
    }
}

/// The quantile of the exponential distribution in the middle of a rank: `-ln(1 - (rank + 1/2) /
/// slots)`.
///
/// By the series of the inverse hyperbolic tangent, which needs nothing but arithmetic that is
/// equal on all machines: the logarithms of libraries differ in the last digit, and so would the
/// slots of two servers.
fn exponential(rank: usize, slots: usize) -> f64 {
    let mut halvings = 0.0;
    let mut survival = 1.0 - (rank as f64 + 0.5) / slots as f64;
    while survival <= 0.5 {
        (survival, halvings) = (survival * 2.0, halvings + 1.0);
    }
    // The survival is now above 1/2 and up to 1, so that each term is less than a ninth of the one
    // before.
    let z = (1.0 - survival) / (1.0 + survival);
    let series = (0..18).rev().fold(0.0, |sum, term| sum * z * z + 1.0 / f64::from(2 * term + 1));
    halvings * std::f64::consts::LN_2 + 2.0 * z * series
}

/// A keyed permutation of up to 65,536 slots, made of additions, multiplications by odd numbers and
/// shifts, each of which is invertible.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct Permutation {
    add: [u16; 2],
    multiply: [u16; 3],
    /// The number of slots less one.
    mask: u16,
    /// At least half of the bits of a slot, so that the shift is its own inverse.
    shift: u16,
}

impl Permutation {
    pub(in crate::steer) fn new(seed: u64, slots: usize) -> Self {
        let [a, b, c, d] = words(mix(seed));
        let [e, ..] = words(mix(!seed));
        let bits = slots.ilog2();
        Self {
            add: [a, b],
            multiply: [c | 1, d | 1, e | 1],
            mask: (slots - 1) as u16,
            shift: bits.div_ceil(2) as u16,
        }
    }

    /// The rank of a slot.
    #[inline(always)]
    pub(in crate::steer) fn rank(&self, slot: u16) -> u16 {
        let [first, second, third] = self.multiply;
        let mut x = slot.wrapping_add(self.add[0]).wrapping_mul(first) & self.mask;
        x ^= x >> self.shift;
        x = x.wrapping_add(self.add[1]).wrapping_mul(second) & self.mask;
        x ^= x >> self.shift;
        x.wrapping_mul(third) & self.mask
    }

    /// Makes the contender `at` the owner of each slot, in the block that begins with `first`, in
    /// which its rank is lower than the lowest so far. Each slot takes the same steps, so that the
    /// compiler can vectorise them.
    #[inline(never)]
    pub(in crate::steer) fn keep_lowest_ranks(
        &self,
        first: u16,
        at: u16,
        least: &mut [u16; BLOCK_SLOTS],
        owners: &mut [u16; BLOCK_SLOTS],
    ) {
        let ranks: [u16; BLOCK_SLOTS] =
            std::array::from_fn(|offset| self.rank(first.wrapping_add(offset as u16)));
        for (slot, &rank) in ranks.iter().enumerate() {
            owners[slot] = if rank < least[slot] { at } else { owners[slot] };
            least[slot] = rank.min(least[slot]);
        }
    }

    /// The permutation from ranks to slots.
    pub(in crate::steer) fn inverse(&self) -> InversePermutation {
        InversePermutation { permutation: *self, multiply: self.multiply.map(inverse) }
    }
}

/// The inverse of a permutation: from ranks to slots.
pub(in crate::steer) struct InversePermutation {
    permutation: Permutation,
    multiply: [u16; 3],
}

impl InversePermutation {
    pub(in crate::steer) fn slot(&self, rank: u16) -> u16 {
        let Permutation { add, mask, shift, .. } = self.permutation;
        let mut x = rank.wrapping_mul(self.multiply[2]) & mask;
        x ^= x >> shift;
        x = x.wrapping_mul(self.multiply[1]).wrapping_sub(add[1]) & mask;
        x ^= x >> shift;
        x.wrapping_mul(self.multiply[0]).wrapping_sub(add[0]) & mask
    }
}

/// The inverse of an odd number modulo 2^16, by Newton's method: each step doubles the number of
/// correct bits.
fn inverse(odd: u16) -> u16 {
    (0..4).fold(odd, |found, _| found.wrapping_mul(2_u16.wrapping_sub(odd.wrapping_mul(found))))
}

fn words(number: u64) -> [u16; 4] {
    [0, 16, 32, 48].map(|shift| (number >> shift) as u16)
}

/// A mixing function: neighbouring inputs give unrelated outputs (SplitMix64, Steele, Lea and Flood
/// 2014).
pub(in crate::steer) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A member as a contender for slots.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct ScoredMember {
    pub(in crate::steer) permutation: Permutation,
    /// The position of the member in its group.
    pub(in crate::steer) member: u16,
    /// One divided by the weight of the member.
    pub(in crate::steer) inverse_weight: f64,
}

impl ScoredMember {
    /// The member at a position in its group, by the hash of its name.
    pub(in crate::steer) fn new(member: u16, id: u64, weight: u32, slots: usize) -> Self {
        let permutation = Permutation::new(id, slots);
        Self { permutation, member, inverse_weight: 1.0 / f64::from(weight.max(1)) }
    }

    /// The score for a slot; the contender with the least score wins the slot. `at` is the position
    /// among the contenders.
    #[inline(always)]
    pub(in crate::steer) fn score(&self, slot: u16, at: u16, curve: &[f64]) -> SlotScore {
        SlotScore::new(curve[usize::from(self.permutation.rank(slot))] * self.inverse_weight, at)
    }
}

/// The score of a contender for a slot, and in the last bits its position among the contenders: one
/// comparison decides, even if scores are equal. The rest of the score is exact to 36 binary
/// digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::steer) struct SlotScore(u64);

impl SlotScore {
    /// Greater than any other.
    pub(in crate::steer) const NONE: Self = Self(u64::MAX);

    #[inline(always)]
    pub(in crate::steer) fn new(score: f64, at: u16) -> Self {
        // Positive floating-point numbers have the same order as their bits.
        Self(score.to_bits() & !0xffff | u64::from(at))
    }

    /// The position of the contender among the contenders.
    pub(in crate::steer) fn at(self) -> usize {
        usize::from(self.0 as u16)
    }
}
