//! Overrides are set, begin and end: the worker compiles charts as if they were in force, then they
//! are saved, and the charts are published. No file of the configuration is read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant as TokioInstant;

use super::{
    override_changes::{
        OverrideCompileStep, OverrideReplySender, PendingOverride, RunningOverride,
    },
    owner::Controller,
};
use crate::{
    control::{
        clock::unix_now,
        compile_worker::TrialSpec,
        drain,
        handle::{DrainOutcome, DrainReport},
        newly_distressed::NewlyDistressed,
        overrides::{
            OverrideAction, OverrideChange, OverrideError, OverridePlan, OverrideRequest, plan,
            plan_of_timers,
        },
        report,
        status::RampStatus,
    },
    steer::{CompiledCharts, MemberKind, Override, OverrideSubject, ServingState},
};

impl Controller {
    /// Accepts a request of an operator.
    pub(super) fn set_overrides(&mut self, request: OverrideRequest, reply: OverrideReplySender) {
        self.override_changes.push(PendingOverride::Request(request, reply));
    }

    /// Accepts what the clock changes: overrides that begin or end.
    pub(super) fn begin_timed_overrides(&mut self) {
        if self.has_due_overrides(unix_now()) && !self.override_changes.has_timer() {
            self.override_changes.push(PendingOverride::Timer);
        }
    }

    /// Whether an override begins or ends at `now` that the topology in use does not follow yet.
    fn has_due_overrides(&self, now: i64) -> bool {
        let overrides = &self.loaded.overrides;
        overrides.differs_at(now, self.loaded.overrides_at)
            || overrides.iter().any(|one| one.has_ended(now))
    }

    /// When an override begins or ends; at most a minute from now, since the clock may be set.
    pub(super) fn overrides_due(&self) -> Option<TokioInstant> {
        let now = unix_now();
        let secs = match self.has_due_overrides(now) && !self.override_changes.has_timer() {
            true => 0,
            false => (self.loaded.overrides.next_change(now)? - now).clamp(1, 60),
        };
        Some(TokioInstant::now() + Duration::from_secs(secs.unsigned_abs()))
    }

    /// Begins with the first change, unless it is in progress already.
    pub(super) async fn begin_override_change(&mut self) {
        while !self.override_changes.is_running()
            && let Some(pending) = self.override_changes.first()
        {
            let _guard = self.metronome.activate();
            let now = unix_now();
            let planned = match pending {
                PendingOverride::Request(_, reply) if reply.is_closed() => {
                    // The client has gone, after a reply that says that the outcome is unknown.
                    self.override_changes.pop_first();
                    continue;
                }
                PendingOverride::Request(request, _) => {
                    plan(request, &self.loaded, self.conditions.current(), now)
                }
                PendingOverride::Timer => Ok(plan_of_timers(&self.loaded, now)),
            };
            match planned {
                Ok(plan) if plan.begun.is_none() && plan.keeps_topology(&self.loaded) => {
                    self.commit_overrides(plan, None, Vec::new()).await;
                }
                Ok(plan) => self.compile_overrides(plan, OverrideCompileStep::Check),
                Err(error) => self.refuse_override(error),
            }
        }
    }

    /// Has the worker compile the charts of a change.
    fn compile_overrides(&mut self, plan: OverridePlan, step: OverrideCompileStep) {
        let topology = match &step {
            OverrideCompileStep::Check => plan.begun.as_ref().unwrap_or(&plan.topology),
            OverrideCompileStep::Publish(_) => &plan.topology,
        };
        let conditions =
            self.conditions.current().carried_over(&self.loaded.topology, topology, unix_now());
        // The check is of the end of all drains, also of those in progress.
        let is_checked = matches!(step, OverrideCompileStep::Check) && self.is_request();
        let conditions = if is_checked { conditions.after_ramps(topology) } else { conditions };
        let charts = self.worker.dry_run(TrialSpec {
            topology: Some((Arc::clone(topology), Arc::clone(self.loaded.databases()))),
            conditions: Arc::new(conditions),
        });
        self.override_changes.begin(RunningOverride { plan, step }, charts);
    }

