//! The charts that a load would put in force.

use std::sync::Arc;

use super::{loaded_config::AppliedConfig, loader::ConfigLoader};
use crate::{
    config::{Config, LoadMode},
    control::{clock::unix_now, databases::DatabaseFiles},
    steer::{
        Compilation, CompiledCharts, Compiler, Conditions, NumberedTopology, Numbering, Surveys,
        Topology, WheelCache, apply_overrides,
    },
};

/// What compilations of a load share.
#[derive(Debug, Default)]
pub(super) struct TrialCache {
    pub(super) surveys: Surveys,
    pub(super) wheels: WheelCache,
}

/// A configuration, compiled as if it were in force.
#[derive(Debug)]
pub(super) struct LoadTrial {
    /// The topology as the files say, numbered.
    pub(super) configured: Arc<Topology>,
    pub(super) numbering: Numbering,
    /// The topology under the overrides.
    pub(super) topology: Arc<Topology>,
    /// When the overrides were applied, in seconds since 1970.
    pub(super) overrides_at: i64,
    pub(super) compiler: Arc<Compiler>,
    /// The conditions of the charts; those of an unprobed server before the first load.
    pub(super) conditions: Arc<Conditions>,
    /// `None` if nothing is compiled yet.
    pub(super) compiled: Option<CompiledCharts>,
    /// The number of services that were compiled.
    pub(super) count: usize,
}

impl ConfigLoader {
    /// Compiles a configuration. Services that the load does not change keep their charts. With
    /// other databases than before, nothing is compiled, unless a rule limits movement. The
    /// controller applies conditions that change meanwhile.
    pub(super) fn compile_trial(
        &self,
        config: &Config,
        databases: &DatabaseFiles,
        caches: &mut TrialCache,
    ) -> LoadTrial {
        let has_same_databases = self.has_same_databases(databases);
        let is_measured = self.rules_for(config).rules.movement.is_some();
        let base = self.base.compiled.as_ref().filter(|_| has_same_databases || is_measured);
        let (configured, numbering) = self.renumbered_topology(config, base);
        let overrides_at = self.base.steering_time.unwrap_or_else(unix_now);
        let topology = apply_overrides(&configured, &self.base.overrides, overrides_at);
        let TrialCache { surveys, wheels } = caches;
        let databases = databases.databases();
        let (compiler, conditions, compilation) = match base {
            None => {
                let compiler = Compiler::new(Arc::clone(&topology), databases, surveys);
                let conditions = Conditions::unprobed(&topology, overrides_at);
                let is_compared = is_measured && self.base.last_run.is_some();
                let compilation = is_compared
                    .then(|| Compilation::new(Arc::clone(&compiler), Arc::new(conditions.clone())));
                (compiler, conditions, compilation)
            }
            Some(base) => {
                let compiler = if has_same_databases {
                    base.compiler().next(Arc::clone(&topology), databases, surveys)
                } else {
                    Compiler::new(Arc::clone(&topology), databases, surveys)
                };
                let from = base.compiler().topology();
                let conditions = base.conditions().carried_over(from, &topology, overrides_at);
                let conditions = match is_measured {
                    true => conditions.after_changed_ramps(from, &topology),
                    false => conditions,
                };
                let shared = Arc::new(conditions.clone());
                let compilation = if has_same_databases {
                    Compilation::after(base, Arc::clone(&compiler), shared)
                } else {
                    Compilation::new(Arc::clone(&compiler), shared)
                };
                (compiler, conditions, Some(compilation))
            }
        };
        let count = compilation.as_ref().map_or(0, Compilation::remaining);
        let compiled = compilation.map(|compilation| compilation.finish(surveys, wheels));
        let conditions = Arc::new(conditions);
        LoadTrial {
            configured,
            numbering,
            topology,
            overrides_at,
            compiler,
            conditions,
            compiled,
            count,
        }
    }

    /// The topology of a configuration as the files say, whose pools and endpoints keep the numbers
    /// that they have in `base`: charts refer to them by number.
    fn renumbered_topology(
        &self,
        config: &Config,
        base: Option<&CompiledCharts>,
    ) -> (Arc<Topology>, Numbering) {
        let (Some(base), Some(in_force)) = (base, &self.base.applied) else {
            return (Arc::clone(&config.topology), Numbering::default());
        };
        // An amended configuration has the pools and endpoints of the configuration in force.
        let numbering = match config.load_mode {
            LoadMode::Amended { .. } => in_force.numbering.clone(),
            LoadMode::Full { .. } => Numbering::after(&config.topology, base.compiler().topology()),
        };
        let AppliedConfig { config: written, topology: numbered, .. } = in_force;
        let known = NumberedTopology {
            written: &written.topology,
            numbered,
            numbering: &in_force.numbering,
        };
        (numbering.apply(&config.topology, Some(known)), numbering)
    }
}
