//! Verdicts, and what steering needs to know of one target.

/// The settled state of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verdict {
    /// No outcome yet: counts as up, but see [`HealthStatus::is_pending`].
    #[default]
    Unknown,
    /// Answers.
    Up,
    /// Does not answer.
    Down,
}

impl Verdict {
    /// Whether clients may be sent there.
    pub fn is_usable(self) -> bool {
        self != Self::Down
    }

    /// `unknown`, `up` or `down`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

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
