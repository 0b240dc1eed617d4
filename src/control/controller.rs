//! The controller's task: events come in, the compile worker makes the charts that they touch, one
//! snapshot goes out.
//!
//! Verdicts and file changes that come close together become one snapshot. Loading files happens on
//! a thread of its own; meanwhile verdicts are published as ever.
//!
//! | what it owns, its start, its loop, its commands | here |
//! |---|---|
//! | files taken up or refused | `files` |
//! | drains checked and carried out | `drains` |
//! | keys of server cookies | `cookie_keys` |
//! | certificates and keys of monitors | `credentials` |
//! | outcomes, aliases, load reports | `health` |
//! | snapshots | `publish` |

mod cookies;
mod credentials;
mod drains;
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
use credentials::Credentials;
use drains::Rehearsals;
use files::joined;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant as TokioInstant, sleep_until},
};

use super::{
    aliases::Aliases,
    canary,
    compile_worker::CompileWorker,
    cookies::Cookies,
    drain,
    drained::Drained,
    handle::{Command, DrainError, DrainReport, Handle, Listing, ReloadError, ReloadReport},
    holding::Holding,
    lastgood::Home,
    load::{Impulse, Loaded, Refusal, World},
    regulator::Regulator,
    report,
    saver::Saver,
    state::{StateDirectory, unix_now},
    status::{ConfigurationStatus, ServerStatus, Status},
    watch::Watch,
};
use crate::{
    config::{Locations, ServerSettings},
    dns::Name,
    engine,
    health::{Failure, Ledger, Outcome},
    probe::{Limits, LoadReading, ProbeKey, Prober, Report},
    resolve::{self, Resolver},
    snapshot::{ServerIdentity, Snapshot},
    steer::{
        Compiled, Conditions, Plight, ProbeId, Recovery, ServiceId, Topology, datacenter_states,
    },
    transport::{self, CertificateRegistry, Counters, PreemptionTimer},
};

/// Verdicts that come within this become one snapshot.
const COALESCE: Duration = Duration::from_millis(20);
/// Verdicts are saved this long after they changed.
const SAVE: Duration = Duration::from_secs(1);
/// What could not be saved, or is gone from the state directory, is saved again after this long.
const SAVE_AGAIN: Duration = Duration::from_secs(10);
/// How often a canary is asked while the checker doubts itself.
const CANARY: Duration = Duration::from_secs(5);

/// What the controller is started with.
#[derive(Debug)]
pub struct Starting {
    /// Where the files are.
    pub locations: Locations,
    /// What they say.
    pub world: World,
    /// The state directory.
    pub state: StateDirectory,
    /// What the server says of itself in replies.
    pub identity: ServerIdentity,
    /// Gets names for what is counted.
    pub counters: Counters,
    /// What probes may use.
    pub probe_limits: Limits,
    /// What the load polls may use.
    pub poll_limits: Limits,
    /// Beats while something is computed.
    pub metronome: PreemptionTimer,
    /// What TLS and HTTPS show: read again on a reload, and reported.
    pub certificates: CertificateRegistry,
}

/// What a started controller hands out.
#[derive(Debug)]
pub struct Started {
    /// The way to it.
    pub handle: Handle,
    /// Ends once the first round of probes is over; absent where a previous run left verdicts, or
    /// nothing is probed.
    pub first_round: Option<oneshot::Receiver<()>>,
}

