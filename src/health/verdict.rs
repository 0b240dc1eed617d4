//! The verdict: the settled health of one target.

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
