//! Probing: what is probed, the health status that follows from it, and the doubt that freezes
//! it.
//!
//! Invariants: `keys` has one key for each probe of `topology`, by [`ProbeId`], and `ids` is its
//! inverse. The ledger has the keys that some endpoint in use depends on, and no others. A key that
//! stays across a change of the topology keeps its verdict, and so does a target whose check
//! changed, until the new check has an outcome.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::Instant as TokioInstant};

use super::{event_effect::EventEffect, monitor_faults::MonitorFaults, verdict_log};
use crate::{
    config::Canary,
    control::{canary, outcome_text::outcome_text, prior_status::PriorStatus},
    health::{
        DoubtChange, Failure, HealthStatus, Ledger, LedgerTarget, Monitor, Outcome, OutcomeEffect,
        Verdict,
        saved::{SavedKey, SavedVerdict, SavedVerdicts},
    },
    probe::{ProbeKey, ProbeReport, Prober},
    steer::{Conditions, ProbeId, Topology, active_probes},
};

/// The interval at which canaries are probed during a doubt.
const CANARY_INTERVAL: Duration = Duration::from_secs(5);

/// Owns the prober, the ledger of verdicts and what relates both to the topology.
#[derive(Debug)]
pub(super) struct Probing {
    ledger: Ledger<ProbeKey>,
    prober: Arc<Prober>,
    /// The key of each probe, by [`ProbeId`].
    keys: Vec<ProbeKey>,
    ids: HashMap<ProbeKey, ProbeId>,
    /// The topology that `keys` were made from.
    topology: Arc<Topology>,
    /// Probes whose health status changed since the conditions were last updated.
    changed: HashSet<ProbeId>,
    monitor_faults: MonitorFaults,
    canaries: Vec<Canary>,
    /// The time at which to probe the canaries; `None` unless a doubt is in effect.
    canary_at: Option<TokioInstant>,
    /// How often the checker froze all verdicts since the start.
    freezes: u64,
    /// The zero of the times in outcomes and in the ledger.
    epoch: Instant,
}

impl Probing {
    /// Probes nothing until [`Probing::set_topology`]. Outcomes carry the time since `epoch`.
    pub(super) fn new(prober: Prober, canaries: &[Canary], epoch: Instant) -> Self {
        Self {
            ledger: Ledger::new(!canaries.is_empty()),
            prober: Arc::new(prober),
            keys: Vec::new(),
            ids: HashMap::new(),
            topology: Arc::default(),
            changed: HashSet::new(),
            monitor_faults: MonitorFaults::default(),
            canaries: canaries.to_vec(),
            canary_at: None,
            freezes: 0,
            epoch,
        }
    }

    pub(super) fn ledger(&self) -> &Ledger<ProbeKey> {
        &self.ledger
    }

    pub(super) fn prober(&self) -> &Arc<Prober> {
        &self.prober
    }

    /// The probes of the topology, by [`ProbeId`].
    pub(super) fn keys(&self) -> &[ProbeKey] {
        &self.keys
    }

    /// The number that the topology has for a probe; `None` for one that is no longer probed.
    pub(super) fn id(&self, key: &ProbeKey) -> Option<ProbeId> {
        self.ids.get(key).copied()
    }

    /// Monitors that cannot work, and why.
    pub(super) fn monitor_faults(&mut self) -> &mut MonitorFaults {
        &mut self.monitor_faults
    }

    /// Each monitor that cannot work, by name, and why.
    pub(super) fn faulty_monitors(&self) -> &[(Box<str>, Failure)] {
        self.monitor_faults.list()
    }

    /// How often the checker froze all verdicts since the start.
    pub(super) fn freezes(&self) -> u64 {
        self.freezes
    }

    /// The time since the epoch.
    pub(super) fn elapsed(&self) -> Duration {
        self.epoch.elapsed()
    }

    pub(super) fn set_canaries(&mut self, canaries: &[Canary]) {
        self.canaries = canaries.to_vec();
        self.ledger.set_has_canaries(!canaries.is_empty());
    }

