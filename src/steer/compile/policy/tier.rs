//! Tiers: which members are picked before which, by state and health.

/// Which members are picked before which: one of a later tier only where no usable member is of an
/// earlier one.
///
/// A member that was never judged stands behind every member known to be healthy, standbys among
/// them: whether it works is a guess, and a guess is not preferred to knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::steer) enum Tier {
    /// In service.
    Primary,
    /// Weight 0 or standby: only when nothing else is usable.
    Standby,
    /// In service, and never judged.
    Pending,
    /// Weight 0 or standby, and never judged.
    PendingStandby,
    /// Down in one of its address families, in a pool that takes families together.
    OneFamilyDown,
}

impl Tier {
    /// From the first picked to the last.
    pub(super) const ALL: [Self; 5] =
        [Self::Primary, Self::Standby, Self::Pending, Self::PendingStandby, Self::OneFamilyDown];

    /// The same for a member that is a standby.
    pub(in crate::steer) fn as_standby(self) -> Self {
        match self {
            Self::Primary | Self::Standby => Self::Standby,
            Self::Pending | Self::PendingStandby => Self::PendingStandby,
            Self::OneFamilyDown => Self::OneFamilyDown,
        }
    }

    /// The same for a member that was never judged.
    pub(in crate::steer) fn as_pending(self) -> Self {
        match self {
            Self::Primary | Self::Pending => Self::Pending,
            Self::Standby | Self::PendingStandby => Self::PendingStandby,
            Self::OneFamilyDown => Self::OneFamilyDown,
        }
    }

    /// The same for a member that clients stay with although it is a standby.
    pub(super) fn promoted(self) -> Self {
        match self {
            Self::Primary | Self::Standby => Self::Primary,
            Self::Pending | Self::PendingStandby => Self::Pending,
            Self::OneFamilyDown => Self::OneFamilyDown,
        }
    }

    /// Only for when nothing else is usable.
    pub(in crate::steer) fn is_standby(self) -> bool {
        matches!(self, Self::Standby | Self::PendingStandby)
    }

    /// Down in one of its address families, which counts as down.
    pub(in crate::steer) fn has_family_down(self) -> bool {
        self == Self::OneFamilyDown
    }

    /// Never judged.
    pub(in crate::steer) fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::PendingStandby)
    }
}
