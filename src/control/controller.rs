//! The controller's task: events come in, the charts they touch are compiled anew, one snapshot goes out.
//!
//! Verdicts and file changes that come close together become one snapshot. Loading files happens on a thread of its own;
//! meanwhile verdicts are published as ever.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant as TokioInstant, sleep_until},
};

use super::{
    aliases::Aliases,
    canary,
    drain::{self, Drains},
    handle::{Command, DrainAct, DrainError, DrainReport, DrainRequest, Handle, ReloadError},
    load::{self, Loaded, Previous, Refusal, World},
    regulator::Regulator,
    report,
    state::{SavedSerial, StateDirectory, unix_now},
    status::{ConfigurationStatus, RampStatus, Status},
    watch::Watch,
};
use crate::{
    config::{Colours, Locations, ServerSettings},
    dns::Name,
    engine,
    health::{Doubts, Effect, Ledger, Monitor, Outcome, Verdict, saved::SavedVerdict},
    probe::{Limits, LoadReading, ProbeKey, Prober, Report},
    resolve::{self, Resolver},
    snapshot::{Identity, Snapshot},
    steer::{AliasId, Changes, Chart, Conditions, ProbeId, State, combine, datacenter_states, probed},
    transport::Counters,
};

/// Verdicts that come within this become one snapshot.
const COALESCE: Duration = Duration::from_millis(20);
/// Verdicts are saved this long after they changed.
const SAVE: Duration = Duration::from_secs(1);
/// How often a canary is asked while the checker doubts itself.
const CANARY: Duration = Duration::from_secs(5);
/// The start waits so long for aliases to be resolved.
const FIRST_RESOLUTION: Duration = Duration::from_secs(5);

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
    pub identity: Identity,
    /// Gets names for what is counted.
    pub counters: Counters,
    /// What probes may use.
    pub probe_limits: Limits,
}

/// The controller. Owns all inputs; runs until it is told to stop.
#[derive(Debug)]
pub struct Controller {
    pub(super) locations: Locations,
    /// What the server was started with.
    settings: ServerSettings,
    pub(super) world: World,
    pub(super) conditions: Conditions,
    charts: Vec<Arc<Chart>>,
    pub(super) ledger: Ledger<ProbeKey>,
    pub(super) prober: Arc<Prober>,
    /// By [`ProbeId`].
    pub(super) keys: Vec<ProbeKey>,
    ids: HashMap<ProbeKey, ProbeId>,
    /// Probes whose standing changed since the last snapshot.
    touched: HashSet<ProbeId>,
    /// An operator gave clients back since the last snapshot.
    is_given_back: bool,
    publish_at: Option<TokioInstant>,
    save_at: Option<TokioInstant>,
    canary_at: Option<TokioInstant>,
    loading: Option<JoinHandle<Result<Loaded, Refusal>>>,
    /// The files changed again while they were being read.
    is_stale: bool,
    /// Who waits for the reload under way, and who for the one after it.
    waiting: Vec<Waiter>,
    waiting_next: Vec<Waiter>,
    pub(super) configuration: ConfigurationStatus,
    /// Of the files last refused, so that they are not refused twice.
    refused_fingerprint: Option<u64>,
    pub(super) aliases: Aliases,
    resolver: Resolver,
    pub(super) regulator: Regulator,
    pub(super) drains: Drains,
    pub(super) freezes: u64,
    /// Services in distress that the log was told of.
    distressed: HashSet<Name>,
    published: Arc<ArcSwap<Snapshot>>,
    identity: Arc<Identity>,
    counters: Counters,
    state: StateDirectory,
    pub(super) epoch: Instant,
    pub(super) started: i64,
}

/// Who waits for a reload.
#[derive(Debug)]
enum Waiter {
    Reload(oneshot::Sender<Result<u64, ReloadError>>),
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
    watch: Watch,
}

