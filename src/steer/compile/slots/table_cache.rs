//! Tables by their recipes: equal recipes share one table, across services, areas, compilations and
//! loads.

use std::{collections::HashMap, sync::Arc};

use super::table_spec::TableSpec;
use crate::steer::chart::{ScoreCurves, Slots};

/// Up to so many tables without a wheel are kept, for endpoints that flap.
const MAX_UNUSED_TABLES: usize = 64;

/// Every table in use, and a few that are no longer.
#[derive(Debug, Clone, Default)]
pub(in crate::steer) struct SlotTableCache {
    by_spec: HashMap<TableSpec, Arc<Slots>>,
    curves: ScoreCurves,
}

impl SlotTableCache {
    /// The table of a recipe, filled if it is not known.
    pub(in crate::steer) fn table(&mut self, recipe: TableSpec) -> Arc<Slots> {
        let Self { by_spec: known, curves } = self;
        let slots = known.entry(recipe).or_insert_with_key(|recipe| Arc::new(recipe.fill(curves)));
        Arc::clone(slots)
    }

    /// Forgets the tables that have no user, where these are more than a few.
    pub(in crate::steer) fn prune(&mut self) {
        let is_unused = |slots: &Arc<Slots>| Arc::strong_count(slots) == 1;
        if self.by_spec.values().filter(|slots| is_unused(slots)).count() > MAX_UNUSED_TABLES {
            self.by_spec.retain(|_, slots| !is_unused(slots));
        }
    }

    /// How many tables are kept, those without a user among them.
    #[cfg(test)]
    pub(in crate::steer) fn len(&self) -> usize {
        self.by_spec.len()
    }
}
