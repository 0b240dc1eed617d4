//! Targets as they are given to the ledger.

use std::sync::Arc;

use crate::health::{Monitor, Verdict};

/// One target for [`Ledger::set_targets`].
#[derive(Debug, Clone)]
pub struct LedgerTarget<K> {
    /// Its key.
    pub key: K,
    /// What probes it.
    pub monitor: Arc<Monitor>,
    /// What it starts from where the ledger does not know the key.
    pub start: InitialVerdict<K>,
}

/// What a target that is new to the ledger starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitialVerdict<K> {
    /// It was never judged.
    Unknown,
    /// The same check judged it under this key, with other times or another name: verdict, counts
    /// and outcome are kept.
    Continued(K),
    /// Another check came to this verdict, which is kept until the first outcome; that one decides
    /// at once.
    Inherited(Verdict),
}
