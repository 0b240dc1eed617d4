//! Targets, as the owner of the ledger describes them.

use std::sync::Arc;

use crate::health::{Monitor, Verdict};

/// A target for [`Ledger::set_targets`].
///
/// [`Ledger::set_targets`]: super::Ledger::set_targets
#[derive(Debug, Clone)]
pub struct LedgerTarget<K> {
    /// The key that identifies the target.
    pub key: K,
    /// The monitor that probes the target.
    pub monitor: Arc<Monitor>,
    /// The initial verdict if the key is new to the ledger.
    pub start: InitialVerdict<K>,
}

/// The initial verdict of a target that is new to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitialVerdict<K> {
    /// The target has no verdict yet.
    Unknown,
    /// The same check probed the target under this key, with other times or under another name.
    /// Verdict, counts and latest outcome are kept.
    Continued(K),
    /// The verdict of another check on the same target. It lasts until the first outcome, which
    /// decides at once.
    Inherited(Verdict),
}
