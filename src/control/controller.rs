//! The controller's task: events come in, the compile worker makes the charts that they touch, one
//! snapshot goes out.
//!
//! Verdicts and file changes that come close together become one snapshot. Loading files happens on
//! a thread of its own; meanwhile verdicts are published as ever.
//!
//! | what it owns, its start, its loop, its commands | here |
//! |---|---|
//! | files taken up or refused | `files` |
//! | drains checked and carried out | `drain_checks` |
//! | keys of server cookies | `cookie_keys` |
//! | certificates and keys of monitors | `credentials` |
//! | outcomes, aliases, load reports | `health` |
//! | snapshots | `update_conditions` |

mod cookies;
mod credentials;
mod drain_checks;
mod files;
mod health;
mod publish;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use credentials::CredentialFiles;
use drain_checks::DrainChecks;
use files::reload_outcome;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant as TokioInstant, sleep_until},
};

use super::{
    aliases::Aliases,
    canary,
    compile_worker::CompileWorker,
    config_load::{ConfigLoadError, LoadedConfig, ReloadOutcome, ReloadTrigger},
    cookies::Cookies,
    drain,
    drain_tracker::DrainTracker,
    handle::{
        ControllerCommand, ControllerHandle, DrainError, DrainReport, ListDetail, ReloadError,
        ReloadReport,
    },
    hold_tracker::HoldTracker,
    last_good::LastGoodOrigin,
    last_good_saver::LastGoodSaver,
    load_controller::LoadController,
    report,
    state::{StateDirectory, unix_now},
    status::{ConfigurationStatus, ServerStatus, Status},
    watch::FileWatch,
};
use crate::{
    config::{ServerSettings, SourceOptions},
    dns::Name,
    engine,
    health::{Failure, Ledger, Outcome},
    probe::{PollReport, ProbeKey, ProbeReport, Prober, SchedulerLimits},
    resolve::{self, AliasResolver},
    snapshot::{ServerIdentity, Snapshot},
    steer::{
        CompiledCharts, Conditions, FallbackStage, ProbeId, Recovery, ServiceId, Topology,
        datacenter_states,
    },
    transport::{self, CertificateRegistry, Counters, PreemptionTimer},
};

/// Verdicts that come within this become one snapshot.
const COALESCE_DELAY: Duration = Duration::from_millis(20);
/// Verdicts are saved this long after they changed.
const SAVE_DELAY: Duration = Duration::from_secs(1);
/// What could not be saved, or is gone from the state directory, is saved again after this long.
const SAVE_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How often a canary is asked while the checker doubts itself.
const CANARY_INTERVAL: Duration = Duration::from_secs(5);

/// What the controller is started with.
#[derive(Debug)]
pub struct ControllerSetup {
    /// Where the files are.
    pub locations: SourceOptions,
    /// What they say.
    pub loaded: LoadedConfig,
    /// The state directory.
    pub state_directory: StateDirectory,
    /// What the server says of itself in replies.
    pub identity: ServerIdentity,
    /// Gets names for what is counted.
    pub counters: Counters,
    /// What probes may use.
    pub probe_limits: SchedulerLimits,
    /// What the load polls may use.
    pub poll_limits: SchedulerLimits,
    /// Beats while something is computed.
    pub metronome: PreemptionTimer,
    /// What TLS and HTTPS show: read again on a reload, and reported.
    pub certificates: CertificateRegistry,
}

/// What a started controller hands out.
#[derive(Debug)]
pub struct RunningController {
    /// The way to it.
    pub handle: ControllerHandle,
    /// Ends once the first round of probes is over; absent where a previous run left verdicts, or
    /// nothing is probed.
    pub first_round: Option<oneshot::Receiver<()>>,
}

