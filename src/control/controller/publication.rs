//! Publication: the snapshot in force, the only place that replaces it, and what follows from it.
//!
//! Invariants: generations grow by one. `conditions` and `charts` belong together, and both belong
//! to the last snapshot whose charts were all compiled under the same conditions. While a newer
//! snapshot mixes charts of different conditions, `consistent` keeps that one: outages, drains and
//! reports compare consistent snapshots alone.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::time::Instant as TokioInstant;

use super::{
    background::drop_in_background, distress_tracker::DistressTracker,
    live_conditions::LiveConditions,
};
use crate::{
    control::{
        LoadedConfig,
        clock::next_second,
        drain_tracker::{DrainTracker, PublishedSnapshot},
    },
    dns::CookieKeys,
    snapshot::{ServerIdentity, Snapshot},
    steer::{CompiledCharts, Conditions},
    transport::Counters,
};

/// Owns the pointer that queries read.
#[derive(Debug)]
pub(super) struct Publication {
    in_force: Arc<ArcSwap<Snapshot>>,
    /// The time at which to publish what changed; `None` while nothing did.
    due_at: Option<TokioInstant>,
    /// The conditions of `charts`.
    conditions: Arc<Conditions>,
    /// The newest charts that were all compiled under the same conditions.
    charts: Option<CompiledCharts>,
    /// The snapshot of `charts`, while the one in force mixes conditions.
    consistent: Option<Arc<Snapshot>>,
    /// Snapshots that a shard may still hold. The last reference to each is dropped here, so that
    /// no query waits while its memory is freed.
    retired: Vec<Arc<Snapshot>>,
    identity: Arc<ServerIdentity>,
    counters: Counters,
    drain_tracker: DrainTracker,
    distress_tracker: DistressTracker,
}

impl Publication {
    /// Publishes no charts yet, so no query is answered. `counters` later get the names of the
    /// services and datacenters that they count.
    pub(super) fn new(identity: ServerIdentity, counters: Counters) -> Self {
        Self {
            in_force: Arc::default(),
            due_at: None,
            conditions: Arc::default(),
            charts: None,
            consistent: None,
            retired: Vec::new(),
            identity: Arc::new(identity),
            counters,
            drain_tracker: DrainTracker::default(),
            distress_tracker: DistressTracker::default(),
        }
    }

    /// The pointer to the snapshot in force.
    pub(super) fn pointer(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.in_force
    }

    /// The snapshot in force.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.in_force.load_full()
    }

    /// The generation of the snapshot in force.
    pub(super) fn generation(&self) -> u64 {
        self.in_force.load().generation
    }

    /// The conditions of the newest consistent charts.
    pub(super) fn conditions(&self) -> &Arc<Conditions> {
        &self.conditions
    }

    /// The newest consistent charts; `None` before the first.
    pub(super) fn charts(&self) -> Option<&CompiledCharts> {
        self.charts.as_ref()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn drain_tracker(&self) -> &DrainTracker {
        &self.drain_tracker
    }

    /// Whether all charts of the snapshot in force were compiled under the same conditions.
    pub(super) fn is_consistent(&self) -> bool {
        self.consistent.is_none()
    }

    /// Schedules a publication after `delay`, unless one is scheduled already.
    pub(super) fn schedule(&mut self, delay: Duration) {
        self.due_at.get_or_insert_with(|| TokioInstant::now() + delay);
    }

    /// Cancels the scheduled publication: the worker has all changes.
    pub(super) fn unschedule(&mut self) {
        self.due_at = None;
    }

    /// The time at which to publish what changed.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        self.due_at
    }

    /// Publishes charts of which some are still of earlier conditions.
    pub(super) fn publish_mixed(&mut self, loaded: &LoadedConfig, charts: &CompiledCharts) {
        let before = self.swap(loaded, charts);
        match self.consistent {
            Some(_) => self.retired.push(before),
            None => self.consistent = Some(before),
        }
    }

    /// Publishes charts that were all compiled under the same conditions, and has drains, outages
    /// and the log follow them.
    pub(super) fn publish(
        &mut self,
        loaded: &LoadedConfig,
        charts: CompiledCharts,
        live: &mut LiveConditions,
    ) {
        self.conditions = Arc::clone(charts.conditions());
        let last = self.swap(loaded, &charts);
        let before = match self.consistent.take() {
            Some(before) => {
                self.retired.push(last);
                before
            }
            None => last,
        };
        let snapshot = self.snapshot();
        self.distress_tracker.update(&before, &snapshot);
        let down = self.distress_tracker.down(&snapshot.charts);
        live.note_outages(&loaded.compiler, &self.conditions, down);
        // The previous snapshot may have answered queries until this second.
        let (conditions, now) = (&*self.conditions, next_second());
        self.drain_tracker
            .update(&before, PublishedSnapshot { snapshot: &snapshot, conditions, now });
        self.retired.push(before);
        drop_in_background(self.charts.replace(charts));
        let has_all_aliases = live.aliases().aliases().is_complete();
        self.distress_tracker.log_changes(loaded, &snapshot.charts, has_all_aliases);
        drop(snapshot);
        self.drop_retired();
    }

    /// Publishes the snapshot in force again, with other cookie keys.
    pub(super) fn set_cookie_keys(&mut self, cookie_keys: Option<CookieKeys>) {
        let nsid = self.identity.nsid.clone();
        self.identity = Arc::new(ServerIdentity { nsid, cookie_keys });
        let now = self.snapshot();
        let (generation, identity) = (now.generation + 1, Arc::clone(&self.identity));
        let before = self.in_force.swap(Arc::new(Snapshot {
            generation,
            identity,
            ..Snapshot::clone(&now)
        }));
        drop(now);
        self.retired.push(before);
        self.drop_retired();
    }

    /// Puts a snapshot of these charts in force; returns the snapshot before.
    fn swap(&self, loaded: &LoadedConfig, charts: &CompiledCharts) -> Arc<Snapshot> {
        let generation = self.generation() + 1;
        let snapshot = loaded.snapshot(generation, charts, Arc::clone(&self.identity));
        self.counters.assign_slots(&snapshot.topology);
        self.in_force.swap(Arc::new(snapshot))
    }

    /// Drops the retired snapshots that no shard holds any more. Each shard holds one at most.
    pub(super) fn drop_retired(&mut self) {
        let is_free = |snapshot: &mut Arc<Snapshot>| Arc::strong_count(snapshot) == 1;
        let free: Vec<_> = self.retired.extract_if(.., is_free).collect();
        if !free.is_empty() {
            drop_in_background(free);
        }
    }
}
