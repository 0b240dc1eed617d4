//! The verdict: the settled health of one target.

use serde::{Deserialize, Serialize};

/// The settled health of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The target has no outcome yet. It counts as up, but see [`HealthStatus::is_pending`].
    ///
    /// [`HealthStatus::is_pending`]: super::HealthStatus::is_pending
    #[default]
    Unknown,
    /// The target passes its checks.
    Up,
    /// The target fails its checks.
    Down,
}

impl Verdict {
    /// Whether clients may be sent to the target: it is not down.
    pub fn is_usable(self) -> bool {
        self != Self::Down
    }

    /// The verdict in reports and metrics: `unknown`, `up` or `down`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}
