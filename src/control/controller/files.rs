//! Files: read on a thread of their own, taken up whole or refused whole; and who waits for that.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::Instant as TokioInstant};

use super::{Controller, Inbox, Waiter, publish::discard};
use crate::{
    config::Colours,
    control::{
        handle::{DrainError, ReloadError, ReloadReport, ReloadRequest},
        load::{self, Impulse, Loaded, Outlook, Previous, Refusal, World},
        report,
        serials::{Completeness, Earlier},
        state::unix_now,
        status::{HeldStatus, RampStatus},
        watch::IMPATIENCE,
    },
    steer::{Wheels, datacenter_states},
    transport,
};

/// Of the thread that reads and compiles the files. A third of the weight of others: on a host that
/// has nothing to give it still gets its files read.
const LOADING_NICENESS: i32 = 5;
/// The second SIGHUP within this time accepts a removal; both must come after it was held.
const SECOND_SIGNAL: Duration = Duration::from_secs(10);
/// As many removed zones, and services, are logged by name.
const LOGGED: usize = 100;

impl Controller {
    /// Reloads when files that are open for writing are closed, but soon in any case: without them
    /// then.
    pub(super) fn reload_soon(&mut self) {
        let latest = TokioInstant::now() + IMPATIENCE;
        self.reload_at = Some(self.reload_at.map_or(latest, |at| at.min(latest)));
    }

    /// Reads the files on a thread of its own; again when they change meanwhile.
    pub(super) fn reload(&mut self) {
        if self.loading.is_some() {
            self.is_stale = true;
            return;
        }
        self.reload_at = None;
        self.waiting.append(&mut self.waiting_next);
        let locations = self.locations.clone();
        let impulse = std::mem::take(&mut self.impulse);
        let previous = Previous {
            databases: self.world.databases.clone(),
            surveys: self.world.surveys.clone(),
            wheels: Wheels::default(),
            compiled: self.rehearsed.take().or_else(|| self.compiled.clone()),
            serials: Some(Earlier {
                serials: self.world.serials.clone(),
                completeness: Completeness::Whole,
            }),
            good: Arc::clone(&self.world.good),
            in_force: Some(self.world.in_force()),
            missing: self.holding.outlook().missing.clone(),
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
            let previous = Previous { wheels, ..previous };
            // The receiver is gone when the server stops.
            let _ = reply.send(load::load(&locations, previous, impulse, Colours::Plain));
            drop(beat);
        };
        match thread::Builder::new().name("load".to_owned()).spawn(load) {
            Ok(_ends_by_itself) => self.loading = Some(loading),
            Err(error) => {
                self.retry();
                let outcome =
                    Err(self
                        .fail(format!("the system has no thread to read the files with: {error}")));
                self.answer_all(&outcome);
            }
        }
    }

    /// Remembers who asked for the next load.
    pub(super) fn note_request(&mut self, request: ReloadRequest) {
        let now = TokioInstant::now();
        let impulse = match request {
            ReloadRequest::Apply => Impulse::Operator,
            ReloadRequest::AcceptRemoval => Impulse::AcceptRemoval,
            ReloadRequest::Signal => {
                // A signal accepts what was reported before it, and nothing else.
                let is_held = self.holding.outlook().may_be_signalled;
                let first = std::mem::replace(&mut self.signalled, is_held.then_some(now));
                let is_second = first.is_some_and(|first| now - first <= SECOND_SIGNAL);
                if is_second && is_held { Impulse::AcceptRemoval } else { Impulse::Operator }
            }
        };
        self.impulse = self.impulse.max(impulse);
    }

    pub(super) async fn take_up(
        &mut self,
        loaded: Option<Result<Loaded, Refusal>>,
        inbox: &mut Inbox,
    ) {
        let _beat = self.metronome.activate();
        self.loading = None;
        let outcome = match loaded {
            Some(Ok(Loaded::World(world))) => {
                self.adopt(*world, inbox).await;
                Ok(())
            }
            Some(Ok(Loaded::Unchanged(databases, outlook))) => {
                self.world.databases = databases;
                // Certificates and keys need not be among the files that were compared.
                self.reread_credentials().await;
                self.note_outlook(outlook);
                Ok(())
            }
            Some(Err(refusal)) => {
                self.refuse(&refusal);
                Err(refusal.lines)
            }
            None => Err(self
                .fail("reading the files met a defect of the server; the log has more".to_owned())),
        };
        self.answer_all(&outcome);
        let has_waiters = !self.waiting_next.is_empty() && !self.watch.is_being_written();
        if std::mem::take(&mut self.is_stale) || has_waiters {
            self.reload();
        }
    }

    /// Takes note of which files are held after a load, and plans when to read them again.
    pub(super) fn note_outlook(&mut self, outlook: Outlook) {
        let is_passing =
            outlook.is_passing() || self.world.databases.iter().any(|file| file.is_passing);
        let grace_ends = outlook.missing.next_end(Instant::now()).map(TokioInstant::from_std);
        if outlook.removal != self.configuration.removal {
            self.signalled = None;
        }
        self.configuration.removal.clone_from(&outlook.removal);
        if self.holding.note(outlook, unix_now()) {
            self.configuration.failures += 1;
        }
        self.configuration.refused = self.holding.since();
        self.configuration.errors = self.holding.errors();
        if is_passing {
            self.retry();
        } else {
            self.holding.has_read();
        }
        self.reload_at = [self.reload_at, grace_ends].into_iter().flatten().min();
    }

