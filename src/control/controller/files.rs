//! Files: read on a thread of their own, taken up whole or refused whole; and who waits for that.

use std::{collections::HashMap, thread, time::Duration};

use tokio::{sync::oneshot, time::Instant as TokioInstant};

use super::{Controller, Inbox, Waiter};
use crate::{
    config::Colours,
    control::{
        handle::{DrainError, ReloadError},
        load::{self, Loaded, Previous, Refusal, World},
        report,
        state::{SavedSerial, unix_now},
        status::RampStatus,
    },
    dns::Name,
    steer::{State, datacenter_states},
    transport,
};

/// Of the thread that reads and compiles the files. A third of the weight of others: on a host that has nothing to give it still
/// gets its files read.
const LOADING_NICENESS: i32 = 5;
/// When the files are read that no thread could be had for.
const RETRY: Duration = Duration::from_secs(10);

impl Controller {
    /// Reads the files on a thread of its own; again when they change meanwhile.
    pub(super) fn reload(&mut self) {
        if self.loading.is_some() {
            self.is_stale = true;
            return;
        }
        self.reload_at = None;
        self.waiting.append(&mut self.waiting_next);
        let locations = self.locations.clone();
        let previous = Previous {
            databases: self.world.databases.clone(),
            surveys: self.world.surveys.clone(),
            serials: self.world.serials.clone(),
            fingerprint: self.world.fingerprint,
        };
        let beat = self.metronome.beat();
        let (reply, loading) = oneshot::channel();
        let load = move || {
            // Whoever answers queries goes first.
            let _ = rustix::process::setpriority_process(None, LOADING_NICENESS);
            // Nobody waits for it any more where the server stops.
            let _ = reply.send(load::load(&locations, previous, Colours::Plain));
            drop(beat);
        };
        match thread::Builder::new().name("load".to_owned()).spawn(load) {
            Ok(_ends_by_itself) => self.loading = Some(loading),
            Err(error) => {
                self.reload_at = Some(TokioInstant::now() + RETRY);
                let outcome = Err(self.fail(format!("no thread to read the files with: {error}")));
                self.answer_all(&outcome);
            }
        }
    }

    pub(super) async fn take_up(&mut self, loaded: Option<Result<Loaded, Refusal>>, inbox: &mut Inbox) {
        let _beat = self.metronome.beat();
        self.loading = None;
        let outcome = match loaded {
            Some(Ok(Loaded::World(world))) => {
                self.adopt(*world, inbox).await;
                Ok(self.published.load().generation)
            }
            Some(Ok(Loaded::Unchanged(databases))) => {
                self.world.databases = databases;
                self.accept();
                Ok(self.published.load().generation)
            }
            Some(Err(refusal)) => {
                self.refuse(&refusal);
                Err(refusal.lines)
            }
            None => Err(self.fail("reading the files met a defect of the server; the log has more".to_owned())),
        };
        self.answer_all(&outcome);
        // A directory may have come back, or be another one, whatever its files say.
        self.is_stale |= inbox.watch.set(self.world.interests.clone());
        let is_somebody_waiting = !self.waiting_next.is_empty() && !inbox.watch.is_being_written();
        if std::mem::take(&mut self.is_stale) || is_somebody_waiting {
            self.reload();
        }
    }

    /// The files may be as they should, and are not in use all the same. Returns what to tell those who wait.
    fn fail(&mut self, reason: String) -> Vec<String> {
        tracing::error!(%reason, "load failed: the previous configuration stays in force");
        self.note_failure(None, vec![reason]);
        self.configuration.errors.clone()
    }

    /// Keeps why what the files say is not in use; `fingerprint` is theirs where they were read.
    fn note_failure(&mut self, fingerprint: Option<u64>, reasons: Vec<String>) {
        self.refused_fingerprint = fingerprint;
        self.configuration.failures += 1;
        self.configuration.refused = Some(unix_now());
        self.configuration.errors = reasons;
    }

    fn answer_all(&mut self, outcome: &Result<u64, Vec<String>>) {
        for waiter in std::mem::take(&mut self.waiting) {
            self.answer(waiter, outcome.clone());
        }
    }

    /// Tells a waiter what became of the reload. Whoever asked may have gone away.
    pub(super) fn answer(&self, waiter: Waiter, outcome: Result<u64, Vec<String>>) {
        match waiter {
            Waiter::Reload(reply) => _ = reply.send(outcome.map_err(ReloadError::Refused)),
            Waiter::SetState(mut report, reply) => {
                let answer = outcome.map_err(DrainError::Refused).map(|generation| {
                    report.generation = generation;
                    for (name, drain) in &mut report.datacenters {
                        *drain = self.drained.effective(name);
                    }
                    let is_named = |ramp: &RampStatus| report.datacenters.iter().any(|(name, _)| *name == ramp.name);
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
        // A new alias is asked for before anything is answered by it: what is in use serves on meanwhile.
        self.set_aliases(&world.topology.aliases, &world.config.server.resolvers);
        self.first_resolution(&mut inbox.resolved).await;
        self.world = world;
        self.ledger.set_has_canaries(!self.world.config.server.canaries.is_empty());
        self.set_feeds().await;
        self.follow_states(datacenter_states(&self.world.topology, unix_now())).await;
        self.accept();
        self.configuration.reloads += 1;
        self.configuration.loaded = unix_now();
        self.configuration.warnings = self.world.warnings.clone();
        let generation = self.published.load().generation;
        tracing::info!(generation, services = self.charts.len(), "configuration applied");
        self.log_warnings();
        self.save_serials();
        let beat = self.metronome.beat();
        tokio::task::spawn_blocking(move || {
            transport::give_memory_back();
            drop(beat);
        });
    }

    /// Takes up the datacenters' states: who is probed hangs on them, and what is answered.
    pub(super) async fn follow_states(&mut self, states: Vec<State>) {
        self.conditions.datacenters = states;
        self.set_targets().await;
        self.compile_all();
    }

    pub(super) fn accept(&mut self) {
        self.refused_fingerprint = None;
        self.configuration.refused = None;
        self.configuration.errors.clear();
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        if self.refused_fingerprint == Some(refusal.fingerprint) {
            return;
        }
        self.note_failure(Some(refusal.fingerprint), refusal.lines.clone());
        for line in &refusal.lines {
            tracing::error!(error = %line, "configuration refused: the previous one stays in force");
        }
    }

    pub(super) fn log_warnings(&self) {
        for warning in &self.world.warnings {
            tracing::warn!(%warning, "configuration warning");
        }
    }

    pub(super) fn save_serials(&mut self) {
        let serials: &HashMap<Name, SavedSerial> = &self.world.serials;
        self.state.save_serials(serials);
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
