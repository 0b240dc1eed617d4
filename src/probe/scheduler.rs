//! The scheduler: one task that starts each probe, or poll, at its time, and the handle to it.

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
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::field::display;

use super::{
    job::Job,
    pulse::Pulse,
    schedule::{Due, Phases, Round, Slot},
};

/// The start waits no longer for a first outcome of every target.
const LONGEST_FIRST_ROUND: Duration = Duration::from_secs(5);

/// What a scheduler may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Probes at once. Each holds one open file (a name with several addresses up to eight). Enough is the sum of
    /// `timeout / interval` over all targets: below that, probes are late when all targets hang.
    pub in_flight: NonZeroUsize,
}

impl Limits {
    /// What a scheduler may use that may have this many descriptors open.
    pub fn within_descriptors(count: usize) -> Self {
        Self { in_flight: NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN) }
    }
}

/// What a scheduler has done since its start.
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

/// The handle to the task that does a job for each of its keys. Dropped, all of it ends.
#[derive(Debug)]
pub(super) struct Scheduled<J: Job> {
    commands: mpsc::Sender<Command<J>>,
    counters: Arc<Counters>,
    job: Arc<J>,
}

enum Command<J: Job> {
    Set(Ready<J>),
    FirstRound(oneshot::Sender<()>),
}

type Ready<J> = Vec<(<J as Job>::Key, Arc<<J as Job>::Ready>)>;

impl<J: Job> std::fmt::Debug for Command<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set",
            Self::FirstRound(_) => "FirstRound",
        })
    }
}

impl<J: Job> Scheduled<J> {
    /// Starts the task, with nothing to do yet, on the runtime of the caller. Reports carry the time since `epoch`.
    pub(super) fn start(limits: Limits, epoch: std::time::Instant, reports: mpsc::Sender<J::Report>) -> Self {
        let (commands, inbox) = mpsc::channel(4);
        let counters = Arc::new(Counters::default());
        let shared = Shared {
            epoch: Instant::from_std(epoch),
            reports,
            pulse: Arc::new(Pulse::new()),
            counters: Arc::clone(&counters),
        };
        tokio::spawn(Scheduler::<J>::new(limits, shared).run(inbox));
        Self { commands, counters, job: Arc::default() }
    }

    /// Makes `keys` what it is done for. A key that was there before keeps its place in the timetable.
    pub(super) async fn set(&self, keys: Vec<J::Key>) {
        let job = Arc::clone(&self.job);
        let ready = tokio::task::spawn_blocking(move || job.prepare(keys)).await;
        match ready {
            // The task ends only with this handle, so somebody listens.
            Ok(ready) => _ = self.commands.send(Command::Set(ready)).await,
            Err(error) => {
                tracing::error!(job = J::WORD, %error, "preparation panicked; the previous schedule stays in force")
            }
        }
    }

