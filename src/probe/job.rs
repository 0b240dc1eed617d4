//! Jobs: what the scheduler does once per interval for each of its keys. Probes are one, polls of
//! load reports the other.

use std::{fmt, future::Future, hash::Hash, sync::Arc, time::Duration};

use super::{
    attempt_timer::AttemptTimer,
    check_history::UncheckedChange,
    no_result::{CountsByReason, NoResult},
    scheduler::SchedulerLimits,
};

/// What is done once per interval for each key.
pub(super) trait Job: fmt::Debug + Send + Sync + 'static {
    /// What one of them is called in the log.
    const LOG_NAME: &'static str;

    /// What it is done with, by content.
    type Key: fmt::Debug + fmt::Display + Clone + Eq + Hash + Send + Sync + 'static;
    /// A key made ready: what does not change from one time to the next is parsed and read once.
    type Prepared: Send + Sync + 'static;
    /// What came of it once.
    type RunOutcome: Send + 'static;
    /// The outcome with its key and its time.
    type Report: Send + 'static;

    /// The job within these limits.
    fn new(limits: SchedulerLimits) -> Self;

    /// How often it is done, and how long once may take.
    fn timing(key: &Self::Key) -> JobTiming;

    /// Makes all keys of a set ready. May read files.
    fn prepare(&self, keys: Vec<Self::Key>) -> Vec<(Self::Key, Arc<Self::Prepared>)>;

    /// Does it once. [`NoResult`] where what came of it is, or may be, due to this process.
    fn run(
        key: &Self::Key,
        ready: &Arc<Self::Prepared>,
        stopwatch: &AttemptTimer<'_>,
    ) -> impl Future<Output = Result<Self::RunOutcome, NoResult>> + Send;

    /// Whether it came to what it should.
    fn is_pass(outcome: &Self::RunOutcome) -> bool;

    /// Puts together what is reported.
    fn report(key: Self::Key, outcome: Self::RunOutcome, at: Duration) -> Self::Report;

    /// Logs that keys are unchecked, or that none is any more.
    fn log_change(change: &UncheckedChange, unchecked: &CountsByReason, all: usize);
}

/// How often something is done, and how long once may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobTiming {
    /// From one start to the next.
    pub(super) interval: Duration,
    /// From a start to its end; shorter than `interval`.
    pub(super) timeout: Duration,
}
