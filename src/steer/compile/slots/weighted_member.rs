//! A member as slots see it: its name, its weight and its fraction.

use crate::steer::model::Fraction;

/// The most slots a table has (Maglev, NSDI 2016, finds 65537 enough for 1 % balance; a power of
/// two spares the division).
pub(super) const MAX_SLOTS: usize = 1 << 16;

/// What slots depend on of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::steer) struct WeightedMember {
    /// Stable over reloads, restarts and machines: a hash of the member's name.
    pub id: u64,
    /// Its share is this over the sum of its group. Never 0.
    pub weight: u32,
    /// What it takes of its share (`fractions`).
    pub fraction: Fraction,
}

pub(super) fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
