//! The health status of one target, as steering uses it.

use serde::{Deserialize, Serialize};

use super::Verdict;

/// The health of one probed target when a snapshot is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HealthStatus {
    /// The settled verdict on the target.
    pub verdict: Verdict,
    /// The least time until the verdict could change, in whole seconds, at least 1. `None` if no
    /// outcome speaks against the verdict. Answers that depend on this target must not be cached
    /// longer.
    pub flips_in_secs: Option<u32>,
    /// Whether the target still waits for its first outcome. It ranks below every target that is
    /// known to be healthy.
    pub is_pending: bool,
    /// Whether the target is down by its health checks, and a safety rule keeps it in the answers
    /// all the same.
    #[serde(default)]
    pub is_held: bool,
}

impl HealthStatus {
    /// The verdict of the health checks, also where a safety rule keeps the target in the answers.
    pub fn checked_verdict(self) -> Verdict {
        if self.is_held { Verdict::Down } else { self.verdict }
    }
}
