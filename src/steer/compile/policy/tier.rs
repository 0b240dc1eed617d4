//! Tiers: which members are picked before which, by state and health.

/// A rank among the members of a pool. A member of a later tier is picked only where no member of
/// an earlier one is usable.
///
/// A member without a verdict ranks behind every member known to be healthy, standbys included:
/// whether it works is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::steer) enum Tier {
    /// The member is in service and healthy.
    Primary,
    /// Weight 0 or standby: only when nothing else is usable.
    Standby,
    /// In service, without a verdict.
    Pending,
    /// Weight 0 or standby, without a verdict.
    PendingStandby,
    /// Down in one of its address families, in a pool that couples families.
    OneFamilyDown,
}

impl Tier {
    /// All tiers, in the order in which members are picked.
    pub(super) const ALL: [Self; 5] =
        [Self::Primary, Self::Standby, Self::Pending, Self::PendingStandby, Self::OneFamilyDown];

    /// The tier of the same member as a standby.
    pub(in crate::steer) fn as_standby(self) -> Self {
        match self {
            Self::Primary | Self::Standby => Self::Standby,
            Self::Pending | Self::PendingStandby => Self::PendingStandby,
            Self::OneFamilyDown => Self::OneFamilyDown,
        }
    }

    /// The tier of the same member without a verdict.
    pub(in crate::steer) fn as_pending(self) -> Self {
        match self {
            Self::Primary | Self::Pending => Self::Pending,
            Self::Standby | Self::PendingStandby => Self::PendingStandby,
            Self::OneFamilyDown => Self::OneFamilyDown,
        }
    }

    /// The tier of the same member in service: of a standby that clients stay with.
    pub(super) fn promoted(self) -> Self {
        match self {
            Self::Primary | Self::Standby => Self::Primary,
            Self::Pending | Self::PendingStandby => Self::Pending,
            Self::OneFamilyDown => Self::OneFamilyDown,
        }
    }

    /// Whether the member is picked only when nothing else is usable.
    pub(in crate::steer) fn is_standby(self) -> bool {
        matches!(self, Self::Standby | Self::PendingStandby)
    }

    /// Whether one of the member's address families is down, which counts as down.
    pub(in crate::steer) fn has_family_down(self) -> bool {
        self == Self::OneFamilyDown
    }

    /// Whether the member has no verdict.
    pub(in crate::steer) fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::PendingStandby)
    }
}
