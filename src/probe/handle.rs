//! The handle to the task of a scheduler, generic over its job.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    counts::{CountsHandle, SchedulerCounters, SchedulerCounts},
    job::Job,
    limits::SchedulerLimits,
    scheduler::{RunContext, Scheduler, SchedulerCommand},
    stall_detector::StallDetector,
};

/// The handle to a task that runs a job once per interval for each key. Dropping the handle ends
/// the task and all running jobs.
#[derive(Debug)]
pub struct SchedulerHandle<J: Job> {
    commands: mpsc::Sender<SchedulerCommand<J>>,
    counters: Arc<SchedulerCounters>,
    job: Arc<J>,
}

impl<J: Job> SchedulerHandle<J> {
    /// Starts the task, without keys, on the current tokio runtime. The times in reports count from
    /// `epoch`.
    pub fn start(
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

    /// Replaces the keys. Prepares all of them, so the files that they name are read again. A key
    /// that was set before keeps its place in the timetable. The runs of a removed key are aborted;
    /// only a report that is already in the channel still arrives.
    pub async fn set_keys(&self, keys: Vec<J::Key>) {
        let job = Arc::clone(&self.job);
        let prepared = tokio::task::spawn_blocking(move || job.prepare(keys)).await;
        match prepared {
            // The task ends only when this handle is dropped, so the send succeeds.
            Ok(prepared) => _ = self.commands.send(SchedulerCommand::Set(prepared)).await,
            Err(error) => {
                tracing::error!(job = J::LOG_NAME, %error, "preparation panicked; the previous schedule stays in force")
            }
        }
    }

    /// Waits until each key of the latest [`Self::set_keys`] has been run once. Waits no longer
    /// than the last first start plus the longest timeout, and at most 5 s.
    pub async fn wait_for_first_round(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(SchedulerCommand::FirstRound(done)).await.is_ok() {
            // An error means that the task has ended, so there is nothing to wait for.
            let _ = wait.await;
        }
    }

    /// The job that the task runs.
    pub(super) fn job(&self) -> &J {
        &self.job
    }

    /// A handle that reads the counts without waiting for the task.
    pub fn counts_handle(&self) -> CountsHandle {
        CountsHandle(Arc::clone(&self.counters))
    }

    /// All counts at this moment.
    pub fn read_counts(&self) -> SchedulerCounts {
        self.counters.read()
    }
}
