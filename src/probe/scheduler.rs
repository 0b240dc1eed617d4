//! The scheduler: one task that starts each probe, or poll, at its time, and the handle to it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::field::display;

use super::{
    currency::{CheckHistory, UncheckedCounts},
    job::Job,
    no_result::NoResult,
    pulse::Pulse,
    schedule::{Due, Phases, Round, Slot},
    stopwatch::Stopwatch,
    tally::{Counters, Counts},
};

/// The start waits no longer for a first outcome of every target.
const LONGEST_FIRST_ROUND: Duration = Duration::from_secs(5);

/// How many more attempts a due check has while the process lacks a resource for it.
const RETRIES: u32 = 3;
/// The first of them comes after this part of the interval, each later one after twice as long as
/// the one before.
const FIRST_RETRY: u32 = 16;
/// How often overdue checks are counted while all places are taken.
const COUNT_OVERDUE: Duration = Duration::from_secs(1);

/// What a scheduler may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Probes at once, each of one descriptor. Enough is the sum of `timeout / interval` over all
    /// targets: below that, probes are late when all targets hang.
    pub in_flight: NonZeroUsize,
    /// Descriptors that probes may have beyond that one: for the
    /// further addresses of names, and for the pipes of programs.
    pub further_descriptors: usize,
}

impl Limits {
    /// What a scheduler may use that may have this many descriptors open.
    pub fn within_descriptors(count: usize) -> Self {
        let further_descriptors = count / 4;
        let in_flight = NonZeroUsize::new(count - further_descriptors).unwrap_or(NonZeroUsize::MIN);
        Self { in_flight, further_descriptors }
    }
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
    /// Starts the task, with nothing to do yet, on the runtime of the caller. Reports carry the
    /// time since `epoch`.
    pub(super) fn start(
        limits: Limits,
        epoch: std::time::Instant,
        reports: mpsc::Sender<J::Report>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(4);
        let counters = Arc::new(Counters::default());
        let shared = Shared {
            epoch: Instant::from_std(epoch),
            reports,
            pulse: Arc::new(Pulse::new()),
            counters: Arc::clone(&counters),
        };
        tokio::spawn(Scheduler::<J>::new(limits, shared).run(inbox));
        Self { commands, counters, job: Arc::new(J::new(limits)) }
    }

    /// Makes `keys` what it is done for. A key that was there before keeps its place in the
    /// timetable.
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

    /// Waits until each target of the latest [`Self::set`] was probed once, but no longer than
    /// their starts and the longest of their timeouts take, and never longer than 5 s.
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
    pub(super) fn counts(&self) -> Counts {
        Counts(Arc::clone(&self.counters))
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

    /// The time since the epoch during which this process ran.
    fn running(&self) -> Duration {
        self.now().saturating_sub(self.pulse.lost(Instant::now()))
    }

    async fn run_and_report<J: Job<Report = R>>(
        self,
        key: J::Key,
        ready: Arc<J::Ready>,
        starved_before: u32,
    ) -> Result<(), NoResult> {
        let stopwatch = Stopwatch::new(&self.pulse, starved_before);
        let outcome = J::run(&key, &ready, &stopwatch)
            .await
            .inspect_err(|reason| self.counters.discard(*reason))?;
        let count =
            if J::is_pass(&outcome) { &self.counters.passed } else { &self.counters.failed };
        count.fetch_add(1, Relaxed);
        let report = J::report(key, outcome, self.now());
        // Nobody listens while the program stops.
        let _ = self.reports.send(report).await;
        Ok(())
    }
}

type Serial = u64;

/// Why a check is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Its interval is over.
    Regular,
    /// The process lacked a resource for the attempt before.
    Retry,
}