impl Controller {
    /// Compiles the first snapshot with the verdicts of an earlier life, starts probing, waits for a first outcome of every
    /// target that has no saved verdict (at most one interval), and then runs on a task of its own.
    pub async fn start(starting: Starting) -> Handle {
        let Starting { locations, world, state, identity, counters, probe_limits } = starting;
        let epoch = Instant::now();
        let (report, reports) = mpsc::channel(1024);
        let prober = Arc::new(Prober::start(probe_limits, epoch, report));
        let (resolution, mut resolved) = mpsc::channel(64);
        let (reading, readings) = mpsc::channel(1024);
        let (commands, command_inbox) = mpsc::channel(64);
        let (settled, edits) = mpsc::channel(1);
        let (canary, canaries) = mpsc::channel(8);
        let now = unix_now();
        let mut controller = Self {
            conditions: Conditions::unknown(&world.topology, now),
            ledger: Ledger::new(!world.config.server.canaries.is_empty()),
            configuration: ConfigurationStatus {
                loaded: now,
                warnings: world.warnings.clone(),
                ..ConfigurationStatus::default()
            },
            locations,
            settings: world.config.server.clone(),
            world,
            charts: Vec::new(),
            prober,
            keys: Vec::new(),
            ids: HashMap::new(),
            touched: HashSet::new(),
            is_given_back: false,
            publish_at: None,
            save_at: None,
            canary_at: None,
            loading: None,
            is_stale: false,
            waiting: Vec::new(),
            waiting_next: Vec::new(),
            refused_fingerprint: None,
            aliases: Aliases::default(),
            resolver: Resolver::new(resolution),
            regulator: Regulator::new(probe_limits, epoch, reading),
            drains: Drains::default(),
            freezes: 0,
            distressed: HashSet::new(),
            published: Arc::default(),
            identity: Arc::new(identity),
            counters,
            state,
            epoch,
            started: now,
        };
        controller.log_warnings();
        controller.set_targets().await;
        controller.set_aliases();
        controller.aliases.restore(controller.state.aliases(now));
        controller.set_feeds().await;
        controller.regulator.restore(controller.state.feedback());
        let is_known = controller.restore_verdicts(now);
        controller.first_resolution(&mut resolved).await;
        controller.compile_all();
        let handle = Handle { commands, published: Arc::clone(&controller.published) };
        let mut inbox = Inbox {
            commands: command_inbox,
            reports,
            resolved,
            readings,
            edits,
            canaries,
            canary,
            watch: Watch::start(settled),
        };
        inbox.watch.set(controller.world.interests.clone());
        if !is_known {
            controller.first_round(&mut inbox).await;
        }
        tokio::spawn(controller.run(inbox));
        handle
    }

    async fn first_round(&mut self, inbox: &mut Inbox) {
        let all = self.keys.len();
        tracing::info!(targets = all, "waiting for the first round of probes");
        let prober = Arc::clone(&self.prober);
        let mut round = std::pin::pin!(prober.first_round());
        loop {
            tokio::select! {
                () = &mut round => break,
                Some(report) = inbox.reports.recv() => self.record(&report),
            }
        }
        while let Ok(report) = inbox.reports.try_recv() {
            self.record(&report);
        }
        self.publish();
    }

