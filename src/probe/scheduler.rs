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
    attempt_timer::AttemptTimer,
    check_history::{CheckHistory, UncheckedCounts},
    counts::{CountsHandle, SchedulerCounters},
    job::Job,
    no_result::NoResult,
    stall_detector::StallDetector,
    timetable::{DueAction, PhaseAllocator, StartWindow, TargetSchedule},
};

/// The start waits no longer for a first outcome of every target.
const FIRST_ROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// How many more attempts a due check has while the process lacks a resource for it.
const MAX_RETRIES: u32 = 3;
/// The first of them comes after this part of the interval, each later one after twice as long as
/// the one before.
const FIRST_RETRY_DIVISOR: u32 = 16;
/// How often overdue checks are counted while all places are taken.
const OVERDUE_COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// What a scheduler may use.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerLimits {
    /// Probes at once, each of one descriptor. Enough is the sum of `timeout / interval` over all
    /// targets: below that, probes are late when all targets hang.
    pub in_flight: NonZeroUsize,
    /// Descriptors that probes may have beyond that one: for the
    /// further addresses of names, and for the pipes of programs.
    pub extra_descriptors: usize,
}

impl SchedulerLimits {
    /// What a scheduler may use that may have this many descriptors open.
    pub fn within_descriptors(count: usize) -> Self {
        let extra_descriptors = count / 4;
        let in_flight = NonZeroUsize::new(count - extra_descriptors).unwrap_or(NonZeroUsize::MIN);
        Self { in_flight, extra_descriptors }
    }
}

/// The handle to the task that does a job for each of its keys. Dropped, all of it ends.
#[derive(Debug)]
pub(super) struct SchedulerHandle<J: Job> {
    commands: mpsc::Sender<SchedulerCommand<J>>,
    counters: Arc<SchedulerCounters>,
    job: Arc<J>,
}

enum SchedulerCommand<J: Job> {
    Set(PreparedKeys<J>),
    FirstRound(oneshot::Sender<()>),
}

type PreparedKeys<J> = Vec<(<J as Job>::Key, Arc<<J as Job>::Prepared>)>;

impl<J: Job> std::fmt::Debug for SchedulerCommand<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set",
            Self::FirstRound(_) => "FirstRound",
        })
    }
}

impl<J: Job> SchedulerHandle<J> {
    /// Starts the task, with nothing to do yet, on the runtime of the caller. Reports carry the
    /// time since `epoch`.
    pub(super) fn start(
        limits: SchedulerLimits,
        epoch: std::time::Instant,
        reports: mpsc::Sender<J::Report>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(4);
        let counters = Arc::new(SchedulerCounters::default());
        let shared = RunContext {
            epoch: Instant::from_std(epoch),
            reports,
            stall_detector: Arc::new(StallDetector::new()),
            counters: Arc::clone(&counters),
        };
        tokio::spawn(Scheduler::<J>::new(limits, shared).run(inbox));
        Self { commands, counters, job: Arc::new(J::new(limits)) }
    }

    /// Makes `keys` what it is done for. A key that was there before keeps its place in the
    /// timetable.
    pub(super) async fn set_keys(&self, keys: Vec<J::Key>) {
        let job = Arc::clone(&self.job);
        let ready = tokio::task::spawn_blocking(move || job.prepare(keys)).await;
        match ready {
            // The task ends only with this handle, so somebody listens.
            Ok(ready) => _ = self.commands.send(SchedulerCommand::Set(ready)).await,
            Err(error) => {
                tracing::error!(job = J::LOG_NAME, %error, "preparation panicked; the previous schedule stays in force")
            }
        }
    }

    /// Waits until each target of the latest [`Self::set_keys`] was probed once, but no longer than
    /// their starts and the longest of their timeouts take, and never longer than 5 s.
    pub(super) async fn wait_for_first_round(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(SchedulerCommand::FirstRound(done)).await.is_ok() {
            // An error means that the task is gone: nothing to wait for either.
            let _ = wait.await;
        }
    }

    /// What is done for the keys.
    pub(super) fn job(&self) -> &J {
        &self.job
    }

    /// What it has done so far.
    pub(super) fn counts_handle(&self) -> CountsHandle {
        CountsHandle(Arc::clone(&self.counters))
    }
}

