//! The newest conditions, and everything that changes them: health status, aliases, load reports,
//! ramps, failovers and recoveries.
//!
//! Charts that depend on a change may still be at the compile worker: `publication` has the
//! conditions in force. Invariant: `current` belongs to the topology of the configuration in use;
//! after a new one, `rebuild` comes before `update`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::Instant as TokioInstant;

use super::{
    alias_resolution::AliasResolution, feedback_gate::FeedbackGate, probing::Probing, verdict_log,
};
use crate::{
    control::{LoadedConfig, load_controller::LoadController, safety_memory::SafetyMemory},
    health::HealthStatus,
    probe::{PollReport, ProbeReport},
    steer::{
        AliasId, Chart, Compiler, Conditions, ProbeId, Recovery, SavedFeedback, SavedRecovery,
        ServiceId, ServingState, Topology, datacenter_states, update_combined,
    },
};

/// Owns the newest conditions.
#[derive(Debug)]
pub(super) struct LiveConditions {
    current: Conditions,
    /// Each probe's health status as the health checks have it. `current` differs from it where a
    /// rule holds a datacenter.
    checked: Vec<HealthStatus>,
    safety: SafetyMemory,
    feedback_gate: FeedbackGate,
    aliases: AliasResolution,
    load_controller: LoadController,
    /// Services that recover from an outage of all members.
    recovery: Recovery,
    /// Whether an operator forced a failback since the last update.
    has_forced_failback: bool,
    /// The zero of the times of load reports and recoveries.
    epoch: Instant,
}

/// What the health statuses so far belong to.
#[derive(Debug, Clone, Copy)]
enum HoldBasis {
    /// The topology in use.
    SameTopology,
    /// Another one: the numbers of its probes mean nothing any more.
    OtherTopology,
}

/// What an update of the conditions calls for.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConditionsUpdate {
    /// Whether the conditions differ from before.
    pub is_changed: bool,
    /// Whether ramps, failovers or recoveries changed, which must survive a restart.
    pub needs_saving: bool,
}

impl LiveConditions {
    /// Conditions under which nothing was probed yet. `now` is in seconds since 1970.
    pub(super) fn new(
        topology: &Topology,
        now: i64,
        aliases: AliasResolution,
        load_controller: LoadController,
        epoch: Instant,
    ) -> Self {
        Self {
            current: Conditions::unprobed(topology, now),
            checked: Vec::new(),
            safety: SafetyMemory::default(),
            feedback_gate: FeedbackGate::default(),
            aliases,
            load_controller,
            recovery: Recovery::default(),
            has_forced_failback: false,
            epoch,
        }
    }

    pub(super) fn current(&self) -> &Conditions {
        &self.current
    }

    /// What the safety rules remember.
    pub(super) fn safety(&self) -> &SafetyMemory {
        &self.safety
    }

    pub(super) fn safety_mut(&mut self) -> &mut SafetyMemory {
        &mut self.safety
    }

    pub(super) fn feedback_gate(&self) -> &FeedbackGate {
        &self.feedback_gate
    }

    pub(super) fn feedback_gate_mut(&mut self) -> &mut FeedbackGate {
        &mut self.feedback_gate
    }

    /// Has the conditions contain what the gate of load feedback allows.
    pub(super) fn follow_feedback_gate(&mut self) {
        self.feedback_gate.put_allowed_into(&mut self.current.adjustments);
    }

    /// Each probe's health status as the health checks have it.
    pub(super) fn checked(&self) -> &[HealthStatus] {
        &self.checked
    }

    pub(super) fn aliases(&self) -> &AliasResolution {
        &self.aliases
    }

    pub(super) fn aliases_mut(&mut self) -> &mut AliasResolution {
        &mut self.aliases
    }

    pub(super) fn load_controller(&self) -> &LoadController {
        &self.load_controller
    }

    /// Gives ramps, failovers and recoveries the state of a previous run. The load sources must be
    /// those of the configuration in use.
    pub(super) fn restore(
        &mut self,
        topology: &Arc<Topology>,
        feedback: SavedFeedback,
        recoveries: &[SavedRecovery],
    ) {
        self.load_controller.restore(feedback, &mut self.current);
        self.feedback_gate.close(&mut self.current.adjustments, false);
        self.recovery.set_topology(topology);
        self.recovery.restore(recoveries, self.epoch.elapsed());
    }

