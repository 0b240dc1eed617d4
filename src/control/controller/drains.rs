//! Drains by command: checked with charts that the worker compiles as if the drain were in force,
//! then applied as an edit.

use std::{sync::Arc, time::Duration};

use super::{
    acceptance::Acceptance,
    drain_checks::DrainReplySender,
    owner::Controller,
    reloads::PendingReply,
    rule_checks::{ChangeRefusal, CheckedChange, DistressRule, refused_by},
    trial_outcome::{TrialOutcome, TrialRequest},
};
use crate::{
    control::{
        config_errors::ConfigErrors,
        drain,
        handle::{DrainAction, DrainError, DrainOutcome, DrainReport, DrainRequest},
    },
    steer::CompiledCharts,
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
                    if (matches!(request.action, DrainAction::Drain(_)) || self.has_rules())
                        && self.held_file(&plan).is_none() =>
                {
                    let settled = plan.conditions_after(self.conditions.current());
                    let measured = Some(settled.clone());
                    let trial = TrialRequest { topology: None, settled, measured };
                    self.drain_checks.begin(self.begin_trial(trial));
                }
                _ => self.apply_first_request(None),
            }
        }
    }

    /// Continues the first request with its trial; `None` if the worker dropped it.
    pub(super) fn end_drain_check(&mut self, outcome: Option<TrialOutcome>) {
        self.drain_checks.end();
        // Charts compiled before the latest load are outdated; the drain is then checked again.
        if let Some(outcome) = outcome.filter(|outcome| self.is_check_current(&outcome.charts)) {
            self.apply_first_request(Some(outcome));
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
    fn apply_first_request(&mut self, checked: Option<TrialOutcome>) {
        let Some((request, reply)) = self.drain_checks.pop_first() else { return };
        // The client has gone, after a reply that says that the outcome of its drain is unknown.
        if reply.is_closed() {
            return;
        }
        match self.edit_state(&request, checked.as_ref()) {
            // Nothing was edited: the snapshot in force has that state already.
            Ok((report, _)) if report.files.is_empty() => {
                self.send_reply(PendingReply::SetState(Box::new(report), reply), Ok(()));
            }
            Ok((report, accepted)) => {
                self.note_movement(accepted.movement);
                self.report_overridden(&accepted.overridden, &request.consent);
                self.reloads.accept(request.consent);
                self.drain_checks.set_accepted_charts(checked.map(|outcome| outcome.charts));
                self.reloads.add_reply(PendingReply::SetState(Box::new(report), reply));
                self.reload();
            }
            Err(error) => {
                if let DrainError::Forbidden(violations) = &error {
                    self.report_refused(request.action.as_str(), violations);
                }
                // The client may be gone.
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Edits the files, unless the charts that the edit would put in force leave a service without
    /// a usable member, or break a rule.
    fn edit_state(
        &self,
        request: &DrainRequest,
        checked: Option<&TrialOutcome>,
    ) -> Result<(DrainReport, Acceptance), DrainError> {
        let plan = drain::plan(request, &self.loaded, self.conditions.current())?;
        if let Some(held) = self.held_file(&plan) {
            return Err(held);
        }
        let accepted = match checked {
            Some(outcome) => self.check_edit(request, outcome)?,
            None => Acceptance::default(),
        };
        let files = plan.write_edits().map_err(|error| DrainError::Edit(error.to_string()))?;
        let datacenters = plan.steps().map(|(name, _)| (name.to_owned(), None)).collect();
        let outcome = |(name, unchanged): (&str, Option<&str>)| DrainOutcome {
            datacenter: name.to_owned(),
            unchanged: unchanged.map(str::to_owned),
            ..DrainOutcome::default()
        };
        let outcomes = plan.steps().map(outcome).collect();
        let distressed = accepted.distressed.clone();
        let report =
            DrainReport { files, datacenters, outcomes, distressed, ..DrainReport::default() };
        Ok((report, accepted))
    }

    /// Checks an edit by what it would put in force.
    fn check_edit(
        &self,
        request: &DrainRequest,
        outcome: &TrialOutcome,
    ) -> Result<Acceptance, DrainError> {
        let before = &self.publication.snapshot().charts;
        let after = outcome.charts.charts();
        let distressed = drain::newly_distressed(&self.loaded.compiler, before, &after);
        let over = match &request.action {
            DrainAction::Drain(drain) => drain.over_secs.map(Duration::from_secs),
            _ => None,
        };
        let (violations, movement) = self.judge(CheckedChange {
            topology: &self.loaded.topology,
            settled: outcome.charts.conditions(),
            outcome,
            over,
            is_harmless: request.action == DrainAction::Pause,
        });
        let protects_members = matches!(request.action, DrainAction::Drain(_));
        let distress = DistressRule { distressed: &distressed, protects_members };
        match refused_by(violations, distress, &request.consent) {
            Ok(overridden) => Ok(Acceptance { distressed, overridden, movement }),
            Err(ChangeRefusal::Distress) => Err(DrainError::Distress(distressed)),
            Err(ChangeRefusal::Rules(violations)) => Err(DrainError::Forbidden(violations)),
        }
    }

    /// The error for a file that a drain would edit and that is held: an edit of it would have no
    /// effect.
    fn held_file(&self, plan: &drain::DrainPlan) -> Option<DrainError> {
        let held = self.reloads.held().into_iter().find(|held| plan.edits_file(&held.file))?;
        Some(DrainError::Held(held.file, ConfigErrors::new(held.errors)))
    }
}
