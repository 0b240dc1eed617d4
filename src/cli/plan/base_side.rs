//! The side before a change, not yet compiled, and the names of its databases.

use std::sync::Arc;

use super::scenario::SideInputs;
use crate::{
    control::{PlannedRules, format_time},
    engine::PlanOptions,
    geo::{Database, Databases},
    listing::counted,
    steer::OverrideSet,
};

/// The side before the change.
pub(super) struct BaseSide {
    pub(super) source: String,
    pub(super) inputs: SideInputs,
    pub(super) databases: Arc<Databases>,
    pub(super) notes: Vec<String>,
    pub(super) options: PlanOptions,
    /// What operators set over the files: it stays in force after a change of the files.
    pub(super) overrides: Arc<OverrideSet>,
    /// The safety rules in force, and what has moved lately.
    pub(super) rules: PlannedRules,
}

/// What tells databases apart: kind, time of the build and number of networks.
pub(super) fn identity(databases: &Databases) -> Vec<(String, u64, usize)> {
    let identity = |database: &Arc<Database>| {
        (database.kind().to_owned(), database.build_epoch(), database.network_count())
    };
    databases.list().iter().map(identity).collect()
}

pub(super) fn shown_databases(databases: &Databases) -> String {
    let shown = databases.list().iter().map(|database| {
        format!("{} (built {})", database.label(), format_time(database.build_epoch() as i64))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { counted(0, "database") } else { shown.join(", ") }
}
