//! Jobs: what the scheduler does once per interval for each of its keys. A job is either the
//! probing of targets or the polling of load sources.

use std::{fmt, future::Future, hash::Hash, sync::Arc, time::Duration};

use super::{
    attempt_timer::AttemptTimer,
    check_history::UncheckedChange,
    limits::SchedulerLimits,
    no_result::{CountsByReason, NoResult},
};

/// What the scheduler does once per interval for each key.
pub trait Job: fmt::Debug + Send + Sync + 'static {
    /// The name of one run in the log: `probe`.
    const LOG_NAME: &'static str;

    /// What a run is about, compared by content.
    type Key: fmt::Debug + fmt::Display + Clone + Eq + Hash + Send + Sync + 'static;
    /// A key with its files read and its patterns compiled; shared by all runs of the key.
    type Prepared: Send + Sync + 'static;
    /// The result of one run: a pass or a failure.
    type RunOutcome: Send + 'static;
    /// The outcome of a run with its key and time.
    type Report: Send + 'static;

    /// Makes a job that stays within these limits.
    fn new(limits: SchedulerLimits) -> Self;

    /// How often a key is run, and how long one run may take.
    fn timing(key: &Self::Key) -> JobTiming;

    /// Prepares all keys of a set; it may omit keys. It may read files, so it runs on a blocking
    /// thread.
    fn prepare(&self, keys: Vec<Self::Key>) -> Vec<(Self::Key, Arc<Self::Prepared>)>;

    /// Runs the job once.
    ///
    /// # Errors
    /// [`NoResult`] if this process caused, or may have caused, the failure.
    fn run(
        key: &Self::Key,
        prepared: &Arc<Self::Prepared>,
        timer: &AttemptTimer<'_>,
    ) -> impl Future<Output = Result<Self::RunOutcome, NoResult>> + Send;

    /// Whether the outcome counts as passed.
    fn is_pass(outcome: &Self::RunOutcome) -> bool;

    /// Builds the report of a run that ended at `ended_at`, since the epoch of the scheduler.
    fn report(key: Self::Key, outcome: Self::RunOutcome, ended_at: Duration) -> Self::Report;

    /// Logs that keys are unchecked, or that all `key_count` keys are checked again.
    fn log_change(change: &UncheckedChange, unchecked: &CountsByReason, key_count: usize);
}

/// The interval and the timeout of a key.
#[derive(Debug, Clone, Copy)]
pub struct JobTiming {
    /// From one start to the next.
    pub interval: Duration,
    /// The longest that one attempt may take; shorter than `interval`.
    pub timeout: Duration,
}
