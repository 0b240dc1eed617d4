//! Held files as a load reports them: each file that is not in use as it is on disk, and why.

use std::path::PathBuf;

use super::{removal::MissingFiles, safety::RuleViolation};
use crate::steer::SafetyRule;

/// A file that is not in use as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldFile {
    pub path: PathBuf,
    /// Why the file is held, one line each: `file:line:column: what (help: how to fix it)`. Never
    /// empty.
    pub errors: Vec<String>,
    /// Whether the file may become readable without being edited.
    pub is_transient: bool,
    /// Whether the file is left out because it has no last good content.
    pub is_left_out: bool,
}

/// The files that a load does not use as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct HoldReport {
    pub held: Vec<HeldFile>,
    /// The zones and services that the files would remove, and why an operator has to accept that;
    /// `None` if no removal is held.
    pub held_removal: Option<String>,
    /// Whether two signals accept the removal. They never remove names that an unusable file may
    /// define: the operator who sends them may believe that the file is fixed.
    pub is_signal_acceptable: bool,
    pub missing_files: MissingFiles,
    /// The safety rules that files or databases would break.
    pub refused: Vec<RuleViolation>,
}

impl HoldReport {
    /// Whether reading the same files again can succeed.
    pub(super) fn is_transient(&self) -> bool {
        // Less has moved before it later.
        let awaits_window =
            self.refused.iter().any(|one| one.rule == SafetyRule::MaxMoved.as_str());
        awaits_window || self.held.iter().any(|file| file.is_transient)
    }
}