/// What each probe's task needs beside its target.
#[derive(Debug)]
struct RunContext<R> {
    epoch: Instant,
    reports: mpsc::Sender<R>,
    stall_detector: Arc<StallDetector>,
    counters: Arc<SchedulerCounters>,
}

impl<R> Clone for RunContext<R> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch,
            reports: self.reports.clone(),
            stall_detector: Arc::clone(&self.stall_detector),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl<R> RunContext<R> {
    fn now(&self) -> Duration {
        Instant::now() - self.epoch
    }

    /// The time since the epoch during which this process ran.
    fn running_time(&self) -> Duration {
        self.now().saturating_sub(self.stall_detector.stalled_until(Instant::now()))
    }

    async fn run_and_report<J: Job<Report = R>>(
        self,
        key: J::Key,
        ready: Arc<J::Prepared>,
        starved_before: u32,
    ) -> Result<(), NoResult> {
        let stopwatch = AttemptTimer::new(&self.stall_detector, starved_before);
        let outcome = J::run(&key, &ready, &stopwatch)
            .await
            .inspect_err(|reason| self.counters.count_discarded(*reason))?;
        let count =
            if J::is_pass(&outcome) { &self.counters.passed } else { &self.counters.failed };
        count.fetch_add(1, Relaxed);
        let report = J::report(key, outcome, self.now());
        // Nobody listens while the program stops.
        let _ = self.reports.send(report).await;
        Ok(())
    }
}

type TaskId = u64;

/// Why a check is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum DueReason {
    /// Its interval is over.
    Regular,
    /// The process lacked a resource for the attempt before.
    Retry,
}

struct ScheduledTask<J: Job> {
    key: J::Key,
    prepared: Arc<J::Prepared>,
    schedule: TargetSchedule,
    running: Option<AbortHandle>,
    history: CheckHistory,
    /// Attempts since the latest regular turn for which the process lacked a resource.
    shortage_attempts: u32,
    is_in_first_round: bool,
}

struct Scheduler<J: Job> {
    limits: SchedulerLimits,
    context: RunContext<J::Report>,
    phases: PhaseAllocator,
    random: fastrand::Rng,
    next_id: TaskId,
    tasks: HashMap<TaskId, ScheduledTask<J>>,
    ids_by_key: HashMap<J::Key, TaskId>,
    /// When each item is next due. Items that are gone leave their entry behind until it is due.
    due: BinaryHeap<Reverse<(Duration, TaskId, DueReason)>>,
    running: JoinSet<(TaskId, Result<(), NoResult>)>,
    first_round: FirstRound,
    unchecked: UncheckedCounts,
    /// Since when all places are taken while checks are due, in time during which this process ran.
    full_since: Option<Duration>,
    /// When overdue checks are counted next, if all places are taken.
    count_overdue_at: Duration,
}

#[derive(Default)]
struct FirstRound {
    unfinished: usize,
    deadline: Duration,
    waiters: Vec<oneshot::Sender<()>>,
}

impl<J: Job> Scheduler<J> {
    fn new(limits: SchedulerLimits, context: RunContext<J::Report>) -> Self {
        Self {
            limits,
            context,
            phases: PhaseAllocator::default(),
            random: fastrand::Rng::new(),
            next_id: 0,
            tasks: HashMap::new(),
            ids_by_key: HashMap::new(),
            due: BinaryHeap::new(),
            running: JoinSet::new(),
            first_round: FirstRound::default(),
            unchecked: UncheckedCounts::default(),
            full_since: None,
            count_overdue_at: Duration::ZERO,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<SchedulerCommand<J>>) {
        let pulse = Arc::clone(&self.context.stall_detector);
        let beat = pulse.run();
        tokio::pin!(beat);
        loop {
            self.start_due();
            self.finish_first_round();
            self.count_overdue();
            self.publish_unchecked();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = &mut beat => {}
                command = inbox.recv() => match command {
                    Some(SchedulerCommand::Set(targets)) => self.apply_keys(targets),
                    Some(SchedulerCommand::FirstRound(done)) => self.first_round.waiters.push(done),
                    None => return,
                },
                Some(ended) = self.running.join_next() => self.finish_check(ended),
                () = sleep_until(wake) => {}
            }
            self.context.counters.in_flight.store(self.running.len() as u64, Relaxed);
        }
    }

