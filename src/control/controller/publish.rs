//! Snapshots: the worker compiles what changed, and its charts are published.

use std::sync::Arc;

use super::owner::Controller;
use crate::control::compile_worker::{CompileCache, CompileOutput, CompilerSwitch};

impl Controller {
    /// Switches the worker to the compiler of the configuration in use, waits for its charts, and
    /// publishes them.
    pub(super) async fn switch_compiler(&mut self) {
        let surveys_for_loads = self.loaded.surveys.without_folds();
        let caches = CompileCache {
            surveys: std::mem::replace(&mut self.loaded.surveys, surveys_for_loads),
            wheels: std::mem::take(&mut self.loaded.wheels),
        };
        self.switch_compiler_with(Some(caches)).await;
    }

    /// The same, with the caches that the worker has if `caches` is `None`.
    pub(super) async fn switch_compiler_with(&mut self, caches: Option<CompileCache>) {
        let _guard = self.metronome.activate();
        let held = self.conditions.safety().hold.held().clone();
        self.conditions.rebuild(&self.loaded, &mut self.probing);
        self.report_health_hold(&held);
        self.publication.unschedule();
        self.drain_checks.take_accepted_charts();
        let switch = CompilerSwitch {
            compiled: self.loaded.compiled.take(),
            compiler: Arc::clone(&self.loaded.compiler),
            conditions: Arc::new(self.conditions.current().clone()),
            caches,
        };
        self.movement_meter.skip();
        // Without a reply the worker has ended, and so will this task.
        if let Ok(charts) = self.worker.switch_compiler(switch).await {
            self.publication.publish(&self.loaded, charts, &mut self.conditions);
            self.journaling.set_configuration(&self.loaded);
            self.report_publication();
            self.handle_deferred_commands();
        }
    }

    /// Has the worker compile what differs between the newest conditions and those in force.
    pub(super) fn request_compile(&mut self) {
        self.publication.unschedule();
        self.worker.compile_under(Arc::new(self.conditions.current().clone()));
    }

    /// Makes the conditions follow what changed. Returns whether the worker has to compile anything
    /// because of it.
    pub(super) fn update_conditions(&mut self) -> bool {
        self.publication.unschedule();
        let held = self.conditions.safety().hold.held().clone();
        let update = self.conditions.update(&self.loaded, &mut self.probing);
        self.report_health_hold(&held);
        self.try_feedback();
        if update.needs_saving {
            self.persistence.schedule();
        }
        if update.is_changed {
            self.request_compile();
        }
        update.is_changed
    }

    /// Publishes what the worker compiled.
    pub(super) fn publish_output(&mut self, output: &CompileOutput) {
        let charts = &output.compiled;
        // Charts of an earlier configuration do not fit a snapshot of this one.
        if !Arc::ptr_eq(charts.compiler(), &self.loaded.compiler) {
            return;
        }
        if output.is_complete {
            if let Some(before) = self.publication.charts().cloned() {
                self.meter_publication(&before, charts);
            }
            self.publication.publish(&self.loaded, charts.clone(), &mut self.conditions);
            self.report_publication();
            self.handle_deferred_commands();
        } else {
            self.publication.publish_mixed(&self.loaded, charts);
        }
    }
}