/// The controller. Owns all inputs; runs until it is told to stop.
#[derive(Debug)]
pub struct Controller {
    pub(super) locations: SourceOptions,
    /// What the server was started with.
    settings: ServerSettings,
    pub(super) loaded: LoadedConfig,
    /// The newest conditions. Charts that they touch may still be at the compile worker.
    conditions: Conditions,
    /// The conditions of `compiled`.
    pub(super) conditions_in_force: Arc<Conditions>,
    /// The newest charts that were all compiled under the same conditions.
    compiled: Option<CompiledCharts>,
    /// The charts that the last drain was checked with, and that its edit will put in force.
    dry_run_charts: Option<CompiledCharts>,
    worker: CompileWorker,
    drain_checks: DrainChecks,
    /// Commands that wait until all charts in force are of the same conditions.
    deferred_commands: Vec<ControllerCommand>,
    pub(super) ledger: Ledger<ProbeKey>,
    pub(super) prober: Arc<Prober>,
    /// By [`ProbeId`].
    pub(super) probe_keys: Vec<ProbeKey>,
    probe_ids: HashMap<ProbeKey, ProbeId>,
    /// What `probe_keys` were made of.
    probed_topology: Arc<Topology>,
    /// Probes whose standing changed since the last snapshot.
    changed_probes: HashSet<ProbeId>,
    /// An operator gave clients back since the last snapshot.
    has_forced_failback: bool,
    /// Told when the first round of probes is over; until then outcomes are collected, not
    /// published one by one.
    first_round: Option<oneshot::Sender<()>>,
    publish_at: Option<TokioInstant>,
    save_at: Option<TokioInstant>,
    canary_at: Option<TokioInstant>,
    pending_reload: Option<oneshot::Receiver<Result<ReloadOutcome, ConfigLoadError>>>,
    metronome: PreemptionTimer,
    watch: FileWatch,
    /// When to try again to read the files.
    reload_at: Option<TokioInstant>,
    /// The files changed again while they were being read.
    has_newer_edit: bool,
    /// Who waits for the reload under way, and who for the one after it.
    pending_replies: Vec<PendingReply>,
    next_pending_replies: Vec<PendingReply>,
    pub(super) configuration: ConfigurationStatus,
    pub(super) hold_tracker: HoldTracker,
    /// Who asked for the next load.
    reload_trigger: ReloadTrigger,
    /// When a signal asked for a reload last, if the removal that is held now was held then.
    removal_signalled_at: Option<TokioInstant>,
    pub(super) aliases: Aliases,
    resolver: AliasResolver,
    pub(super) load_controller: LoadController,
    pub(super) drain_tracker: DrainTracker,
    pub(super) freezes: u64,
    recovery: Recovery,
    /// Monitors that judge nothing, and why.
    pub(super) monitor_faults: Vec<(Box<str>, Failure)>,
    /// Targets that a monitor could not work on at its latest attempt, and why.
    broken_targets: HashMap<ProbeKey, Failure>,
    credentials: CredentialFiles,
    /// When to look again whether the files of those are whole.
    recheck_at: Option<TokioInstant>,
    /// The services whose charts in force leave some clients without a usable member.
    distressed_services: BTreeSet<ServiceId>,
    /// Services in distress that the log was told of.
    logged_distress: BTreeMap<(Name, &'static str), (FallbackStage, bool)>,
    published: Arc<ArcSwap<Snapshot>>,
    /// The last snapshot whose charts were all of the same conditions, while the one in force mixes
    /// conditions.
    consistent_snapshot: Option<Arc<Snapshot>>,
    /// Snapshots that a shard may still hold. They end here: no query waits while all that is in
    /// one is dropped.
    retired_snapshots: Vec<Arc<Snapshot>>,
    identity: Arc<ServerIdentity>,
    /// Missing where the kernel gave no randomness.
    cookies: Option<Cookies>,
    /// When to look whether the cookie keys are to be rotated.
    cookies_at: TokioInstant,
    pub(super) server: Arc<ServerStatus>,
    counters: Counters,
    pub(super) state_directory: StateDirectory,
    last_good_saver: LastGoodSaver,
    /// When to look whether all of the state is saved.
    save_again_at: TokioInstant,
    pub(super) epoch: Instant,
    pub(super) started: i64,
}

/// Who waits for a reload.
#[derive(Debug)]
enum PendingReply {
    Reload(oneshot::Sender<Result<ReloadReport, ReloadError>>),
    /// A drain whose edit is being taken up.
    SetState(Box<DrainReport>, oneshot::Sender<Result<DrainReport, DrainError>>),
}

/// What the controller listens to.
struct EventChannels {
    commands: mpsc::Receiver<ControllerCommand>,
    reports: mpsc::Receiver<ProbeReport>,
    resolved: mpsc::Receiver<resolve::AliasReport>,
    readings: mpsc::Receiver<PollReport>,
    edits: mpsc::Receiver<()>,
    canaries: mpsc::Receiver<Outcome>,
    canary: mpsc::Sender<Outcome>,
}

impl Controller {
    /// Compiles the first snapshot with the verdicts of a previous run, starts probing, and runs on
    /// a task of its own.
    ///
    /// # Errors
    /// The system cannot start the thread of the compile worker.
    pub async fn start(starting: ControllerSetup) -> io::Result<RunningController> {
        let ControllerSetup {
            locations,
            loaded: world,
            state_directory: mut state,
            identity,
            counters,
            probe_limits,
            poll_limits,
            metronome,
            certificates,
        } = starting;
        let epoch = Instant::now();
        let server = ServerStatus {
            node: identity.nsid_text(),
            pid: std::process::id(),
            started: unix_now(),
            url: None,
        };
        let server = Arc::new(server);
        let (report, reports) = mpsc::channel(1024);
        let prober = Arc::new(Prober::start(probe_limits, epoch, report));
        let (resolution, resolved) = mpsc::channel(64);
        let (reading, readings) = mpsc::channel(1024);
        let (commands, command_inbox) = mpsc::channel(64);
        let (settled, edits) = mpsc::channel(1);
        let (canary, canaries) = mpsc::channel(8);
        let now = unix_now();
        let home = LastGoodOrigin::of(&locations);
        let cookies = Cookies::open(&mut state, now);
        let identity = ServerIdentity {
            cookie_keys: cookies.as_ref().map(|cookies| cookies.keys().clone()),
            ..identity
        };
        let mut controller = Self {
            conditions: Conditions::unprobed(&world.topology, now),
            ledger: Ledger::new(!world.config.server.canaries.is_empty()),
            configuration: ConfigurationStatus {
                loaded: now,
                warnings: world.warnings.clone(),
                geography: world.geography_warnings.clone(),
                ..ConfigurationStatus::default()
            },
            locations,
            settings: world.config.server.clone(),
            loaded: world,
            conditions_in_force: Arc::default(),
            compiled: None,
            dry_run_charts: None,
            worker: CompileWorker::start(metronome.clone())?,
            drain_checks: DrainChecks::default(),
            deferred_commands: Vec::new(),
            prober,
            probe_keys: Vec::new(),
            probe_ids: HashMap::new(),
            probed_topology: Arc::default(),
            changed_probes: HashSet::new(),
            has_forced_failback: false,
            first_round: None,
            publish_at: None,
            save_at: None,
            canary_at: None,
            pending_reload: None,
            metronome,
            watch: FileWatch::start(settled),
            reload_at: None,
            has_newer_edit: false,
            pending_replies: Vec::new(),
            next_pending_replies: Vec::new(),
            hold_tracker: HoldTracker::default(),
            reload_trigger: ReloadTrigger::default(),
            removal_signalled_at: None,
            aliases: Aliases::default(),
            resolver: AliasResolver::new(resolution),
            load_controller: LoadController::new(poll_limits, epoch, reading),
            drain_tracker: DrainTracker::default(),
            freezes: 0,
            recovery: Recovery::default(),
            monitor_faults: Vec::new(),
            broken_targets: HashMap::new(),
            credentials: CredentialFiles::default(),
            recheck_at: None,
            distressed_services: BTreeSet::new(),
            logged_distress: BTreeMap::new(),
            published: Arc::default(),
            consistent_snapshot: None,
            retired_snapshots: Vec::new(),
            identity: Arc::new(identity),
            cookies_at: TokioInstant::now() + Cookies::due_in(cookies.as_ref(), now),
            cookies,
            server: Arc::clone(&server),
            counters,
            last_good_saver: LastGoodSaver::start(state.clone(), home),
            save_again_at: TokioInstant::now() + SAVE_RETRY_INTERVAL,
            state_directory: state,
            epoch,
            started: now,
        };
        controller.log_warnings();
        let outlook = controller.loaded.hold_report.clone();
        controller.apply_hold_report(outlook);
        controller.log_removed();
        controller.save_files();
        let aliases = controller.loaded.topology.aliases.clone();
        let resolvers = controller.loaded.config.server.resolvers.clone();
        controller.set_aliases(&aliases, &resolvers);
        controller.restore_aliases(now);
        controller.set_targets().await;
        controller.set_load_sources().await;
        controller
            .load_controller
            .restore(controller.state_directory.feedback(), &mut controller.conditions);
        let restored = controller.restore_verdicts(now);
        controller.switch_compiler().await;
        tokio::task::spawn_blocking(transport::release_free_memory);
        let published = Arc::clone(&controller.published);
        let handle = ControllerHandle {
            commands,
            published,
            server,
            probe_counts: controller.prober.counts_handle(),
            certificates,
        };
        let inbox = EventChannels {
            commands: command_inbox,
            reports,
            resolved,
            readings,
            edits,
            canaries,
            canary,
        };
        let footprint = std::mem::take(&mut controller.loaded.footprint);
        controller.watch.follow_and_wait(footprint).await;
        let first_round = (restored == 0 && !controller.ledger.is_empty()).then(|| {
            tracing::info!(
                endpoints = controller.ledger.len(),
                "waiting for the first round of health checks"
            );
            let (done, first_round) = oneshot::channel();
            controller.first_round = Some(done);
            first_round
        });
        tokio::spawn(controller.run(inbox));
        Ok(RunningController { handle, first_round })
    }

