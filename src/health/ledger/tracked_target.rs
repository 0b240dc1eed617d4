//! Targets as the ledger keeps them.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use super::target::InitialVerdict;
use crate::health::{Monitor, Outcome, Tracker, Verdict, pending::PendingTargets};

#[derive(Debug, Clone)]
pub(super) struct TrackedTarget {
    pub(super) monitor: Arc<Monitor>,
    pub(super) tracker: Tracker,
    pub(super) last_outcome: Option<(Outcome, Duration)>,
    /// While the target was never judged, it ranks below those known to be healthy until then.
    pub(super) pending_until: Duration,
}

impl TrackedTarget {
    pub(super) fn new<K: Eq + Hash>(
        monitor: Arc<Monitor>,
        start: InitialVerdict<K>,
        old: &HashMap<K, Self>,
        is_frozen: bool,
        now: Duration,
    ) -> Self {
        let pending_until = now + PendingTargets::<K>::max_wait(&monitor);
        let fresh = |tracker| Self {
            monitor: Arc::clone(&monitor),
            tracker,
            last_outcome: None,
            pending_until,
        };
        match start {
            InitialVerdict::Unknown | InitialVerdict::Inherited(Verdict::Unknown) => {
                fresh(Tracker::default())
            }
            InitialVerdict::Continued(key) => match old.get(&key) {
                Some(entry) => Self { monitor, ..entry.clone() },
                None => fresh(Tracker::default()),
            },
            InitialVerdict::Inherited(verdict) => {
                let mut tracker = Tracker::inherited(verdict);
                // Or an edit during a freeze would look as if the targets answered again.
                if is_frozen && verdict == Verdict::Up {
                    tracker.mark_failing();
                }
                fresh(tracker)
            }
        }
    }

    /// Whether the target was never judged, and still has time for it.
    pub(super) fn is_pending(&self, now: Duration) -> bool {
        self.tracker.verdict() == Verdict::Unknown && now < self.pending_until
    }
}
