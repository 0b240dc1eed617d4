//! The configuration in which an earlier run ended: the files that changed while no server ran are
//! judged by the safety rules like any others.

use std::sync::Arc;

use crate::{
    config::{Config, WrittenSafety},
    geo::Databases,
    steer::{
        Compilation, CompiledCharts, Compiler, Conditions, OverrideSet, Surveys, Topology,
        WheelCache, apply_overrides,
    },
};

/// The configuration in force at the end of the previous run.
#[derive(Debug)]
pub(in crate::control) struct LastRun {
    pub safety: Arc<WrittenSafety>,
    /// The topology with the overrides applied.
    pub topology: Arc<Topology>,
    /// The conditions before the first health check.
    pub conditions: Arc<Conditions>,
}

impl LastRun {
    /// The configuration under these overrides, which are applied for `now` (seconds since 1970).
    pub(super) fn new(config: &Config, overrides: &OverrideSet, now: i64) -> Self {
        let topology = apply_overrides(&config.topology, overrides, now);
        let conditions = Arc::new(Conditions::unprobed(&topology, now));
        Self { safety: Arc::clone(&config.safety), topology, conditions }
    }

    /// The charts with these databases.
    pub(super) fn charts(&self, databases: &Databases) -> CompiledCharts {
        let (mut surveys, mut wheels) = (Surveys::default(), WheelCache::default());
        let compiler = Compiler::new(Arc::clone(&self.topology), databases, &mut surveys);
        let compilation = Compilation::new(compiler, Arc::clone(&self.conditions));
        compilation.finish(&mut surveys, &mut wheels)
    }
}