    /// Reads the files again after a while: what kept them from being read may have passed.
    fn retry(&mut self) {
        self.reload_at = Some(TokioInstant::now() + self.holding.next_retry());
    }

    /// The files may be as they should, and are not in use all the same. Returns what to reply to
    /// those who wait.
    fn fail(&mut self, reason: String) -> Vec<String> {
        if self.configuration.errors != [reason.clone()] {
            tracing::error!(%reason, "load failed: the previous configuration stays in force");
        }
        self.note_failure(vec![reason]);
        self.configuration.errors.clone()
    }

    /// Keeps why what the files say is not in use.
    fn note_failure(&mut self, reasons: Vec<String>) {
        if self.configuration.errors == reasons {
            return;
        }
        self.configuration.failures += 1;
        self.configuration.refused = Some(unix_now());
        self.configuration.errors = reasons;
    }

    fn answer_all(&mut self, outcome: &Result<(), Vec<String>>) {
        for waiter in std::mem::take(&mut self.waiting) {
            self.answer(waiter, outcome.clone());
        }
    }

    /// Replies to a waiter with what the reload came to. The receiver may be gone.
    pub(super) fn answer(&self, waiter: Waiter, outcome: Result<(), Vec<String>>) {
        let generation = self.published.load().generation;
        let held = self.holding.status();
        match waiter {
            Waiter::Reload(reply) => {
                let removal = self.holding.outlook().removal.clone();
                let report = outcome.map(|()| ReloadReport {
                    generation,
                    held,
                    removal,
                    certificates: Vec::new(),
                });
                let _ = reply.send(report.map_err(ReloadError::Refused));
            }
            Waiter::SetState(mut report, reply) => {
                let is_edited = |file: &HeldStatus| report.files.contains(&file.file);
                let outcome = match held.into_iter().find(is_edited) {
                    Some(file) => Err(file.errors),
                    None => outcome,
                };
                let answer = outcome.map_err(DrainError::Refused).map(|()| {
                    report.generation = generation;
                    for (name, drain) in &mut report.datacenters {
                        *drain = self.drained.effective(name);
                    }
                    let is_named = |ramp: &RampStatus| {
                        report.datacenters.iter().any(|(name, _)| *name == ramp.name)
                    };
                    report.outcomes = std::mem::take(&mut report.outcomes)
                        .into_iter()
                        .map(|outcome| report::outcome(self, outcome))
                        .collect();
                    report.ramps = report::ramps(self).into_iter().filter(is_named).collect();
                    *report
                });
                let _ = reply.send(answer);
            }
        }
    }

    pub(super) async fn adopt(&mut self, mut world: World, inbox: &mut Inbox) {
        let waiting = self.settings.waiting_for_restart(&world.config.server);
        world.warnings.extend(waiting.iter().map(|key| {
            format!("`{key}` of `server` has changed: it takes effect at the next start (help: restart the server)")
        }));
        // A new alias is asked for before anything is answered by it: what is in use serves on
        // meanwhile.
        self.set_aliases(&world.topology.aliases, &world.config.server.resolvers);
        self.first_resolution(&mut inbox.resolved).await;
        discard(std::mem::replace(&mut self.world, world));
        self.ledger.set_has_canaries(!self.world.config.server.canaries.is_empty());
        self.set_feeds().await;
        self.conditions.datacenters = datacenter_states(&self.world.topology, unix_now());
        self.set_targets().await;
        self.adopt_charts().await;
        self.note_outlook(self.world.outlook.clone());
        self.configuration.reloads += 1;
        self.configuration.loaded = unix_now();
        self.configuration.warnings = self.world.warnings.clone();
        self.configuration.geography = self.world.geography.clone();
        let generation = self.published.load().generation;
        tracing::info!(
            generation,
            services = self.world.topology.services.len(),
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

    fn refuse(&mut self, refusal: &Refusal) {
        if self.configuration.errors != refusal.lines {
            for line in &refusal.lines {
                tracing::error!(error = %line, "configuration refused: the previous one stays in force");
            }
        }
        self.note_failure(refusal.lines.clone());
        if refusal.is_passing {
            self.retry();
        }
    }

    /// What clients no longer find is said by name.
    pub(super) fn log_removed(&self) {
        for (kind, names) in
            [("zone", &self.world.removed.zones), ("service", &self.world.removed.services)]
        {
            for name in names.iter().take(LOGGED) {
                tracing::warn!(kind, %name, "removed from the configuration: queries for it are no longer answered");
            }
            if let Some(more) = names.len().checked_sub(LOGGED).filter(|more| *more > 0) {
                tracing::warn!(kind, more, "more were removed from the configuration");
            }
        }
    }

    pub(super) fn log_warnings(&self) {
        for warning in &self.world.warnings {
            tracing::warn!(%warning, "configuration warning");
        }
    }

    /// Saves what belongs to the files in use: serials and contents.
    pub(super) fn save_files(&mut self) {
        self.state.save_serials(&self.world.serials);
        self.saver.save(&self.world.good);
    }
}

/// What a thread came to, once it did, `None` where it panicked; never while there is none.
pub(super) async fn joined(
    loading: &mut Option<oneshot::Receiver<Result<Loaded, Refusal>>>,
) -> Option<Result<Loaded, Refusal>> {
    match loading {
        Some(thread) => thread.await.ok(),
        None => std::future::pending().await,
    }
}
