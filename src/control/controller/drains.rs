//! Drains by command: checked with charts that the worker compiles as if the drain were in force,
//! then applied as an edit.

use std::sync::Arc;

use super::{drain_checks::DrainReplySender, owner::Controller, reloads::PendingReply};
use crate::{
    control::{
        compile_worker::TrialSpec,
        config_errors::ConfigErrors,
        drain,
        handle::{DrainAction, DrainError, DrainOutcome, DrainReport, DrainRequest},
        newly_distressed::NewlyDistressed,
    },
    steer::{Chart, CompiledCharts},
};

impl Controller {
    /// Accepts a request about a drain. The beginning of a drain is checked before its edit;
    /// whatever returns clients to a datacenter is carried out without a check.
    pub(super) fn set_state(&mut self, request: DrainRequest, reply: DrainReplySender) {
        self.drain_checks.push(request, reply);
        self.begin_drain_check();
    }

    /// Begins with the first request, unless it is being checked already.
    pub(super) fn begin_drain_check(&mut self) {
        // A check compiles from the charts in force. During a load these are about to be replaced,
        // so the check waits for its end.
        while !self.drain_checks.is_running()
            && !self.reloads.is_pending()
            && let Some(request) = self.drain_checks.first()
        {
            let planned = drain::plan(request, &self.loaded, self.conditions.current());
            match planned {
                Ok(plan)
                    if matches!(request.action, DrainAction::Drain(_))
                        && self.held_file(&plan).is_none() =>
                {
                    let conditions = plan.conditions_after(self.conditions.current());
                    let conditions = Arc::new(conditions);
                    let charts = self.worker.dry_run(TrialSpec { topology: None, conditions });
                    self.drain_checks.begin(charts);
                }
                _ => self.apply_first_request(None),
            }
        }
    }

    /// Continues the first request with the charts that it would put in force; `None` if the worker
    /// dropped them.
    pub(super) fn end_drain_check(&mut self, charts: Option<CompiledCharts>) {
        self.drain_checks.end();
        // Charts compiled before the latest load are outdated; the drain is then checked again.
        if let Some(charts) = charts.filter(|charts| self.is_check_current(charts)) {
            self.apply_first_request(Some(charts));
        }
        self.begin_drain_check();
    }

    /// Whether these are the charts that the first request would put in force now.
    fn is_check_current(&self, charts: &CompiledCharts) -> bool {
        let conditions = self.conditions.current();
        let states = |request: &DrainRequest| {
            let plan = drain::plan(request, &self.loaded, conditions).ok()?;
            Some(plan.conditions_after(conditions).datacenters)
        };
        Arc::ptr_eq(charts.compiler(), &self.loaded.compiler)
            && !self.reloads.is_pending()
            && self.drain_checks.first().and_then(states).as_ref()
                == Some(&charts.conditions().datacenters)
    }

    /// Edits the files as the first request says, and begins their load.
    fn apply_first_request(&mut self, checked: Option<CompiledCharts>) {
        let Some((request, reply)) = self.drain_checks.pop_first() else { return };
        // The client has gone, after a reply that says that the outcome of its drain is unknown.
        if reply.is_closed() {
            return;
        }
        let charts = checked.as_ref().map(CompiledCharts::charts);
        match self.edit_state(&request, charts.as_deref()) {
            // Nothing was edited: the snapshot in force has that state already.
            Ok(report) if report.files.is_empty() => {
                self.send_reply(PendingReply::SetState(Box::new(report), reply), Ok(()));
            }
            Ok(report) => {
                self.drain_checks.set_accepted_charts(checked);
                self.reloads.add_reply(PendingReply::SetState(Box::new(report), reply));
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
        &self,
        request: &DrainRequest,
        checked: Option<&[Arc<Chart>]>,
    ) -> Result<DrainReport, DrainError> {
        let plan = drain::plan(request, &self.loaded, self.conditions.current())?;
        if let Some(held) = self.held_file(&plan) {
            return Err(held);
        }
        let charts = &self.publication.snapshot().charts;
        let newly =
            |after: &[Arc<Chart>]| drain::newly_distressed(&self.loaded.compiler, charts, after);
        let distressed: Vec<NewlyDistressed> = checked.map(newly).unwrap_or_default();
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
        Ok(DrainReport { files, datacenters, outcomes, distressed, ..DrainReport::default() })
    }

    /// The error for a file that a drain would edit and that is held: an edit of it would have no
    /// effect.
    fn held_file(&self, plan: &drain::DrainPlan) -> Option<DrainError> {
        let held = self.reloads.held().into_iter().find(|held| plan.edits_file(&held.file))?;
        Some(DrainError::Held(held.file, ConfigErrors::new(held.errors)))
    }
}
