//! Overrides are set, begin and end: the worker compiles charts as if they were in force, then they
//! are saved, and the charts are published. No file of the configuration is read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant as TokioInstant;

use super::{
    acceptance::Acceptance,
    override_changes::{
        OverrideCompileStep, OverrideReplySender, PendingOverride, RunningOverride,
    },
    owner::Controller,
    rule_checks::{ChangeRefusal, CheckedChange, DistressRule, refused_by},
    trial_outcome::{TrialOutcome, TrialRequest},
};
use crate::{
    control::{
        clock::unix_now,
        drain,
        handle::{DrainOutcome, DrainReport},
        newly_distressed::NewlyDistressed,
        overrides::{
            OverrideAction, OverrideChange, OverrideError, OverridePlan, OverrideRequest, plan,
            plan_of_timers,
        },
        report,
        safety::{RuleConsent, RuleViolation},
        status::RampStatus,
    },
    steer::{
        CompiledCharts, MemberKind, Override, OverrideSubject, ServingState, datacenter_states,
    },
};

/// Why a change is not carried out.
enum Refusal {
    /// The request of an operator is refused.
    Request(OverrideError),
    /// What the clock would change is held.
    Timer(Vec<RuleViolation>),
}

impl Controller {
    /// Accepts a request of an operator.
    pub(super) fn set_overrides(&mut self, request: OverrideRequest, reply: OverrideReplySender) {
        self.override_changes.push(PendingOverride::Request(request, reply));
    }

    /// Accepts what the clock changes: overrides that begin or end, and states that end.
    pub(super) fn begin_timed_overrides(&mut self) {
        if self.override_changes.has_timer() {
            return;
        }
        let now = unix_now();
        if !self.has_due_overrides(now) && !self.has_due_states(now) {
            // What was held is no longer due: it was removed, or has lapsed.
            self.end_timer_hold();
        } else if self.rule_holds.may_attempt() {
            self.override_changes.push(PendingOverride::Timer);
        }
    }

    /// Whether an override begins or ends at `now` that the topology in use does not follow yet.
    fn has_due_overrides(&self, now: i64) -> bool {
        let overrides = &self.loaded.overrides;
        overrides.differs_at(now, self.loaded.overrides_at)
            || overrides.iter().any(|one| one.has_ended(now))
    }

    /// Whether the state of a datacenter ends at `now` by its `until`, and is judged first.
    fn has_due_states(&self, now: i64) -> bool {
        self.has_rules()
            && datacenter_states(&self.loaded.topology, now)
                != self.conditions.current().datacenters
    }

