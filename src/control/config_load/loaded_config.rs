//! A configuration that was loaded and compiled: what snapshots are made from.

use std::{collections::HashMap, sync::Arc};

use super::{judgement::Judgement, zones::BuiltZoneSummary};
use crate::{
    config::{Config, Footprint},
    control::{
        clock::unix_now, databases::DatabaseFiles, held_file::HoldReport, last_good::LastGood,
        removal::RemovedNames, saved_serials::SavedSerial,
    },
    dns::Name,
    geo::Databases,
    snapshot::{ServerIdentity, Snapshot},
    steer::{
        CompiledCharts, Compiler, Conditions, Numbering, OverrideSet, Surveys, Topology,
        WheelCache, apply_overrides,
    },
    zone::Zones,
};

/// A configuration with everything that follows from it before health is known.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The settings, and the names and origins of what is configured. The records have moved to
    /// `zones`.
    pub config: Arc<Config>,
    /// Warnings about what is in use, one line each.
    pub warnings: Vec<String>,
    /// The warnings about geography that pools need and no loaded database has. `warnings` has them
    /// too.
    pub geography_warnings: Vec<String>,
    /// The effective topology: `configured`, with what `overrides` set in place of it.
    pub topology: Arc<Topology>,
    /// The topology as the files say, in which pools and endpoints that existed before keep their
    /// numbers.
    pub(in crate::control) configured: Arc<Topology>,
    /// What operators set over the files.
    pub(in crate::control) overrides: Arc<OverrideSet>,
    /// When the overrides were applied, in seconds since 1970: one that starts or ends later is not
    /// considered yet.
    pub(in crate::control) overrides_at: i64,
    /// Why some overrides of a previous run are lost; `None` if none is.
    pub(in crate::control) override_fault: Option<String>,
    /// The number in `configured` of each pool and endpoint, by position in the topology of
    /// `config`.
    pub(in crate::control) numbering: Numbering,
    /// The zones with their records, which static answers are made from.
    pub zones: Arc<Zones>,
    /// The serial and the counts of each zone, by [`crate::steer::ZoneId`].
    pub(in crate::control) zone_summaries: Arc<[BuiltZoneSummary]>,
    /// Compiles the charts of the configuration's services.
    pub compiler: Arc<Compiler>,
    /// How services divide the address space into areas; the compiler's cache.
    pub surveys: Surveys,
    /// The tables that the wheels of charts share; the compiler's cache.
    pub(in crate::control) wheels: WheelCache,
    /// The charts, compiled under the conditions at the start of the load; `None` for the first
    /// load.
    pub(in crate::control) compiled: Option<CompiledCharts>,
    /// The rules that this load breaks, each accepted by an operator, and the demand that it moves.
    pub(in crate::control) judgement: Judgement,
    pub(in crate::control) databases: DatabaseFiles,
    pub(in crate::control) serials: HashMap<Name, SavedSerial>,
    /// The files that the configuration was made of, which the next load falls back to.
    pub(in crate::control) last_good: Arc<LastGood>,
    /// The zones and services that the configuration before had and this one lacks.
    pub(in crate::control) removed_names: RemovedNames,
    /// The paths that the load depended on, for a watch that is yet to start; empty if the load
    /// sent them to a watch.
    pub(in crate::control) footprint: Footprint,
    /// The files that are not in use as they are.
    pub(in crate::control) hold_report: HoldReport,
}

/// The parts of the configuration in force that a load amends if its files differ little.
#[derive(Debug, Clone)]
pub(in crate::control) struct AppliedConfig {
    pub(super) config: Arc<Config>,
    /// The topology as the files say, numbered.
    pub(super) topology: Arc<Topology>,
    pub(super) numbering: Numbering,
    pub(super) zones: Arc<Zones>,
    pub(super) zone_summaries: Arc<[BuiltZoneSummary]>,
    pub(super) geography_warnings: Vec<String>,
}

impl LoadedConfig {
    /// The snapshot that a server would start with, and its conditions: nothing was probed yet.
    pub fn first_snapshot(&mut self) -> (Snapshot, Conditions) {
        let conditions = Conditions::unprobed(&self.topology, unix_now());
        let compiled = self.compiler.compile(&conditions, &mut self.surveys);
        (self.snapshot(0, &compiled, Arc::default()), conditions)
    }

    /// A snapshot of this configuration with `compiled` as its charts.
    pub(in crate::control) fn snapshot(
        &self,
        generation: u64,
        compiled: &CompiledCharts,
        identity: Arc<ServerIdentity>,
    ) -> Snapshot {
        Snapshot {
            generation,
            zones: Arc::clone(&self.zones),
            charts: compiled.charts(),
            turn_counters: compiled.turn_counters(),
            identity,
            databases: Arc::clone(self.databases()),
            topology: Arc::clone(&self.topology),
            health_statuses: compiled.conditions().health_statuses.clone().into(),
        }
    }

    /// Applies other overrides, at `now` in seconds since 1970. The charts stay those of the
    /// overrides before, for the next compilation to start from.
    pub(in crate::control) fn apply_overrides(&mut self, overrides: Arc<OverrideSet>, now: i64) {
        let topology = apply_overrides(&self.configured, &overrides, now);
        let databases = Arc::clone(self.databases());
        self.compiler = self.compiler.next(Arc::clone(&topology), &databases, &mut self.surveys);
        (self.topology, self.overrides, self.overrides_at) = (topology, overrides, now);
    }

    /// The parts of this configuration that a later load can amend.
    pub(in crate::control) fn applied(&self) -> AppliedConfig {
        AppliedConfig {
            config: Arc::clone(&self.config),
            topology: Arc::clone(&self.configured),
            numbering: self.numbering.clone(),
            zones: Arc::clone(&self.zones),
            zone_summaries: Arc::clone(&self.zone_summaries),
            geography_warnings: self.geography_warnings.clone(),
        }
    }

    /// The GeoIP databases that charts are compiled with.
    pub fn databases(&self) -> &Arc<Databases> {
        self.databases.databases()
    }
}