    /// The state of ramps and failovers for the next run.
    pub(super) fn saved_feedback(&self) -> SavedFeedback {
        let mut saved = self.load_controller.saved();
        self.feedback_gate.put_allowed_into_saved(&mut saved, self.load_controller.topology());
        saved
    }

    /// The recoveries in progress for the next run.
    pub(super) fn saved_recoveries(&self) -> Vec<SavedRecovery> {
        self.recovery.saved(self.epoch.elapsed())
    }

    /// Polls the load sources of `topology`, and no others.
    pub(super) async fn set_load_sources(&mut self, topology: &Arc<Topology>) {
        self.load_controller.set_topology(topology, &mut self.current).await;
        self.feedback_gate.adopt(&mut self.current.adjustments, topology);
    }

    /// Sets the states that the datacenters have at `now`, in seconds since 1970. Returns the
    /// states before, if any differs.
    pub(super) fn update_datacenter_states(
        &mut self,
        topology: &Topology,
        now: i64,
    ) -> Option<Vec<ServingState>> {
        let states = datacenter_states(topology, now);
        if states == self.current.datacenters {
            return None;
        }
        Some(std::mem::replace(&mut self.current.datacenters, states))
    }

    /// Records the result of a poll of a load source.
    pub(super) fn record_poll(&mut self, report: PollReport) {
        self.load_controller.record_poll(report, &self.current);
    }

    /// Records what a health check says besides its outcome: its latency, and the load that its
    /// reply carries.
    pub(super) fn record_probe(&mut self, id: ProbeId, report: &ProbeReport) {
        self.load_controller.record_probe(id, report, &self.current);
    }

    /// Makes the first usable member of a `failover` pool its holder. `None` where no pool has this
    /// name, else whether another member held the clients.
    pub(super) fn force_failback(&mut self, pool: &str) -> Option<bool> {
        let was_held = self.load_controller.force_failback(pool);
        self.has_forced_failback |= was_held == Some(true);
        was_held
    }

    /// Makes all of the conditions follow their inputs, for a topology that may be new.
    pub(super) fn rebuild(&mut self, loaded: &LoadedConfig, probing: &mut Probing) {
        self.checked = probing.take_statuses();
        update_combined(&loaded.topology.combined_probes, &mut self.checked);
        self.follow_checks(loaded, HoldBasis::OtherTopology);
        self.update_aliases(&loaded.topology);
        self.update_feedback(loaded, true);
        self.recovery.set_topology(&loaded.topology);
        self.recovery.follow(&loaded.compiler, &mut self.current, self.epoch.elapsed());
    }

    /// Makes the conditions follow the probes whose status changed, aliases, load reports and
    /// recoveries.
    pub(super) fn update(
        &mut self,
        loaded: &LoadedConfig,
        probing: &mut Probing,
    ) -> ConditionsUpdate {
        // Combined probes follow their parts: the ledger has none of them.
        let is_probe = |id: &ProbeId| loaded.topology.combined_probes[id.index()].is_none();
        let mut is_checked = false;
        for id in probing.take_changed().into_iter().filter(is_probe) {
            let status = probing.status(id);
            let before = std::mem::replace(&mut self.checked[id.index()], status);
            is_checked |= before != status;
        }
        is_checked |= self.update_combined(&loaded.topology, probing);
        let mut is_changed = is_checked && self.follow_checks(loaded, HoldBasis::SameTopology);
        is_changed |= !self.update_aliases(&loaded.topology).is_empty();
        let has_news = std::mem::take(&mut self.has_forced_failback) || is_changed;
        let has_recoveries = self.update_recoveries(loaded);
        let has_feedback = self.update_feedback(loaded, has_news);
        ConditionsUpdate {
            is_changed: is_changed || has_recoveries || has_feedback,
            needs_saving: has_recoveries || has_feedback,
        }
    }

