//! Flows: where the clients go that each pool of a group spills, given the members in service.

use std::collections::BTreeSet;

use super::{
    capped_subtree::CappedSubtree,
    fullness::{PoolLoad, even_fullness},
};
use crate::steer::compile::raised_to_cover_all;

/// The receivers of each pool of a group. Pools are positions in the group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flows {
    pub(super) receivers: Vec<Receivers>,
    /// Pools in the order in which every client is offered them, each chain up to a last pool that
    /// has no receivers.
    pub(super) chains: Vec<Vec<usize>>,
}

/// The receivers of the clients that one pool spills.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Receivers {
    pools: BTreeSet<usize>,
    /// Whether a member of unknown load receives clients, too. It counts as having room.
    has_unknown: bool,
    /// Whether all receivers get clients at the same time, by weight.
    pub(super) is_by_weight: bool,
    /// Whether clients leave in the order of the distance that they lose.
    pub(super) is_by_distance: bool,
    /// The first destinations of spilled clients, once for each pool that the spilling pool is a
    /// member of.
    pub(super) destinations: Vec<SpillDestinations>,
}

/// The members that receive spilled clients first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SpillDestinations {
    /// The pools with a capacity among them.
    pools: Vec<usize>,
    /// How many members of unknown load are among them.
    unknown_members: usize,
}

impl SpillDestinations {
    /// The destinations in these members, given by position in `subtrees`.
    pub(super) fn to_members(members: &[usize], subtrees: &[CappedSubtree]) -> Self {
        let subtrees = || members.iter().map(|&member| &subtrees[member]);
        Self {
            pools: subtrees().flat_map(|subtree| subtree.outermost.iter().copied()).collect(),
            unknown_members: subtrees().filter(|subtree| subtree.outermost.is_empty()).count(),
        }
    }
}

impl Receivers {
    /// An empty set of receivers.
    pub(super) fn none() -> Self {
        Self { is_by_weight: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, member: &CappedSubtree) {
        self.pools.extend(member.outermost.iter().copied());
        self.has_unknown |= member.outermost.is_empty();
    }
}

impl Flows {
    /// Whether any pool or member receives the clients that a pool spills.
    pub(super) fn has_receivers(&self, pool: usize) -> bool {
        let receivers = &self.receivers[pool];
        receivers.has_unknown || !receivers.pools.is_empty()
    }

    /// The fullness at which a pool and its receivers would be equally full; 0 if the load of one
    /// of them is unknown.
    pub(super) fn rest_fullness(&self, pool: usize, loads: &[Option<PoolLoad>]) -> f64 {
        let receivers = &self.receivers[pool];
        let pools = receivers.pools.iter().chain([&pool]);
        let known: Option<Vec<&PoolLoad>> = pools.map(|&pool| loads[pool].as_ref()).collect();
        known.filter(|_| !receivers.has_unknown).map_or(0.0, |known| even_fullness(&known))
    }

    /// The load that each pool receives if the pools spill these loads. Loads are levels, each in
    /// the unit of its pool's measure.
    pub(super) fn inflows(&self, spilled: &[f64], loads: &[Option<PoolLoad>]) -> Vec<f64> {
        let mut inflows = vec![0.0; spilled.len()];
        let size = |pool: usize| loads[pool].as_ref().map_or(0.0, |load| load.amount(load.target));
        for (spilling, receivers) in self.receivers.iter().enumerate() {
            let Some(load) = &loads[spilling] else { continue };
            let amount =
                load.amount(spilled[spilling]) / receivers.destinations.len().max(1) as f64;
            for destination in &receivers.destinations {
                let known_sizes: f64 = destination.pools.iter().map(|&pool| size(pool)).sum();
                let mean_size = known_sizes / destination.pools.len().max(1) as f64;
                let all_sizes = known_sizes + mean_size * destination.unknown_members as f64;
                for &pool in destination.pools.iter().filter(|_| all_sizes > 0.0) {
                    let Some(load) = &loads[pool] else { continue };
                    inflows[pool] += load.level_of_amount(amount * size(pool) / all_sizes);
                }
            }
        }
        inflows
    }

    /// Turns kept shares into effective ones: the pools of a chain receive the clients that none of
    /// them keeps in proportion to the clients that they keep, and the last pool keeps all that
    /// reach it.
    pub(super) fn redistribute_unkept(&self, kept: &mut [f64]) {
        for chain in &self.chains {
            let chain_kept: Vec<f64> = chain.iter().map(|&pool| kept[pool]).collect();
            for (&pool, raised) in chain.iter().zip(raised_to_cover_all(&chain_kept)) {
                kept[pool] = raised;
            }
        }
    }

    /// The sets of pools that spill by weight to each other and to no other pool. Of their kept
    /// shares only the proportions matter.
    pub(super) fn closed_weighted_sets(&self) -> Vec<Vec<usize>> {
        let sets: BTreeSet<BTreeSet<usize>> = (0..self.receivers.len())
            .filter(|&pool| !self.receivers[pool].pools.is_empty())
            .map(|pool| self.receivers[pool].pools.iter().copied().chain([pool]).collect())
            .collect();
        let is_closed = |set: &BTreeSet<usize>| {
            set.iter().all(|pool| {
                let receivers = &self.receivers[*pool];
                receivers.is_by_weight
                    && !receivers.has_unknown
                    && receivers.pools.len() + 1 == set.len()
                    && receivers.pools.is_subset(set)
            })
        };
        sets.into_iter().filter(is_closed).map(|set| set.into_iter().collect()).collect()
    }

    /// Whether the clients that a pool spills leave in the order of the distance that they lose.
    pub(super) fn is_by_distance(&self, pool: usize) -> bool {
        self.receivers[pool].is_by_distance
    }

    /// Whether other pools spill to a pool that has no receivers itself.
    pub(super) fn only_receives(&self, pool: usize) -> bool {
        !self.has_receivers(pool)
            && self.receivers.iter().any(|receivers| receivers.pools.contains(&pool))
    }
}