    async fn run(mut self, mut inbox: Inbox) {
        loop {
            let wake = self.wake_at();
            tokio::select! {
                biased;
                Some(report) = inbox.reports.recv() => self.record(&report),
                Some(report) = inbox.resolved.recv() => self.take_resolved(report),
                Some(reading) = inbox.readings.recv() => self.take_reading(reading),
                Some(outcome) = inbox.canaries.recv() => self.record_canary(&outcome),
                command = inbox.commands.recv() => match command {
                    Some(Command::Stop(reply)) => {
                        self.save_verdicts();
                        let _ = reply.send(());
                        return;
                    }
                    // A file that somebody is amid writing is not read: the end of that edit is what reloads.
                    Some(Command::Reload(reply)) if inbox.watch.is_being_written() => {
                        self.waiting_next.push(Waiter::Reload(reply));
                    }
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(()) = inbox.edits.recv() => self.reload(),
                loaded = joined(&mut self.loading) => self.take_up(loaded, &mut inbox).await,
                () = sleep_until(wake.unwrap_or_else(TokioInstant::now)), if wake.is_some() => {}
            }
            self.keep_time(&inbox.canary).await;
        }
    }

    /// The next moment at which something is due.
    fn wake_at(&self) -> Option<TokioInstant> {
        let lapse = drain::next_lapse(&self.world.topology, &self.conditions, unix_now())
            .map(|secs| TokioInstant::now() + Duration::from_secs(secs));
        [self.publish_at, self.save_at, self.canary_at, lapse, self.regulator.wake_at()].into_iter().flatten().min()
    }

    async fn keep_time(&mut self, canary: &mpsc::Sender<Outcome>) {
        let now = TokioInstant::now();
        let states = datacenter_states(&self.world.topology, unix_now());
        if states != self.conditions.datacenters {
            tracing::info!("a datacenter's state has ended as planned");
            self.follow_states(states).await;
        }
        let is_due = |at: Option<TokioInstant>| at.is_some_and(|at| at <= now);
        if is_due(self.publish_at) || self.regulator.is_due() {
            self.publish();
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_verdicts();
        }
        if self.canary_at.is_some_and(|at| at <= now) {
            self.canary_at = Some(now + CANARY);
            canary::ask(&self.world.config.server.canaries, canary);
        }
    }

    // Files

    /// Reads the files on a thread of its own; again when they change meanwhile.
    fn reload(&mut self) {
        if self.loading.is_some() {
            self.is_stale = true;
            return;
        }
        self.waiting.append(&mut self.waiting_next);
        let locations = self.locations.clone();
        let previous = Previous {
            databases: self.world.databases.clone(),
            surveys: self.world.surveys.clone(),
            serials: self.world.serials.clone(),
            fingerprint: self.world.fingerprint,
        };
        self.loading = Some(tokio::task::spawn_blocking(move || load::load(&locations, previous, Colours::Plain)));
    }

    async fn take_up(&mut self, loaded: Option<Result<Loaded, Refusal>>, inbox: &mut Inbox) {
        self.loading = None;
        let outcome = match loaded {
            Some(Ok(Loaded::World(world))) => {
                self.adopt(*world).await;
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
            None => Err(vec!["reading the files failed; the log says why".to_owned()]),
        };
        for waiter in std::mem::take(&mut self.waiting) {
            self.answer(waiter, outcome.clone());
        }
        // A directory may have come back, or be another one, whatever its files say.
        self.is_stale |= inbox.watch.set(self.world.interests.clone());
        let is_somebody_waiting = !self.waiting_next.is_empty() && !inbox.watch.is_being_written();
        if std::mem::take(&mut self.is_stale) || is_somebody_waiting {
            self.reload();
        }
    }

    /// Tells a waiter what became of the reload. Whoever asked may have gone away.
    fn answer(&self, waiter: Waiter, outcome: Result<u64, Vec<String>>) {
        match waiter {
            Waiter::Reload(reply) => _ = reply.send(outcome.map_err(ReloadError::Refused)),
            Waiter::SetState(mut report, reply) => {
                let answer = outcome.map_err(DrainError::Refused).map(|generation| {
                    report.generation = generation;
                    for (name, drain) in &mut report.datacenters {
                        *drain = self.drains.of(name);
                    }
                    let is_named = |ramp: &RampStatus| report.datacenters.iter().any(|(name, _)| *name == ramp.name);
                    report.ramps = report::ramps(self).into_iter().filter(is_named).collect();
                    *report
                });
                let _ = reply.send(answer);
            }
        }
    }

    async fn adopt(&mut self, mut world: World) {
        let waiting = self.settings.waiting_for_restart(&world.config.server);
        world.warnings.extend(waiting.iter().map(|key| {
            format!("`{key}` of `server` has changed: it takes effect at the next start (help: restart the server)")
        }));
        self.world = world;
        self.ledger.set_has_canaries(!self.world.config.server.canaries.is_empty());
        self.set_aliases();
        self.set_feeds().await;
        self.follow_states(datacenter_states(&self.world.topology, unix_now())).await;
        self.accept();
        self.configuration.reloads += 1;
        self.configuration.loaded = unix_now();
        self.configuration.warnings = self.world.warnings.clone();
        let generation = self.published.load().generation;
        tracing::info!(generation, services = self.charts.len(), "took up the edited files");
        self.log_warnings();
        self.save_serials();
    }

    /// Takes up the datacenters' states: who is probed hangs on them, and what is answered.
    async fn follow_states(&mut self, states: Vec<State>) {
        self.conditions.datacenters = states;
        self.set_targets().await;
        self.compile_all();
    }

    fn accept(&mut self) {
        self.refused_fingerprint = None;
        self.configuration.refused = None;
        self.configuration.errors.clear();
    }

    fn refuse(&mut self, refusal: &Refusal) {
        if self.refused_fingerprint == Some(refusal.fingerprint) {
            return;
        }
        self.refused_fingerprint = Some(refusal.fingerprint);
        self.configuration.failures += 1;
        self.configuration.refused = Some(unix_now());
        self.configuration.errors = refusal.lines.clone();
        for line in &refusal.lines {
            tracing::error!(error = %line, "configuration refused; what was in use stays in use");
        }
    }

    fn log_warnings(&self) {
        for warning in &self.world.warnings {
            tracing::warn!(%warning, "configuration");
        }
    }

    fn save_serials(&mut self) {
        let serials: &HashMap<Name, SavedSerial> = &self.world.serials;
        self.state.save_serials(serials);
    }

    // Health

    /// Makes the topology's probes what is probed, but for those that only disabled endpoints use.
    async fn set_targets(&mut self) {
        let topology = &self.world.topology;
        let monitors: Vec<Arc<Monitor>> = topology.monitors.iter().cloned().map(Arc::new).collect();
        self.keys = topology
            .probes
            .iter()
            .map(|probe| ProbeKey {
                monitor: Arc::clone(&monitors[probe.monitor.index()]),
                target: probe.target.clone(),
            })
            .collect();
        self.ids = self.keys.iter().cloned().zip((0..).map(ProbeId)).collect();
        let is_probed = probed(topology, &self.conditions);
        let active: Vec<ProbeKey> =
            self.keys.iter().zip(&is_probed).filter(|(_, is_probed)| **is_probed).map(|(key, _)| key.clone()).collect();
        self.ledger.set(active.iter().map(|key| (key.clone(), Arc::clone(&key.monitor))));
        self.prober.set(active).await;
        self.touched.clear();
    }

    /// Gives what is probed the verdicts of an earlier life. Whether every target had one.
    fn restore_verdicts(&mut self, now: i64) -> bool {
        let saved = self.state.verdicts(now);
        self.ledger.restore(|key| saved.get(&key.saved()).map(|saved| saved.verdict))
    }

    fn record(&mut self, report: &Report) {
        let had_note = self.ledger.last_outcome(&report.key).is_some_and(|(outcome, _)| outcome.note.is_some());
        if let Some(note) = report.outcome.note.as_ref().filter(|_| !had_note) {
            tracing::warn!(target = %report.key, %note, "probe passed");
        }
        let effect = self.ledger.record(&report.key, report.outcome.clone(), report.at);
        if !report.outcome.is_pass() {
            tracing::debug!(target = %report.key, outcome = %report::outcome_text(&report.outcome), "probe failed");
        }
        self.follow(&effect, Some(&report.key));
        if let Some(id) = self.ids.get(&report.key) {
            self.regulator.hear(*id, report, &self.conditions);
        }
    }

    fn record_canary(&mut self, outcome: &Outcome) {
        let effect = self.ledger.record_canary(outcome, self.epoch.elapsed());
        self.follow(&effect, None);
    }

    fn follow(&mut self, effect: &Effect<ProbeKey>, key: Option<&ProbeKey>) {
        for turn in &effect.turns {
            let last = self.ledger.last_outcome(&turn.key).map(|(outcome, _)| report::outcome_text(outcome));
            let last = last.unwrap_or_default();
            tracing::info!(target = %turn.key, from = turn.from.word(), to = turn.to.word(), %last, "verdict");
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
                self.canary_at = (!self.world.config.server.canaries.is_empty()).then(TokioInstant::now);
                tracing::error!(
                    "most targets fail at once: verdicts are frozen, for the fault may be this server's own"
                );
                self.touch_all();
            }
            Some(Doubts::Thawed) => {
                self.canary_at = None;
                tracing::info!("targets answer again: verdicts follow probes");
                self.touch_all();
            }
            Some(Doubts::Confirmed) => {
                self.canary_at = None;
                tracing::warn!("the failures were confirmed: verdicts follow probes");
                self.touch_all();
            }
            None => {}
        }
    }

    fn touch(&mut self, key: &ProbeKey) {
        if let Some(id) = self.ids.get(key) {
            self.touched.insert(*id);
            self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE);
        }
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.ids.values().copied());
        self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE);
    }

    fn save_verdicts(&mut self) {
        self.save_at = None;
        let now = unix_now();
        let elapsed = self.epoch.elapsed();
        let since = |since: Option<Duration>| since.map_or(now, |since| now - (elapsed - since).as_secs() as i64);
        let verdicts: Vec<_> = self
            .ledger
            .verdicts()
            .filter(|(_, verdict, _)| *verdict != Verdict::Unknown)
            .map(|(key, verdict, settled)| (key.saved(), SavedVerdict { verdict, since: since(settled) }))
            .collect();
        self.state.save_verdicts(verdicts, now);
        self.state.save_feedback(&self.regulator.saved());
        let aliases = self.aliases.saved();
        if !aliases.is_empty() {
            self.state.save_aliases(aliases);
        }
    }

    // Aliases

    /// Makes the topology's aliases what is resolved.
    fn set_aliases(&mut self) {
        let aliases = &self.world.topology.aliases;
        self.aliases.set(aliases);
        self.resolver.set(aliases, &self.world.config.server.resolvers);
    }

    /// Waits until every alias was asked for that no earlier life knows of. Probes go on meanwhile.
    async fn first_resolution(&mut self, resolved: &mut mpsc::Receiver<resolve::Report>) {
        let end = TokioInstant::now() + FIRST_RESOLUTION;
        while !self.aliases.is_complete() {
            tokio::select! {
                Some(report) = resolved.recv() => self.take_resolved(report),
                () = sleep_until(end) => {
                    tracing::warn!("not every alias is resolved yet: serving without them");
                    break;
                }
            }
        }
    }

    fn take_resolved(&mut self, report: resolve::Report) {
        let now = TokioInstant::now();
        if self.aliases.take(report, unix_now()) {
            self.save_at.get_or_insert(now + SAVE);
        }
        self.publish_at.get_or_insert(now + COALESCE);
    }

    /// Takes up what aliases stand for; those for which that is something else.
    fn follow_aliases(&mut self) -> Vec<AliasId> {
        let resolved = self.aliases.resolved(&self.world.topology);
        let old = std::mem::replace(&mut self.conditions.aliases, resolved);
        let changed = |(at, new): (usize, &Arc<_>)| (old.get(at) != Some(new)).then_some(AliasId(at as u32));
        self.conditions.aliases.iter().enumerate().filter_map(changed).collect()
    }

    // Load reports and ramps

    /// Makes the topology's load sources what is polled.
    async fn set_feeds(&mut self) {
        let topology = Arc::clone(&self.world.topology);
        self.regulator.adopt(&topology, &mut self.conditions).await;
    }

    fn take_reading(&mut self, reading: LoadReading) {
        self.regulator.take(reading, &self.conditions);
        self.publish_at.get_or_insert_with(|| TokioInstant::now() + COALESCE);
    }

    // Snapshots

    /// Compiles every chart and publishes.
    fn compile_all(&mut self) {
        let now = self.epoch.elapsed();
        self.conditions.standings = self.keys.iter().map(|key| self.ledger.standing(key, now)).collect();
        combine(&self.world.topology, &mut self.conditions.standings);
        self.touched.clear();
        self.follow_aliases();
        self.regulator.follow(&mut self.world.compiler, &mut self.conditions, true);
        self.charts = self.world.compiler.compile(&self.conditions, &mut self.world.surveys);
        self.send_out();
    }

    /// Compiles what the touched probes have a part in and publishes.
    fn publish(&mut self) {
        let now = self.epoch.elapsed();
        // A combined probe follows its parts below; the ledger knows nothing of it.
        let combinations = &self.world.topology.combinations;
        let touched: Vec<ProbeId> = self.touched.drain().filter(|id| combinations[id.index()].is_none()).collect();
        let mut changes = Changes::default();
        for id in touched {
            let standing = self.ledger.standing(&self.keys[id.index()], now);
            if self.conditions.standings[id.index()] != standing {
                self.conditions.standings[id.index()] = standing;
                changes.probes.push(id);
            }
        }
        self.publish_at = None;
        changes.probes.extend(self.combine());
        changes.aliases = self.follow_aliases();
        let has_news = std::mem::take(&mut self.is_given_back) || !changes.is_empty();
        changes.pools = self.regulator.follow(&mut self.world.compiler, &mut self.conditions, has_news);
        if !changes.pools.is_empty() {
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE);
        }
        if !changes.is_empty() {
            let World { compiler, surveys, .. } = &mut self.world;
            compiler.recompile(&self.conditions, &changes, surveys, &mut self.charts);
            self.send_out();
        }
    }

    /// Makes the standings of combined targets follow their parts; those that changed.
    fn combine(&mut self) -> Vec<ProbeId> {
        let before = self.conditions.standings.clone();
        let combined = combine(&self.world.topology, &mut self.conditions.standings);
        for id in &combined {
            let (from, to) = (before[id.index()].verdict, self.conditions.standings[id.index()].verdict);
            if from != to {
                let target = &self.keys[id.index()];
                tracing::info!(%target, from = from.word(), to = to.word(), "combined verdict");
            }
        }
        combined
    }

    fn send_out(&mut self) {
        self.publish_at = None;
        let generation = self.published.load().generation + 1;
        let identity = Arc::clone(&self.identity);
        let snapshot = self.world.snapshot(generation, self.charts.clone(), &self.conditions, identity);
        self.counters.prepare(&snapshot.topology);
        self.published.store(Arc::new(snapshot));
        self.world.surveys.prune();
        self.drains.note(&self.world.topology, &self.conditions, unix_now());
        self.say_distress();
    }

    /// Tells the log which services ran out of usable members, and which have some again.
    fn say_distress(&mut self) {
        let now = report::distressed(&self.world.topology, &self.charts);
        let names: HashSet<Name> = now.iter().map(|(name, ..)| name.clone()).collect();
        let new: Vec<_> = now.iter().filter(|(name, ..)| !self.distressed.contains(name)).collect();
        for (name, rtype, plight) in new.iter().take(10) {
            let answers = report::plight_text(*plight);
            tracing::warn!(service = %name, rtype, answers, "nothing usable");
        }
        if new.len() > 10 {
            tracing::warn!(more = new.len() - 10, "services with nothing usable");
        }
        let recovered: Vec<_> = self.distressed.difference(&names).take(10).collect();
        for name in recovered {
            tracing::info!(service = %name, "usable again");
        }
        self.distressed = names;
    }

    // Commands

    fn obey(&mut self, command: Command) {
        match command {
            Command::Status(reply) => {
                let _ = reply.send(self.status());
            }
            Command::Explain(request, reply) => {
                let snapshot = self.published.load();
                let databases = self.world.databases();
                let world = engine::World { snapshot: &snapshot, databases, conditions: &self.conditions };
                let _ = reply.send(engine::explain(&world, &request));
            }
            Command::GiveBack(pool, reply) => {
                let held = self.regulator.give_back(&pool);
                if held == Some(true) {
                    tracing::info!(%pool, "an operator gave the clients back");
                    self.is_given_back = true;
                    self.publish_at.get_or_insert_with(TokioInstant::now);
                }
                let _ = reply.send(held);
            }
            Command::Reload(reply) => {
                self.waiting_next.push(Waiter::Reload(reply));
                self.reload();
            }
            Command::SetState(request, reply) => match self.edit_state(&request) {
                Ok(report) => {
                    self.waiting_next.push(Waiter::SetState(Box::new(report), reply));
                    self.reload();
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            // Handled where the task ends.
            Command::Stop(_) => {}
        }
    }

    fn edit_state(&mut self, request: &DrainRequest) -> Result<DrainReport, DrainError> {
        let plan = drain::plan(request, &self.world, &self.conditions)?;
        let (is_drain, is_forced) = match &request.act {
            DrainAct::Drain(drain) => (true, drain.force),
            DrainAct::Pause | DrainAct::Resume | DrainAct::Undrain => (false, true),
        };
        let distressed = if is_drain {
            let conditions = plan.conditions(&self.conditions);
            let charts = self.world.compiler.compile(&conditions, &mut self.world.surveys);
            drain::newly_distressed(&self.world.topology, &self.charts, &charts)
        } else {
            Vec::new()
        };
        if !distressed.is_empty() && !is_forced {
            return Err(DrainError::Distress(distressed));
        }
        let files = plan.carry_out().map_err(|error| DrainError::Edit(error.to_string()))?;
        tracing::info!(datacenter = %request.datacenter, act = ?request.act, ?files, "an operator edited a datacenter's state");
        let datacenters = plan.names().into_iter().map(|name| (name, None)).collect();
        Ok(DrainReport { generation: 0, files, datacenters, ramps: Vec::new(), distressed })
    }

    fn status(&self) -> Status {
        report::status(self, &self.published.load(), &self.charts)
    }
}

/// What a thread came to, once it did; never while there is none.
async fn joined(loading: &mut Option<JoinHandle<Result<Loaded, Refusal>>>) -> Option<Result<Loaded, Refusal>> {
    match loading {
        Some(thread) => match thread.await {
            Ok(loaded) => Some(loaded),
            Err(error) => {
                tracing::error!(%error, "reading the files failed; what was in use stays in use");
                None
            }
        },
        None => std::future::pending().await,
    }
}