    /// Makes shares, ramps and holders follow load reports and health, as far as no rule holds load
    /// feedback. Returns whether any differs.
    fn update_feedback(&mut self, loaded: &LoadedConfig, has_news: bool) -> bool {
        let rules = &loaded.config.safety.rules;
        let is_limited = rules.movement.is_some() || rules.is_frozen;
        let before = is_limited.then(|| self.current.adjustments.clone());
        self.feedback_gate.open(&mut self.current.adjustments);
        let changed = self.load_controller.update(&loaded.compiler, &mut self.current, has_news);
        self.feedback_gate.close(&mut self.current.adjustments, is_limited);
        before.map_or(!changed.is_empty(), |before| before != self.current.adjustments)
    }

    /// Makes the health statuses to answer with follow the health checks, as far as no rule holds
    /// them. Returns whether any differs.
    fn follow_checks(&mut self, loaded: &LoadedConfig, basis: HoldBasis) -> bool {
        let rules = &loaded.config.safety.rules;
        let hold = &mut self.safety.hold;
        let so_far = matches!(basis, HoldBasis::SameTopology)
            .then_some(self.current.health_statuses.as_slice());
        let states = &self.current.datacenters;
        let statuses = hold.follow(&loaded.topology, rules, (states, so_far), self.checked.clone());
        let before = std::mem::replace(&mut self.current.health_statuses, statuses);
        before != self.current.health_statuses
    }

    /// Makes the status of combined targets follow their parts. Returns whether any changed.
    fn update_combined(&mut self, topology: &Topology, probing: &Probing) -> bool {
        let before = self.checked.clone();
        let combined = update_combined(&topology.combined_probes, &mut self.checked);
        for id in &combined {
            let from = before[id.index()].verdict;
            let to = self.checked[id.index()].verdict;
            if from != to {
                let key = &probing.keys()[id.index()];
                verdict_log::log_verdict_change(key, from, to, Some("combined from its parts"));
            }
        }
        !combined.is_empty()
    }

    /// Sets what aliases stand for; returns the aliases for which that differs.
    fn update_aliases(&mut self, topology: &Topology) -> Vec<AliasId> {
        let resolved = self.aliases.aliases().resolved(topology);
        let old = std::mem::replace(&mut self.current.aliases, resolved);
        let is_changed = |(index, new): &(usize, &Arc<_>)| old.get(*index) != Some(*new);
        let changed = self.current.aliases.iter().enumerate().filter(is_changed);
        changed.map(|(index, _)| AliasId(index as u32)).collect()
    }

    /// Continues the recoveries from outages of all members. Returns whether any changed.
    fn update_recoveries(&mut self, loaded: &LoadedConfig) -> bool {
        let elapsed = self.epoch.elapsed();
        let changed = self.recovery.follow(&loaded.compiler, &mut self.current, elapsed);
        for id in &changed {
            let pool = &loaded.topology.pools[id.index()].name;
            let groups = self.current.recovering.iter().filter(|(group, _)| group.pool == *id);
            match groups.map(|(_, secs)| *secs).max() {
                Some(secs) => {
                    tracing::info!(%pool, longest_secs = secs, "recovering: too few members are back, all are answered")
                }
                None => tracing::info!(%pool, "recovery ended"),
            }
        }
        !changed.is_empty()
    }

    /// Records the services that answer all of their members because none is usable: a recovery
    /// follows the outage. `down` has their charts, which were compiled under `in_force`.
    pub(super) fn note_outages<'c>(
        &mut self,
        compiler: &Compiler,
        in_force: &Conditions,
        down: impl Iterator<Item = (ServiceId, &'c Chart)>,
    ) {
        self.recovery.note_outages(compiler, in_force, down);
    }

    /// When [`LiveConditions::update`] is due by the clock: for a recovery, a ramp or a load report
    /// that expires.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        let recovery = self.recovery.next_due().map(|due| TokioInstant::from_std(self.epoch + due));
        self.load_controller.wake_at().into_iter().chain(recovery).min()
    }

    /// Whether [`LiveConditions::update`] is due by the clock.
    pub(super) fn is_due(&self) -> bool {
        let is_recovery_due = |due: Duration| due <= self.epoch.elapsed();
        self.load_controller.is_due() || self.recovery.next_due().is_some_and(is_recovery_due)
    }
}
