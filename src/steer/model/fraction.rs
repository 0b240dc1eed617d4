//! Fractions: how much of its share a member receives during a slow start or a ramped drain, or
//! keeps while it sheds or spills.

use serde::{Deserialize, Serialize};

/// A fraction from 0 to 1 in steps of 1/1024: coarse enough that small changes make no new wheels,
/// fine enough that a step is not noticeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fraction(u16);

impl Fraction {
    /// The number of steps from 0 to 1.
    pub(in crate::steer) const STEPS: u32 = 1024;
    /// The whole share, which is 1.
    pub const FULL: Self = Self(Self::STEPS as u16);
    /// None of the share: 0.
    pub const ZERO: Self = Self(0);

    /// The fraction nearest to `share`, which is clamped to 0 to 1. A share above 0 never gives 0.
    pub fn from_share(share: f64) -> Self {
        let steps = (share.clamp(0.0, 1.0) * f64::from(Self::STEPS)).round() as u16;
        Self(if share > 0.0 { steps.max(1) } else { 0 })
    }

    /// The fraction as a number from 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Self::STEPS)
    }

    /// Whether this is the whole share.
    pub fn is_full(self) -> bool {
        self == Self::FULL
    }

    /// Whether nothing of the share is left.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The product of two fractions; 0 only if one of them is 0.
    pub fn times(self, other: Self) -> Self {
        match (self, other) {
            (Self::FULL, other) | (other, Self::FULL) => other,
            (a, b) => Self::from_share(a.share() * b.share()),
        }
    }
}

impl Default for Fraction {
    fn default() -> Self {
        Self::FULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_share_is_never_rounded_to_zero() {
        assert_eq!(Fraction::from_share(0.0), Fraction::ZERO);
        assert_eq!(Fraction::from_share(-3.0), Fraction::ZERO);
        assert!(!Fraction::from_share(1e-9).is_zero());
        assert!(Fraction::from_share(7.0).is_full());
        assert!(!Fraction::from_share(1e-3).times(Fraction::from_share(1e-3)).is_zero());
        assert_eq!(Fraction::FULL.times(Fraction::from_share(0.25)).share(), 0.25);
    }
}
