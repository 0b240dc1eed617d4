//! The names of the files of overrides.

/// The file of overrides.
pub(super) const OVERRIDES: &str = "overrides";
/// The file as it was before the last save.
pub(super) const PREVIOUS_OVERRIDES: &str = "overrides.previous";
/// A file that could not be used, kept for the operator.
pub(super) const DAMAGED_OVERRIDES: &str = "overrides.damaged";
