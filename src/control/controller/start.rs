//! The start of the controller: its inputs are restored, its first snapshot is compiled, and its
//! task begins.

use std::{io, sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::{
    alias_resolution::AliasResolution,
    channels::{self, EventSenders},
    drain_checks::DrainChecks,
    journaling::Journaling,
    live_conditions::LiveConditions,
    movement_meter::MovementMeter,
    override_changes::OverrideChanges,
    owner::Controller,
    pending_failbacks::PendingFailbacks,
    persistence::Persistence,
    probing::Probing,
    publication::Publication,
    reloads::Reloads,
    requirement_check::RequirementCheck,
};
use crate::{
    config::SourceOptions,
    control::{
        LoadedConfig, clock::unix_now, compile_worker::CompileWorker,
        demand_tracker::DemandTracker, handle::ControllerHandle, history::History,
        journal::Journal, last_good::LastGoodOrigin, load_controller::LoadController,
        rule_holds::RuleHolds, safety_memory::SafetyMemory, state::StateDirectory,
        status::ServerStatus,
    },
    probe::{Prober, SchedulerLimits},
    snapshot::ServerIdentity,
    transport::{self, CertificateRegistry, Counters, PreemptionTimer},
};

/// What the controller is started with.
#[derive(Debug)]
pub struct ControllerSetup {
    /// The locations of the configuration files.
    pub locations: SourceOptions,
    /// The configuration of those files.
    pub loaded: LoadedConfig,
    /// The directory of the state that survives a restart.
    pub state_directory: StateDirectory,
    /// What the server says about itself in replies. The controller adds the cookie keys.
    pub identity: ServerIdentity,
    /// The counters of answers, which get the names of what is counted.
    pub counters: Counters,
    /// How many probes may run at once, and what else bounds them.
    pub probe_limits: SchedulerLimits,
    /// How many polls of load sources may run at once, and what else bounds them.
    pub poll_limits: SchedulerLimits,
    /// Wakes up regularly during long computations, so that the kernel lets other threads run.
    pub metronome: PreemptionTimer,
    /// The certificates of TLS and HTTPS, which a reload reads again.
    pub certificates: CertificateRegistry,
}

/// What a started controller hands out.
#[derive(Debug)]
pub struct RunningController {
    /// Sends commands to the controller.
    pub handle: ControllerHandle,
    /// Ends with the first round of probes. `None` if a previous run left verdicts, or nothing is
    /// probed.
    pub first_round: Option<oneshot::Receiver<()>>,
}

impl Controller {
    /// Compiles the first snapshot with the verdicts of a previous run, starts probing, and runs on
    /// a task of its own.
    ///
    /// # Errors
    /// The system cannot start the threads of the compile worker, the journal and the history.
    pub async fn start(setup: ControllerSetup) -> io::Result<RunningController> {
        let (senders, channels) = channels::open();
        let commands = senders.commands.clone();
        let canary_outcomes = senders.canary_outcomes.clone();
        let certificates = setup.certificates.clone();
        let mut controller = Self::new(setup, senders)?;
        let restored = controller.restore().await;
        controller.switch_compiler().await;
        controller.journaling.record_start(controller.publication.generation());
        controller.report_load(&Ok(()));
        tokio::task::spawn_blocking(transport::release_free_memory);
        let handle = ControllerHandle {
            commands,
            published: Arc::clone(controller.publication.pointer()),
            server: Arc::clone(&controller.server),
            probe_counts: controller.probing.prober().counts_handle(),
            certificates,
            journal: controller.journaling.journal().clone(),
            history: controller.journaling.history().clone(),
            demand: controller.persistence.demand(),
            replays: Arc::default(),
        };
        let footprint = std::mem::take(&mut controller.loaded.footprint);
        controller.reloads.watch_and_wait(footprint).await;
        let first_round = controller.await_first_round(restored);
        tokio::spawn(controller.run(channels, canary_outcomes));
        Ok(RunningController { handle, first_round })
    }

    /// The controller before anything is restored, probed or compiled.
    fn new(setup: ControllerSetup, senders: EventSenders) -> io::Result<Self> {
        let ControllerSetup {
            locations,
            loaded,
            state_directory,
            identity,
            counters,
            probe_limits,
            poll_limits,
            metronome,
            certificates: _,
        } = setup;
        let (epoch, now) = (Instant::now(), unix_now());
        let server = ServerStatus {
            node: identity.nsid_text(),
            pid: std::process::id(),
            started: now,
            url: None,
        };
        let prober = Prober::start(probe_limits, epoch, senders.probe_reports);
        let probing = Probing::new(prober, &loaded.config.server.canaries, epoch);
        let aliases = AliasResolution::new(Arc::clone(probing.prober()), senders.alias_reports);
        let load_controller = LoadController::new(poll_limits, epoch, senders.poll_reports);
        let journal = Journal::start(state_directory.journal_directory())?;
        let history = History::start(state_directory.history_directory(), journal.clone())?;
        let demand = DemandTracker::start(state_directory.clone(), counters.clone());
        let origin = LastGoodOrigin::of(&locations);
        let safety = SafetyMemory::restored(state_directory.safety(), now);
        let held_at = safety.held_time;
        let persistence = Persistence::start(state_directory, origin, demand, now);
        let identity = ServerIdentity { cookie_keys: persistence.cookie_keys(), ..identity };
        let steered_at = held_at.unwrap_or(now);
        let mut conditions =
            LiveConditions::new(&loaded.topology, steered_at, aliases, load_controller, epoch);
        *conditions.safety_mut() = safety;
        Ok(Self {
            conditions,
            probing,
            publication: Publication::new(identity, counters),
            reloads: Reloads::new(locations, &loaded, senders.edits, now),
            worker: CompileWorker::start(metronome.clone())?,
            drain_checks: DrainChecks::default(),
            override_changes: OverrideChanges::new(loaded.override_fault.clone()),
            requirement_check: RequirementCheck::default(),
            rule_holds: RuleHolds::new(now, held_at),
            failbacks: PendingFailbacks::default(),
            movement_meter: MovementMeter::default(),
            persistence,
            journaling: Journaling::new(journal, history, &loaded),
            deferred_commands: Vec::new(),
            first_round: None,
            metronome,
            server: Arc::new(server),
            loaded,
        })
    }

    /// Begins to resolve, probe and poll what the configuration names, and restores the state of a
    /// previous run. Returns for how many targets that run had a verdict.
    async fn restore(&mut self) -> usize {
        let now = self.server.started;
        self.log_warnings();
        self.reloads.apply_hold_report(self.loaded.hold_report.clone(), &self.loaded);
        self.log_removed();
        self.requirement_check.begin(&self.loaded, self.metronome.activate());
        self.persistence.save_files(&self.loaded);
        let aliases = self.conditions.aliases_mut();
        aliases.set_aliases(&self.loaded.topology.aliases, &self.loaded.config.server.resolvers);
        aliases.restore(self.persistence.state_directory(), now);
        self.probing.set_topology(&self.loaded.topology, self.conditions.current()).await;
        self.conditions.set_load_sources(&self.loaded.topology).await;
        let state = self.persistence.state_directory();
        let verdicts = state.verdicts(now);
        let recoveries = state.recoveries(std::time::SystemTime::now());
        self.conditions.restore(&self.loaded.topology, state.feedback(), &recoveries);
        self.probing.restore(&verdicts)
    }

    /// Has the start wait for the first round of probes, unless verdicts were `restored` or nothing
    /// is probed.
    fn await_first_round(&mut self, restored: usize) -> Option<oneshot::Receiver<()>> {
        let endpoints = self.probing.ledger().len();
        if restored > 0 || endpoints == 0 {
            return None;
        }
        tracing::info!(endpoints, "waiting for the first round of health checks");
        let (done, first_round) = oneshot::channel();
        self.first_round = Some(done);
        Some(first_round)
    }
}