    fn apply_keys(&mut self, targets: PreparedKeys<J>) {
        let now = self.context.now();
        let mut old = std::mem::take(&mut self.ids_by_key);
        let mut newcomers = Vec::new();
        for (key, ready) in targets {
            match old.remove(&key) {
                Some(serial) => {
                    if let Some(item) = self.tasks.get_mut(&serial) {
                        item.prepared = ready;
                    }
                    self.ids_by_key.insert(key, serial);
                }
                None => newcomers.push((key, ready)),
            }
        }
        for serial in old.into_values() {
            let Some(item) = self.tasks.remove(&serial) else { continue };
            self.unchecked.change_reason(item.history.unchecked_reason(), None);
            if let Some(probe) = item.running {
                probe.abort();
            }
        }
        let round =
            StartWindow::for_intervals(newcomers.iter().map(|(key, _)| J::timing(key).interval));
        for (key, ready) in newcomers {
            self.add(key, ready, round, now);
        }
        let awaited = self.tasks.values().filter(|item| item.is_in_first_round);
        let longest = awaited
            .clone()
            .map(|item| J::timing(&item.key))
            .map(|pace| round.span_for(pace.interval) + pace.timeout);
        self.first_round.deadline =
            now + longest.max().unwrap_or_default().min(FIRST_ROUND_TIMEOUT);
        self.first_round.unfinished = awaited.count();
    }

    fn add(&mut self, key: J::Key, ready: Arc<J::Prepared>, round: StartWindow, now: Duration) {
        let serial = self.next_id;
        // A key given twice is one probe.
        if self.ids_by_key.contains_key(&key) {
            return;
        }
        self.next_id += 1;
        let pace = J::timing(&key);
        let (slot, first) = self.phases.allocate(pace.interval, pace.timeout, round, now);
        self.ids_by_key.insert(key.clone(), serial);
        let (history, short) = (CheckHistory::default(), 0);
        self.tasks.insert(
            serial,
            ScheduledTask {
                key,
                prepared: ready,
                schedule: slot,
                running: None,
                history,
                shortage_attempts: short,
                is_in_first_round: true,
            },
        );
        self.due.push(Reverse((first, serial, DueReason::Regular)));
    }

    fn start_due(&mut self) {
        let now = self.context.now();
        while let Some(&Reverse((due, serial, turn))) = self.due.peek() {
            if due > now || self.is_full() {
                return;
            }
            self.due.pop();
            match turn {
                DueReason::Regular => self.start_regular(serial, due, now),
                DueReason::Retry => self.spawn(serial),
            }
        }
    }

    fn is_full(&self) -> bool {
        self.running.len() >= self.limits.in_flight.get()
    }

    fn start_regular(&mut self, serial: TaskId, due: Duration, now: Duration) {
        let Some(item) = self.tasks.get_mut(&serial) else { return };
        let judged = if item.running.is_some() {
            DueAction::Skip
        } else {
            item.schedule.action_at(due, now)
        };
        item.shortage_attempts = 0;
        self.due.push(Reverse((
            item.schedule.advance(now, &mut self.random),
            serial,
            DueReason::Regular,
        )));
        match judged {
            DueAction::Skip => {
                self.context.counters.count_skipped();
                return self.update_history(serial, |history| history.note_missed(NoResult::Late));
            }
            DueAction::StartLate => _ = self.context.counters.started_late.fetch_add(1, Relaxed),
            DueAction::Start => {}
        }
        self.spawn(serial);
    }

    /// Starts a check, unless it is running.
    fn spawn(&mut self, serial: TaskId) {
        let Some(item) = self.tasks.get_mut(&serial).filter(|item| item.running.is_none()) else {
            return;
        };
        self.context.counters.started.fetch_add(1, Relaxed);
        let (key, ready, starved) =
            (item.key.clone(), Arc::clone(&item.prepared), item.history.starved_count());
        let check = self.context.clone().run_and_report::<J>(key, ready, starved);
        item.running = Some(self.running.spawn(async move { (serial, check.await) }));
    }

