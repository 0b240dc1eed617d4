//! What comes in between edits: outcomes of probes, what aliases resolve to, load reports.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::mpsc,
    time::{Instant as TokioInstant, sleep_until},
};

use super::{COALESCE_DELAY, Controller, SAVE_DELAY};
use crate::{
    control::{prior_status::PriorStatus, report, state::unix_now},
    dns::Name,
    health::{
        DoubtChange, Failure, LedgerTarget, Monitor, Outcome, OutcomeEffect, Verdict,
        saved::SavedVerdict,
    },
    probe::{PollReport, ProbeKey, ProbeReport},
    resolve,
    steer::{AliasId, ProbeId, ServiceId, active_probes},
};

/// How often the files of a monitor that cannot work are looked at again.
const CREDENTIALS_RECHECK_INTERVAL: Duration = Duration::from_secs(10);
/// How long a reload waits for new aliases to be resolved. It is short because no change of health
/// is published meanwhile, and a working resolver takes less.
const FIRST_RESOLUTION_TIMEOUT: Duration = Duration::from_secs(2);

impl Controller {
    /// Makes the topology's probes what is probed, but for those that only disabled endpoints use.
    /// What another check of a target came to is kept until the new check has an outcome.
    pub(super) async fn set_targets(&mut self) {
        let topology = Arc::clone(&self.loaded.topology);
        let monitors: Vec<Arc<Monitor>> = topology.monitors.iter().cloned().map(Arc::new).collect();
        let keys: Vec<ProbeKey> = topology
            .probes
            .iter()
            .map(|probe| ProbeKey {
                monitor: Arc::clone(&monitors[probe.monitor.index()]),
                target: probe.target.clone(),
            })
            .collect();
        let heritage =
            PriorStatus::new(&self.probed_topology, &self.probe_keys, &self.conditions.standings);
        let starts = heritage.starts(&topology, &keys);
        let active: Vec<LedgerTarget<ProbeKey>> = std::iter::zip(&keys, starts)
            .zip(active_probes(&topology, &self.conditions))
            .filter(|(_, is_probed)| *is_probed)
            .map(|((key, start), _)| LedgerTarget {
                key: key.clone(),
                monitor: Arc::clone(&key.monitor),
                start,
            })
            .collect();
        self.probe_ids = keys.iter().cloned().zip((0..).map(ProbeId)).collect();
        self.probe_keys = keys;
        self.probed_topology = topology;
        let probed = active.iter().map(|target| target.key.clone()).collect();
        self.ledger.set_targets(active, self.epoch.elapsed());
        self.credentials.record_stamps(&self.probed_topology).await;
        self.broken_targets.retain(|key, _| self.probe_ids.contains_key(key));
        self.prober.set_keys(probed).await;
        self.update_monitor_faults();
        self.changed_probes.clear();
    }

    /// Reads again the certificates and keys that monitors need.
    pub(super) async fn reread_credentials(&mut self) {
        let probed = self.ledger.keys().cloned().collect();
        self.credentials.record_stamps(&self.probed_topology).await;
        self.prober.set_keys(probed).await;
        self.update_monitor_faults();
    }

    /// Notes that a monitor could not work on a target, or `None`: that it could. Such an outcome
    /// judges nothing.
    fn record_monitor_failure(&mut self, key: &ProbeKey, failure: Option<&Failure>) {
        let is_changed = match failure {
            Some(failure) => {
                self.broken_targets.insert(key.clone(), failure.clone()).as_ref() != Some(failure)
            }
            None => self.broken_targets.remove(key).is_some(),
        };
        if is_changed {
            self.update_monitor_faults();
        }
    }

    /// Logs which monitors cannot work any more, and which can again. While there are any, their
    /// files are looked at again.
    fn update_monitor_faults(&mut self) {
        let mut faults = self.prober.monitor_faults();
        let is_unreadable = !faults.is_empty();
        faults.extend(
            self.broken_targets
                .iter()
                .map(|(key, failure)| (key.monitor.name.clone(), failure.clone())),
        );
        faults.sort_by(|a, b| (&a.0, a.1.to_string()).cmp(&(&b.0, b.1.to_string())));
        faults.dedup();
        // The want of the system's authorities is a warning of the configuration: once, and not for
        // each monitor.
        let is_news = |fault: &&(Box<str>, Failure)| {
            !self.monitor_faults.contains(fault) && fault.1 != Failure::NoSystemAuthorities
        };
        for (monitor, error) in faults.iter().filter(is_news) {
            tracing::error!(%monitor, %error, "monitor judges nothing, its targets keep their status");
        }
        let is_fixed =
            |(monitor, _): &&(Box<str>, Failure)| !faults.iter().any(|(other, _)| other == monitor);
        for (monitor, _) in self.monitor_faults.iter().filter(is_fixed) {
            tracing::info!(%monitor, "monitor works again");
        }
        self.recheck_at = is_unreadable.then(|| TokioInstant::now() + CREDENTIALS_RECHECK_INTERVAL);
        self.monitor_faults = faults;
    }

