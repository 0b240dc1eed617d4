//! Self-doubt: when most of the world seems to fall down together, the likelier fault is the
//! checker's own network.
//!
//! The moment a target is ripe to go down, the ledger asks: how many of all targets fail right now
//! or went down within their last interval? More than half, and at least three, and verdicts
//! freeze. Because failures are looked at and not only changes, the freeze comes before the first
//! change wherever `fall` is above 1; with `fall` = 1 and right after an edit of a monitor, where
//! one failure is enough, the changes of the last interval are taken back. It ends in one of two
//! ways:
//!
//! - targets answer again: no more than half fail. What was held back is forgotten; what fails on
//!   goes down by one more failure, which is evidence of a network that works.
//! - the longest `interval × fall` among the failing passes with the same result and, where
//!   canaries are configured, one of them has answered since: the world is down indeed, and the
//!   changes are let through. No new doubt arises until most of the targets have come back.
//!
//! "All targets" includes those already down: the share is of the world, as the rule is written for
//! operators.

use std::time::Duration;

/// The ledger's belief in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doubt {
    /// Verdicts follow outcomes.
    #[default]
    Trusting,
    /// Verdicts are frozen.
    Suspecting {
        /// When the freeze began.
        since: Duration,
        /// Before this the downs are not believed.
        until: Duration,
        /// Whether a canary has answered since.
        canary_answered: bool,
    },
    /// Most of the world is down indeed; verdicts follow outcomes.
    Convinced,
}

/// What changed in the ledger's belief in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubtChange {
    /// Verdicts are frozen from now on.
    Frozen,
    /// Targets answer again: verdicts follow outcomes, and the downs were ours.
    Thawed,
    /// The result stayed the same: the downs were let through.
    Confirmed,
}

impl Doubt {
    /// Whether verdicts are frozen.
    pub fn is_frozen(&self) -> bool {
        matches!(self, Self::Suspecting { .. })
    }
}
