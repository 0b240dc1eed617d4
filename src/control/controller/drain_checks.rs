//! Drains that wait for their check, and the charts that checks are made with.
//!
//! A drain is checked before its file is edited: the compile worker compiles the charts that the
//! drain would put in force, and the drain is refused if they leave clients without a usable
//! member. Invariant: at most one check is in progress, of the first request.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{background::received, trial_outcome::TrialOutcome};
use crate::{
    control::handle::{DrainError, DrainReport, DrainRequest},
    steer::CompiledCharts,
};

/// Receives the report of a drain.
pub(super) type DrainReplySender = oneshot::Sender<Result<DrainReport, DrainError>>;

/// Requests in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct DrainChecks {
    requests: VecDeque<(DrainRequest, DrainReplySender)>,
    /// Receives the trial of the check in progress.
    running: Option<oneshot::Receiver<TrialOutcome>>,
    /// The charts of the last check, whose drain was accepted: the load of its edit continues from
    /// them.
    accepted_charts: Option<CompiledCharts>,
}

impl DrainChecks {
    pub(super) fn push(&mut self, request: DrainRequest, reply: DrainReplySender) {
        self.requests.push_back((request, reply));
    }

    /// The request that is being checked, or is next.
    pub(super) fn first(&self) -> Option<&DrainRequest> {
        self.requests.front().map(|(request, _)| request)
    }

    pub(super) fn pop_first(&mut self) -> Option<(DrainRequest, DrainReplySender)> {
        self.requests.pop_front()
    }

    /// Whether a check is in progress.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins the check of the first request, whose trial comes by `outcome`.
    pub(super) fn begin(&mut self, outcome: oneshot::Receiver<TrialOutcome>) {
        self.running = Some(outcome);
    }

    /// Ends the check in progress.
    pub(super) fn end(&mut self) {
        self.running = None;
    }

    /// Waits for the dry run of the check in progress; `None` if the worker discarded it because a
    /// newer request arrived. Never ends while no check is in progress.
    pub(super) async fn next_outcome(&mut self) -> Option<TrialOutcome> {
        received(self.running.as_mut()).await
    }

    /// Keeps the charts of a drain that was accepted for the load of its edit.
    pub(super) fn set_accepted_charts(&mut self, charts: Option<CompiledCharts>) {
        self.accepted_charts = charts;
    }

    /// The charts of the drain that was accepted last, unless a load has used them already.
    pub(super) fn take_accepted_charts(&mut self) -> Option<CompiledCharts> {
        self.accepted_charts.take()
    }
}
