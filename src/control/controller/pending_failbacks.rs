//! Failbacks by command that wait for their trial.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{background::received, trial_outcome::TrialOutcome};
use crate::control::{handle::FailbackReplySender, safety::RuleConsent};

/// A failback that an operator asks for.
#[derive(Debug)]
pub(super) struct PendingFailback {
    /// The name of the pool.
    pub pool: String,
    pub consent: RuleConsent,
    pub reply: FailbackReplySender,
}

/// Failbacks in the order in which they came. At most one trial is in progress, of the first.
#[derive(Debug, Default)]
pub(super) struct PendingFailbacks {
    pending: VecDeque<PendingFailback>,
    trial: Option<oneshot::Receiver<TrialOutcome>>,
}

impl PendingFailbacks {
    pub(super) fn push(&mut self, failback: PendingFailback) {
        self.pending.push_back(failback);
    }

    /// The first one, unless it is being tried.
    pub(super) fn next(&self) -> Option<&PendingFailback> {
        self.pending.front().filter(|_| self.trial.is_none())
    }

    pub(super) fn pop_first(&mut self) -> Option<PendingFailback> {
        self.pending.pop_front()
    }

    /// Waits for the trial of the first one.
    pub(super) fn begin(&mut self, outcome: oneshot::Receiver<TrialOutcome>) {
        self.trial = Some(outcome);
    }

    /// Ends the trial in progress.
    pub(super) fn end_trial(&mut self) {
        self.trial = None;
    }

    /// Waits for the outcome of the trial; `None` if the worker dropped it. Never ends while there
    /// is no trial.
    pub(super) async fn next_outcome(&mut self) -> Option<TrialOutcome> {
        received(self.trial.as_mut()).await
    }
}
