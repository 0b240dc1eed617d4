//! What comes in between edits: outcomes of probes, what aliases resolve to, load reports.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::mpsc,
    time::{Instant as TokioInstant, sleep_until},
};

use super::{COALESCE, Controller, SAVE};
use crate::{
    control::{heritage::Heritage, report, state::unix_now},
    dns::Name,
    health::{Doubts, Effect, Failure, Monitor, Outcome, Target, Verdict, saved::SavedVerdict},
    probe::{LoadReading, ProbeKey, Report},
    resolve,
    steer::{AliasId, ProbeId, ServiceId, probed},
};

/// How often the files of a monitor that cannot work are looked at again.
const RECHECK: Duration = Duration::from_secs(10);
/// How long a reload waits for new aliases to be resolved. It is short because no change of health
/// is published meanwhile, and a working resolver takes less.
const FIRST_RESOLUTION: Duration = Duration::from_secs(2);

impl Controller {
    /// Makes the topology's probes what is probed, but for those that only disabled endpoints use.
    /// What another check of a target came to is kept until the new check has an outcome.
    pub(super) async fn set_targets(&mut self) {
        let topology = Arc::clone(&self.world.topology);
        let monitors: Vec<Arc<Monitor>> = topology.monitors.iter().cloned().map(Arc::new).collect();
        let keys: Vec<ProbeKey> = topology
            .probes
            .iter()
            .map(|probe| ProbeKey {
                monitor: Arc::clone(&monitors[probe.monitor.index()]),
                target: probe.target.clone(),
            })
            .collect();
        let heritage = Heritage::of(&self.probed, &self.keys, &self.conditions.standings);
        let starts = heritage.starts(&topology, &keys);
        let active: Vec<Target<ProbeKey>> = std::iter::zip(&keys, starts)
            .zip(probed(&topology, &self.conditions))
            .filter(|(_, is_probed)| *is_probed)
            .map(|((key, start), _)| Target {
                key: key.clone(),
                monitor: Arc::clone(&key.monitor),
                start,
            })
            .collect();
        self.ids = keys.iter().cloned().zip((0..).map(ProbeId)).collect();
        self.keys = keys;
        self.probed = topology;
        let probed = active.iter().map(|target| target.key.clone()).collect();
        self.ledger.set(active, self.epoch.elapsed());
        self.credentials.note(&self.probed).await;
        self.broken.retain(|key, _| self.ids.contains_key(key));
        self.prober.set(probed).await;
        self.note_faults();
        self.touched.clear();
    }

    /// Reads again the certificates and keys that monitors need.
    pub(super) async fn reread_credentials(&mut self) {
        let probed = self.ledger.keys().cloned().collect();
        self.credentials.note(&self.probed).await;
        self.prober.set(probed).await;
        self.note_faults();
    }

    /// Notes that a monitor could not work on a target, or `None`: that it could. Such an outcome
    /// judges nothing.
    fn note_broken(&mut self, key: &ProbeKey, failure: Option<&Failure>) {
        let is_changed = match failure {
            Some(failure) => {
                self.broken.insert(key.clone(), failure.clone()).as_ref() != Some(failure)
            }
            None => self.broken.remove(key).is_some(),
        };
        if is_changed {
            self.note_faults();
        }
    }

    /// Logs which monitors cannot work any more, and which can again. While there are any, their
    /// files are looked at again.
    fn note_faults(&mut self) {
        let mut faults = self.prober.faults();
        let is_unreadable = !faults.is_empty();
        faults.extend(
            self.broken.iter().map(|(key, failure)| (key.monitor.name.clone(), failure.clone())),
        );
        faults.sort_by(|a, b| (&a.0, a.1.to_string()).cmp(&(&b.0, b.1.to_string())));
        faults.dedup();
        // The want of the system's authorities is a warning of the configuration: once, and not for
        // each monitor.
        let is_news = |fault: &&(Box<str>, Failure)| {
            !self.faults.contains(fault) && fault.1 != Failure::NoSystemAuthorities
        };
        for (monitor, error) in faults.iter().filter(is_news) {
            tracing::error!(%monitor, %error, "monitor judges nothing, its targets keep their status");
        }
        let is_fixed =
            |(monitor, _): &&(Box<str>, Failure)| !faults.iter().any(|(other, _)| other == monitor);
        for (monitor, _) in self.faults.iter().filter(is_fixed) {
            tracing::info!(%monitor, "monitor works again");
        }
        self.recheck_at = is_unreadable.then(|| TokioInstant::now() + RECHECK);
        self.faults = faults;
    }

