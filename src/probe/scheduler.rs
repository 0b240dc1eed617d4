//! The prober: one task that starts each probe at its time, and the handle to it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    ProbeKey, Report,
    attempt::{Checker, attempt},
    pulse::Pulse,
    schedule::{Due, Newcomer, Phases, Slot},
};
use crate::health::Monitor;

/// What the prober may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Probes at once. Each holds one open file (a name with several addresses up to eight). Enough is the sum of
    /// `timeout / interval` over all targets: below that, probes are late when all targets hang.
    pub in_flight: NonZeroUsize,
}

impl Limits {
    /// What a process may use that may open this many files (the soft RLIMIT_NOFILE): half, and no more than 16,384.
    pub fn within_open_files(files: u64) -> Self {
        let half = usize::try_from(files / 2).unwrap_or(usize::MAX).min(16_384);
        Self { in_flight: NonZeroUsize::new(half).unwrap_or(NonZeroUsize::MIN) }
    }
}

/// What the prober has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Probes started.
    pub started: u64,
    /// Of these, later than their time allows.
    pub late: u64,
    /// Rounds left out because the process slept through them, or the probe before had not yet been reported.
    pub skipped: u64,
    /// Passes reported.
    pub passed: u64,
    /// Failures reported.
    pub failed: u64,
    /// Failures thrown away because they were, or may have been, this process' own.
    pub discarded: u64,
    /// Probes running now, or waiting to be reported.
    pub in_flight: u64,
}

#[derive(Debug, Default)]
struct Counters {
    started: AtomicU64,
    late: AtomicU64,
    skipped: AtomicU64,
    passed: AtomicU64,
    failed: AtomicU64,
    discarded: AtomicU64,
    in_flight: AtomicU64,
}

/// The handle to the task that probes. Dropped, all probing ends.
#[derive(Debug)]
pub struct Prober {
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
}

enum Command {
    Set(Vec<(ProbeKey, Arc<Checker>)>),
    FirstRound(oneshot::Sender<()>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set",
            Self::FirstRound(_) => "FirstRound",
        })
    }
}

impl Prober {
    /// Starts the task, with nothing to probe yet, on the runtime of the caller. Reports carry the time since `epoch`.
    pub fn start(limits: Limits, epoch: std::time::Instant, reports: mpsc::Sender<Report>) -> Self {
        let (commands, inbox) = mpsc::channel(4);
        let counters = Arc::new(Counters::default());
        let shared = Shared {
            epoch: Instant::from_std(epoch),
            reports,
            pulse: Arc::new(Pulse::new()),
            counters: Arc::clone(&counters),
        };
        tokio::spawn(Scheduler::new(limits, shared).run(inbox));
        Self { commands, counters }
    }

    /// Makes `keys` what is probed. A key probed before keeps its place in the timetable; the probes of one that is gone
    /// end unreported, but for a report already on its way. Reads the authorities that monitors name anew.
    pub async fn set(&self, keys: Vec<ProbeKey>) {
        let ready = tokio::task::spawn_blocking(move || make_ready(keys)).await;
        match ready {
            // The task ends only with this handle, so somebody listens.
            Ok(ready) => drop(self.commands.send(Command::Set(ready)).await),
            Err(error) => tracing::error!(%error, "the probes could not be prepared; the old ones go on"),
        }
    }

    /// Waits until each target of the latest [`Prober::set`] was probed once, but no longer than the longest of their
    /// intervals.
    pub async fn first_round(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::FirstRound(done)).await.is_ok() {
            // An error means that the task is gone: nothing to wait for either.
            drop(wait.await);
        }
    }

    /// What it has done so far.
    pub fn tally(&self) -> Tally {
        let counters = &self.counters;
        Tally {
            started: counters.started.load(Relaxed),
            late: counters.late.load(Relaxed),
            skipped: counters.skipped.load(Relaxed),
            passed: counters.passed.load(Relaxed),
            failed: counters.failed.load(Relaxed),
            discarded: counters.discarded.load(Relaxed),
            in_flight: counters.in_flight.load(Relaxed),
        }
    }
}

fn make_ready(keys: Vec<ProbeKey>) -> Vec<(ProbeKey, Arc<Checker>)> {
    let mut checkers: HashMap<Arc<Monitor>, Arc<Checker>> = HashMap::new();
    keys.into_iter()
        .map(|key| {
            let checker = checkers
                .entry(Arc::clone(&key.monitor))
                .or_insert_with(|| Arc::new(Checker::new(&key.monitor)));
            let checker = Arc::clone(checker);
            (key, checker)
        })
        .collect()
}

/// What each probe's task needs beside its target.
#[derive(Debug, Clone)]
struct Shared {
    epoch: Instant,
    reports: mpsc::Sender<Report>,
    pulse: Arc<Pulse>,
    counters: Arc<Counters>,
}

impl Shared {
    fn now(&self) -> Duration {
        Instant::now() - self.epoch
    }

    async fn probe_and_report(self, key: ProbeKey, checker: Arc<Checker>) {
        let Some(outcome) = attempt(&checker, &key, &self.pulse).await else {
            self.counters.discarded.fetch_add(1, Relaxed);
            return;
        };
        let count = if outcome.is_pass() { &self.counters.passed } else { &self.counters.failed };
        count.fetch_add(1, Relaxed);
        let report = Report { key, outcome, at: self.now() };
        // Nobody listens while the program stops.
        drop(self.reports.send(report).await);
    }
}

type Serial = u64;

struct Item {
    key: ProbeKey,
    checker: Arc<Checker>,
    slot: Slot,
    running: Option<tokio::task::AbortHandle>,
    is_waited_for: bool,
}

struct Scheduler {
    limits: Limits,
    shared: Shared,
    phases: Phases,
    random: fastrand::Rng,
    next_serial: Serial,
    items: HashMap<Serial, Item>,
    serials: HashMap<ProbeKey, Serial>,
    /// When each item is next due. Items that are gone leave their entry behind until it is due.
    due: BinaryHeap<Reverse<(Duration, Serial)>>,
    probes: JoinSet<Serial>,
    serials_of: HashMap<tokio::task::Id, Serial>,
    first_round: FirstRound,
}

#[derive(Default)]
struct FirstRound {
    missing: usize,
    until: Duration,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Scheduler {
    fn new(limits: Limits, shared: Shared) -> Self {
        Self {
            limits,
            shared,
            phases: Phases::default(),
            random: fastrand::Rng::new(),
            next_serial: 0,
            items: HashMap::new(),
            serials: HashMap::new(),
            due: BinaryHeap::new(),
            probes: JoinSet::new(),
            serials_of: HashMap::new(),
            first_round: FirstRound::default(),
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let pulse = Arc::clone(&self.shared.pulse);
        let beat = pulse.beat();
        tokio::pin!(beat);
        loop {
            self.start_due();
            self.end_first_round();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                command = inbox.recv() => match command {
                    Some(Command::Set(targets)) => self.set(targets),
                    Some(Command::FirstRound(done)) => self.first_round.waiting.push(done),
                    None => return,
                },
                Some(ended) = self.probes.join_next_with_id() => self.end(ended.map(|(id, _)| id).unwrap_or_else(|error| error.id())),
                () = sleep_until(wake) => {}
                () = &mut beat => {}
            }
            self.shared.counters.in_flight.store(self.probes.len() as u64, Relaxed);
        }
    }
}