    /// Publishes what the first round of probes came to.
    async fn end_first_round(&mut self, inbox: &mut EventChannels) {
        while let Ok(report) = inbox.reports.try_recv() {
            self.record_probe(&report);
        }
        // Queries are answered from now on, so that charts of the first verdicts must be in force.
        let mut is_in_force = !self.update_conditions();
        while !is_in_force && let Some(product) = self.worker.next_output().await {
            self.publish_output(&product);
            is_in_force = product.is_complete;
        }
        let (judged, endpoints) = (self.ledger.judged_count(), self.ledger.len());
        tracing::info!(judged, endpoints, "first round of health checks done");
        if let Some(done) = self.first_round.take() {
            // The receiver is gone where a signal ended the start.
            let _ = done.send(());
        }
    }

    async fn run(mut self, mut inbox: EventChannels) {
        let prober = Arc::clone(&self.prober);
        let mut first_round = std::pin::pin!(prober.wait_for_first_round());
        loop {
            let wake = self.wake_at();
            tokio::select! {
                biased;
                product = self.worker.next_output() => match product {
                    Some(product) => self.publish_output(&product),
                    // The worker panicked: no change can be published any more, as after a panic of
                    // this task.
                    None => return,
                },
                Some(report) = inbox.reports.recv() => self.record_probe(&report),
                Some(report) = inbox.resolved.recv() => self.apply_resolution(report),
                Some(reading) = inbox.readings.recv() => self.apply_load_reading(reading),
                Some(outcome) = inbox.canaries.recv() => self.record_canary(&outcome),
                command = inbox.commands.recv() => match command {
                    Some(ControllerCommand::Stop(reply)) => {
                        match self.state_directory.save_failures().text() {
                            Some(_) => self.save_all(),
                            None => self.save_verdicts(),
                        }
                        self.last_good_saver.finish().await;
                        self.state_directory.mark_clean_stop(unix_now());
                        let _ = reply.send(());
                        return;
                    }
                    // Half of a file is never read: its closing reloads.
                    Some(ControllerCommand::Reload(request, reply)) if self.watch.is_being_written() => {
                        self.note_request(request);
                        self.next_pending_replies.push(PendingReply::Reload(reply));
                        self.schedule_reload();
                    }
                    Some(command) => self.handle_command(command),
                    None => return,
                },
                Some(()) = inbox.edits.recv() => self.reload(),
                is_changed = self.credentials.check_finished() => if is_changed { self.reread_credentials().await },
                loaded = reload_outcome(&mut self.pending_reload) => self.apply_reload(loaded, &mut inbox).await,
                rehearsed = self.drain_checks.next_charts() => self.end_drain_check(rehearsed),
                () = &mut first_round, if self.first_round.is_some() => self.end_first_round(&mut inbox).await,
                () = sleep_until(wake.unwrap_or_else(TokioInstant::now)), if wake.is_some() => {}
            }
            self.run_due_timers(&inbox.canary).await;
        }
    }

