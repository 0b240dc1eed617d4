//! Drains by command: checked with charts that the worker compiles as if the drain were in force,
//! then applied as an edit.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::oneshot;

use super::{Controller, PendingReply};
use crate::{
    control::{
        drain,
        handle::{
            DrainAction, DrainError, DrainOutcome, DrainReport, DrainRequest, NewlyDistressed,
        },
    },
    steer::{Chart, CompiledCharts},
};

type DrainReplySender = oneshot::Sender<Result<DrainReport, DrainError>>;

/// Drains that are being checked, one after the other.
#[derive(Debug, Default)]
pub(super) struct DrainChecks {
    /// Requests in the order in which they came; the first one is being checked.
    requests: VecDeque<(DrainRequest, DrainReplySender)>,
    /// Receives the charts of the first request.
    charts: Option<oneshot::Receiver<CompiledCharts>>,
}

impl DrainChecks {
    /// Waits for the charts of the first request; `None` where the worker dropped them for a later
    /// order. Never ends while nothing is being checked.
    pub(super) async fn next_charts(&mut self) -> Option<CompiledCharts> {
        match &mut self.charts {
            Some(charts) => charts.await.ok(),
            None => std::future::pending().await,
        }
    }
}

impl Controller {
    /// Drains are checked before their edit; whatever gives clients back is carried out at once.
    pub(super) fn set_state(&mut self, request: DrainRequest, reply: DrainReplySender) {
        self.drain_checks.requests.push_back((request, reply));
        self.begin_drain_check();
    }

    /// Whether files were edited, or are being read, that are not in force yet.
    fn is_load_pending(&self) -> bool {
        self.pending_reload.is_some()
            || self.has_newer_edit
            || !self.next_pending_replies.is_empty()
    }

    /// Begins with the first request, unless it is being checked already.
    pub(super) fn begin_drain_check(&mut self) {
        // What a load under way will put in force is not in the charts that a check starts from.
        while self.drain_checks.charts.is_none()
            && !self.is_load_pending()
            && let Some((request, _)) = self.drain_checks.requests.front()
        {
            let planned = drain::plan(request, &self.loaded, &self.conditions);
            match planned {
                Ok(plan)
                    if matches!(request.action, DrainAction::Drain(_))
                        && self.held_file(&plan).is_none() =>
                {
                    let conditions = Arc::new(plan.conditions_after(&self.conditions));
                    self.drain_checks.charts = Some(self.worker.dry_run(conditions));
                }
                _ => self.apply_first_request(None),
            }
        }
    }

    /// Continues the first request with the charts that it would put in force.
    pub(super) fn end_drain_check(&mut self, rehearsed: Option<CompiledCharts>) {
        self.drain_checks.charts = None;
        // After a load in between, the drain is checked again, with what is in force now.
        let is_current = |charts: &CompiledCharts| {
            let planned = self
                .drain_checks
                .requests
                .front()
                .map(|(request, _)| drain::plan(request, &self.loaded, &self.conditions));
            let states =
                |plan: drain::DrainPlan| plan.conditions_after(&self.conditions).datacenters;
            Arc::ptr_eq(charts.compiler(), &self.loaded.compiler)
                && !self.is_load_pending()
                && planned.is_some_and(|plan| {
                    plan.is_ok_and(|plan| states(plan) == charts.conditions().datacenters)
                })
        };
        if let Some(rehearsed) = rehearsed.filter(is_current) {
            self.apply_first_request(Some(rehearsed));
        }
        self.begin_drain_check();
    }

    /// Edits the files as the first request says, and has them read.
    fn apply_first_request(&mut self, rehearsed: Option<CompiledCharts>) {
        let Some((request, reply)) = self.drain_checks.requests.pop_front() else { return };
        // The client has gone, and was told that nothing is known of its drain.
        if reply.is_closed() {
            return;
        }
        let charts = rehearsed.as_ref().map(CompiledCharts::charts);
        match self.edit_state(&request, charts.as_deref()) {
            // Nothing was edited: the snapshot in force has that state already.
            Ok(report) if report.files.is_empty() => {
                self.send_reply(PendingReply::SetState(Box::new(report), reply), Ok(()));
            }
            Ok(report) => {
                self.dry_run_charts = rehearsed;
                self.next_pending_replies.push(PendingReply::SetState(Box::new(report), reply));
                self.reload();
            }
            Err(error) => {
                // The client may be gone.
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Edits the files, unless the charts that the edit would put in force leave a service without
    /// a usable member.
    fn edit_state(
        &mut self,
        request: &DrainRequest,
        rehearsed: Option<&[Arc<Chart>]>,
    ) -> Result<DrainReport, DrainError> {
        let plan = drain::plan(request, &self.loaded, &self.conditions)?;
        if let Some(held) = self.held_file(&plan) {
            return Err(held);
        }
        let charts = &self.published.load().charts;
        let newly =
            |after: &[Arc<Chart>]| drain::newly_distressed(&self.loaded.compiler, charts, after);
        let distressed: Vec<NewlyDistressed> = rehearsed.map(newly).unwrap_or_default();
        let is_forced = matches!(&request.action, DrainAction::Drain(drain) if drain.force);
        if !distressed.is_empty() && !is_forced {
            return Err(DrainError::Distress(distressed));
        }
        let files = plan.write_edits().map_err(|error| DrainError::Edit(error.to_string()))?;
        let datacenters = plan.steps().map(|(name, _)| (name.to_owned(), None)).collect();
        let outcome = |(name, unchanged): (&str, Option<&str>)| DrainOutcome {
            datacenter: name.to_owned(),
            unchanged: unchanged.map(str::to_owned),
            ..DrainOutcome::default()
        };
        let outcomes = plan.steps().map(outcome).collect();
        Ok(DrainReport {
            generation: 0,
            files,
            datacenters,
            outcomes,
            ramps: Vec::new(),
            distressed,
        })
    }

    /// The error for a file that a drain would edit and that is held: an edit of it would have no
    /// effect.
    fn held_file(&self, plan: &drain::DrainPlan) -> Option<DrainError> {
        let held =
            self.hold_tracker.status().into_iter().find(|held| plan.edits_file(&held.file))?;
        Some(DrainError::Held(held.file, held.errors))
    }
}