    /// Gives what is probed the verdicts of a previous run; returns how many targets that run knew.
    pub(super) fn restore_verdicts(&mut self, now: i64) -> usize {
        let saved = self.state.verdicts(now);
        self.recovery.adopt(&self.world.topology);
        self.recovery.restore(&self.state.recoveries(SystemTime::now()), self.epoch.elapsed());
        if saved.is_empty() { 0 } else { self.ledger.restore(|key| saved.of(&key.saved())) }
    }

    /// Targets that have waited for their first outcome for too long count as up from now on.
    pub(super) fn end_pending(&mut self) {
        for key in self.ledger.end_pending(self.epoch.elapsed()) {
            tracing::warn!(
                monitor = %key.monitor.name,
                endpoint = %key.target,
                help = "the monitor has judged nothing yet: see why in the log at debug level",
                "endpoint never judged counts as up"
            );
            self.touch(&key);
        }
    }

    /// Whether a service that a probe has a part in has nothing usable.
    fn is_needed(&self, probe: ProbeId) -> bool {
        let charts = &self.snapshot().charts;
        let is_down =
            |service: ServiceId| charts.get(service.index()).is_some_and(|chart| chart.is_down());
        self.world.compiler.services_of(probe).any(is_down)
    }

    pub(super) fn record(&mut self, report: &Report) {
        if let Err(failure @ Failure::Monitor(_)) = &report.outcome.result {
            self.note_broken(&report.key, Some(failure));
            return;
        }
        self.note_broken(&report.key, None);
        let had_note = self
            .ledger
            .last_outcome(&report.key)
            .is_some_and(|(outcome, _)| outcome.note.is_some());
        if let Some(note) = report.outcome.note.as_ref().filter(|_| !had_note) {
            tracing::warn!(monitor = %report.key.monitor.name, endpoint = %report.key.target, %note, "probe passed with a warning");
        }
        if report.outcome.is_pass()
            && self.ledger.is_restored_down(&report.key)
            && self.ids.get(&report.key).is_some_and(|id| self.is_needed(*id))
        {
            self.ledger.distrust(&report.key);
        }
        let effect = self.ledger.record(&report.key, report.outcome.clone(), report.at);
        if !report.outcome.is_pass() {
            tracing::debug!(
                monitor = %report.key.monitor.name,
                endpoint = %report.key.target,
                outcome = report::outcome_text(&report.outcome),
                "probe failed"
            );
        }
        self.follow(&effect, Some(&report.key));
        if let Some(id) = self.ids.get(&report.key) {
            self.regulator.hear(*id, report, &self.conditions);
        }
    }

    pub(super) fn record_canary(&mut self, outcome: &Outcome) {
        let effect = self.ledger.record_canary(outcome, self.epoch.elapsed());
        self.follow(&effect, None);
    }

