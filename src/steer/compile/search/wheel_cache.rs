//! The wheel cache: what wheels share across compilations and loads.

use std::{collections::HashMap, sync::Arc};

use crate::steer::{compile::slots::SlotTableCache, model::Family};

/// The maximum number of turn counters that are kept without a wheel, for members that flap.
const MAX_UNUSED_TURNS: usize = 64;

/// What wheels share across compilations and loads. Everything is found by content, and nothing by
/// its position in the topology.
#[derive(Debug, Clone, Default)]
pub struct WheelCache {
    pub(in crate::steer) slot_tables: SlotTableCache,
    pub(in crate::steer) turns: TurnCounters,
}

impl WheelCache {
    /// The number of turn counters in use.
    pub fn turn_counters(&self) -> usize {
        self.turns.count()
    }

    /// Drops the tables and counters that no wheel uses, except for a few: members that flap must
    /// not fill the memory.
    pub(in crate::steer) fn prune(&mut self) {
        self.slot_tables.prune();
        self.turns.prune();
    }
}

/// The numbers of turn counters, by the members that are taken in turn. A new wheel over the same
/// members continues where the last one stopped, also after a load.
#[derive(Debug, Clone, Default)]
pub(in crate::steer) struct TurnCounters {
    by_key: HashMap<TurnKey, Arc<u32>>,
    /// Numbers without a user, to be assigned again.
    free: Vec<u32>,
    count: usize,
}

/// The pool and its members in order, by hashes of their names, and the family.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TurnKey {
    pub pool: u64,
    pub family: Family,
    pub members: Vec<u64>,
}

impl TurnCounters {
    /// How many counters there are: their numbers are less than this.
    pub(in crate::steer) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn counter(&mut self, key: TurnKey) -> Arc<u32> {
        let Self { by_key, free, count } = self;
        let new = || {
            let number = free.pop().unwrap_or_else(|| {
                *count += 1;
                *count as u32 - 1
            });
            Arc::new(number)
        };
        Arc::clone(by_key.entry(key).or_insert_with(new))
    }

    fn prune(&mut self) {
        let is_unused = |number: &Arc<u32>| Arc::strong_count(number) == 1;
        if self.by_key.values().filter(|number| is_unused(number)).count() > MAX_UNUSED_TURNS {
            let unused = self.by_key.extract_if(|_, number| is_unused(number));
            self.free.extend(unused.map(|(_, number)| *number));
        }
    }
}
