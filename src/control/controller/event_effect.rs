//! What an event calls for: a new snapshot, a save, or neither.

/// What has to follow an event. The controller schedules it, so that events that come close
/// together share one snapshot and one save.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EventEffect {
    /// Whether the conditions changed, so that a new snapshot is needed.
    pub needs_publication: bool,
    /// Whether state that must survive a restart changed.
    pub needs_saving: bool,
}
