//! Doubt: if most targets fail at the same time, the likelier fault is this server's own network.
//!
//! Whenever a target is about to go down, the ledger counts the targets that fail at present or
//! went down within their last interval. If these are more than half of all targets, and at least
//! three, verdicts are frozen. Since failures count and not only changes, the freeze comes before
//! the first change if `fall` is above 1. With `fall` = 1, and after an edit of a monitor, a single
//! failure is enough; then the freeze reverts the changes of the last interval. A freeze ends in
//! one of two ways:
//!
//! - Targets answer again: at most half of them fail. The changes that were held back are dropped.
//!   A target that still fails goes down with its next failure, which comes from a working network.
//! - The longest `interval × fall` of the failing targets passes with the same result and, if
//!   canaries are configured, one of them has answered since. Then the targets are really down, and
//!   the changes are applied. There is no new doubt until most targets have recovered.
//!
//! Targets that were down before count among all targets, as the rule for operators says.

use std::time::Duration;

/// Whether the ledger suspects its own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doubt {
    /// No suspicion: verdicts follow outcomes.
    #[default]
    Trusting,
    /// Most targets fail at once: verdicts are frozen.
    Suspecting {
        /// The time at which the freeze began.
        since: Duration,
        /// The earliest end of the freeze if targets keep failing.
        until: Duration,
        /// Whether a canary has answered since the freeze began.
        canary_answered: bool,
    },
    /// Most targets are really down: verdicts follow outcomes.
    Convinced,
}

/// A change of [`Doubt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubtChange {
    /// Verdicts are now frozen.
    Frozen,
    /// Targets answer again, so the failures were local. Verdicts follow outcomes.
    Thawed,
    /// Targets kept failing, so they are really down. The changes that were held back are applied.
    Confirmed,
}

impl Doubt {
    /// Whether verdicts are frozen.
    pub fn is_frozen(&self) -> bool {
        matches!(self, Self::Suspecting { .. })
    }
}
