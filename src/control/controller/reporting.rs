//! What the controller reports to the journal and to the history, and what a replay gets from it.

use std::sync::Arc;

use super::{owner::Controller, probing::Probing};
use crate::{
    control::{
        config_errors::ConfigErrors,
        history::ReplayBase,
        journal::{Event, EventAuthor, EventKind},
        outcome_text::outcome_text,
        overrides::{OverrideAuthor, OverrideChange, OverrideRequest},
    },
    steer::{Conditions, Override, ProbeId},
};

impl Controller {
    /// Reports the conditions of the snapshot in force, with the reasons for changes of health.
    pub(super) fn report_publication(&mut self) {
        let conditions = Arc::clone(self.publication.conditions());
        let (generation, probing) = (self.publication.generation(), &self.probing);
        self.journaling
            .publish(generation, conditions, |before, after| health_causes(probing, before, after));
    }

    /// Reports the overrides that a request set or removed.
    pub(super) fn report_override_changes(
        &self,
        request: &OverrideRequest,
        changes: &[OverrideChange],
    ) {
        let OverrideAuthor { user, peer } = request.author.clone();
        let author = EventAuthor { user, peer };
        for change in changes.iter().filter(|change| change.change != "unchanged") {
            let OverrideChange { subject, change, text } = change;
            self.journaling.journal().append(Event {
                action: Some(request.action.as_str().to_owned()),
                after: Some(format!("override {change}: {text}")),
                author: Some(author.clone()),
                cause: request.options.reason.clone(),
                generation: Some(self.publication.generation()),
                ..Event::new(EventKind::Override, subject.as_str())
            });
        }
    }

    /// Reports the overrides whose end has passed.
    pub(super) fn report_ended_overrides(&self, ended: &[Arc<Override>]) {
        for one in ended {
            self.journaling.journal().append(Event {
                before: Some(one.value.text()),
                after: Some("what the files say".to_owned()),
                cause: Some("its end has passed".to_owned()),
                generation: Some(self.publication.generation()),
                ..Event::new(EventKind::Override, one.subject.to_string())
            });
        }
    }

    /// What an explanation of an earlier answer starts from.
    pub(super) fn replay_base(&self) -> ReplayBase {
        ReplayBase {
            locations: self.reloads.locations().clone(),
            configuration: Arc::clone(self.journaling.configuration()),
            compiler: Arc::clone(&self.loaded.compiler),
            surveys: self.loaded.surveys.clone(),
            zones: Arc::clone(&self.loaded.zones),
            databases: Arc::clone(self.loaded.databases()),
        }
    }

    /// Reports a doubt that began or ended.
    pub(super) fn report_doubt(&mut self) {
        let is_frozen = self.probing.ledger().doubt().is_frozen();
        self.journaling.record_doubt(is_frozen, self.publication.generation());
    }

    /// Reports the outcome of a load: files that are held, and a refusal of all.
    pub(super) fn report_load(&mut self, outcome: &Result<(), ConfigErrors>) {
        let generation = self.publication.generation();
        let removal = self.reloads.hold_tracker().report().held_removal.as_ref();
        self.journaling.record_held(self.reloads.held(), removal, generation);
        let refused = self.reloads.hold_tracker().report().refused.clone();
        if self.rule_holds.set_refused_load(&refused) {
            self.report_refused("reload", &refused);
        }
        self.journaling.record_refusal(outcome, generation);
    }
}

/// For each target whose verdict differs: the outcome of its last health check.
fn health_causes(
    probing: &Probing,
    before: &Conditions,
    after: &Conditions,
) -> Vec<(ProbeId, String)> {
    let pairs = before.health_statuses.iter().zip(&after.health_statuses).zip((0..).map(ProbeId));
    let changed = pairs.filter(|((before, after), _)| before.verdict != after.verdict);
    let cause = |(_, id): (_, ProbeId)| {
        let (outcome, _) = probing.ledger().last_outcome(probing.keys().get(id.index())?)?;
        Some((id, outcome_text(outcome)))
    };
    changed.filter_map(cause).collect()
}
