//! Commands of operators and of the process.

use std::sync::Arc;

use super::{owner::Controller, pending_failbacks::PendingFailback};
use crate::{
    control::{
        handle::{ControllerCommand, ListDetail, ReloadRequest},
        report::{self, ProbeInputs, RuleInputs, StatusInputs},
        status::Status,
    },
    engine,
    snapshot::Snapshot,
};

impl Controller {
    /// Carries out a command, or defers it.
    pub(super) fn handle_command(&mut self, command: ControllerCommand) {
        match command {
            // Some charts in force are still of earlier conditions, which neither report would
            // explain.
            ControllerCommand::Status(..)
            | ControllerCommand::Services(..)
            | ControllerCommand::Subject(..)
            | ControllerCommand::Explain(..)
            | ControllerCommand::Steering(..)
                if !self.publication.is_consistent() =>
            {
                self.deferred_commands.push(command)
            }
            ControllerCommand::Status(detail, reply) => {
                let _ = reply.send(self.status(detail));
            }
            ControllerCommand::Services(reply) => {
                let snapshot = self.publication.snapshot();
                let _ = reply.send(report::services(&self.status_inputs(&snapshot)));
            }
            ControllerCommand::Subject(name, reply) => {
                let snapshot = self.publication.snapshot();
                let report = report::subject(&self.status_inputs(&snapshot), &name);
                let _ = reply.send((report, Arc::clone(&self.loaded.last_good)));
            }
            ControllerCommand::Explain(request, reply) => {
                let snapshot = self.publication.snapshot();
                let context = engine::SnapshotContext {
                    snapshot: &snapshot,
                    databases: self.loaded.databases(),
                    conditions: self.publication.conditions(),
                };
                let _ = reply.send(engine::explain(&context, &request));
            }
            ControllerCommand::ReplayBase(reply) => {
                let _ = reply.send(self.replay_base());
            }
            ControllerCommand::Steering(reply) => {
                let snapshot = self.publication.snapshot();
                let _ = reply.send(report::steering(&self.status_inputs(&snapshot)));
            }
            ControllerCommand::ForceFailback(pool, consent, reply) => {
                self.failbacks.push(PendingFailback { pool, consent, reply });
                self.begin_failback();
            }
            ControllerCommand::Reload(request, reply) => {
                if let ReloadRequest::Apply(consent) = &request {
                    self.rule_holds.accept(&consent.accepted);
                }
                self.reloads.request(request, reply);
                // A half-written file is never read: its closing causes a reload.
                if self.reloads.is_being_written() {
                    self.reloads.schedule();
                } else {
                    self.reload();
                }
            }
            ControllerCommand::SetState(request, reply) => self.set_state(request, reply),
            ControllerCommand::SetOverrides(request, reply) => self.set_overrides(request, reply),
            // The task's loop ends with this command.
            ControllerCommand::Stop(_) => {}
        }
    }

    /// Carries out the commands that waited for a consistent snapshot.
    pub(super) fn handle_deferred_commands(&mut self) {
        for command in std::mem::take(&mut self.deferred_commands) {
            self.handle_command(command);
        }
    }

    fn status(&self, detail: ListDetail) -> Status {
        let _guard = self.metronome.activate();
        let snapshot = self.publication.snapshot();
        report::status(&self.status_inputs(&snapshot), detail)
    }

    /// What reports are made from.
    pub(super) fn status_inputs<'a>(&'a self, snapshot: &'a Snapshot) -> StatusInputs<'a> {
        StatusInputs {
            server: &self.server,
            snapshot,
            loaded: &self.loaded,
            conditions: self.publication.conditions(),
            configuration: self.reloads.configuration(),
            requirements: self.requirement_check.failing(),
            held_files: self.reloads.hold_tracker(),
            state_directory: self.persistence.state_directory(),
            drain_tracker: self.publication.drain_tracker(),
            load_controller: self.conditions.load_controller(),
            override_fault: self.override_changes.fault(),
            rules: RuleInputs {
                holds: &self.rule_holds,
                memory: self.conditions.safety(),
                feedback_held_by: self.conditions.feedback_gate().held_by(),
                checked: self.conditions.checked(),
            },
            aliases: self.conditions.aliases().aliases(),
            probes: ProbeInputs {
                ledger: self.probing.ledger(),
                keys: self.probing.keys(),
                prober: self.probing.prober(),
                monitor_faults: self.probing.faulty_monitors(),
                freezes: self.probing.freezes(),
                now: self.probing.elapsed(),
            },
        }
    }
}
