//! The scheduler: one task that starts each run of a job when it is due.
//!
//! Each run is a task of its own, so a target that hangs delays no other. `timetable` decides when
//! a key is due.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
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
    counts::SchedulerCounters,
    job::Job,
    limits::SchedulerLimits,
    no_result::NoResult,
    stall_detector::StallDetector,
    timetable::{DueAction, PhaseAllocator, StartWindow, TargetSchedule},
};

/// The longest wait for the first run of each new key.
const FIRST_ROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a due check is retried while the process lacks a resource for it.
const MAX_RETRIES: u32 = 3;
/// The first retry follows after the interval divided by this. Each later delay doubles.
const FIRST_RETRY_DIVISOR: u32 = 16;
/// How often overdue checks are counted while the limit of running checks is reached.
const OVERDUE_COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// A command from the handle to the task.
pub(super) enum SchedulerCommand<J: Job> {
    /// Replaces the set of keys that the scheduler runs.
    Set(PreparedKeys<J>),
    /// Sends `()` when the first round has ended.
    FirstRound(oneshot::Sender<()>),
}

pub(super) type PreparedKeys<J> = Vec<(<J as Job>::Key, Arc<<J as Job>::Prepared>)>;

impl<J: Job> std::fmt::Debug for SchedulerCommand<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set",
            Self::FirstRound(_) => "FirstRound",
        })
    }
}

/// What the task of a run needs besides its key.
#[derive(Debug)]
pub(super) struct RunContext<R> {
    pub(super) epoch: Instant,
    pub(super) reports: mpsc::Sender<R>,
    pub(super) stall_detector: Arc<StallDetector>,
    pub(super) counters: Arc<SchedulerCounters>,
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

    /// The time since the epoch, without the time in which this process was stalled.
    fn running_time(&self) -> Duration {
        self.now().saturating_sub(self.stall_detector.stalled_until(Instant::now()))
    }

    async fn run_and_report<J: Job<Report = R>>(
        self,
        key: J::Key,
        prepared: Arc<J::Prepared>,
        starved_before: u32,
    ) -> Result<(), NoResult> {
        let timer = AttemptTimer::new(&self.stall_detector, starved_before);
        let outcome = J::run(&key, &prepared, &timer)
            .await
            .inspect_err(|reason| self.counters.count_discarded(*reason))?;
        let count =
            if J::is_pass(&outcome) { &self.counters.passed } else { &self.counters.failed };
        count.fetch_add(1, Relaxed);
        let report = J::report(key, outcome, self.now());
        // The receiver is gone only while the program stops.
        let _ = self.reports.send(report).await;
        Ok(())
    }
}

type TaskId = u64;

/// Why a check is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum DueReason {
    /// The interval has passed.
    Regular,
    /// The process lacked a resource for the previous attempt.
    Retry,
}

struct ScheduledTask<J: Job> {
    key: J::Key,
    prepared: Arc<J::Prepared>,
    schedule: TargetSchedule,
    running: Option<AbortHandle>,
    history: CheckHistory,
    /// Attempts since the latest regular start for which the process lacked a resource.
    shortage_attempts: u32,
    is_in_first_round: bool,
}

/// The state of the task.
pub(super) struct Scheduler<J: Job> {
    limits: SchedulerLimits,
    context: RunContext<J::Report>,
    phases: PhaseAllocator,
    random: fastrand::Rng,
    next_id: TaskId,
    tasks: HashMap<TaskId, ScheduledTask<J>>,
    ids_by_key: HashMap<J::Key, TaskId>,
    /// The time at which each task is next due, in time since the epoch. The entry of a removed
    /// task stays until it is due.
    due: BinaryHeap<Reverse<(Duration, TaskId, DueReason)>>,
    running: JoinSet<(TaskId, Result<(), NoResult>)>,
    first_round: FirstRound,
    unchecked: UncheckedCounts,
    /// The time since which the limit of running checks has delayed due checks. It does not advance
    /// while the process is suspended.
    full_since: Option<Duration>,
    /// When overdue checks are counted next, if the limit is still reached.
    count_overdue_at: Duration,
}

