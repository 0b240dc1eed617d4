//! Files: a load is applied whole or refused whole, and the clients that wait for it get a reply.

use std::sync::Arc;

use super::{
    background::drop_in_background,
    channels::EventChannels,
    event_effect::EventEffect,
    owner::Controller,
    reloads::{LoadResult, PendingReply},
};
use crate::{
    control::{
        LoadedConfig,
        config_errors::ConfigErrors,
        config_load::{Judgement, JudgementBase, ReloadBase, ReloadOutcome, RequirementPolicy},
        handle::{DrainError, DrainReport, ReloadError, ReloadReport},
        report,
        safety::RuleViolation,
        saved_serials::{Completeness, EarlierSerials},
        status::{HeldStatus, RampStatus},
    },
    steer::WheelCache,
    transport,
};

/// The log names this many removed zones, and as many services.
const MAX_LOGGED_NAMES: usize = 100;

impl Controller {
    /// Reads the files on a thread of its own; again if they change meanwhile.
    pub(super) fn reload(&mut self) {
        if self.reloads.is_running() {
            self.reloads.note_newer_edit();
            return;
        }
        let drained_charts = self.drain_checks.take_accepted_charts();
        let base = ReloadBase {
            databases: self.loaded.databases.clone(),
            surveys: self.loaded.surveys.clone(),
            wheels: WheelCache::default(),
            compiled: drained_charts.or_else(|| self.publication.charts().cloned()),
            serials: Some(EarlierSerials {
                serials: self.loaded.serials.clone(),
                completeness: Completeness::Complete,
            }),
            last_good: Arc::clone(&self.loaded.last_good),
            overrides: Arc::clone(&self.loaded.overrides),
            applied: Some(self.loaded.applied()),
            requirements: RequirementPolicy::AsWritten,
            steering_time: self.rule_holds.held_time(),
            judgement: JudgementBase {
                window: self.conditions.safety().window.clone(),
                answers: self.answer_counts(),
                demand: Some(self.persistence.demand()),
                ..JudgementBase::default()
            },
            ..ReloadBase::default()
        };
        let guard = self.metronome.activate();
        if let Err(errors) = self.reloads.start(base, self.worker.copy_wheels(), guard) {
            self.reply_to_all(&Err(errors));
        }
    }

    /// Applies the result of a load; `None` if a panic ended the load.
    pub(super) async fn apply_reload(
        &mut self,
        result: Option<LoadResult>,
        channels: &mut EventChannels,
    ) {
        let _guard = self.metronome.activate();
        self.reloads.end();
        if let Some(Ok(ReloadOutcome::Config(loaded))) = &result
            && self.is_judged_otherwise(loaded)
        {
            self.reloads.repeat();
            return self.reload();
        }
        let outcome = match result {
            Some(Ok(ReloadOutcome::Config(loaded))) => {
                self.apply_config(*loaded, channels).await;
                Ok(())
            }
            Some(Ok(ReloadOutcome::Unchanged(databases, report))) => {
                self.loaded.databases = databases;
                // Certificates and keys need not be among the files that were compared.
                self.probing.reread_credentials().await;
                self.reloads.apply_hold_report(report, &self.loaded);
                Ok(())
            }
            Some(Err(refusal)) => Err(self.reloads.record_refusal(refusal)),
            None => Err(self.reloads.record_panic()),
        };
        self.report_load(&outcome);
        self.reply_to_all(&outcome);
        if self.reloads.take_needs_another() {
            self.reload();
        }
    }

    /// Whether overrides changed during a load under rules. The load is judged again: load and
    /// overrides together may break a rule.
    fn is_judged_otherwise(&self, loaded: &LoadedConfig) -> bool {
        let has_rules = |config: &LoadedConfig| config.config.safety.rules.has_limits();
        !Arc::ptr_eq(&loaded.overrides, &self.loaded.overrides)
            && (has_rules(loaded) || has_rules(&self.loaded))
    }

