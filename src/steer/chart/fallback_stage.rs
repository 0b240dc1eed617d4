//! Fallback stages: which of its fallbacks a service used to find an answer.

/// The fallback that a service used to find an answer; a greater stage is a worse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum FallbackStage {
    /// Usable members answer, or the family has no members.
    #[default]
    Normal,
    /// No member of the family is usable, and the other family is answered: NODATA.
    OtherFamily,
    /// Nothing is usable: `on-all-down` decides what is answered.
    AllDown,
    /// Only members that are draining or forced down are left: they are answered.
    OnlyDrainedLeft,
    /// Only disabled members are left: they are answered.
    OnlyDisabledLeft,
}