    fn finish_check(&mut self, ended: Result<(TaskId, Result<(), NoResult>), JoinError>) {
        let (serial, result) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                let is_it = |item: &ScheduledTask<J>| {
                    item.running.as_ref().is_some_and(|probe| probe.id() == error.id())
                };
                let found = self.tasks.iter().find(|(_, item)| is_it(item));
                let task = found.map(|(_, item)| display(&item.key));
                tracing::error!(job = J::LOG_NAME, task, %error, "scheduled task panicked; it runs again at its next turn");
                let Some((&serial, _)) = found else { return };
                self.context.counters.count_discarded(NoResult::Internal);
                (serial, Err(NoResult::Internal))
            }
        };
        let Some(item) = self.tasks.get_mut(&serial) else { return };
        item.running = None;
        if std::mem::take(&mut item.is_in_first_round) {
            self.first_round.unfinished = self.first_round.unfinished.saturating_sub(1);
        }
        match result {
            Ok(()) => self.update_history(serial, CheckHistory::note_result),
            Err(reason) => self.finish_without_result(serial, reason),
        }
    }

    /// Notes that a check gave no result. Where the process lacks a resource, it is attempted again
    /// soon: the target keeps its status for as long as that is missing, and must not for an
    /// interval longer.
    fn finish_without_result(&mut self, serial: TaskId, reason: NoResult) {
        let Some(item) = self.tasks.get_mut(&serial) else { return };
        let attempt = item.shortage_attempts;
        if reason.is_shortage() {
            item.shortage_attempts += 1;
            if attempt < MAX_RETRIES {
                let delay = J::timing(&item.key).interval / FIRST_RETRY_DIVISOR * (1 << attempt);
                self.due.push(Reverse((self.context.now() + delay, serial, DueReason::Retry)));
            }
        }
        // However many attempts, it is one due check.
        if attempt == 0 {
            self.update_history(serial, |history| history.note_missed(reason));
        }
    }

    /// Changes what is known of an item's due checks, and counts it as unchecked or not.
    fn update_history(&mut self, serial: TaskId, change: impl FnOnce(&mut CheckHistory)) {
        let Some(item) = self.tasks.get_mut(&serial) else { return };
        let before = item.history.unchecked_reason();
        change(&mut item.history);
        self.unchecked.change_reason(before, item.history.unchecked_reason());
    }

    /// While all places are taken, counts the items that wait for
    /// one longer than an unchecked item has waited for a result.
    fn count_overdue(&mut self) {
        let now = self.context.now();
        let is_waiting =
            self.is_full() && self.due.peek().is_some_and(|Reverse((due, ..))| *due <= now);
        if !is_waiting {
            self.full_since = None;
            return self.unchecked.note_overdue(0);
        }
        let running = self.context.running_time();
        let full_for = running.saturating_sub(*self.full_since.get_or_insert(running));
        if now < self.count_overdue_at {
            return;
        }
        self.count_overdue_at = now + OVERDUE_COUNT_INTERVAL;
        let is_overdue =
            |Reverse((due, serial, turn)): &&Reverse<(Duration, TaskId, DueReason)>| {
                let item = self.tasks.get(serial).filter(|item| {
                    *turn == DueReason::Regular && item.history.unchecked_reason().is_none()
                });
                item.is_some_and(|item| {
                    full_for.min(now.saturating_sub(*due))
                        >= CheckHistory::unchecked_after(J::timing(&item.key).interval)
                })
            };
        self.unchecked.note_overdue(self.due.iter().filter(is_overdue).count() as u64);
    }

    /// Publishes how many items are unchecked, and logs when that begins and ends.
    fn publish_unchecked(&mut self) {
        let change = self.unchecked.next_change(self.context.now());
        let unchecked = self.unchecked.by_reason();
        self.context.counters.set_unchecked(unchecked, self.tasks.len());
        if let Some(change) = change {
            J::log_change(&change, &unchecked, self.tasks.len());
        }
    }

    fn finish_first_round(&mut self) {
        if self.first_round.unfinished == 0 || self.context.now() >= self.first_round.deadline {
            for done in self.first_round.waiters.drain(..) {
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
        let round = (!self.first_round.waiters.is_empty()).then_some(self.first_round.deadline);
        match due.into_iter().chain(round).chain(self.unchecked.next_change_at()).min() {
            Some(time) => self.context.epoch + time,
            None => Instant::now() + IDLE,
        }
    }
}