    async fn apply_config(&mut self, mut loaded: LoadedConfig, channels: &mut EventChannels) {
        self.reloads.warn_of_required_restart(&mut loaded);
        if !Arc::ptr_eq(&loaded.overrides, &self.loaded.overrides) {
            // They changed during the load.
            let now = self.rule_holds.steering_time();
            loaded.apply_overrides(Arc::clone(&self.loaded.overrides), now);
        }
        // New aliases are resolved before they are part of any answer. The configuration in use
        // keeps serving meanwhile.
        let aliases = self.conditions.aliases_mut();
        aliases.set_aliases(&loaded.topology.aliases, &loaded.config.server.resolvers);
        let needs_saving = aliases.wait_for_first_reports(&mut channels.alias_reports).await;
        self.schedule(EventEffect { needs_publication: false, needs_saving });
        drop_in_background(std::mem::replace(&mut self.loaded, loaded));
        let topology = &self.loaded.topology;
        self.probing.set_canaries(&self.loaded.config.server.canaries);
        self.conditions.set_load_sources(topology).await;
        let now = self.rule_holds.steering_time();
        self.conditions.update_datacenter_states(topology, now);
        self.probing.set_topology(topology, self.conditions.current()).await;
        self.switch_compiler().await;
        self.note_judgement();
        self.remember_time();
        self.rule_holds.retry_now();
        self.reloads.record_applied(&self.loaded);
        tracing::info!(
            generation = self.publication.generation(),
            services = self.loaded.topology.services.len(),
            "configuration applied"
        );
        self.log_removed();
        self.log_warnings();
        self.requirement_check.begin(&self.loaded, self.metronome.activate());
        self.persistence.save_files(&self.loaded);
        let guard = self.metronome.activate();
        tokio::task::spawn_blocking(move || {
            transport::release_free_memory();
            drop(guard);
        });
    }

    /// Records what the load moved, and the rules that an operator went around with it.
    fn note_judgement(&mut self) {
        let Judgement { violations, movement } = std::mem::take(&mut self.loaded.judgement);
        self.note_movement(movement);
        let consent = self.reloads.running_consent().clone();
        let is_accepted = |violation: &RuleViolation| consent.accepts(violation);
        let overridden: Vec<_> = violations.into_iter().filter(is_accepted).collect();
        self.report_overridden(&overridden, &consent);
    }

    /// Logs the zones and services that the configuration no longer has: clients no longer find
    /// them.
    pub(super) fn log_removed(&self) {
        for (kind, names) in [
            ("zone", &self.loaded.removed_names.zones),
            ("service", &self.loaded.removed_names.services),
        ] {
            for name in names.iter().take(MAX_LOGGED_NAMES) {
                tracing::warn!(kind, %name, "removed from the configuration: queries for it are no longer answered");
            }
            if let Some(more) = names.len().checked_sub(MAX_LOGGED_NAMES).filter(|more| *more > 0) {
                tracing::warn!(kind, more, "more were removed from the configuration");
            }
        }
    }

    pub(super) fn log_warnings(&self) {
        for warning in &self.loaded.warnings {
            tracing::warn!(%warning, "configuration warning");
        }
    }

    // Replies

    fn reply_to_all(&mut self, outcome: &Result<(), ConfigErrors>) {
        for reply in self.reloads.take_replies() {
            self.send_reply(reply, outcome.clone());
        }
    }

    /// Replies to a client with the outcome of the reload that it waited for.
    pub(super) fn send_reply(&self, reply: PendingReply, outcome: Result<(), ConfigErrors>) {
        // In both cases the receiver may be gone.
        match reply {
            PendingReply::Reload(reply) => {
                let report = outcome.map(|()| self.reload_report());
                let _ = reply.send(report.map_err(ReloadError::Refused));
            }
            PendingReply::SetState(report, reply) => {
                let _ = reply.send(self.drain_report(*report, outcome));
            }
        }
    }

    fn reload_report(&self) -> ReloadReport {
        ReloadReport {
            generation: self.publication.generation(),
            held: self.reloads.held(),
            removal: self.reloads.hold_tracker().report().held_removal.clone(),
            forbidden: self.reloads.hold_tracker().report().refused.clone(),
            certificates: Vec::new(),
        }
    }

    /// Completes the report of a drain after the load of its edit.
    fn drain_report(
        &self,
        mut report: DrainReport,
        outcome: Result<(), ConfigErrors>,
    ) -> Result<DrainReport, DrainError> {
        let is_edited = |file: &HeldStatus| report.files.contains(&file.file);
        if let Some(file) = self.reloads.held().into_iter().find(is_edited) {
            return Err(DrainError::Refused(ConfigErrors::new(file.errors)));
        }
        outcome.map_err(DrainError::Refused)?;
        report.generation = self.publication.generation();
        for (name, drain) in &mut report.datacenters {
            *drain = self.publication.drain_tracker().effective(name);
        }
        let snapshot = self.publication.snapshot();
        let inputs = self.status_inputs(&snapshot);
        let outcomes = std::mem::take(&mut report.outcomes).into_iter();
        report.outcomes = outcomes.map(|outcome| report::drain_outcome(&inputs, outcome)).collect();
        let is_named =
            |ramp: &RampStatus| report.datacenters.iter().any(|(name, _)| *name == ramp.name);
        report.ramps = report::ramps(inputs.load_controller).into_iter().filter(is_named).collect();
        Ok(report)
    }
}
