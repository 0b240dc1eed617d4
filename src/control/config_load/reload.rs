//! What a load continues from, what asked for it, and what came of it.

use std::sync::Arc;

use super::{
    judgement::JudgementBase,
    last_run::LastRun,
    loaded_config::{AppliedConfig, LoadedConfig},
};
use crate::{
    control::{
        databases::DatabaseFiles, held_file::HoldReport, last_good::LastGood,
        removal::MissingFiles, saved_serials::EarlierSerials, watch::FileWatch,
    },
    steer::{CompiledCharts, OverrideSet, Surveys, WheelCache},
};

/// What a load continues from. The default is a first load.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct ReloadBase {
    pub databases: DatabaseFiles,
    pub surveys: Surveys,
    /// The tables that the wheels of the charts in force share.
    pub wheels: WheelCache,
    /// The charts in force or, after the check of a drain, those that its edit will put in force.
    /// Services that the load does not change keep their charts.
    pub compiled: Option<CompiledCharts>,
    /// The serials that zones had; `None` if they are lost.
    pub serials: Option<EarlierSerials>,
    /// The files that errors fall back to. It is empty if nothing was applied before: then any
    /// error refuses the whole load.
    pub last_good: Arc<LastGood>,
    /// The configuration in force, which is made of `last_good`; `None` before the first load.
    pub applied: Option<AppliedConfig>,
    /// What operators set over the files.
    pub overrides: Arc<OverrideSet>,
    /// The time that overrides and the states of datacenters have in force, in seconds since 1970,
    /// while a rule holds what the clock would change; `None` for the present.
    pub steering_time: Option<i64>,
    /// The configuration in which an earlier run ended, if files have changed since.
    pub last_run: Option<Arc<LastRun>>,
    /// What the load is judged with.
    pub judgement: JudgementBase,
    pub missing_files: MissingFiles,
    /// Whether requirements are verified before the configuration is applied.
    pub requirements: RequirementPolicy,
    /// Receives what the load depends on, and knows which files are open for writing.
    pub watch: Option<FileWatch>,
}

/// When a requirement that does not hold prevents a load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::control) enum RequirementPolicy {
    /// Never: the load is for a command that only reads, or the requirements are verified after it.
    #[default]
    Ignored,
    /// Where the files say `enforce-asserts = true`.
    AsWritten,
    /// Always, as in `check`.
    Required,
}

/// What asked for a load. Later variants permit more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::control) enum ReloadTrigger {
    /// A change of the files, or a timer.
    #[default]
    FileChange,
    /// An operator. The load does not wait for files that have disappeared.
    Operator,
    /// An operator who accepts whatever the files remove.
    AcceptRemoval,
}

/// The outcome of a load that was not refused.
#[derive(Debug)]
pub(in crate::control) enum ReloadOutcome {
    /// The files say what they said before, and so do the databases in use. The newest files of
    /// databases may have errors.
    Unchanged(DatabaseFiles, HoldReport),
    /// The files differ, and this is their configuration.
    Config(Box<LoadedConfig>),
}