    /// The next moment at which something is due.
    fn wake_at(&self) -> Option<TokioInstant> {
        let lapse =
            drain::secs_to_next_state_end(&self.loaded.topology, &self.conditions, unix_now())
                .map(|secs| TokioInstant::now() + Duration::from_secs(secs));
        let pending_end =
            self.ledger.next_pending_end().map(|end| TokioInstant::from_std(self.epoch + end));
        let recovered =
            self.recovery.next_due().map(|due| TokioInstant::from_std(self.epoch + due));
        let is_serving = self.first_round.is_none();
        let publish_at = self
            .publish_at
            .into_iter()
            .chain(self.load_controller.wake_at())
            .min()
            .filter(|_| is_serving);
        [
            publish_at,
            self.save_at,
            Some(self.save_again_at),
            self.canary_at,
            self.reload_at,
            self.recheck_at,
            self.credentials.due(),
            Some(self.cookies_at),
            lapse,
            pending_end,
            recovered,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    async fn run_due_timers(&mut self, canary: &mpsc::Sender<Outcome>) {
        self.drop_retired();
        let now = TokioInstant::now();
        let states = datacenter_states(&self.loaded.topology, unix_now());
        if states != self.conditions.datacenters {
            drain::log_expired_states(&self.loaded.topology, &self.conditions.datacenters, &states);
            self.conditions.datacenters = states;
            self.set_targets().await;
            self.rebuild_conditions();
            self.request_compile();
        }
        self.expire_pending_targets();
        let is_due = |at: Option<TokioInstant>| at.is_some_and(|at| at <= now);
        let is_recovered = self.recovery.next_due().is_some_and(|due| due <= self.epoch.elapsed());
        let is_due_to_publish =
            is_due(self.publish_at) || self.load_controller.is_due() || is_recovered;
        if self.first_round.is_none() && is_due_to_publish {
            self.update_conditions();
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_verdicts();
        }
        if is_due(self.reload_at) {
            self.reload();
        }
        self.retry_saves(now);
        if is_due(self.recheck_at) {
            self.reread_credentials().await;
        }
        self.credentials.begin_check_if_due(now);
        self.begin_drain_check();
        self.rotate_cookies(now);
        if self.canary_at.is_some_and(|at| at <= now) {
            self.canary_at = Some(now + CANARY_INTERVAL);
            canary::probe_all(&self.loaded.config.server.canaries, canary);
        }
    }

    /// Saves all again after a while if something could not be saved, or is gone: the disk may have
    /// room by now.
    fn retry_saves(&mut self, now: TokioInstant) {
        if self.save_again_at > now {
            return;
        }
        self.save_again_at = now + SAVE_RETRY_INTERVAL;
        let is_any_lost = self.state_directory.save_failures().is_any_lost();
        if is_any_lost {
            tracing::warn!(directory = %self.state_directory.path().display(), "state files are gone: they are saved again");
        }
        if is_any_lost || self.state_directory.save_failures().text().is_some() {
            self.save_all();
        }
    }

    fn save_all(&mut self) {
        if let Some(cookies) = &self.cookies {
            cookies.save(&mut self.state_directory);
        }
        self.save_verdicts();
        self.save_files();
    }

    // Commands

    fn handle_command(&mut self, command: ControllerCommand) {
        match command {
            // Some charts in force are still of earlier conditions, which neither report would
            // explain.
            ControllerCommand::Status(..) | ControllerCommand::Explain(..)
                if self.consistent_snapshot.is_some() =>
            {
                self.deferred_commands.push(command)
            }
            ControllerCommand::Status(listing, reply) => {
                let _ = reply.send(self.status(listing));
            }
            ControllerCommand::Explain(request, reply) => {
                let snapshot = self.published.load();
                let databases = self.loaded.databases();
                let world = engine::SnapshotContext {
                    snapshot: &snapshot,
                    databases,
                    conditions: &self.conditions_in_force,
                };
                let _ = reply.send(engine::explain(&world, &request));
            }
            ControllerCommand::ForceFailback(pool, reply) => {
                let held = self.load_controller.force_failback(&pool);
                if held == Some(true) {
                    self.has_forced_failback = true;
                    self.publish_at.get_or_insert_with(TokioInstant::now);
                }
                let _ = reply.send(held);
            }
            ControllerCommand::Reload(request, reply) => {
                self.note_request(request);
                self.next_pending_replies.push(PendingReply::Reload(reply));
                self.reload();
            }
            ControllerCommand::SetState(request, reply) => self.set_state(request, reply),
            // Handled where the task ends.
            ControllerCommand::Stop(_) => {}
        }
    }

    fn status(&mut self, listing: ListDetail) -> Status {
        let _beat = self.metronome.activate();
        let snapshot = self.published.load_full();
        report::status(self, &snapshot, listing)
    }
}