#[derive(Default)]
struct FirstRound {
    unfinished: usize,
    deadline: Duration,
    waiters: Vec<oneshot::Sender<()>>,
}

impl<J: Job> Scheduler<J> {
    pub(super) fn new(limits: SchedulerLimits, context: RunContext<J::Report>) -> Self {
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

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<SchedulerCommand<J>>) {
        let stall_detector = Arc::clone(&self.context.stall_detector);
        let detector_run = stall_detector.run();
        tokio::pin!(detector_run);
        loop {
            self.start_due();
            self.finish_first_round();
            self.count_overdue();
            self.publish_unchecked();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = &mut detector_run => {}
                command = inbox.recv() => match command {
                    Some(SchedulerCommand::Set(keys)) => self.apply_keys(keys),
                    Some(SchedulerCommand::FirstRound(done)) => self.first_round.waiters.push(done),
                    None => return,
                },
                Some(ended) = self.running.join_next() => self.finish_check(ended),
                () = sleep_until(wake) => {}
            }
            self.context.counters.in_flight.store(self.running.len() as u64, Relaxed);
        }
    }

    fn apply_keys(&mut self, keys: PreparedKeys<J>) {
        let now = self.context.now();
        let mut previous = std::mem::take(&mut self.ids_by_key);
        let mut new_keys = Vec::new();
        for (key, prepared) in keys {
            match previous.remove(&key) {
                Some(id) => {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        task.prepared = prepared;
                    }
                    self.ids_by_key.insert(key, id);
                }
                None => new_keys.push((key, prepared)),
            }
        }
        for id in previous.into_values() {
            let Some(task) = self.tasks.remove(&id) else { continue };
            self.unchecked.change_reason(task.history.unchecked_reason(), None);
            if let Some(handle) = task.running {
                handle.abort();
            }
        }
        let window =
            StartWindow::for_intervals(new_keys.iter().map(|(key, _)| J::timing(key).interval));
        for (key, prepared) in new_keys {
            self.add(key, prepared, window, now);
        }
        let first_runs = self.tasks.values().filter(|task| task.is_in_first_round);
        let longest = first_runs
            .clone()
            .map(|task| J::timing(&task.key))
            .map(|timing| window.span_for(timing.interval) + timing.timeout);
        self.first_round.deadline =
            now + longest.max().unwrap_or_default().min(FIRST_ROUND_TIMEOUT);
        self.first_round.unfinished = first_runs.count();
    }

    fn add(&mut self, key: J::Key, prepared: Arc<J::Prepared>, window: StartWindow, now: Duration) {
        let id = self.next_id;
        // A key that is given twice has one task.
        if self.ids_by_key.contains_key(&key) {
            return;
        }
        self.next_id += 1;
        let timing = J::timing(&key);
        let (schedule, first) = self.phases.allocate(timing.interval, timing.timeout, window, now);
        self.ids_by_key.insert(key.clone(), id);
        self.tasks.insert(
            id,
            ScheduledTask {
                key,
                prepared,
                schedule,
                running: None,
                history: CheckHistory::default(),
                shortage_attempts: 0,
                is_in_first_round: true,
            },
        );
        self.due.push(Reverse((first, id, DueReason::Regular)));
    }

    fn start_due(&mut self) {
        let now = self.context.now();
        while let Some(&Reverse((due, id, reason))) = self.due.peek() {
            if due > now || self.is_full() {
                return;
            }
            self.due.pop();
            match reason {
                DueReason::Regular => self.start_regular(id, due, now),
                DueReason::Retry => self.spawn(id),
            }
        }
    }

    fn is_full(&self) -> bool {
        self.running.len() >= self.limits.in_flight.get()
    }

    fn start_regular(&mut self, id: TaskId, due: Duration, now: Duration) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let action = if task.running.is_some() {
            DueAction::Skip
        } else {
            task.schedule.action_at(due, now)
        };
        task.shortage_attempts = 0;
        self.due.push(Reverse((
            task.schedule.advance(now, &mut self.random),
            id,
            DueReason::Regular,
        )));
        match action {
            DueAction::Skip => {
                self.context.counters.count_skipped();
                return self.update_history(id, |history| history.note_missed(NoResult::Late));
            }
            DueAction::StartLate => _ = self.context.counters.started_late.fetch_add(1, Relaxed),
            DueAction::Start => {}
        }
        self.spawn(id);
    }

    /// Starts a check, unless it is running.
    fn spawn(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.running.is_none()) else {
            return;
        };
        self.context.counters.started.fetch_add(1, Relaxed);
        let (key, prepared, starved_before) =
            (task.key.clone(), Arc::clone(&task.prepared), task.history.starved_count());
        let check = self.context.clone().run_and_report::<J>(key, prepared, starved_before);
        task.running = Some(self.running.spawn(async move { (id, check.await) }));
    }

    fn finish_check(&mut self, ended: Result<(TaskId, Result<(), NoResult>), JoinError>) {
        let (id, result) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                let is_ended = |task: &ScheduledTask<J>| {
                    task.running.as_ref().is_some_and(|handle| handle.id() == error.id())
                };
                let found = self.tasks.iter().find(|(_, task)| is_ended(task));
                let task = found.map(|(_, task)| display(&task.key));
                tracing::error!(job = J::LOG_NAME, task, %error, "scheduled task panicked; it runs again when next due");
                let Some((&id, _)) = found else { return };
                self.context.counters.count_discarded(NoResult::Internal);
                (id, Err(NoResult::Internal))
            }
        };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.running = None;
        if std::mem::take(&mut task.is_in_first_round) {
            self.first_round.unfinished = self.first_round.unfinished.saturating_sub(1);
        }
        match result {
            Ok(()) => self.update_history(id, CheckHistory::note_result),
            Err(reason) => self.finish_without_result(id, reason),
        }
    }

    /// Records that a check gave no result. If the process lacked a resource, the check is retried
    /// early: the target keeps its old status while the resource is missing, and should not keep it
    /// for up to another interval.
    fn finish_without_result(&mut self, id: TaskId, reason: NoResult) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let attempt = task.shortage_attempts;
        if reason.is_shortage() {
            task.shortage_attempts += 1;
            if attempt < MAX_RETRIES {
                let delay = J::timing(&task.key).interval / FIRST_RETRY_DIVISOR * (1 << attempt);
                self.due.push(Reverse((self.context.now() + delay, id, DueReason::Retry)));
            }
        }
        // All attempts together are one due check.
        if attempt == 0 {
            self.update_history(id, |history| history.note_missed(reason));
        }
    }

    /// Changes the check history of a task and updates the counts of unchecked tasks.
    fn update_history(&mut self, id: TaskId, change: impl FnOnce(&mut CheckHistory)) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let before = task.history.unchecked_reason();
        change(&mut task.history);
        self.unchecked.change_reason(before, task.history.unchecked_reason());
    }

    /// While the limit of running checks is reached, counts the due tasks that have waited for so
    /// long that they count as unchecked.
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
        let is_overdue = |Reverse((due, id, reason)): &&Reverse<(Duration, TaskId, DueReason)>| {
            let task = self.tasks.get(id).filter(|task| {
                *reason == DueReason::Regular && task.history.unchecked_reason().is_none()
            });
            task.is_some_and(|task| {
                full_for.min(now.saturating_sub(*due))
                    >= CheckHistory::unchecked_after(J::timing(&task.key).interval)
            })
        };
        self.unchecked.note_overdue(self.due.iter().filter(is_overdue).count() as u64);
    }

    /// Publishes how many tasks are unchecked, and logs the beginning and end of such a period.
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
                // The waiter may have stopped waiting.
                let _ = done.send(());
            }
        }
    }

    fn next_wake(&self) -> Instant {
        const IDLE: Duration = Duration::from_secs(3600);
        // While the limit is reached, no check can start; overdue checks are still counted.
        let earliest = if self.is_full() { self.count_overdue_at } else { Duration::ZERO };
        let due = self.due.peek().map(|Reverse((due, ..))| earliest.max(*due));
        let first_round =
            (!self.first_round.waiters.is_empty()).then_some(self.first_round.deadline);
        match due.into_iter().chain(first_round).chain(self.unchecked.next_change_at()).min() {
            Some(time) => self.context.epoch + time,
            None => Instant::now() + IDLE,
        }
    }
}
