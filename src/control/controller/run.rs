//! The controller's task: one event after another, and after each the timers that are due.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant as TokioInstant, sleep_until},
};

use super::{channels::EventChannels, owner::Controller};
use crate::{
    control::{clock::unix_now, drain, handle::ControllerCommand},
    health::Outcome,
};

impl Controller {
    /// Runs until a command stops the controller, or the compile worker ends.
    pub(super) async fn run(
        mut self,
        mut channels: EventChannels,
        canary_outcomes: mpsc::Sender<Outcome>,
    ) {
        let prober = Arc::clone(self.probing.prober());
        let mut first_round = std::pin::pin!(prober.wait_for_first_round());
        loop {
            let wake = self.next_due();
            tokio::select! {
                biased;
                output = self.worker.next_output() => match output {
                    Some(output) => self.publish_output(&output),
                    // The worker panicked: no change can be published any more, as after a panic of
                    // this task.
                    None => return,
                },
                // An operator waits, in an emergency: health checks in any number do not delay it.
                outcome = self.override_changes.next_outcome() => {
                    self.end_override_compile(outcome).await
                }
                Some(report) = channels.probe_reports.recv() => self.record_probe(&report),
                Some(report) = channels.alias_reports.recv() => self.apply_alias_report(report),
                Some(report) = channels.poll_reports.recv() => self.record_poll(report),
                Some(outcome) = channels.canary_outcomes.recv() => self.record_canary(&outcome),
                command = channels.commands.recv() => match command {
                    Some(ControllerCommand::Stop(reply)) => return self.stop(reply).await,
                    Some(command) => self.handle_command(command),
                    None => return,
                },
                Some(()) = channels.edits.recv() => self.reload(),
                is_changed = self.probing.monitor_faults().check_finished() => {
                    if is_changed {
                        self.probing.reread_credentials().await;
                    }
                }
                result = self.reloads.finished() => self.apply_reload(result, &mut channels).await,
                outcome = self.drain_checks.next_outcome() => self.end_drain_check(outcome),
                outcome = self.conditions.feedback_gate_mut().next_outcome() => {
                    self.end_feedback_trial(outcome)
                }
                outcome = self.failbacks.next_outcome() => self.end_failback_trial(outcome),
                moved = self.movement_meter.finished() => self.end_measurement(moved),
                failing = self.requirement_check.finished() => {
                    let guard = self.metronome.activate();
                    self.requirement_check.end(failing, &self.loaded, guard);
                }
                () = &mut first_round, if self.first_round.is_some() => {
                    self.end_first_round(&mut channels).await
                }
                () = sleep_until(wake.unwrap_or_else(TokioInstant::now)), if wake.is_some() => {}
            }
            self.run_due_timers(&canary_outcomes).await;
        }
    }

    /// Saves what must survive, and ends the task.
    async fn stop(self, reply: oneshot::Sender<()>) {
        self.journaling.record_stop(self.publication.generation()).await;
        self.persistence.finish(&self.loaded, &self.probing, &self.conditions).await;
        let _ = reply.send(());
    }

    /// Publishes the verdicts of the first round of probes, and lets the start continue.
    async fn end_first_round(&mut self, channels: &mut EventChannels) {
        while let Ok(report) = channels.probe_reports.try_recv() {
            self.record_probe(&report);
        }
        // Queries are answered from now on, so that charts of the first verdicts must be in force.
        let mut is_in_force = !self.update_conditions();
        while !is_in_force && let Some(output) = self.worker.next_output().await {
            self.publish_output(&output);
            is_in_force = output.is_complete;
        }
        let ledger = self.probing.ledger();
        let (checked, endpoints) = (ledger.checked_count(), ledger.len());
        tracing::info!(checked, endpoints, "first round of health checks done");
        if let Some(done) = self.first_round.take() {
            // The receiver is gone where a signal ended the start.
            let _ = done.send(());
        }
    }

    /// The next moment at which a timer is due.
    fn next_due(&self) -> Option<TokioInstant> {
        let conditions = self.conditions.current();
        let state_end =
            drain::secs_to_next_state_end(&self.loaded.topology, conditions, unix_now())
                .map(|secs| TokioInstant::now() + Duration::from_secs(secs))
                .filter(|_| !self.override_changes.has_timer())
                .map(|at| self.rule_holds.retry_at().unwrap_or(at));
        // Nothing is published before the end of the first round.
        let is_serving = self.first_round.is_none();
        let publication = self.publication.due().filter(|_| is_serving);
        let conditions = self.conditions.due().filter(|_| is_serving);
        let persistence = Some(self.persistence.due());
        let due = [publication, conditions, persistence, self.reloads.due(), self.probing.due()];
        let feedback = self.conditions.feedback_gate().due().filter(|_| is_serving);
        due.into_iter().chain([state_end, self.overrides_due(), feedback]).flatten().min()
    }

    async fn run_due_timers(&mut self, canary_outcomes: &mpsc::Sender<Outcome>) {
        self.publication.drop_retired();
        let now = TokioInstant::now();
        let is_due = |at: Option<TokioInstant>| at.is_some_and(|at| at <= now);
        self.begin_timed_overrides();
        self.end_datacenter_states().await;
        let effect = self.probing.expire_pending_targets();
        self.schedule(effect);
        if self.first_round.is_none()
            && (is_due(self.publication.due()) || self.conditions.is_due())
        {
            self.update_conditions();
        }
        self.persistence.save_if_due(now, &self.probing, &self.conditions);
        if is_due(self.reloads.due()) {
            self.reload();
        }
        self.persistence.retry_if_due(now, &self.loaded, &self.probing, &self.conditions);
        if self.probing.monitor_faults().is_recheck_due(now) {
            self.probing.reread_credentials().await;
        }
        self.probing.monitor_faults().begin_check_if_due(now);
        if is_due(self.conditions.feedback_gate().due()) {
            self.try_feedback();
        }
        self.begin_drain_check();
        self.begin_override_change().await;
        self.rotate_cookies_if_due(now);
        self.probing.probe_canaries_if_due(now, canary_outcomes);
    }

    /// Applies the states of datacenters that have ended by their `until`.
    async fn end_datacenter_states(&mut self) {
        if self.has_rules() {
            // They are a change by the clock, which is judged first.
            return;
        }
        let topology = &self.loaded.topology;
        let now = self.rule_holds.steering_time();
        let Some(before) = self.conditions.update_datacenter_states(topology, now) else {
            return;
        };
        drain::log_expired_states(topology, &before, &self.conditions.current().datacenters);
        self.probing.set_topology(topology, self.conditions.current()).await;
        self.conditions.rebuild(&self.loaded, &mut self.probing);
        self.requirement_check.begin(&self.loaded, self.metronome.activate());
        self.request_compile();
    }

    fn rotate_cookies_if_due(&mut self, now: TokioInstant) {
        if self.persistence.rotate_cookies_if_due(now) {
            self.publication.set_cookie_keys(self.persistence.cookie_keys());
            tracing::info!("cookie keys rotated");
        }
    }
}
