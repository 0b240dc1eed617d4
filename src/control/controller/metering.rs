//! Metering: the movement meter measures publications, and what it measured is recorded.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::owner::Controller;
use crate::{
    control::{clock::unix_now, safety::MeasuredMovement},
    engine::{PlanOptions, PlanSide, moved_share},
    steer::{CompiledCharts, Conditions},
};

/// Whether inputs that no rule can hold differ: health, aliases, recoveries, failover holders.
fn differs(before: &Conditions, after: &Conditions) -> bool {
    before.health_statuses != after.health_statuses
        || before.aliases != after.aliases
        || before.recovering != after.recovering
        || before.adjustments.holders != after.adjustments.holders
}

impl Controller {
    /// Measures what a publication moved, if it was of health and a rule limits movement.
    pub(super) fn meter_publication(&mut self, before: &CompiledCharts, after: &CompiledCharts) {
        if self.loaded.config.safety.rules.movement.is_none()
            || !differs(before.conditions(), after.conditions())
        {
            return;
        }
        if self.movement_meter.running.is_some() {
            self.movement_meter.queued.get_or_insert_with(|| before.clone());
            return;
        }
        let (before, after) = (before.clone(), after.clone());
        let databases = Arc::clone(self.loaded.databases());
        let options = PlanOptions { answers: self.answer_counts(), ..PlanOptions::default() };
        let (reply, running) = oneshot::channel();
        self.movement_meter.running = Some(running);
        let demand = self.persistence.demand();
        // It ends by itself, and its result is dropped if the controller has stopped.
        tokio::task::spawn_blocking(move || {
            let options = PlanOptions { observed: demand.observed_blocking(), ..options };
            let before = PlanSide { compiled: &before, databases: &databases };
            let after = PlanSide { compiled: &after, databases: &databases };
            let _ = reply.send(moved_share(before, after, &options).share);
        });
    }

    /// Records what was measured, and measures what came meanwhile.
    pub(super) fn end_measurement(&mut self, moved: Option<f64>) {
        self.movement_meter.running = None;
        let movement = moved.map(|share| MeasuredMovement { at: unix_now(), over_secs: 0, share });
        self.note_movement(movement);
        let queued = self.movement_meter.queued.take();
        if let (Some(before), Some(after)) = (queued, self.publication.charts().cloned()) {
            self.meter_publication(&before, &after);
        }
    }
}
