//! A change to try, and what came of it.

use std::sync::Arc;

use crate::{
    engine::MovedShare,
    steer::{CompiledCharts, Conditions, Topology},
};

/// A change to try.
#[derive(Debug)]
pub(super) struct TrialRequest {
    /// The effective topology after the change; `None` for that in force.
    pub topology: Option<Arc<Topology>>,
    /// The conditions once all ramps have ended: clients must have usable members then.
    pub settled: Conditions,
    /// The conditions in which only what the change begins has ended: what they move is what the
    /// change moves. `None` if nothing is to be judged.
    pub measured: Option<Conditions>,
}

/// What came of a trial.
#[derive(Debug)]
pub(super) struct TrialOutcome {
    /// The charts under the settled conditions.
    pub charts: CompiledCharts,
    /// What the change moves; `None` if no rule limits that.
    pub moved: Option<MovedShare>,
    /// The requirements that would not hold, one line each; empty if they are not enforced.
    pub failing: Vec<String>,
}