    /// Continues the first change with its charts; `None` if the worker dropped them.
    pub(super) async fn end_override_compile(&mut self, charts: Option<CompiledCharts>) {
        let Some(RunningOverride { plan, step }) = self.override_changes.take_running() else {
            return;
        };
        let _guard = self.metronome.activate();
        // After a load, the change is planned again.
        let is_current = Arc::ptr_eq(&plan.base, &self.loaded.compiler);
        let Some(charts) = charts.filter(|_| is_current) else { return };
        let distressed = match step {
            OverrideCompileStep::Publish(distressed) => distressed,
            OverrideCompileStep::Check => {
                let before = &self.publication.snapshot().charts;
                let after = charts.charts();
                let distressed = drain::newly_distressed(charts.compiler(), before, &after);
                if !distressed.is_empty() && self.refuses_distress() {
                    return self.refuse_override(OverrideError::Distress(distressed));
                }
                if plan.begun.is_some() && !plan.keeps_topology(&self.loaded) {
                    let step = OverrideCompileStep::Publish(distressed);
                    return self.compile_overrides(plan, step);
                }
                distressed
            }
        };
        let charts =
            Some(charts).filter(|_| plan.begun.is_none() || !plan.keeps_topology(&self.loaded));
        self.commit_overrides(plan, charts, distressed).await;
    }

    /// Whether an operator asked for the first change.
    fn is_request(&self) -> bool {
        matches!(self.override_changes.first(), Some(PendingOverride::Request(..)))
    }

    /// Whether the first change is refused if clients have no usable member after it.
    fn refuses_distress(&self) -> bool {
        match self.override_changes.first() {
            Some(PendingOverride::Request(request, _)) => {
                request.action.may_take_away() && !request.options.accepts_distress
            }
            Some(PendingOverride::Timer) | None => false,
        }
    }

    fn refuse_override(&mut self, error: OverrideError) {
        if let Some(PendingOverride::Request(_, reply)) = self.override_changes.pop_first() {
            // The client may be gone.
            let _ = reply.send(Err(error));
        }
    }

    /// Saves the overrides of the first change, publishes their `charts`, and replies. Without
    /// charts, answers stay as they are.
    async fn commit_overrides(
        &mut self,
        plan: OverridePlan,
        charts: Option<CompiledCharts>,
        distressed: Vec<NewlyDistressed>,
    ) {
        let is_timer = matches!(self.override_changes.first(), Some(PendingOverride::Timer));
        let state = self.persistence.state_directory();
        if is_timer {
            if !plan.ended.is_empty() {
                state.resave_overrides(&plan.set);
            }
        } else if !plan.changes_nothing() {
            if let Err(error) = state.save_overrides(&plan.set) {
                return self.refuse_override(OverrideError::NotSaved(error));
            }
            self.override_changes.clear_fault();
        }
        log_ended(&plan.ended);
        let OverridePlan { set, changes, subjects, ended, now, .. } = plan;
        self.log_changes(&changes);
        self.loaded.overrides = Arc::new(set);
        self.loaded.overrides_at = now;
        if let Some(charts) = charts {
            self.put_overrides_in_force(charts).await;
        }
        self.report_ended_overrides(&ended);
        if let Some(PendingOverride::Request(request, reply)) = self.override_changes.pop_first() {
            self.report_override_changes(&request, &changes);
            let report = self.override_report(&request, subjects, changes, distressed);
            // The client may be gone.
            let _ = reply.send(Ok(report));
        }
    }

