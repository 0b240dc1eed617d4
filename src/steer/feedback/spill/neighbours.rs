//! Neighbours: the pools that a pool may spill to. They depend on the topology and on the members
//! in service.

use std::collections::{BTreeSet, HashMap};

use super::{
    capped_subtree::CappedSubtree,
    flows::{Flows, Receivers, SpillDestinations},
};
use crate::steer::{
    compile::MatchedRules,
    compile::{biased_km, member_coordinates},
    model::{Policy, Pool},
    model::{PoolId, Topology},
};

/// A pool that has pools with a capacity among its members or below them. These may spill to each
/// other.
#[derive(Debug, Clone, PartialEq)]
struct ParentPool {
    id: PoolId,
    /// The orders in which clients are offered the members; `None` if they are offered all members
    /// at once, by weight.
    orders: Option<Vec<Vec<usize>>>,
    /// Whether the order depends on the distance of the client.
    is_by_distance: bool,
    members: Vec<CappedSubtree>,
}

/// The parents of the pools of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Neighbours {
    parents: Vec<ParentPool>,
}

/// Pools with a capacity that may spill to each other, directly or through others, and to no other
/// pool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NeighbourGroup {
    /// The pools, by position among all pools with a capacity.
    pub(super) pools: Vec<usize>,
    /// The neighbours of each pool, by position in `pools`.
    pub(super) neighbours: Neighbours,
}

impl Neighbours {
    /// Divides the pools with a capacity into groups.
    pub(super) fn group_pools(topology: &Topology, capped: &[PoolId]) -> Vec<NeighbourGroup> {
        let parents = parent_pools(topology, capped);
        let mut group_by_pool: Vec<usize> = (0..capped.len()).collect();
        for parent in &parents {
            let mut pools = parent.pools();
            let Some(first) = pools.next() else { continue };
            for pool in pools {
                let (from, to) = (group_by_pool[pool], group_by_pool[first]);
                let merged = group_by_pool.iter_mut().filter(|group| **group == from);
                merged.for_each(|group| *group = to);
            }
        }
        let groups: BTreeSet<usize> = group_by_pool.iter().copied().collect();
        groups
            .into_iter()
            .map(|group| {
                let pools: Vec<usize> =
                    (0..capped.len()).filter(|&pool| group_by_pool[pool] == group).collect();
                let position_in_group =
                    |pool: usize| pools.iter().position(|&in_group| in_group == pool);
                let parents = parents
                    .iter()
                    .filter(|parent| parent.pools().any(|pool| group_by_pool[pool] == group))
                    .map(|parent| parent.renumbered(&position_in_group))
                    .collect();
                NeighbourGroup { pools, neighbours: Self { parents } }
            })
            .collect()
    }

    /// The pools whose members may spill to each other.
    pub(super) fn parents(&self) -> impl Iterator<Item = PoolId> {
        self.parents.iter().map(|parent| parent.id)
    }

    /// The present receivers of each of the `pools` pools of the group. `serving` says for each
    /// parent whether each member answers clients; `holders` are the members that hold the clients
    /// of failover pools.
    pub(super) fn spill_flows(
        &self,
        pools: usize,
        serving: &[Vec<bool>],
        holders: &HashMap<PoolId, u16>,
    ) -> Flows {
        let mut flows = Flows { receivers: vec![Receivers::none(); pools], chains: Vec::new() };
        let parents: Vec<ParentPool> = self
            .in_service(serving)
            .into_iter()
            .map(|parent| parent.with_holder_first(holders))
            .collect();
        for (parent, serving) in parents.iter().zip(serving) {
            parent.add_flows(serving, &mut flows.receivers);
        }
        let chains = parents
            .iter()
            .zip(serving)
            .filter_map(|(parent, serving)| parent.failover_chain(serving));
        flows.chains = chains
            .filter(|chain| chain.last().is_some_and(|&last| flows.only_receives(last)))
            .collect();
        flows
    }

    /// The parents without the pools that serve in none of them: such pools have no clients to
    /// spill.
    fn in_service(&self, serving: &[Vec<bool>]) -> Vec<ParentPool> {
        let members = self
            .parents
            .iter()
            .zip(serving)
            .flat_map(|(parent, serving)| parent.members.iter().zip(serving));
        let (mut active, mut idle) = (BTreeSet::new(), BTreeSet::new());
        for (member, is_serving) in members {
            if let Some(pool) = member.itself {
                if *is_serving {
                    active.insert(pool)
                } else {
                    idle.insert(pool)
                };
            }
        }
        let in_service =
            |pool: usize| Some(pool).filter(|pool| active.contains(pool) || !idle.contains(pool));
        self.parents.iter().map(|parent| parent.renumbered(&in_service)).collect()
    }
}

/// The pools that have a pool with a capacity among their members or below them. Pools of policy
/// `all` are left out: they answer with every member, so no member can spill to another.
fn parent_pools(topology: &Topology, capped: &[PoolId]) -> Vec<ParentPool> {
    let pools = topology.pools.iter().zip((0..).map(PoolId));
    pools
        .filter(|(pool, _)| pool.members.len() > 1 && pool.policy != Policy::All)
        .map(|(pool, id)| ParentPool {
            id,
            orders: member_orders(topology, pool),
            is_by_distance: matches!(pool.policy, Policy::Nearest { .. }),
            members: pool
                .members
                .iter()
                .map(|member| CappedSubtree::new(topology, capped, member.kind))
                .collect(),
        })
        .filter(|parent| parent.members.iter().any(|member| !member.all.is_empty()))
        .collect()
}