    /// When an override begins or ends; at most a minute from now, since the clock may be set.
    pub(super) fn overrides_due(&self) -> Option<TokioInstant> {
        if let Some(retry_at) = self.rule_holds.retry_at() {
            return (!self.override_changes.has_timer()).then_some(retry_at);
        }
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
                    let times = (now, self.rule_holds.held_time().unwrap_or(now));
                    plan(request, &self.loaded, self.conditions.current(), times)
                }
                PendingOverride::Timer => Ok(self.plan_of_clock(now)),
            };
            match planned {
                Ok(plan) if self.keeps_answers(&plan) => {
                    self.commit_overrides(plan, None, Acceptance::default()).await;
                }
                Ok(plan) => self.compile_overrides(plan, OverrideCompileStep::Check),
                Err(error) => self.refuse_override(error),
            }
        }
    }

    /// What the clock changes. What has begun and ended while it was held has lapsed.
    fn plan_of_clock(&self, now: i64) -> OverridePlan {
        let plan = plan_of_timers(&self.loaded, now);
        match self.keeps_answers(&plan) {
            true => plan,
            false => plan_of_timers(&self.loaded, self.timer_time(now)),
        }
    }

    /// The time that what the clock changes is planned for: with rules, one moment after the other,
    /// so that each change is judged by itself.
    fn timer_time(&self, now: i64) -> i64 {
        if !self.has_rules() {
            return now;
        }
        let (last, states) = (self.loaded.overrides_at, self.rule_holds.last_time());
        let overrides = self.loaded.overrides.next_change(last);
        let datacenters = self.loaded.topology.datacenters.iter();
        let untils = datacenters.filter_map(|one| one.until).filter(|until| *until > states);
        let moments = overrides.into_iter().chain(untils).filter(|time| *time > last.min(states));
        // What is in force already does not begin again.
        moments.min().map_or(now, |time| time.max(last).min(now))
    }

    /// Whether a change, and what the clock changes with it, leave all answers as they are.
    fn keeps_answers(&self, plan: &OverridePlan) -> bool {
        plan.begun.is_none() && plan.keeps_topology(&self.loaded) && !self.has_due_states(plan.now)
    }

    /// Has the worker compile the charts of a change.
    fn compile_overrides(&mut self, plan: OverridePlan, step: OverrideCompileStep) {
        let is_check = matches!(step, OverrideCompileStep::Check);
        let topology = match &plan.begun {
            Some(begun) if is_check => begun,
            _ => &plan.topology,
        };
        let from = &self.loaded.topology;
        let measured = self.conditions.current().carried_over(from, topology, plan.now);
        // The clock ends the time of a return, and changes no ramp by that.
        let measured = match self.has_rules() && self.is_request() {
            true => measured.after_changed_ramps(from, topology),
            false => measured,
        };
        // The check is of the end of all drains, also of those in progress.
        let is_checked = is_check && (self.is_request() || self.has_rules());
        let settled = if is_checked { measured.after_ramps(topology) } else { measured.clone() };
        let outcome = self.begin_trial(TrialRequest {
            topology: Some(Arc::clone(topology)),
            settled,
            measured: is_check.then_some(measured),
        });
        self.override_changes.begin(RunningOverride { plan, step }, outcome);
    }

    /// Continues the first change with its trial; `None` if the worker dropped it.
    pub(super) async fn end_override_compile(&mut self, outcome: Option<TrialOutcome>) {
        let Some(RunningOverride { plan, step }) = self.override_changes.take_running() else {
            return;
        };
        let _guard = self.metronome.activate();
        // After a load, the change is planned again.
        let is_current = Arc::ptr_eq(&plan.base, &self.loaded.compiler);
        let Some(outcome) = outcome.filter(|_| is_current) else { return };
        let keeps_topology = plan.keeps_topology(&self.loaded) && !self.has_due_states(plan.now);
        let accepted = match step {
            OverrideCompileStep::Publish(accepted) => accepted,
            OverrideCompileStep::Check => {
                let accepted = match self.check_override(&plan, &outcome) {
                    Ok(accepted) => accepted,
                    Err(Refusal::Request(error)) => return self.refuse_override(error),
                    Err(Refusal::Timer(violations)) => return self.hold_timers(violations),
                };
                if plan.begun.is_some() && !keeps_topology {
                    let step = OverrideCompileStep::Publish(accepted);
                    return self.compile_overrides(plan, step);
                }
                accepted
            }
        };
        let charts = Some(outcome.charts).filter(|_| plan.begun.is_none() || !keeps_topology);
        self.commit_overrides(plan, charts, accepted).await;
    }

    /// Checks the first change by what it would put in force.
    fn check_override(
        &self,
        plan: &OverridePlan,
        outcome: &TrialOutcome,
    ) -> Result<Acceptance, Refusal> {
        let charts = &outcome.charts;
        let before = &self.publication.snapshot().charts;
        let distressed = drain::newly_distressed(charts.compiler(), before, &charts.charts());
        let (request, is_harmless) = match self.override_changes.first() {
            Some(PendingOverride::Request(request, _)) => {
                (Some(request), request.action == OverrideAction::Pause)
            }
            Some(PendingOverride::Timer) | None => (None, false),
        };
        let (violations, movement) = self.judge(CheckedChange {
            topology: charts.compiler().topology(),
            settled: charts.conditions(),
            outcome,
            over: None,
            is_harmless,
        });
        let Some(request) = request else {
            let consent = self.timer_consent(plan);
            let (overridden, refused): (Vec<_>, Vec<_>) =
                violations.into_iter().partition(|one| consent.accepts(one));
            return match refused.is_empty() {
                true => Ok(Acceptance { distressed, overridden, movement }),
                false => Err(Refusal::Timer(refused)),
            };
        };
        let protects_members = request.action.may_take_away();
        let distress = DistressRule { distressed: &distressed, protects_members };
        match refused_by(violations, distress, &request.consent()) {
            // A change that begins later moves no client yet.
            Ok(overridden) => {
                let movement = movement.filter(|_| plan.begun.is_none());
                Ok(Acceptance { distressed, overridden, movement })
            }
            Err(ChangeRefusal::Distress) => {
                Err(Refusal::Request(OverrideError::Distress(distressed)))
            }
            Err(ChangeRefusal::Rules(violations)) => {
                Err(Refusal::Request(OverrideError::Forbidden(violations)))
            }
        }
    }

    /// The rules that a change by the clock may break: those that every override in it was set with
    /// consent to, and those of a reload.
    fn timer_consent(&self, plan: &OverridePlan) -> RuleConsent {
        let last = self.loaded.overrides_at;
        let begins = |one: &&Arc<Override>| {
            one.starts.is_some_and(|starts| last < starts && starts <= plan.now)
        };
        let changed = plan.set.iter().filter(begins).chain(&plan.ended);
        let accepted = changed.map(|one| one.accepted.iter().copied().collect::<BTreeSet<_>>());
        let of_all = accepted.reduce(|some, others| &some & &others).unwrap_or_default();
        RuleConsent { accepted: &of_all | self.rule_holds.consent(), ..RuleConsent::default() }
    }

    /// Whether an operator asked for the first change.
    fn is_request(&self) -> bool {
        matches!(self.override_changes.first(), Some(PendingOverride::Request(..)))
    }

    fn refuse_override(&mut self, error: OverrideError) {
        let Some(PendingOverride::Request(request, reply)) = self.override_changes.pop_first()
        else {
            return;
        };
        if let OverrideError::Forbidden(violations) = &error {
            self.report_refused(request.action.as_str(), violations);
        }
        // The client may be gone.
        let _ = reply.send(Err(error));
    }

    /// Saves the overrides of the first change, publishes their `charts`, and replies. Without
    /// charts, answers stay as they are.
    async fn commit_overrides(
        &mut self,
        plan: OverridePlan,
        charts: Option<CompiledCharts>,
        accepted: Acceptance,
    ) {
        let Acceptance { distressed, overridden, movement } = accepted;
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
        if is_timer && charts.is_none() {
            self.rule_holds.set_last_time(now);
            self.remember_time();
        }
        match is_timer {
            true => self.end_timer_hold(),
            // A rule may permit more now.
            false => self.rule_holds.retry_now(),
        }
        if let Some(charts) = charts {
            self.put_overrides_in_force(charts, now).await;
            self.remember_time();
            self.note_movement(movement);
        }
        self.report_ended_overrides(&ended);
        if let Some(PendingOverride::Request(request, reply)) = self.override_changes.pop_first() {
            self.report_overridden(&overridden, &request.consent());
            self.report_override_changes(&request, &changes);
            let report = self.override_report(&request, subjects, changes, distressed);
            // The client may be gone.
            let _ = reply.send(Ok(report));
        }
    }

    /// Publishes charts of another effective topology of the configuration in use.
    /// They are applied for `now`, in seconds since 1970.
    async fn put_overrides_in_force(&mut self, charts: CompiledCharts, now: i64) {
        let keeps_overrides =
            self.loaded.topology.overrides == charts.compiler().topology().overrides;
        self.loaded.compiler = Arc::clone(charts.compiler());
        self.loaded.topology = Arc::clone(charts.compiler().topology());
        self.loaded.compiled = Some(charts);
        let topology = &self.loaded.topology;
        self.conditions.set_load_sources(topology).await;
        self.rule_holds.set_last_time(now);
        let before = self.conditions.update_datacenter_states(topology, now);
        if let Some(before) = before.filter(|_| keeps_overrides) {
            drain::log_expired_states(topology, &before, &self.conditions.current().datacenters);
        }
        self.probing.set_topology(topology, self.conditions.current()).await;
        self.requirement_check.begin(&self.loaded, self.metronome.activate());
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