struct Item<J: Job> {
    key: J::Key,
    ready: Arc<J::Ready>,
    slot: Slot,
    running: Option<AbortHandle>,
    history: CheckHistory,
    /// Attempts since the latest regular turn for which the process lacked a resource.
    short: u32,
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
    due: BinaryHeap<Reverse<(Duration, Serial, Turn)>>,
    probes: JoinSet<(Serial, Result<(), NoResult>)>,
    first_round: FirstRound,
    unchecked: UncheckedCounts,
    /// Since when all places are taken while checks are due, in time during which this process ran.
    full_since: Option<Duration>,
    /// When overdue checks are counted next, if all places are taken.
    count_overdue_at: Duration,
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
            unchecked: UncheckedCounts::default(),
            full_since: None,
            count_overdue_at: Duration::ZERO,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command<J>>) {
        let pulse = Arc::clone(&self.shared.pulse);
        let beat = pulse.beat();
        tokio::pin!(beat);
        loop {
            self.start_due();
            self.end_first_round();
            self.follow_overdue();
            self.follow_unchecked();
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
            let Some(item) = self.items.remove(&serial) else { continue };
            self.unchecked.shift(item.history.unchecked(), None);
            if let Some(probe) = item.running {
                probe.abort();
            }
        }
        let round = Round::of(newcomers.iter().map(|(key, _)| J::pace(key).interval));
        for (key, ready) in newcomers {
            self.add(key, ready, round, now);
        }
        let awaited = self.items.values().filter(|item| item.is_waited_for);
        let longest = awaited
            .clone()
            .map(|item| J::pace(&item.key))
            .map(|pace| round.span(pace.interval) + pace.timeout);
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
        let (history, short) = (CheckHistory::default(), 0);
        self.items.insert(
            serial,
            Item { key, ready, slot, running: None, history, short, is_waited_for: true },
        );
        self.due.push(Reverse((first, serial, Turn::Regular)));
    }

    fn start_due(&mut self) {
        let now = self.shared.now();
        while let Some(&Reverse((due, serial, turn))) = self.due.peek() {
            if due > now || self.is_full() {
                return;
            }
            self.due.pop();
            match turn {
                Turn::Regular => self.start(serial, due, now),
                Turn::Retry => self.spawn(serial),
            }
        }
    }

    fn is_full(&self) -> bool {
        self.probes.len() >= self.limits.in_flight.get()
    }

    fn start(&mut self, serial: Serial, due: Duration, now: Duration) {
        let Some(item) = self.items.get_mut(&serial) else { return };
        let judged = if item.running.is_some() { Due::Skip } else { item.slot.judge(due, now) };
        item.short = 0;
        self.due.push(Reverse((item.slot.advance(now, &mut self.random), serial, Turn::Regular)));
        match judged {
            Due::Skip => {
                self.shared.counters.skip();
                return self.note(serial, |history| history.note_missed(NoResult::Late));
            }
            Due::StartLate => _ = self.shared.counters.late.fetch_add(1, Relaxed),
            Due::Start => {}
        }
        self.spawn(serial);
    }

    /// Starts a check, unless it is running.
    fn spawn(&mut self, serial: Serial) {
        let Some(item) = self.items.get_mut(&serial).filter(|item| item.running.is_none()) else {
            return;
        };
        self.shared.counters.started.fetch_add(1, Relaxed);
        let (key, ready, starved) =
            (item.key.clone(), Arc::clone(&item.ready), item.history.starved());
        let check = self.shared.clone().run_and_report::<J>(key, ready, starved);
        item.running = Some(self.probes.spawn(async move { (serial, check.await) }));
    }

    fn end(&mut self, ended: Result<(Serial, Result<(), NoResult>), JoinError>) {
        let (serial, result) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                let is_it = |item: &Item<J>| {
                    item.running.as_ref().is_some_and(|probe| probe.id() == error.id())
                };
                let found = self.items.iter().find(|(_, item)| is_it(item));
                let task = found.map(|(_, item)| display(&item.key));
                tracing::error!(job = J::WORD, task, %error, "scheduled task panicked; it runs again at its next turn");
                let Some((&serial, _)) = found else { return };
                self.shared.counters.discard(NoResult::Internal);
                (serial, Err(NoResult::Internal))
            }
        };
        let Some(item) = self.items.get_mut(&serial) else { return };
        item.running = None;
        if std::mem::take(&mut item.is_waited_for) {
            self.first_round.missing = self.first_round.missing.saturating_sub(1);
        }
        match result {
            Ok(()) => self.note(serial, CheckHistory::note_result),
            Err(reason) => self.end_without_result(serial, reason),
        }
    }

    /// Notes that a check gave no result. Where the process lacks a resource, it is attempted again
    /// soon: the target keeps its status for as long as that is missing, and must not for an
    /// interval longer.
    fn end_without_result(&mut self, serial: Serial, reason: NoResult) {
        let Some(item) = self.items.get_mut(&serial) else { return };
        let attempt = item.short;
        if reason.is_shortage() {
            item.short += 1;
            if attempt < RETRIES {
                let delay = J::pace(&item.key).interval / FIRST_RETRY * (1 << attempt);
                self.due.push(Reverse((self.shared.now() + delay, serial, Turn::Retry)));
            }
        }
        // However many attempts, it is one due check.
        if attempt == 0 {
            self.note(serial, |history| history.note_missed(reason));
        }
    }

    /// Changes what is known of an item's due checks, and counts it as unchecked or not.
    fn note(&mut self, serial: Serial, change: impl FnOnce(&mut CheckHistory)) {
        let Some(item) = self.items.get_mut(&serial) else { return };
        let before = item.history.unchecked();
        change(&mut item.history);
        self.unchecked.shift(before, item.history.unchecked());
    }

    /// While all places are taken, counts the items that wait for
    /// one longer than an unchecked item has waited for a result.
    fn follow_overdue(&mut self) {
        let now = self.shared.now();
        let is_waiting =
            self.is_full() && self.due.peek().is_some_and(|Reverse((due, ..))| *due <= now);
        if !is_waiting {
            self.full_since = None;
            return self.unchecked.note_overdue(0);
        }
        let running = self.shared.running();
        let full_for = running.saturating_sub(*self.full_since.get_or_insert(running));
        if now < self.count_overdue_at {
            return;
        }
        self.count_overdue_at = now + COUNT_OVERDUE;
        let is_overdue = |Reverse((due, serial, turn)): &&Reverse<(Duration, Serial, Turn)>| {
            let item = self
                .items
                .get(serial)
                .filter(|item| *turn == Turn::Regular && item.history.unchecked().is_none());
            item.is_some_and(|item| {
                full_for.min(now.saturating_sub(*due))
                    >= CheckHistory::longest_wait(J::pace(&item.key).interval)
            })
        };
        self.unchecked.note_overdue(self.due.iter().filter(is_overdue).count() as u64);
    }

    /// Publishes how many items are unchecked, and logs when that begins and ends.
    fn follow_unchecked(&mut self) {
        let change = self.unchecked.follow(self.shared.now());
        let unchecked = self.unchecked.unchecked();
        self.shared.counters.note_unchecked(unchecked, self.items.len());
        if let Some(change) = change {
            J::log_change(&change, &unchecked, self.items.len());
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
        // While all places are taken nothing can be started, but what waits is counted.
        let earliest = if self.is_full() { self.count_overdue_at } else { Duration::ZERO };
        let due = self.due.peek().map(|Reverse((due, ..))| earliest.max(*due));
        let round = (!self.first_round.waiting.is_empty()).then_some(self.first_round.until);
        match due.into_iter().chain(round).chain(self.unchecked.wake_at()).min() {
            Some(time) => self.shared.epoch + time,
            None => Instant::now() + IDLE,
        }
    }
}