/// The orders in which a pool's clients are offered its members; `None` if by weight. For a
/// `nearest` pool the orders depend on the clients, which are not known here: there is one order
/// for each member, as seen from a client at its location.
fn member_orders(topology: &Topology, pool: &Pool) -> Option<Vec<Vec<usize>>> {
    let count = pool.members.len();
    match &pool.policy {
        Policy::Weighted | Policy::Load(_) | Policy::All => None,
        Policy::Failover => Some(vec![(0..count).collect()]),
        Policy::Nearest { .. } => {
            let coordinates: Vec<_> =
                pool.members.iter().map(|member| member_coordinates(topology, member)).collect();
            let order = |from: usize| {
                let km = |to: usize| {
                    let from = coordinates[from].first().copied();
                    from.map_or(f64::INFINITY, |from| {
                        biased_km(&coordinates[to], pool.members[to].bias, from)
                    })
                };
                let mut others: Vec<usize> = (0..count).filter(|&other| other != from).collect();
                others.sort_by(|&a, &b| km(a).total_cmp(&km(b)));
                [from].into_iter().chain(others).collect()
            };
            Some((0..count).map(order).collect())
        }
        Policy::Geo { rules, default } => {
            let by_rule = rules
                .iter()
                .map(|rule| MatchedRules::new(std::slice::from_ref(rule), &[0]).order(default));
            let orders = by_rule.chain([MatchedRules::new(&[], &[]).order(default)]);
            let orders: BTreeSet<Vec<usize>> =
                orders.map(|order| order.into_iter().map(usize::from).collect()).collect();
            Some(orders.into_iter().collect())
        }
    }
}

impl ParentPool {
    /// Adds the receivers of each serving member's pools.
    fn add_flows(&self, serving: &[bool], receivers: &mut [Receivers]) {
        let is_serving = |member: usize| serving.get(member) == Some(&true);
        for member in (0..self.members.len()).filter(|&member| is_serving(member)) {
            let choices = self.next_choices(member, is_serving);
            let has_choice = choices.iter().any(|members| !members.is_empty());
            for &spilling in &self.members[member].all {
                let receivers = &mut receivers[spilling];
                for &receiver in choices.iter().flatten() {
                    receivers.add(&self.members[receiver]);
                }
                receivers.is_by_weight &= self.orders.is_none() || !has_choice;
                receivers.is_by_distance |= self.is_by_distance && has_choice;
                for members in &choices {
                    // The first member of an order receives the clients, and passes on those that
                    // it has no room for.
                    let first = if self.orders.is_some() { 1 } else { members.len() };
                    let members = &members[..first.min(members.len())];
                    receivers
                        .destinations
                        .push(SpillDestinations::to_members(members, &self.members));
                }
            }
        }
    }

    /// The same pool with the member that holds its clients, if any, first in every order.
    fn with_holder_first(mut self, holders: &HashMap<PoolId, u16>) -> Self {
        if let Some(&holder) = holders.get(&self.id) {
            let holder = usize::from(holder);
            for order in self.orders.iter_mut().flatten() {
                order.retain(|&member| member != holder);
                order.insert(0, holder);
            }
        }
        self
    }

    /// The serving members that the clients of a member can go to, by order, the next choice first.
    fn next_choices(&self, member: usize, is_serving: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let Some(orders) = &self.orders else {
            let others =
                (0..self.members.len()).filter(|&other| other != member && is_serving(other));
            return vec![others.collect()];
        };
        let rest_of = |order: &Vec<usize>| -> Option<Vec<usize>> {
            let position = order.iter().position(|&other| other == member)?;
            Some(order[position + 1..].iter().copied().filter(|&other| is_serving(other)).collect())
        };
        // A member's own clients are those whose first choice it is. Others reach it only if they
        // are spilled.
        let first_choice: Vec<_> = orders
            .iter()
            .filter(|order| order.first() == Some(&member))
            .filter_map(rest_of)
            .collect();
        if first_choice.is_empty() {
            orders.iter().filter_map(rest_of).collect()
        } else {
            first_choice
        }
    }

    /// The pools with a capacity in the order in which every client is offered them, if there is
    /// one order and each serving member stands for exactly one such pool.
    fn failover_chain(&self, serving: &[bool]) -> Option<Vec<usize>> {
        let [order] = self.orders.as_deref()? else { return None };
        let members = order.iter().filter(|&&member| serving.get(member) == Some(&true));
        members
            .map(|&member| match self.members[member].outermost[..] {
                [pool] => Some(pool),
                _ => None,
            })
            .collect()
    }

    /// The pools with a capacity at and below the members.
    fn pools(&self) -> impl Iterator<Item = usize> {
        self.members.iter().flat_map(|member| member.all.iter().copied())
    }

    /// The same pool with other positions of pools; pools for which `new_position` returns `None`
    /// are left out.
    fn renumbered(&self, new_position: &impl Fn(usize) -> Option<usize>) -> Self {
        Self {
            orders: self.orders.clone(),
            members: self.members.iter().map(|member| member.renumbered(new_position)).collect(),
            ..*self
        }
    }
}
