//! What reports are made from: a borrowed view of the controller at one moment.

use std::time::Duration;

use crate::{
    control::{
        LoadedConfig,
        aliases::Aliases,
        drain_tracker::DrainTracker,
        hold_tracker::HoldTracker,
        load_controller::LoadController,
        rule_holds::RuleHolds,
        safety::RuleViolation,
        safety_memory::SafetyMemory,
        state::StateDirectory,
        status::{ConfigurationStatus, ServerStatus},
    },
    health::{Failure, HealthStatus, Ledger},
    probe::{ProbeKey, Prober},
    snapshot::Snapshot,
    steer::Conditions,
};

/// What reports are made from. `snapshot`, `conditions` and `drain_tracker` belong together.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct StatusInputs<'a> {
    pub server: &'a ServerStatus,
    /// The snapshot in force.
    pub snapshot: &'a Snapshot,
    /// The configuration that the snapshot was made from.
    pub loaded: &'a LoadedConfig,
    /// The conditions that the snapshot's charts were compiled under.
    pub conditions: &'a Conditions,
    pub configuration: &'a ConfigurationStatus,
    /// The requirements that do not hold, one line each.
    pub requirements: &'a [String],
    /// The files that are not in use as they are.
    pub held_files: &'a HoldTracker,
    /// The directory, with its list of what could not be saved.
    pub state_directory: &'a StateDirectory,
    pub drain_tracker: &'a DrainTracker,
    pub load_controller: &'a LoadController,
    /// Why overrides of a previous run are lost.
    pub override_fault: Option<&'a str>,
    pub rules: RuleInputs<'a>,
    pub aliases: &'a Aliases,
    pub probes: ProbeInputs<'a>,
}

/// What reports about safety rules are made from.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct RuleInputs<'a> {
    pub holds: &'a RuleHolds,
    pub memory: &'a SafetyMemory,
    /// The rule that holds load feedback.
    pub feedback_held_by: Option<&'a RuleViolation>,
    /// Each probe's health status as the health checks have it.
    pub checked: &'a [HealthStatus],
}

/// What reports about health checks are made from.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct ProbeInputs<'a> {
    pub ledger: &'a Ledger<ProbeKey>,
    /// The key of each probe, by [`crate::steer::ProbeId`].
    pub keys: &'a [ProbeKey],
    pub prober: &'a Prober,
    /// Each monitor that cannot work, by name, and why.
    pub monitor_faults: &'a [(Box<str>, Failure)],
    /// How often the checker froze all verdicts since the start.
    pub freezes: u64,
    /// The time of the report, in the ledger's clock.
    pub now: Duration,
}