    /// Probes what `topology` has, except for what only disabled endpoints use. `conditions` are
    /// the newest ones; their health_statuses belong to the topology before.
    pub(super) async fn set_topology(&mut self, topology: &Arc<Topology>, conditions: &Conditions) {
        let monitors: Vec<Arc<Monitor>> = topology.monitors.iter().cloned().map(Arc::new).collect();
        let keys: Vec<ProbeKey> = topology
            .probes
            .iter()
            .map(|probe| ProbeKey {
                monitor: Arc::clone(&monitors[probe.monitor.index()]),
                target: probe.target.clone(),
            })
            .collect();
        let prior = PriorStatus::new(&self.topology, &self.keys, &conditions.health_statuses);
        let starts = prior.starts(topology, &keys);
        let active: Vec<LedgerTarget<ProbeKey>> = std::iter::zip(&keys, starts)
            .zip(active_probes(topology, conditions))
            .filter(|(_, is_probed)| *is_probed)
            .map(|((key, start), _)| LedgerTarget {
                key: key.clone(),
                monitor: Arc::clone(&key.monitor),
                start,
            })
            .collect();
        self.ids = keys.iter().cloned().zip((0..).map(ProbeId)).collect();
        self.keys = keys;
        self.topology = Arc::clone(topology);
        let probed = active.iter().map(|target| target.key.clone()).collect();
        self.ledger.set_targets(active, self.epoch.elapsed());
        self.monitor_faults.record_stamps(&self.topology).await;
        self.monitor_faults.retain_targets(|key| self.ids.contains_key(key));
        self.prober.set_keys(probed).await;
        self.monitor_faults.update(&self.prober);
        self.changed.clear();
    }

    /// Reads the certificates and keys that monitors need again.
    pub(super) async fn reread_credentials(&mut self) {
        let probed = self.ledger.keys().cloned().collect();
        self.monitor_faults.record_stamps(&self.topology).await;
        self.prober.set_keys(probed).await;
        self.monitor_faults.update(&self.prober);
    }

    /// Gives targets the verdicts of a previous run; returns for how many targets that run had a
    /// verdict.
    pub(super) fn restore(&mut self, saved: &SavedVerdicts) -> usize {
        if saved.is_empty() { 0 } else { self.ledger.restore(|key| saved.find(&key.saved_key())) }
    }

    /// Every verdict but [`Verdict::Unknown`], with the time since when it holds, for the next run.
    /// `now` is in seconds since 1970.
    pub(super) fn saved_verdicts(&self, now: i64) -> Vec<(SavedKey, SavedVerdict)> {
        let elapsed = self.epoch.elapsed();
        let unix_secs = |since: Option<Duration>| {
            since.map_or(now, |since| now - (elapsed - since).as_secs() as i64)
        };
        self.ledger
            .verdicts()
            .filter(|(_, verdict, _)| *verdict != Verdict::Unknown)
            .map(|(key, verdict, since)| {
                (key.saved_key(), SavedVerdict { verdict, since_unix_secs: unix_secs(since) })
            })
            .collect()
    }

    /// The health status of a probe now.
    pub(super) fn status(&self, id: ProbeId) -> HealthStatus {
        self.ledger.health_status(&self.keys[id.index()], self.epoch.elapsed())
    }

    /// The health status of every probe now, by [`ProbeId`]. No change is outstanding afterwards.
    pub(super) fn take_statuses(&mut self) -> Vec<HealthStatus> {
        self.changed.clear();
        let now = self.epoch.elapsed();
        self.keys.iter().map(|key| self.ledger.health_status(key, now)).collect()
    }

    /// The probes whose health status changed since the last call.
    pub(super) fn take_changed(&mut self) -> HashSet<ProbeId> {
        std::mem::take(&mut self.changed)
    }

    /// Records that a monitor could not work on a target. Such an outcome changes no verdict.
    pub(super) fn record_unusable_monitor(&mut self, key: &ProbeKey, failure: &Failure) {
        self.monitor_faults.record_failure(key, failure, &self.prober);
    }

