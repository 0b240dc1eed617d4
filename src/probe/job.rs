//! Jobs: what the scheduler does once per interval for each of its keys. Probes are one, polls of
//! load reports the other.

use std::{fmt, future::Future, hash::Hash, sync::Arc, time::Duration};

use super::{
    currency::Change,
    no_result::{ByReason, NoResult},
    scheduler::Limits,
    stopwatch::Stopwatch,
};

/// What is done once per interval for each key.
pub(super) trait Job: fmt::Debug + Send + Sync + 'static {
    /// What one of them is called in the log.
    const WORD: &'static str;

    /// What it is done with, by content.
    type Key: fmt::Debug + fmt::Display + Clone + Eq + Hash + Send + Sync + 'static;
    /// A key made ready: what does not change from one time to the next is parsed and read once.
    type Ready: Send + Sync + 'static;
    /// What came of it once.
    type Outcome: Send + 'static;
    /// The outcome with its key and its time.
    type Report: Send + 'static;

    /// The job within these limits.
    fn new(limits: Limits) -> Self;

    /// How often it is done, and how long once may take.
    fn pace(key: &Self::Key) -> Pace;

    /// Makes all keys of a set ready. May read files.
    fn prepare(&self, keys: Vec<Self::Key>) -> Vec<(Self::Key, Arc<Self::Ready>)>;

    /// Does it once. [`NoResult`] where what came of it is, or may be, due to this process.
    fn run(
        key: &Self::Key,
        ready: &Arc<Self::Ready>,
        stopwatch: &Stopwatch<'_>,
    ) -> impl Future<Output = Result<Self::Outcome, NoResult>> + Send;

    /// Whether it came to what it should.
    fn is_pass(outcome: &Self::Outcome) -> bool;

    /// Puts together what is reported.
    fn report(key: Self::Key, outcome: Self::Outcome, at: Duration) -> Self::Report;

    /// Logs that keys are unchecked, or that none is any more.
    fn log_change(change: &Change, unchecked: &ByReason, all: usize);
}

/// How often something is done, and how long once may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From one start to the next.
    pub(super) interval: Duration,
    /// From a start to its end; shorter than `interval`.
    pub(super) timeout: Duration,
}
