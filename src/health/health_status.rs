//! What steering needs to know of one target.

use super::Verdict;

/// What steering knows of one probed target at the moment a snapshot is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HealthStatus {
    /// The settled state.
    pub verdict: Verdict,
    /// While outcomes against the verdict are counted: the least time until it could flip, in whole
    /// seconds, at least 1. Answers that depend on this target are not to be cached longer.
    pub flips_in_secs: Option<u32>,
    /// Never judged, and the first outcome is still to be expected: ranks below every target known
    /// to be healthy.
    pub is_pending: bool,
}