    /// Records the outcome of a probe. `is_in_down_service` says whether a service that depends on
    /// a probe has no usable member.
    pub(super) fn record(
        &mut self,
        report: &ProbeReport,
        is_in_down_service: impl Fn(ProbeId) -> bool,
    ) -> EventEffect {
        let ProbeReport { key, outcome, .. } = report;
        self.monitor_faults.record_working(key, &self.prober);
        let had_note =
            self.ledger.last_outcome(key).is_some_and(|(outcome, _)| outcome.note.is_some());
        if let Some(note) = outcome.note.as_ref().filter(|_| !had_note) {
            tracing::warn!(monitor = %key.monitor.name, endpoint = %key.target, %note, "probe passed with a warning");
        }
        // One pass is enough where nothing else answers: the restored verdict is older than this
        // process.
        if outcome.is_pass()
            && self.ledger.is_restored_down(key)
            && self.id(key).is_some_and(is_in_down_service)
        {
            self.ledger.distrust(key);
        }
        let effect = self.ledger.record(key, outcome.clone(), report.ended_at);
        if !outcome.is_pass() {
            tracing::debug!(
                monitor = %key.monitor.name,
                endpoint = %key.target,
                outcome = outcome_text(outcome),
                "probe failed"
            );
        }
        self.apply(&effect, Some(key))
    }

    /// Records the outcome of a canary.
    pub(super) fn record_canary(&mut self, outcome: &Outcome) -> EventEffect {
        let effect = self.ledger.record_canary(outcome, self.epoch.elapsed());
        self.apply(&effect, None)
    }

    /// Logs what changed in the ledger, and marks the probes that it concerns. `key` is the probe
    /// whose outcome was recorded.
    fn apply(&mut self, effect: &OutcomeEffect<ProbeKey>, key: Option<&ProbeKey>) -> EventEffect {
        let mut needs_publication = false;
        for change in &effect.verdict_changes {
            let last = self.ledger.last_outcome(&change.key);
            let reason = last.map(|(outcome, _)| outcome_text(outcome));
            verdict_log::log_verdict_change(&change.key, change.from, change.to, reason.as_deref());
            needs_publication |= self.mark_changed(&change.key);
        }
        if effect.has_flip_time_changed
            && let Some(key) = key
        {
            needs_publication |= self.mark_changed(key);
        }
        if let Some(change) = &effect.doubt_change {
            self.apply_doubt(change);
            needs_publication = true;
        }
        EventEffect { needs_publication, needs_saving: !effect.verdict_changes.is_empty() }
    }

    /// Logs that a doubt began or ended, and marks the health status of every probe as changed.
    fn apply_doubt(&mut self, change: &DoubtChange) {
        self.canary_at = None;
        match change {
            DoubtChange::Frozen => {
                self.freezes += 1;
                self.canary_at = (!self.canaries.is_empty()).then(TokioInstant::now);
                tracing::error!(
                    help = "most endpoints failed at once: check this server's own network",
                    "health status frozen"
                );
            }
            DoubtChange::Thawed => {
                tracing::info!("health status follows probes again: endpoints pass");
            }
            DoubtChange::Confirmed => {
                tracing::warn!("health status follows probes again: the failures are confirmed");
            }
        }
        self.changed.extend(self.ids.values().copied());
    }

    /// Marks a probe's health status as changed. Returns whether the topology has the probe.
    fn mark_changed(&mut self, key: &ProbeKey) -> bool {
        let id = self.id(key);
        self.changed.extend(id);
        id.is_some()
    }

    /// Makes targets that waited too long for their first outcome count as up from now on.
    pub(super) fn expire_pending_targets(&mut self) -> EventEffect {
        let mut needs_publication = false;
        for key in self.ledger.end_pending(self.epoch.elapsed()) {
            tracing::warn!(
                monitor = %key.monitor.name,
                endpoint = %key.target,
                help = "the monitor has given no result yet: see why in the log at debug level",
                "endpoint without a verdict counts as up"
            );
            needs_publication |= self.mark_changed(&key);
        }
        EventEffect { needs_publication, needs_saving: false }
    }

    /// When [`Probing::expire_pending_targets`], the canaries or the files of monitors are due.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        let pending_end =
            self.ledger.next_pending_end().map(|end| TokioInstant::from_std(self.epoch + end));
        [pending_end, self.canary_at, self.monitor_faults.due()].into_iter().flatten().min()
    }

    /// Probes the canaries if it is time. Their outcomes go to `outcomes`.
    pub(super) fn probe_canaries_if_due(
        &mut self,
        now: TokioInstant,
        outcomes: &mpsc::Sender<Outcome>,
    ) {
        if self.canary_at.is_some_and(|at| at <= now) {
            self.canary_at = Some(now + CANARY_INTERVAL);
            canary::probe_all(&self.canaries, outcomes);
        }
    }
}
