//! The tracker of demand: counts the samples of answers by network, and keeps the counts in the
//! state directory, for `plan`.
//!
//! A task of its own, which no query and no other task waits for. Its memory is that of the table
//! ([`DemandTable`]), and of a copy during a report or a save.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{clock::unix_now, state::StateDirectory};
use crate::{
    demand::{DemandTable, ObservedDemand},
    transport::Counters,
};

/// How often the tracker collects the samples of the transport threads.
const TAKE_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which the counts are saved. A process that is killed loses at most these.
const SAVE_INTERVAL: Duration = Duration::from_secs(300);
/// The maximum number of networks of each family in a report: some 800 KB for both.
const MAX_REPORTED: usize = 16_384;
/// The maximum number of requests that wait.
const MAX_WAITING: usize = 16;

/// What the task is asked to do.
#[derive(Debug)]
enum DemandRequest {
    /// Replies with the demand observed so far.
    Report(oneshot::Sender<Option<ObservedDemand>>),
    /// Saves the counts now.
    Save,
    /// Saves the counts a last time, and ends the task.
    Stop,
}

/// Owns the task that counts samples.
#[derive(Debug)]
pub(super) struct DemandTracker {
    handle: DemandHandle,
    task: JoinHandle<()>,
}

/// Asks the task for the observed demand. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct DemandHandle(mpsc::Sender<DemandRequest>);

impl DemandTracker {
    /// Continues with the counts in `state`, and counts the samples of `counters`.
    pub(super) fn start(state: StateDirectory, counters: Counters) -> Self {
        let (sender, requests) = mpsc::channel(MAX_WAITING);
        let task = tokio::spawn(track(DemandState::restore(state, counters), requests));
        Self { handle: DemandHandle(sender), task }
    }

    pub(super) fn handle(&self) -> DemandHandle {
        self.handle.clone()
    }

    /// Requests a save of the counts. If too many requests wait, it is dropped: the controller
    /// repeats it while the file is not saved.
    pub(super) fn save(&self) {
        let _ = self.handle.0.try_send(DemandRequest::Save);
    }

    /// Counts the last samples, and waits until all are saved.
    pub(super) async fn finish(self) {
        // The task ends by itself, or with the runtime.
        let _ = self.handle.0.send(DemandRequest::Stop).await;
        let _ = self.task.await;
    }
}

impl DemandHandle {
    /// The same as [`DemandHandle::observed`], on a thread that runs no task.
    pub(super) fn observed_blocking(&self) -> Option<ObservedDemand> {
        let (reply, answer) = oneshot::channel();
        self.0.blocking_send(DemandRequest::Report(reply)).ok()?;
        answer.blocking_recv().ok().flatten()
    }

    /// The demand of the networks with the most samples; `None` if no query was observed, or if the
    /// server stops.
    pub(super) async fn observed(&self) -> Option<ObservedDemand> {
        let (reply, answer) = oneshot::channel();
        self.0.send(DemandRequest::Report(reply)).await.ok()?;
        answer.await.ok().flatten()
    }
}

/// The table, with where its samples come from and where it is saved.
struct DemandState {
    table: DemandTable,
    counters: Counters,
    state: StateDirectory,
    save_at: Instant,
    /// Whether the table differs from what was saved last.
    is_changed: bool,
    /// The last save, which may be in progress.
    saving: Option<JoinHandle<()>>,
}

async fn track(mut demand: DemandState, mut requests: mpsc::Receiver<DemandRequest>) {
    let mut ticks = interval(TAKE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            request = requests.recv() => {
                demand.take_samples();
                match request {
                    Some(DemandRequest::Report(reply)) => {
                        // The client may have disconnected.
                        let _ = reply.send(demand.table.largest(MAX_REPORTED));
                    }
                    Some(DemandRequest::Save) => demand.begin_save(),
                    Some(DemandRequest::Stop) | None => return demand.finish().await,
                }
            }
            _ = ticks.tick() => demand.take_samples(),
        }
        if demand.is_changed && demand.save_at <= Instant::now() {
            demand.begin_save();
        }
    }
}

impl DemandState {
    fn restore(state: StateDirectory, counters: Counters) -> Self {
        let saved = state.demand();
        let table = saved.map(|saved| DemandTable::restore(saved, unix_now())).unwrap_or_default();
        let save_at = Instant::now() + SAVE_INTERVAL;
        Self { table, counters, state, save_at, is_changed: false, saving: None }
    }

    fn take_samples(&mut self) {
        let Self { table, counters, is_changed, .. } = self;
        let now = unix_now();
        table.fade(now);
        counters.take_samples(|group, samples| {
            table.add(group, samples, now);
            *is_changed = true;
        });
    }

    /// Saves the table, unless a save is in progress. Reports do not wait for it.
    fn begin_save(&mut self) {
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return;
        }
        (self.save_at, self.is_changed) = (Instant::now() + SAVE_INTERVAL, false);
        let (document, mut state) = (self.table.document(), self.state.clone());
        self.saving = Some(spawn_blocking(move || state.save_demand(document)));
    }

    async fn end_save(&mut self) {
        if let Some(saving) = self.saving.take() {
            // A panic is logged, and the next table is saved all the same.
            let _ = saving.await;
        }
    }

    /// Saves the table, and waits until that is done.
    async fn finish(mut self) {
        self.end_save().await;
        self.begin_save();
        self.end_save().await;
    }
}