    /// Gives what is probed the verdicts of a previous run; returns how many targets that run knew.
    pub(super) fn restore_verdicts(&mut self, now: i64) -> usize {
        let saved = self.state_directory.verdicts(now);
        self.recovery.set_topology(&self.loaded.topology);
        self.recovery
            .restore(&self.state_directory.recoveries(SystemTime::now()), self.epoch.elapsed());
        if saved.is_empty() { 0 } else { self.ledger.restore(|key| saved.find(&key.saved_key())) }
    }

    /// Targets that have waited for their first outcome for too long count as up from now on.
    pub(super) fn expire_pending_targets(&mut self) {
        for key in self.ledger.end_pending(self.epoch.elapsed()) {
            tracing::warn!(
                monitor = %key.monitor.name,
                endpoint = %key.target,
                help = "the monitor has judged nothing yet: see why in the log at debug level",
                "endpoint never judged counts as up"
            );
            self.mark_changed(&key);
        }
    }

    /// Whether a service that a probe has a part in has nothing usable.
    fn is_in_down_service(&self, probe: ProbeId) -> bool {
        let charts = &self.snapshot().charts;
        let is_down =
            |service: ServiceId| charts.get(service.index()).is_some_and(|chart| chart.is_down());
        self.loaded.compiler.services_of(probe).any(is_down)
    }

    pub(super) fn record_probe(&mut self, report: &ProbeReport) {
        if let Err(failure @ Failure::MonitorUnusable(_)) = &report.outcome.result {
            self.record_monitor_failure(&report.key, Some(failure));
            return;
        }
        self.record_monitor_failure(&report.key, None);
        let had_note = self
            .ledger
            .last_outcome(&report.key)
            .is_some_and(|(outcome, _)| outcome.note.is_some());
        if let Some(note) = report.outcome.note.as_ref().filter(|_| !had_note) {
            tracing::warn!(monitor = %report.key.monitor.name, endpoint = %report.key.target, %note, "probe passed with a warning");
        }
        if report.outcome.is_pass()
            && self.ledger.is_restored_down(&report.key)
            && self.probe_ids.get(&report.key).is_some_and(|id| self.is_in_down_service(*id))
        {
            self.ledger.distrust(&report.key);
        }
        let effect = self.ledger.record(&report.key, report.outcome.clone(), report.ended_at);
        if !report.outcome.is_pass() {
            tracing::debug!(
                monitor = %report.key.monitor.name,
                endpoint = %report.key.target,
                outcome = report::outcome_text(&report.outcome),
                "probe failed"
            );
        }
        self.apply_effect(&effect, Some(&report.key));
        if let Some(id) = self.probe_ids.get(&report.key) {
            self.load_controller.record_probe(*id, report, &self.conditions);
        }
    }

    pub(super) fn record_canary(&mut self, outcome: &Outcome) {
        let effect = self.ledger.record_canary(outcome, self.epoch.elapsed());
        self.apply_effect(&effect, None);
    }