    /// Publishes charts of another effective topology of the configuration in use.
    async fn put_overrides_in_force(&mut self, charts: CompiledCharts) {
        self.loaded.compiler = Arc::clone(charts.compiler());
        self.loaded.topology = Arc::clone(charts.compiler().topology());
        self.loaded.compiled = Some(charts);
        let topology = &self.loaded.topology;
        self.conditions.set_load_sources(topology).await;
        self.conditions.update_datacenter_states(topology, unix_now());
        self.probing.set_topology(topology, self.conditions.current()).await;
        self.switch_compiler_with(None).await;
    }

    fn log_changes(&self, changes: &[OverrideChange]) {
        let Some(PendingOverride::Request(request, _)) = self.override_changes.first() else {
            return;
        };
        let action = request.action.as_str();
        let (user, peer) = (request.author.user.as_deref(), request.author.peer.as_deref());
        for OverrideChange { subject, change, text } in changes {
            match change.as_str() {
                "set" => tracing::info!(%subject, action, %text, user, peer, "override set"),
                "removed" => {
                    tracing::info!(%subject, action, %text, user, peer, "override removed")
                }
                _ => {}
            }
        }
    }

    /// The report of a request, from the snapshot in force.
    fn override_report(
        &self,
        request: &OverrideRequest,
        subjects: Vec<OverrideSubject>,
        changes: Vec<OverrideChange>,
        distressed: Vec<NewlyDistressed>,
    ) -> DrainReport {
        let snapshot = self.publication.snapshot();
        let inputs = self.status_inputs(&snapshot);
        let topology = &self.loaded.topology;
        let ids: BTreeSet<_> =
            subjects.iter().flat_map(|subject| subject.datacenters(topology)).collect();
        let names = ids.iter().map(|id| &topology.datacenters[id.index()].name);
        let names: Vec<String> = names.map(ToString::to_string).collect();
        let outcome = |name: &String| {
            let outcome = DrainOutcome { datacenter: name.clone(), ..DrainOutcome::default() };
            let outcome = report::drain_outcome(&inputs, outcome);
            let is_passed_over = request.action == OverrideAction::Drain
                && outcome.state != ServingState::Draining.as_str();
            // Until it begins, a drain passes nothing over.
            let unchanged = (is_passed_over && request.options.at.is_none()).then(|| {
                format!("not drained: its state is {} in {}", outcome.state, outcome.origin)
            });
            DrainOutcome { unchanged, ..outcome }
        };
        let outcomes: Vec<DrainOutcome> = names.iter().map(outcome).collect();
        let endpoints: BTreeSet<_> =
            subjects.iter().flat_map(|subject| subject.endpoints(topology)).collect();
        let is_named = |ramp: &RampStatus| match &ramp.pool {
            None => names.contains(&ramp.name),
            Some(pool) => topology.pools.iter().filter(|known| *known.name == **pool).any(|pool| {
                pool.members.iter().any(|member| match member.kind {
                    MemberKind::Endpoint(id) => {
                        endpoints.contains(&id)
                            && *topology.endpoints[id.index()].name == *ramp.name
                    }
                    MemberKind::Pool(_) => false,
                })
            }),
        };
        let overrides = report::overrides(&inputs, crate::control::ListDetail::Full);
        let is_of_request = |shown: &str| subjects.iter().any(|known| known.to_string() == shown);
        DrainReport {
            generation: snapshot.generation,
            files: Vec::new(),
            datacenters: names
                .iter()
                .map(|name| (name.clone(), self.publication.drain_tracker().effective(name)))
                .collect(),
            outcomes,
            ramps: report::ramps(inputs.load_controller).into_iter().filter(is_named).collect(),
            distressed,
            changes,
            overrides: overrides.into_iter().filter(|one| is_of_request(&one.subject)).collect(),
        }
    }
}

fn log_ended(ended: &[Arc<Override>]) {
    for one in ended {
        tracing::info!(
            subject = %one.subject,
            text = %one.value.text(),
            user = &*one.author,
            "override ended: what the files say is in force"
        );
    }
}
