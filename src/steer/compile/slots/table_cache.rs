//! The cache of slot tables: equal specifications share one table, across services, areas,
//! compilations and loads.

use std::{collections::HashMap, sync::Arc};

use super::table_spec::TableSpec;
use crate::steer::chart::{ScoreCurves, Slots};

/// The maximum number of tables kept without a wheel that uses them, for endpoints that flap.
const MAX_UNUSED_TABLES: usize = 64;

/// Every table in use, and a few that are no longer used.
#[derive(Debug, Clone, Default)]
pub(in crate::steer) struct SlotTableCache {
    by_spec: HashMap<TableSpec, Arc<Slots>>,
    curves: ScoreCurves,
}

impl SlotTableCache {
    /// The table of a specification, which is filled if it is new.
    pub(in crate::steer) fn table(&mut self, spec: TableSpec) -> Arc<Slots> {
        let Self { by_spec, curves } = self;
        let slots = by_spec.entry(spec).or_insert_with_key(|spec| Arc::new(spec.fill(curves)));
        Arc::clone(slots)
    }

    /// Removes the tables that no wheel uses, if these are more than [`MAX_UNUSED_TABLES`].
    pub(in crate::steer) fn prune(&mut self) {
        let is_unused = |slots: &Arc<Slots>| Arc::strong_count(slots) == 1;
        if self.by_spec.values().filter(|slots| is_unused(slots)).count() > MAX_UNUSED_TABLES {
            self.by_spec.retain(|_, slots| !is_unused(slots));
        }
    }

    /// The number of tables kept, unused ones included.
    #[cfg(test)]
    pub(in crate::steer) fn len(&self) -> usize {
        self.by_spec.len()
    }
}
