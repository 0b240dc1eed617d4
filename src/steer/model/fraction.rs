//! Parts: how much of what it would get a member takes, while it starts slowly, drains over a time,
//! sheds or spills.

/// A part of a whole in steps of 1/1024: coarse enough that small changes make no new wheels, fine
/// enough that nobody sees a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u16);

impl Fraction {
    /// How many steps make the whole.
    pub(in crate::steer) const STEPS: u32 = 1024;
    /// All of it.
    pub const FULL: Self = Self(Self::STEPS as u16);
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The nearest part to a share from 0 to 1; what lies outside counts as 0 or 1. Never 0 for a
    /// share above 0.
    pub fn from_share(share: f64) -> Self {
        let steps = (share.clamp(0.0, 1.0) * f64::from(Self::STEPS)).round() as u16;
        Self(if share > 0.0 { steps.max(1) } else { 0 })
    }

    /// From 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Self::STEPS)
    }

    /// The whole.
    pub fn is_full(self) -> bool {
        self == Self::FULL
    }

    /// Nothing at all.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// This part of that part.
    pub fn times(self, other: Self) -> Self {
        match (self, other) {
            (Self::FULL, part) | (part, Self::FULL) => part,
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
    fn a_little_is_never_nothing_and_nothing_never_a_little() {
        assert_eq!(Fraction::from_share(0.0), Fraction::ZERO);
        assert_eq!(Fraction::from_share(-3.0), Fraction::ZERO);
        assert!(!Fraction::from_share(1e-9).is_zero());
        assert!(Fraction::from_share(7.0).is_full());
        assert!(!Fraction::from_share(1e-3).times(Fraction::from_share(1e-3)).is_zero());
        assert_eq!(Fraction::FULL.times(Fraction::from_share(0.25)).share(), 0.25);
    }
}
