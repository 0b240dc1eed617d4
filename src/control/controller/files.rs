//! Files: read on a thread of their own, taken up whole or refused whole; and who waits for that.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::Instant as TokioInstant};

use super::{Controller, EventChannels, PendingReply, publish::drop_in_background};
use crate::{
    config::Colours,
    control::{
        config_load::{
            self, ConfigLoadError, HoldReport, LoadedConfig, ReloadBase, ReloadOutcome,
            ReloadTrigger,
        },
        handle::{DrainError, ReloadError, ReloadReport, ReloadRequest},
        report,
        serials::{Completeness, EarlierSerials},
        state::unix_now,
        status::{HeldStatus, RampStatus},
        watch::MAX_REPORT_DELAY,
    },
    steer::{WheelCache, datacenter_states},
    transport,
};

/// Of the thread that reads and compiles the files. A third of the weight of others: on a host that
/// has nothing to give it still gets its files read.
const LOADING_NICENESS: i32 = 5;
/// The second SIGHUP within this time accepts a removal; both must come after it was held.
const SECOND_SIGNAL_WINDOW: Duration = Duration::from_secs(10);
/// As many removed zones, and services, are logged by name.
const MAX_LOGGED_NAMES: usize = 100;

impl Controller {
    /// Reloads when files that are open for writing are closed, but soon in any case: without them
    /// then.
    pub(super) fn schedule_reload(&mut self) {
        let latest = TokioInstant::now() + MAX_REPORT_DELAY;
        self.reload_at = Some(self.reload_at.map_or(latest, |at| at.min(latest)));
    }

    /// Reads the files on a thread of its own; again when they change meanwhile.
    pub(super) fn reload(&mut self) {
        if self.pending_reload.is_some() {
            self.has_newer_edit = true;
            return;
        }
        self.reload_at = None;
        self.pending_replies.append(&mut self.next_pending_replies);
        let locations = self.locations.clone();
        let impulse = std::mem::take(&mut self.reload_trigger);
        let previous = ReloadBase {
            databases: self.loaded.databases.clone(),
            surveys: self.loaded.surveys.clone(),
            wheels: WheelCache::default(),
            compiled: self.dry_run_charts.take().or_else(|| self.compiled.clone()),
            serials: Some(EarlierSerials {
                serials: self.loaded.serials.clone(),
                completeness: Completeness::Complete,
            }),
            last_good: Arc::clone(&self.loaded.last_good),
            applied: Some(self.loaded.applied()),
            missing_files: self.hold_tracker.report().missing_files.clone(),
            watch: Some(self.watch.clone()),
        };
        let beat = self.metronome.activate();
        let (reply, loading) = oneshot::channel();
        let wheels = self.worker.copy_wheels();
        let load = move || {
            // Threads that answer queries go first.
            let _ = rustix::process::setpriority_process(None, LOADING_NICENESS);
            // The worker has ended where a panic ended it.
            let wheels = wheels.blocking_recv().unwrap_or_default();
            let previous = ReloadBase { wheels, ..previous };
            // The receiver is gone when the server stops.
            let _ = reply.send(config_load::load(&locations, previous, impulse, Colours::Plain));
            drop(beat);
        };
        match thread::Builder::new().name("load".to_owned()).spawn(load) {
            Ok(_ends_by_itself) => self.pending_reload = Some(loading),
            Err(error) => {
                self.retry();
                let outcome = Err(self.fail_reload(format!(
                    "the system has no thread to read the files with: {error}"
                )));
                self.reply_to_all(&outcome);
            }
        }
    }

    /// Remembers who asked for the next load.
    pub(super) fn note_request(&mut self, request: ReloadRequest) {
        let now = TokioInstant::now();
        let impulse = match request {
            ReloadRequest::Apply => ReloadTrigger::Operator,
            ReloadRequest::AcceptRemoval => ReloadTrigger::AcceptRemoval,
            ReloadRequest::Signal => {
                // A signal accepts what was reported before it, and nothing else.
                let is_held = self.hold_tracker.report().is_signal_acceptable;
                let first =
                    std::mem::replace(&mut self.removal_signalled_at, is_held.then_some(now));
                let is_second = first.is_some_and(|first| now - first <= SECOND_SIGNAL_WINDOW);
                if is_second && is_held {
                    ReloadTrigger::AcceptRemoval
                } else {
                    ReloadTrigger::Operator
                }
            }
        };
        self.reload_trigger = self.reload_trigger.max(impulse);
    }

