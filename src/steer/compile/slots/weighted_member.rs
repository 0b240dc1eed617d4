//! The input of slot tables: a member's name, weight and fraction.

use crate::steer::model::Fraction;

/// The maximum number of slots of a table (Maglev, NSDI 2016, finds 65537 enough for 1 % balance; a
/// power of two saves the division).
pub(super) const MAX_SLOTS: usize = 1 << 16;

/// The properties of a member that slots depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::steer) struct WeightedMember {
    /// A hash of the member's name, stable across reloads, restarts and machines.
    pub id: u64,
    /// The weight, at least 1: the member's share is its weight divided by the sum of its group.
    pub weight: u32,
    /// The fraction of its normal traffic that it accepts (`fractions`).
    pub fraction: Fraction,
}

/// The greatest common divisor; that of 0 and `b` is `b`.
pub(super) fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