    pub(super) fn apply_effect(
        &mut self,
        effect: &OutcomeEffect<ProbeKey>,
        key: Option<&ProbeKey>,
    ) {
        for turn in &effect.verdict_changes {
            let last = self
                .ledger
                .last_outcome(&turn.key)
                .map(|(outcome, _)| report::outcome_text(outcome));
            log_verdict_change(&turn.key, turn.from, turn.to, last.as_deref());
            self.mark_changed(&turn.key);
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE_DELAY);
        }
        if effect.has_flip_time_changed
            && let Some(key) = key
        {
            self.mark_changed(key);
        }
        match effect.doubt_change {
            Some(DoubtChange::Frozen) => {
                self.freezes += 1;
                self.canary_at =
                    (!self.loaded.config.server.canaries.is_empty()).then(TokioInstant::now);
                tracing::error!(
                    help = "most endpoints failed at once: check this server's own network",
                    "health status frozen"
                );
                self.mark_all_changed();
            }
            Some(DoubtChange::Thawed) => {
                self.canary_at = None;
                tracing::info!("health status follows probes again: endpoints pass");
                self.mark_all_changed();
            }
            Some(DoubtChange::Confirmed) => {
                self.canary_at = None;
                tracing::warn!("health status follows probes again: the failures are confirmed");
                self.mark_all_changed();
            }
            None => {}
        }
    }

    pub(super) fn mark_changed(&mut self, key: &ProbeKey) {
        if let Some(id) = self.probe_ids.get(key) {
            self.changed_probes.insert(*id);
            self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE_DELAY);
        }
    }

    pub(super) fn mark_all_changed(&mut self) {
        self.changed_probes.extend(self.probe_ids.values().copied());
        self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE_DELAY);
    }

    pub(super) fn save_verdicts(&mut self) {
        self.save_at = None;
        let now = unix_now();
        let elapsed = self.epoch.elapsed();
        let since = |since: Option<Duration>| {
            since.map_or(now, |since| now - (elapsed - since).as_secs() as i64)
        };
        let verdicts: Vec<_> = self
            .ledger
            .verdicts()
            .filter(|(_, verdict, _)| *verdict != Verdict::Unknown)
            .map(|(key, verdict, settled)| {
                (key.saved_key(), SavedVerdict { verdict, since_unix_secs: since(settled) })
            })
            .collect();
        self.state_directory.save_verdicts(verdicts, now);
        self.state_directory.save_feedback(&self.load_controller.saved());
        self.state_directory.save_recoveries(self.recovery.saved(elapsed), SystemTime::now());
        self.state_directory.save_aliases(self.aliases.saved());
    }

    // Aliases

    /// Makes the topology's aliases what is resolved.
    pub(super) fn set_aliases(&mut self, aliases: &[Name], resolvers: &[std::net::SocketAddr]) {
        self.aliases.track(aliases);
        self.prober.set_aliases(aliases);
        self.resolver.set_aliases(aliases, resolvers);
    }

    /// Gives aliases what they stood for in a previous run.
    pub(super) fn restore_aliases(&mut self, now: i64) {
        self.aliases.restore(self.state_directory.aliases(now));
        for (alias, addresses) in self.aliases.addresses() {
            self.prober.set_alias_addresses(alias, addresses);
        }
    }

    /// Waits until every alias was asked for that no earlier life knows of. Probes go on meanwhile.
    pub(super) async fn first_resolution(
        &mut self,
        resolved: &mut mpsc::Receiver<resolve::AliasReport>,
    ) {
        let end = TokioInstant::now() + FIRST_RESOLUTION_TIMEOUT;
        while !self.aliases.is_complete() {
            tokio::select! {
                Some(report) = resolved.recv() => self.apply_resolution(report),
                () = sleep_until(end) => {
                    tracing::warn!(aliases = self.aliases.unreported_count(), "new aliases not resolved in time: applying the files without them");
                    break;
                }
            }
        }
    }

    pub(super) fn apply_resolution(&mut self, report: resolve::AliasReport) {
        let now = TokioInstant::now();
        let alias = report.alias.clone();
        if self.aliases.apply_report(report, unix_now()) {
            self.save_at.get_or_insert(now + SAVE_DELAY);
        }
        self.prober.set_alias_addresses(&alias, self.aliases.addresses_of(&alias));
        self.publish_at.get_or_insert(now + COALESCE_DELAY);
    }

    /// Takes up what aliases stand for; those for which that is something else.
    pub(super) fn update_aliases(&mut self) -> Vec<AliasId> {
        let resolved = self.aliases.resolved(&self.loaded.topology);
        let old = std::mem::replace(&mut self.conditions.aliases, resolved);
        let changed =
            |(at, new): (usize, &Arc<_>)| (old.get(at) != Some(new)).then_some(AliasId(at as u32));
        self.conditions.aliases.iter().enumerate().filter_map(changed).collect()
    }

    // Load reports and ramps

    /// Makes the topology's load sources what is polled.
    pub(super) async fn set_load_sources(&mut self) {
        let topology = Arc::clone(&self.loaded.topology);
        self.load_controller.set_topology(&topology, &mut self.conditions).await;
    }

    pub(super) fn apply_load_reading(&mut self, reading: PollReport) {
        self.load_controller.record_poll(reading, &self.conditions);
        self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE_DELAY);
    }
}

/// Logs a change of an endpoint's health status: a warning where it is down now.
pub(super) fn log_verdict_change(key: &ProbeKey, from: Verdict, to: Verdict, reason: Option<&str>) {
    let (monitor, endpoint, from) = (&key.monitor.name, &key.target, from.word());
    if to == Verdict::Down {
        tracing::warn!(%monitor, %endpoint, from, to = to.word(), reason, "health status changed");
    } else {
        tracing::info!(%monitor, %endpoint, from, to = to.word(), reason, "health status changed");
    }
}
