//! Changes of overrides that wait, and the one whose charts are being compiled.
//!
//! Invariant: at most one change is in progress, the first. A load of files neither delays it nor
//! is delayed by it; a change whose charts were compiled for the configuration before a load is
//! planned again.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{acceptance::Acceptance, background::received, trial_outcome::TrialOutcome};
use crate::control::{
    handle::DrainReport,
    overrides::{OverrideError, OverridePlan, OverrideRequest},
};

/// Receives the report of a change.
pub(super) type OverrideReplySender = oneshot::Sender<Result<DrainReport, OverrideError>>;

/// What is to change overrides.
#[derive(Debug)]
pub(super) enum PendingOverride {
    /// A request of an operator.
    Request(OverrideRequest, OverrideReplySender),
    /// The clock: overrides begin and end.
    Timer,
}

/// A change whose charts are being compiled.
#[derive(Debug)]
pub(super) struct RunningOverride {
    pub plan: OverridePlan,
    /// What the charts are for.
    pub step: OverrideCompileStep,
}

/// What the charts of a change are compiled for.
#[derive(Debug)]
pub(super) enum OverrideCompileStep {
    /// To check that clients have usable members once all of the change has begun.
    Check,
    /// To publish them: the change is accepted.
    Publish(Acceptance),
}

/// The changes in the order in which they came.
#[derive(Debug)]
pub(super) struct OverrideChanges {
    pending: VecDeque<PendingOverride>,
    running: Option<(RunningOverride, oneshot::Receiver<TrialOutcome>)>,
    /// Why overrides of a previous run are lost, until an operator sets one.
    fault: Option<String>,
}

impl OverrideChanges {
    /// `fault` says why overrides of a previous run are lost.
    pub(super) fn new(fault: Option<String>) -> Self {
        Self { pending: VecDeque::new(), running: None, fault }
    }

    pub(super) fn push(&mut self, change: PendingOverride) {
        self.pending.push_back(change);
    }

    /// The change that is in progress, or is next.
    pub(super) fn first(&self) -> Option<&PendingOverride> {
        self.pending.front()
    }

    pub(super) fn pop_first(&mut self) -> Option<PendingOverride> {
        self.pending.pop_front()
    }

    /// Whether a change of the clock waits or is in progress.
    pub(super) fn has_timer(&self) -> bool {
        self.pending.iter().any(|pending| matches!(pending, PendingOverride::Timer))
    }

    /// Whether charts are being compiled.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts the first change, whose result arrives through `outcome`.
    pub(super) fn begin(
        &mut self,
        running: RunningOverride,
        outcome: oneshot::Receiver<TrialOutcome>,
    ) {
        self.running = Some((running, outcome));
    }

    /// Ends the compilation in progress.
    pub(super) fn take_running(&mut self) -> Option<RunningOverride> {
        self.running.take().map(|(running, _)| running)
    }

    /// Waits for the trial of the change in progress; `None` if the worker dropped it for a newer
    /// configuration. Never ends while no change is in progress.
    pub(super) async fn next_outcome(&mut self) -> Option<TrialOutcome> {
        received(self.running.as_mut().map(|(_, outcome)| outcome)).await
    }

    /// Why overrides of a previous run are lost.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Forgets the lost overrides: an operator has set overrides since.
    pub(super) fn clear_fault(&mut self) {
        self.fault = None;
    }
}
