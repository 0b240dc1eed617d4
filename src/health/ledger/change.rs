//! The changes that one outcome causes.

use crate::health::{DoubtChange, Verdict};

/// A change of a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictChange<K> {
    /// The key of the target.
    pub key: K,
    /// The verdict before the change.
    pub from: Verdict,
    /// The verdict after the change.
    pub to: Verdict,
}

/// The changes that one outcome caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeEffect<K> {
    /// Changes of verdicts: usually none or one; many when a freeze begins or ends.
    pub verdict_changes: Vec<VerdictChange<K>>,
    /// Whether the target's [`HealthStatus`] changed while no verdict did, so that TTLs have to
    /// change.
    ///
    /// [`HealthStatus`]: crate::health::HealthStatus
    pub has_flip_time_changed: bool,
    /// Set if a freeze began or ended.
    pub doubt_change: Option<DoubtChange>,
}

impl<K> Default for OutcomeEffect<K> {
    fn default() -> Self {
        Self { verdict_changes: Vec::new(), has_flip_time_changed: false, doubt_change: None }
    }
}
