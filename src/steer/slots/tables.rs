//! Tables by their recipes: equal recipes share one table, across services, areas, compilations and
//! loads.

use std::{collections::HashMap, sync::Arc};

use super::{Recipe, Slots, rendezvous::Curves};

/// Up to so many tables without a wheel are kept, for endpoints that flap.
const SPARE: usize = 64;

/// Every table in use, and a few that are no longer.
#[derive(Debug, Clone, Default)]
pub(in crate::steer) struct SlotTables {
    known: HashMap<Recipe, Arc<Slots>>,
    curves: Curves,
}

impl SlotTables {
    /// The table of a recipe, filled if it is not known.
    pub(in crate::steer) fn of(&mut self, recipe: Recipe) -> Arc<Slots> {
        let Self { known, curves } = self;
        let slots = known.entry(recipe).or_insert_with_key(|recipe| Arc::new(recipe.fill(curves)));
        Arc::clone(slots)
    }

    /// Forgets the tables that have no user, where these are more than a few.
    pub(in crate::steer) fn prune(&mut self) {
        let is_unused = |slots: &Arc<Slots>| Arc::strong_count(slots) == 1;
        if self.known.values().filter(|slots| is_unused(slots)).count() > SPARE {
            self.known.retain(|_, slots| !is_unused(slots));
        }
    }

    /// How many tables are kept, those without a user among them.
    #[cfg(test)]
    pub(in crate::steer) fn len(&self) -> usize {
        self.known.len()
    }
}
