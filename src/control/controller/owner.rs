//! The controller's object: it owns everything that changes, in objects that each keep their own
//! invariants. The other files of this folder say what it does with them.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    drain_checks::DrainChecks, event_effect::EventEffect, journaling::Journaling,
    live_conditions::LiveConditions, movement_meter::MovementMeter,
    override_changes::OverrideChanges, pending_failbacks::PendingFailbacks,
    persistence::Persistence, probing::Probing, publication::Publication, reloads::Reloads,
    requirement_check::RequirementCheck,
};
use crate::{
    control::{
        LoadedConfig, compile_worker::CompileWorker, handle::ControllerCommand,
        rule_holds::RuleHolds, status::ServerStatus,
    },
    transport::PreemptionTimer,
};

/// Events within this time become one snapshot.
const COALESCE_DELAY: Duration = Duration::from_millis(20);

/// The controller. It owns all inputs of snapshots, and runs until it is told to stop.
#[derive(Debug)]
pub struct Controller {
    /// The configuration in use.
    pub(super) loaded: LoadedConfig,
    /// The newest conditions, and what changes them.
    pub(super) conditions: LiveConditions,
    pub(super) probing: Probing,
    /// The snapshot in force, and what follows from it.
    pub(super) publication: Publication,
    pub(super) reloads: Reloads,
    pub(super) worker: CompileWorker,
    pub(super) drain_checks: DrainChecks,
    pub(super) override_changes: OverrideChanges,
    pub(super) requirement_check: RequirementCheck,
    pub(super) failbacks: PendingFailbacks,
    pub(super) rule_holds: RuleHolds,
    pub(super) movement_meter: MovementMeter,
    pub(super) persistence: Persistence,
    pub(super) journaling: Journaling,
    /// Commands that wait for a snapshot whose charts all belong to the same conditions.
    pub(super) deferred_commands: Vec<ControllerCommand>,
    /// Gets a message at the end of the first round of probes. Until then outcomes are collected
    /// and not published one by one.
    pub(super) first_round: Option<oneshot::Sender<()>>,
    pub(super) metronome: PreemptionTimer,
    pub(super) server: Arc<ServerStatus>,
}

impl Controller {
    /// Schedules what an event calls for.
    pub(super) fn schedule(&mut self, effect: EventEffect) {
        if effect.needs_publication {
            self.publication.schedule(COALESCE_DELAY);
        }
        if effect.needs_saving {
            self.persistence.schedule();
        }
    }
}
