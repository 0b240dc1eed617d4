//! What one outcome changes.

use crate::health::{DoubtChange, Verdict};

/// A verdict that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictChange<K> {
    /// Whose.
    pub key: K,
    /// Before.
    pub from: Verdict,
    /// Now.
    pub to: Verdict,
}

/// What one outcome changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeEffect<K> {
    /// Verdicts that changed: usually none or one; many after a freeze, a thaw or a confirmation.
    pub verdict_changes: Vec<VerdictChange<K>>,
    /// Whether the target's [`HealthStatus`] changed without a change of verdict, so that TTLs want
    /// to follow.
    pub has_flip_time_changed: bool,
    /// Whether the ledger began or ceased to doubt itself.
    pub doubt_change: Option<DoubtChange>,
}

impl<K> Default for OutcomeEffect<K> {
    fn default() -> Self {
        Self { verdict_changes: Vec::new(), has_flip_time_changed: false, doubt_change: None }
    }
}