/// The controller. Owns all inputs; runs until it is told to stop.
#[derive(Debug)]
pub struct Controller {
    pub(super) locations: Locations,
    /// What the server was started with.
    settings: ServerSettings,
    pub(super) world: World,
    /// The newest conditions. Charts that they touch may still be at the compile worker.
    conditions: Conditions,
    /// The conditions of `compiled`.
    pub(super) in_force: Arc<Conditions>,
    /// The newest charts that were all compiled under the same conditions.
    compiled: Option<Compiled>,
    /// The charts that the last drain was checked with, and that its edit will put in force.
    rehearsed: Option<Compiled>,
    worker: CompileWorker,
    rehearsals: Rehearsals,
    /// Commands that wait until all charts in force are of the same conditions.
    deferred: Vec<Command>,
    pub(super) ledger: Ledger<ProbeKey>,
    pub(super) prober: Arc<Prober>,
    /// By [`ProbeId`].
    pub(super) keys: Vec<ProbeKey>,
    ids: HashMap<ProbeKey, ProbeId>,
    /// What `keys` were made of.
    probed: Arc<Topology>,
    /// Probes whose standing changed since the last snapshot.
    touched: HashSet<ProbeId>,
    /// An operator gave clients back since the last snapshot.
    is_given_back: bool,
    /// Told when the first round of probes is over; until then outcomes are collected, not
    /// published one by one.
    first_round: Option<oneshot::Sender<()>>,
    publish_at: Option<TokioInstant>,
    save_at: Option<TokioInstant>,
    canary_at: Option<TokioInstant>,
    loading: Option<oneshot::Receiver<Result<Loaded, Refusal>>>,
    metronome: PreemptionTimer,
    watch: Watch,
    /// When to try again to read the files.
    reload_at: Option<TokioInstant>,
    /// The files changed again while they were being read.
    is_stale: bool,
    /// Who waits for the reload under way, and who for the one after it.
    waiting: Vec<Waiter>,
    waiting_next: Vec<Waiter>,
    pub(super) configuration: ConfigurationStatus,
    pub(super) holding: Holding,
    /// Who asked for the next load.
    impulse: Impulse,
    /// When a signal asked for a reload last, if the removal that is held now was held then.
    signalled: Option<TokioInstant>,
    pub(super) aliases: Aliases,
    resolver: Resolver,
    pub(super) regulator: Regulator,
    pub(super) drained: Drained,
    pub(super) freezes: u64,
    recovery: Recovery,
    /// Monitors that judge nothing, and why.
    pub(super) faults: Vec<(Box<str>, Failure)>,
    /// Targets that a monitor could not work on at its latest attempt, and why.
    broken: HashMap<ProbeKey, Failure>,
    credentials: Credentials,
    /// When to look again whether the files of those are whole.
    recheck_at: Option<TokioInstant>,
    /// The services whose charts in force leave some clients without a usable member.
    troubled: BTreeSet<ServiceId>,
    /// Services in distress that the log was told of.
    distressed: BTreeMap<(Name, &'static str), (Plight, bool)>,
    published: Arc<ArcSwap<Snapshot>>,
    /// The last snapshot whose charts were all of the same conditions, while the one in force mixes
    /// conditions.
    unmixed: Option<Arc<Snapshot>>,
    /// Snapshots that a shard may still hold. They end here: no query waits while all that is in
    /// one is dropped.
    retired: Vec<Arc<Snapshot>>,
    identity: Arc<ServerIdentity>,
    /// Missing where the kernel gave no randomness.
    cookies: Option<Cookies>,
    /// When to look whether the cookie keys are to be rotated.
    cookies_at: TokioInstant,
    pub(super) server: Arc<ServerStatus>,
    counters: Counters,
    pub(super) state: StateDirectory,
    saver: Saver,
    /// When to look whether all of the state is saved.
    save_again_at: TokioInstant,
    pub(super) epoch: Instant,
    pub(super) started: i64,
}

/// Who waits for a reload.
#[derive(Debug)]
enum Waiter {
    Reload(oneshot::Sender<Result<ReloadReport, ReloadError>>),
    /// A drain whose edit is being taken up.
    SetState(Box<DrainReport>, oneshot::Sender<Result<DrainReport, DrainError>>),
}

/// What the controller listens to.
struct Inbox {
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Receiver<Report>,
    resolved: mpsc::Receiver<resolve::Report>,
    readings: mpsc::Receiver<LoadReading>,
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
    pub async fn start(starting: Starting) -> io::Result<Started> {
        let Starting {
            locations,
            world,
            mut state,
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
        let home = Home::of(&locations);
        let cookies = Cookies::open(&mut state, now);
        let identity = ServerIdentity {
            cookie_keys: cookies.as_ref().map(|cookies| cookies.keys().clone()),
            ..identity
        };
        let mut controller = Self {
            conditions: Conditions::unknown(&world.topology, now),
            ledger: Ledger::new(!world.config.server.canaries.is_empty()),
            configuration: ConfigurationStatus {
                loaded: now,
                warnings: world.warnings.clone(),
                geography: world.geography.clone(),
                ..ConfigurationStatus::default()
            },
            locations,
            settings: world.config.server.clone(),
            world,
            in_force: Arc::default(),
            compiled: None,
            rehearsed: None,
            worker: CompileWorker::start(metronome.clone())?,
            rehearsals: Rehearsals::default(),
            deferred: Vec::new(),
            prober,
            keys: Vec::new(),
            ids: HashMap::new(),
            probed: Arc::default(),
            touched: HashSet::new(),
            is_given_back: false,
            first_round: None,
            publish_at: None,
            save_at: None,
            canary_at: None,
            loading: None,
            metronome,
            watch: Watch::start(settled),
            reload_at: None,
            is_stale: false,
            waiting: Vec::new(),
            waiting_next: Vec::new(),
            holding: Holding::default(),
            impulse: Impulse::default(),
            signalled: None,
            aliases: Aliases::default(),
            resolver: Resolver::new(resolution),
            regulator: Regulator::new(poll_limits, epoch, reading),
            drained: Drained::default(),
            freezes: 0,
            recovery: Recovery::default(),
            faults: Vec::new(),
            broken: HashMap::new(),
            credentials: Credentials::default(),
            recheck_at: None,
            troubled: BTreeSet::new(),
            distressed: BTreeMap::new(),
            published: Arc::default(),
            unmixed: None,
            retired: Vec::new(),
            identity: Arc::new(identity),
            cookies_at: TokioInstant::now() + Cookies::due_in(cookies.as_ref(), now),
            cookies,
            server: Arc::clone(&server),
            counters,
            saver: Saver::start(state.clone(), home),
            save_again_at: TokioInstant::now() + SAVE_AGAIN,
            state,
            epoch,
            started: now,
        };
        controller.log_warnings();
        let outlook = controller.world.outlook.clone();
        controller.note_outlook(outlook);
        controller.log_removed();
        controller.save_files();
        let aliases = controller.world.topology.aliases.clone();
        let resolvers = controller.world.config.server.resolvers.clone();
        controller.set_aliases(&aliases, &resolvers);
        controller.restore_aliases(now);
        controller.set_targets().await;
        controller.set_feeds().await;
        controller.regulator.restore(controller.state.feedback(), &mut controller.conditions);
        let restored = controller.restore_verdicts(now);
        controller.adopt_charts().await;
        tokio::task::spawn_blocking(transport::release_free_memory);
        let published = Arc::clone(&controller.published);
        let handle = Handle {
            commands,
            published,
            server,
            checks: controller.prober.counts(),
            certificates,
        };
        let inbox =
            Inbox { commands: command_inbox, reports, resolved, readings, edits, canaries, canary };
        let footprint = std::mem::take(&mut controller.world.footprint);
        controller.watch.begin(footprint).await;
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
        Ok(Started { handle, first_round })
    }

    /// Publishes what the first round of probes came to.
    async fn end_first_round(&mut self, inbox: &mut Inbox) {
        while let Ok(report) = inbox.reports.try_recv() {
            self.record(&report);
        }
        // Queries are answered from now on, so that charts of the first verdicts must be in force.
        let mut is_in_force = !self.publish();
        while !is_in_force && let Some(product) = self.worker.product().await {
            self.take_product(&product);
            is_in_force = product.is_complete;
        }
        let (judged, endpoints) = (self.ledger.judged(), self.ledger.len());
        tracing::info!(judged, endpoints, "first round of health checks done");
        if let Some(done) = self.first_round.take() {
            // The receiver is gone where a signal ended the start.
            let _ = done.send(());
        }
    }

    async fn run(mut self, mut inbox: Inbox) {
        let prober = Arc::clone(&self.prober);
        let mut first_round = std::pin::pin!(prober.first_round());
        loop {
            let wake = self.wake_at();
            tokio::select! {
                biased;
                product = self.worker.product() => match product {
                    Some(product) => self.take_product(&product),
                    // The worker panicked: no change can be published any more, as after a panic of
                    // this task.
                    None => return,
                },
                Some(report) = inbox.reports.recv() => self.record(&report),
                Some(report) = inbox.resolved.recv() => self.take_resolved(report),
                Some(reading) = inbox.readings.recv() => self.take_reading(reading),
                Some(outcome) = inbox.canaries.recv() => self.record_canary(&outcome),
                command = inbox.commands.recv() => match command {
                    Some(Command::Stop(reply)) => {
                        match self.state.faults().text() {
                            Some(_) => self.save_all(),
                            None => self.save_verdicts(),
                        }
                        self.saver.finish().await;
                        self.state.end(unix_now());
                        let _ = reply.send(());
                        return;
                    }
                    // Half of a file is never read: its closing reloads.
                    Some(Command::Reload(request, reply)) if self.watch.is_being_written() => {
                        self.note_request(request);
                        self.waiting_next.push(Waiter::Reload(reply));
                        self.reload_soon();
                    }
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(()) = inbox.edits.recv() => self.reload(),
                is_changed = self.credentials.looked() => if is_changed { self.reread_credentials().await },
                loaded = joined(&mut self.loading) => self.take_up(loaded, &mut inbox).await,
                rehearsed = self.rehearsals.done() => self.end_rehearsal(rehearsed),
                () = &mut first_round, if self.first_round.is_some() => self.end_first_round(&mut inbox).await,
                () = sleep_until(wake.unwrap_or_else(TokioInstant::now)), if wake.is_some() => {}
            }
            self.keep_time(&inbox.canary).await;
        }
    }

    /// The next moment at which something is due.
    fn wake_at(&self) -> Option<TokioInstant> {
        let lapse = drain::next_lapse(&self.world.topology, &self.conditions, unix_now())
            .map(|secs| TokioInstant::now() + Duration::from_secs(secs));
        let pending_end =
            self.ledger.next_pending_end().map(|end| TokioInstant::from_std(self.epoch + end));
        let recovered =
            self.recovery.next_due().map(|due| TokioInstant::from_std(self.epoch + due));
        let is_serving = self.first_round.is_none();
        let publish_at = self
            .publish_at
            .into_iter()
            .chain(self.regulator.wake_at())
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

    async fn keep_time(&mut self, canary: &mpsc::Sender<Outcome>) {
        self.drop_retired();
        let now = TokioInstant::now();
        let states = datacenter_states(&self.world.topology, unix_now());
        if states != self.conditions.datacenters {
            drain::log_ended(&self.world.topology, &self.conditions.datacenters, &states);
            self.conditions.datacenters = states;
            self.set_targets().await;
            self.renew_conditions();
            self.compile();
        }
        self.end_pending();
        let is_due = |at: Option<TokioInstant>| at.is_some_and(|at| at <= now);
        let is_recovered = self.recovery.next_due().is_some_and(|due| due <= self.epoch.elapsed());
        let is_due_to_publish = is_due(self.publish_at) || self.regulator.is_due() || is_recovered;
        if self.first_round.is_none() && is_due_to_publish {
            self.publish();
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_verdicts();
        }
        if is_due(self.reload_at) {
            self.reload();
        }
        self.save_again(now);
        if is_due(self.recheck_at) {
            self.reread_credentials().await;
        }
        self.credentials.look(now);
        self.begin_rehearsal();
        self.rotate_cookies(now);
        if self.canary_at.is_some_and(|at| at <= now) {
            self.canary_at = Some(now + CANARY);
            canary::ask(&self.world.config.server.canaries, canary);
        }
    }

    /// Saves all again after a while if something could not be saved, or is gone: the disk may have
    /// room by now.
    fn save_again(&mut self, now: TokioInstant) {
        if self.save_again_at > now {
            return;
        }
        self.save_again_at = now + SAVE_AGAIN;
        let is_any_lost = self.state.faults().is_any_lost();
        if is_any_lost {
            tracing::warn!(directory = %self.state.path().display(), "state files are gone: they are saved again");
        }
        if is_any_lost || self.state.faults().text().is_some() {
            self.save_all();
        }
    }

    fn save_all(&mut self) {
        if let Some(cookies) = &self.cookies {
            cookies.save(&mut self.state);
        }
        self.save_verdicts();
        self.save_files();
    }

    // Commands

    fn obey(&mut self, command: Command) {
        match command {
            // Some charts in force are still of earlier conditions, which neither report would
            // explain.
            Command::Status(..) | Command::Explain(..) if self.unmixed.is_some() => {
                self.deferred.push(command)
            }
            Command::Status(listing, reply) => {
                let _ = reply.send(self.status(listing));
            }
            Command::Explain(request, reply) => {
                let snapshot = self.published.load();
                let databases = self.world.databases();
                let world =
                    engine::World { snapshot: &snapshot, databases, conditions: &self.in_force };
                let _ = reply.send(engine::explain(&world, &request));
            }
            Command::GiveBack(pool, reply) => {
                let held = self.regulator.give_back(&pool);
                if held == Some(true) {
                    self.is_given_back = true;
                    self.publish_at.get_or_insert_with(TokioInstant::now);
                }
                let _ = reply.send(held);
            }
            Command::Reload(request, reply) => {
                self.note_request(request);
                self.waiting_next.push(Waiter::Reload(reply));
                self.reload();
            }
            Command::SetState(request, reply) => self.set_state(request, reply),
            // Handled where the task ends.
            Command::Stop(_) => {}
        }
    }

    fn status(&mut self, listing: Listing) -> Status {
        let _beat = self.metronome.activate();
        let snapshot = self.published.load_full();
        report::status(self, &snapshot, listing)
    }
}
