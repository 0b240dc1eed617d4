//! Targets, as the ledger keeps them.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use super::target::InitialVerdict;
use crate::health::{Monitor, Outcome, Tracker, Verdict, pending::PendingTargets};

/// A target with its tracker.
#[derive(Debug, Clone)]
pub(super) struct TrackedTarget {
    pub(super) monitor: Arc<Monitor>,
    pub(super) tracker: Tracker,
    /// The latest outcome and when it was recorded.
    pub(super) last_outcome: Option<(Outcome, Duration)>,
    /// The end of the wait for a first outcome.
    pub(super) pending_until: Duration,
}

impl TrackedTarget {
    /// A target that is new to the ledger; `old` are the targets before the change.
    pub(super) fn new<K: Eq + Hash>(
        monitor: Arc<Monitor>,
        start: InitialVerdict<K>,
        old: &HashMap<K, Self>,
        is_frozen: bool,
        now: Duration,
    ) -> Self {
        let pending_until = now + PendingTargets::<K>::max_wait(&monitor);
        let without_outcome = |tracker| Self {
            monitor: Arc::clone(&monitor),
            tracker,
            last_outcome: None,
            pending_until,
        };
        match start {
            InitialVerdict::Unknown | InitialVerdict::Inherited(Verdict::Unknown) => {
                without_outcome(Tracker::default())
            }
            InitialVerdict::Continued(key) => match old.get(&key) {
                Some(entry) => Self { monitor, ..entry.clone() },
                None => without_outcome(Tracker::default()),
            },
            InitialVerdict::Inherited(verdict) => {
                let mut tracker = Tracker::inherited(verdict);
                // Otherwise an edit during a freeze would look as if the targets answered again.
                if is_frozen && verdict == Verdict::Up {
                    tracker.mark_failing();
                }
                without_outcome(tracker)
            }
        }
    }

    /// Whether the target has no outcome yet and its wait has not ended.
    pub(super) fn is_pending(&self, now: Duration) -> bool {
        self.tracker.verdict() == Verdict::Unknown && now < self.pending_until
    }
}
