//! Fallback stages: how far a service went to find an answer.

/// How far a service had to go to find an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum FallbackStage {
    /// Usable members answer, or the family has no members.
    #[default]
    Normal,
    /// No member of the family is usable, and the other family is answered: NODATA.
    OtherFamily,
    /// Nothing is usable: `on-all-down` decides what is answered.
    AllDown,
    /// Nothing but draining members or such as are forced down is left: they are answered.
    OnlyDrainedLeft,
    /// Nothing but disabled members is left: they are answered.
    OnlyDisabledLeft,
}