    pub(super) async fn apply_reload(
        &mut self,
        loaded: Option<Result<ReloadOutcome, ConfigLoadError>>,
        inbox: &mut EventChannels,
    ) {
        let _beat = self.metronome.activate();
        self.pending_reload = None;
        let outcome = match loaded {
            Some(Ok(ReloadOutcome::Config(world))) => {
                self.apply_config(*world, inbox).await;
                Ok(())
            }
            Some(Ok(ReloadOutcome::Unchanged(databases, outlook))) => {
                self.loaded.databases = databases;
                // Certificates and keys need not be among the files that were compared.
                self.reread_credentials().await;
                self.apply_hold_report(outlook);
                Ok(())
            }
            Some(Err(refusal)) => {
                self.record_config_error(&refusal);
                Err(refusal.lines)
            }
            None => Err(self.fail_reload(
                "reading the files met a defect of the server; the log has more".to_owned(),
            )),
        };
        self.reply_to_all(&outcome);
        let has_waiters = !self.next_pending_replies.is_empty() && !self.watch.is_being_written();
        if std::mem::take(&mut self.has_newer_edit) || has_waiters {
            self.reload();
        }
    }

    /// Takes note of which files are held after a load, and plans when to read them again.
    pub(super) fn apply_hold_report(&mut self, outlook: HoldReport) {
        let is_passing =
            outlook.is_transient() || self.loaded.databases.iter().any(|file| file.is_transient);
        let grace_ends =
            outlook.missing_files.next_grace_end(Instant::now()).map(TokioInstant::from_std);
        if outlook.held_removal != self.configuration.removal {
            self.removal_signalled_at = None;
        }
        self.configuration.removal.clone_from(&outlook.held_removal);
        if self.hold_tracker.update(outlook, unix_now()) {
            self.configuration.failures += 1;
        }
        self.configuration.refused = self.hold_tracker.since();
        self.configuration.errors = self.hold_tracker.errors();
        if is_passing {
            self.retry();
        } else {
            self.hold_tracker.reset_retries();
        }
        self.reload_at = [self.reload_at, grace_ends].into_iter().flatten().min();
    }

    /// Reads the files again after a while: what kept them from being read may have passed.
    fn retry(&mut self) {
        self.reload_at = Some(TokioInstant::now() + self.hold_tracker.next_retry());
    }

    /// The files may be as they should, and are not in use all the same. Returns what to reply to
    /// those who wait.
    fn fail_reload(&mut self, reason: String) -> Vec<String> {
        if self.configuration.errors != [reason.clone()] {
            tracing::error!(%reason, "load failed: the previous configuration stays in force");
        }
        self.record_errors(vec![reason]);
        self.configuration.errors.clone()
    }

    /// Keeps why what the files say is not in use.
    fn record_errors(&mut self, reasons: Vec<String>) {
        if self.configuration.errors == reasons {
            return;
        }
        self.configuration.failures += 1;
        self.configuration.refused = Some(unix_now());
        self.configuration.errors = reasons;
    }

    fn reply_to_all(&mut self, outcome: &Result<(), Vec<String>>) {
        for waiter in std::mem::take(&mut self.pending_replies) {
            self.send_reply(waiter, outcome.clone());
        }
    }

