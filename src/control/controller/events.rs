//! Events between edits: outcomes of probes and canaries, addresses of aliases, load reports.

use super::{event_effect::EventEffect, owner::Controller};
use crate::{
    health::{Failure, Outcome},
    probe::{PollReport, ProbeReport},
    resolve::AliasReport,
    steer::{ProbeId, ServiceId},
};

impl Controller {
    /// Records the outcome of a probe.
    pub(super) fn record_probe(&mut self, report: &ProbeReport) {
        if let Err(failure @ Failure::MonitorUnusable(_)) = &report.outcome.result {
            self.probing.record_unusable_monitor(&report.key, failure);
            return;
        }
        let (publication, compiler) = (&self.publication, &self.loaded.compiler);
        let is_in_down_service = |probe: ProbeId| {
            let charts = &publication.snapshot().charts;
            let is_down = |service: ServiceId| {
                charts.get(service.index()).is_some_and(|chart| chart.is_down())
            };
            compiler.services_of(probe).any(is_down)
        };
        let effect = self.probing.record(report, is_in_down_service);
        self.schedule(effect);
        self.report_doubt();
        if let Some(id) = self.probing.id(&report.key) {
            self.conditions.record_probe(id, report);
        }
    }

    /// Records the outcome of a canary.
    pub(super) fn record_canary(&mut self, outcome: &Outcome) {
        let effect = self.probing.record_canary(outcome);
        self.schedule(effect);
        self.report_doubt();
    }

    /// Records the addresses of an alias.
    pub(super) fn apply_alias_report(&mut self, report: AliasReport) {
        let needs_saving = self.conditions.aliases_mut().apply(report);
        self.schedule(EventEffect { needs_publication: true, needs_saving });
    }

    /// Records the result of a poll of a load source.
    pub(super) fn record_poll(&mut self, report: PollReport) {
        self.conditions.record_poll(report);
        self.schedule(EventEffect { needs_publication: true, needs_saving: false });
    }
}