    /// Waits until each target of the latest [`Self::set`] was probed once, but no longer than their starts and the longest of
    /// their timeouts take, and never longer than 5 s.
    pub(super) async fn first_round(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::FirstRound(done)).await.is_ok() {
            // An error means that the task is gone: nothing to wait for either.
            let _ = wait.await;
        }
    }

    /// What is done for the keys.
    pub(super) fn job(&self) -> &J {
        &self.job
    }

    /// What it has done so far.
    pub(super) fn tally(&self) -> Tally {
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

/// What each probe's task needs beside its target.
#[derive(Debug)]
struct Shared<R> {
    epoch: Instant,
    reports: mpsc::Sender<R>,
    pulse: Arc<Pulse>,
    counters: Arc<Counters>,
}

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch,
            reports: self.reports.clone(),
            pulse: Arc::clone(&self.pulse),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl<R> Shared<R> {
    fn now(&self) -> Duration {
        Instant::now() - self.epoch
    }

    async fn run_and_report<J: Job<Report = R>>(self, key: J::Key, ready: Arc<J::Ready>) {
        let Some(outcome) = J::run(&key, &ready, &self.pulse).await else {
            self.counters.discarded.fetch_add(1, Relaxed);
            return;
        };
        let count = if J::is_pass(&outcome) { &self.counters.passed } else { &self.counters.failed };
        count.fetch_add(1, Relaxed);
        let report = J::report(key, outcome, self.now());
        // Nobody listens while the program stops.
        let _ = self.reports.send(report).await;
    }
}

type Serial = u64;

struct Item<J: Job> {
    key: J::Key,
    ready: Arc<J::Ready>,
    slot: Slot,
    running: Option<AbortHandle>,
    is_waited_for: bool,
}

struct Scheduler<J: Job> {
    limits: Limits,
    shared: Shared<J::Report>,
    phases: Phases,
    random: fastrand::Rng,
    next_serial: Serial,
    items: HashMap<Serial, Item<J>>,
    serials: HashMap<J::Key, Serial>,
    /// When each item is next due. Items that are gone leave their entry behind until it is due.
    due: BinaryHeap<Reverse<(Duration, Serial)>>,
    probes: JoinSet<Serial>,
    first_round: FirstRound,
}

#[derive(Default)]
struct FirstRound {
    missing: usize,
    until: Duration,
    waiting: Vec<oneshot::Sender<()>>,
}

impl<J: Job> Scheduler<J> {
    fn new(limits: Limits, shared: Shared<J::Report>) -> Self {
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
            first_round: FirstRound::default(),
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command<J>>) {
        let pulse = Arc::clone(&self.shared.pulse);
        let beat = pulse.beat();
        tokio::pin!(beat);
        loop {
            self.start_due();
            self.end_first_round();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = &mut beat => {}
                command = inbox.recv() => match command {
                    Some(Command::Set(targets)) => self.set(targets),
                    Some(Command::FirstRound(done)) => self.first_round.waiting.push(done),
                    None => return,
                },
                Some(ended) = self.probes.join_next() => self.end(ended),
                () = sleep_until(wake) => {}
            }
            self.shared.counters.in_flight.store(self.probes.len() as u64, Relaxed);
        }
    }

    fn set(&mut self, targets: Ready<J>) {
        let now = self.shared.now();
        let mut old = std::mem::take(&mut self.serials);
        let mut newcomers = Vec::new();
        for (key, ready) in targets {
            match old.remove(&key) {
                Some(serial) => {
                    if let Some(item) = self.items.get_mut(&serial) {
                        item.ready = ready;
                    }
                    self.serials.insert(key, serial);
                }
                None => newcomers.push((key, ready)),
            }
        }
        for serial in old.into_values() {
            if let Some(Item { running: Some(probe), .. }) = self.items.remove(&serial) {
                probe.abort();
            }
        }
        let round = Round::of(newcomers.iter().map(|(key, _)| J::pace(key).interval));
        for (key, ready) in newcomers {
            self.add(key, ready, round, now);
        }
        let awaited = self.items.values().filter(|item| item.is_waited_for);
        let longest =
            awaited.clone().map(|item| J::pace(&item.key)).map(|pace| round.span(pace.interval) + pace.timeout);
        self.first_round.until = now + longest.max().unwrap_or_default().min(LONGEST_FIRST_ROUND);
        self.first_round.missing = awaited.count();
    }

    fn add(&mut self, key: J::Key, ready: Arc<J::Ready>, round: Round, now: Duration) {
        let serial = self.next_serial;
        // A key given twice is one probe.
        if self.serials.contains_key(&key) {
            return;
        }
        self.next_serial += 1;
        let pace = J::pace(&key);
        let (slot, first) = self.phases.place(pace.interval, pace.timeout, round, now);
        self.serials.insert(key.clone(), serial);
        self.items.insert(serial, Item { key, ready, slot, running: None, is_waited_for: true });
        self.due.push(Reverse((first, serial)));
    }

    fn start_due(&mut self) {
        let now = self.shared.now();
        while let Some(&Reverse((due, serial))) = self.due.peek() {
            if due > now || self.probes.len() >= self.limits.in_flight.get() {
                return;
            }
            self.due.pop();
            self.start(serial, due, now);
        }
    }

    fn start(&mut self, serial: Serial, due: Duration, now: Duration) {
        let Some(item) = self.items.get_mut(&serial) else { return };
        let counters = &self.shared.counters;
        let judged = if item.running.is_some() { Due::Skip } else { item.slot.judge(due, now) };
        self.due.push(Reverse((item.slot.advance(now, &mut self.random), serial)));
        match judged {
            Due::Skip => {
                counters.skipped.fetch_add(1, Relaxed);
                return;
            }
            Due::StartLate => _ = counters.late.fetch_add(1, Relaxed),
            Due::Start => {}
        }
        counters.started.fetch_add(1, Relaxed);
        let probe = self.shared.clone().run_and_report::<J>(item.key.clone(), Arc::clone(&item.ready));
        item.running = Some(self.probes.spawn(async move {
            probe.await;
            serial
        }));
    }

    fn end(&mut self, ended: Result<Serial, JoinError>) {
        let serial = match ended {
            Ok(serial) => serial,
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                let is_it = |item: &Item<J>| item.running.as_ref().is_some_and(|probe| probe.id() == error.id());
                let found = self.items.iter().find(|(_, item)| is_it(item));
                let task = found.map(|(_, item)| display(&item.key));
                tracing::error!(job = J::WORD, task, %error, "scheduled task panicked; it runs again at its next turn");
                let Some((&serial, _)) = found else { return };
                serial
            }
        };
        let Some(item) = self.items.get_mut(&serial) else { return };
        item.running = None;
        if std::mem::take(&mut item.is_waited_for) {
            self.first_round.missing = self.first_round.missing.saturating_sub(1);
        }
    }

    fn end_first_round(&mut self) {
        if self.first_round.missing == 0 || self.shared.now() >= self.first_round.until {
            for done in self.first_round.waiting.drain(..) {
                // Who asked may have given up.
                let _ = done.send(());
            }
        }
    }

    fn next_wake(&self) -> Instant {
        const IDLE: Duration = Duration::from_secs(3600);
        let is_full = self.probes.len() >= self.limits.in_flight.get();
        let due = self.due.peek().filter(|_| !is_full).map(|Reverse((due, _))| *due);
        let round = (!self.first_round.waiting.is_empty()).then_some(self.first_round.until);
        match due.into_iter().chain(round).min() {
            Some(time) => self.shared.epoch + time,
            None => Instant::now() + IDLE,
        }
    }
}