    /// Replies to a waiter with what the reload came to. The receiver may be gone.
    pub(super) fn send_reply(&self, waiter: PendingReply, outcome: Result<(), Vec<String>>) {
        let generation = self.published.load().generation;
        let held = self.hold_tracker.status();
        match waiter {
            PendingReply::Reload(reply) => {
                let removal = self.hold_tracker.report().held_removal.clone();
                let report = outcome.map(|()| ReloadReport {
                    generation,
                    held,
                    removal,
                    certificates: Vec::new(),
                });
                let _ = reply.send(report.map_err(ReloadError::Refused));
            }
            PendingReply::SetState(mut report, reply) => {
                let is_edited = |file: &HeldStatus| report.files.contains(&file.file);
                let outcome = match held.into_iter().find(is_edited) {
                    Some(file) => Err(file.errors),
                    None => outcome,
                };
                let answer = outcome.map_err(DrainError::Refused).map(|()| {
                    report.generation = generation;
                    for (name, drain) in &mut report.datacenters {
                        *drain = self.drain_tracker.effective(name);
                    }
                    let is_named = |ramp: &RampStatus| {
                        report.datacenters.iter().any(|(name, _)| *name == ramp.name)
                    };
                    report.outcomes = std::mem::take(&mut report.outcomes)
                        .into_iter()
                        .map(|outcome| report::drain_outcome(self, outcome))
                        .collect();
                    report.ramps = report::ramps(self).into_iter().filter(is_named).collect();
                    *report
                });
                let _ = reply.send(answer);
            }
        }
    }

    pub(super) async fn apply_config(
        &mut self,
        mut world: LoadedConfig,
        inbox: &mut EventChannels,
    ) {
        let waiting = self.settings.keys_requiring_restart(&world.config.server);
        world.warnings.extend(waiting.iter().map(|key| {
            format!("`{key}` of `server` has changed: it takes effect at the next start (help: restart the server)")
        }));
        // A new alias is asked for before anything is answered by it: what is in use serves on
        // meanwhile.
        self.set_aliases(&world.topology.aliases, &world.config.server.resolvers);
        self.first_resolution(&mut inbox.resolved).await;
        drop_in_background(std::mem::replace(&mut self.loaded, world));
        self.ledger.set_has_canaries(!self.loaded.config.server.canaries.is_empty());
        self.set_load_sources().await;
        self.conditions.datacenters = datacenter_states(&self.loaded.topology, unix_now());
        self.set_targets().await;
        self.switch_compiler().await;
        self.apply_hold_report(self.loaded.hold_report.clone());
        self.configuration.reloads += 1;
        self.configuration.loaded = unix_now();
        self.configuration.warnings = self.loaded.warnings.clone();
        self.configuration.geography = self.loaded.geography_warnings.clone();
        let generation = self.published.load().generation;
        tracing::info!(
            generation,
            services = self.loaded.topology.services.len(),
            "configuration applied"
        );
        self.log_removed();
        self.log_warnings();
        self.save_files();
        let beat = self.metronome.activate();
        tokio::task::spawn_blocking(move || {
            transport::release_free_memory();
            drop(beat);
        });
    }

    fn record_config_error(&mut self, refusal: &ConfigLoadError) {
        if self.configuration.errors != refusal.lines {
            for line in &refusal.lines {
                tracing::error!(error = %line, "configuration refused: the previous one stays in force");
            }
        }
        self.record_errors(refusal.lines.clone());
        if refusal.is_transient {
            self.retry();
        }
    }

    /// What clients no longer find is said by name.
    pub(super) fn log_removed(&self) {
        for (kind, names) in [
            ("zone", &self.loaded.removed_names.zones),
            ("service", &self.loaded.removed_names.services),
        ] {
            for name in names.iter().take(MAX_LOGGED_NAMES) {
                tracing::warn!(kind, %name, "removed from the configuration: queries for it are no longer answered");
            }
            if let Some(more) = names.len().checked_sub(MAX_LOGGED_NAMES).filter(|more| *more > 0) {
                tracing::warn!(kind, more, "more were removed from the configuration");
            }
        }
    }

    pub(super) fn log_warnings(&self) {
        for warning in &self.loaded.warnings {
            tracing::warn!(%warning, "configuration warning");
        }
    }

    /// Saves what belongs to the files in use: serials and contents.
    pub(super) fn save_files(&mut self) {
        self.state_directory.save_serials(&self.loaded.serials);
        self.last_good_saver.save(&self.loaded.last_good);
    }
}

/// What a thread came to, once it did, `None` where it panicked; never while there is none.
pub(super) async fn reload_outcome(
    loading: &mut Option<oneshot::Receiver<Result<ReloadOutcome, ConfigLoadError>>>,
) -> Option<Result<ReloadOutcome, ConfigLoadError>> {
    match loading {
        Some(thread) => thread.await.ok(),
        None => std::future::pending().await,
    }
}