    pub(super) fn follow(&mut self, effect: &Effect<ProbeKey>, key: Option<&ProbeKey>) {
        for turn in &effect.turns {
            let last = self
                .ledger
                .last_outcome(&turn.key)
                .map(|(outcome, _)| report::outcome_text(outcome));
            log_turn(&turn.key, turn.from, turn.to, last.as_deref());
            self.touch(&turn.key);
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE);
        }
        if effect.is_nearer_or_farther
            && let Some(key) = key
        {
            self.touch(key);
        }
        match effect.doubts {
            Some(Doubts::Frozen) => {
                self.freezes += 1;
                self.canary_at =
                    (!self.world.config.server.canaries.is_empty()).then(TokioInstant::now);
                tracing::error!(
                    help = "most endpoints failed at once: check this server's own network",
                    "health status frozen"
                );
                self.touch_all();
            }
            Some(Doubts::Thawed) => {
                self.canary_at = None;
                tracing::info!("health status follows probes again: endpoints pass");
                self.touch_all();
            }
            Some(Doubts::Confirmed) => {
                self.canary_at = None;
                tracing::warn!("health status follows probes again: the failures are confirmed");
                self.touch_all();
            }
            None => {}
        }
    }

    pub(super) fn touch(&mut self, key: &ProbeKey) {
        if let Some(id) = self.ids.get(key) {
            self.touched.insert(*id);
            self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE);
        }
    }

    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.ids.values().copied());
        self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE);
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
                (key.saved(), SavedVerdict { verdict, since: since(settled) })
            })
            .collect();
        self.state.save_verdicts(verdicts, now);
        self.state.save_feedback(&self.regulator.saved());
        self.state.save_recoveries(self.recovery.saved(elapsed), SystemTime::now());
        self.state.save_aliases(self.aliases.saved());
    }

    // Aliases

    /// Makes the topology's aliases what is resolved.
    pub(super) fn set_aliases(&mut self, aliases: &[Name], resolvers: &[std::net::SocketAddr]) {
        self.aliases.set(aliases);
        self.prober.set_aliases(aliases);
        self.resolver.set(aliases, resolvers);
    }

    /// Gives aliases what they stood for in a previous run.
    pub(super) fn restore_aliases(&mut self, now: i64) {
        self.aliases.restore(self.state.aliases(now));
        for (alias, addresses) in self.aliases.addresses() {
            self.prober.note_alias(alias, addresses);
        }
    }

    /// Waits until every alias was asked for that no earlier life knows of. Probes go on meanwhile.
    pub(super) async fn first_resolution(
        &mut self,
        resolved: &mut mpsc::Receiver<resolve::Report>,
    ) {
        let end = TokioInstant::now() + FIRST_RESOLUTION;
        while !self.aliases.is_complete() {
            tokio::select! {
                Some(report) = resolved.recv() => self.take_resolved(report),
                () = sleep_until(end) => {
                    tracing::warn!(aliases = self.aliases.awaited(), "new aliases not resolved in time: applying the files without them");
                    break;
                }
            }
        }
    }

    pub(super) fn take_resolved(&mut self, report: resolve::Report) {
        let now = TokioInstant::now();
        let alias = report.alias.clone();
        if self.aliases.take(report, unix_now()) {
            self.save_at.get_or_insert(now + SAVE);
        }
        self.prober.note_alias(&alias, self.aliases.addresses_of(&alias));
        self.publish_at.get_or_insert(now + COALESCE);
    }

    /// Takes up what aliases stand for; those for which that is something else.
    pub(super) fn follow_aliases(&mut self) -> Vec<AliasId> {
        let resolved = self.aliases.resolved(&self.world.topology);
        let old = std::mem::replace(&mut self.conditions.aliases, resolved);
        let changed =
            |(at, new): (usize, &Arc<_>)| (old.get(at) != Some(new)).then_some(AliasId(at as u32));
        self.conditions.aliases.iter().enumerate().filter_map(changed).collect()
    }

    // Load reports and ramps

    /// Makes the topology's load sources what is polled.
    pub(super) async fn set_feeds(&mut self) {
        let topology = Arc::clone(&self.world.topology);
        self.regulator.adopt(&topology, &mut self.conditions).await;
    }

    pub(super) fn take_reading(&mut self, reading: LoadReading) {
        self.regulator.take(reading, &self.conditions);
        self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE);
    }
}

/// Logs a change of an endpoint's health status: a warning where it is down now.
pub(super) fn log_turn(key: &ProbeKey, from: Verdict, to: Verdict, reason: Option<&str>) {
    let (monitor, endpoint, from) = (&key.monitor.name, &key.target, from.word());
    if to == Verdict::Down {
        tracing::warn!(%monitor, %endpoint, from, to = to.word(), reason, "health status changed");
    } else {
        tracing::info!(%monitor, %endpoint, from, to = to.word(), reason, "health status changed");
    }
}
