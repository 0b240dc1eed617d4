//! What depends on what: from targets, aliases and datacenters over endpoints and pools to plans.
//! The compiler follows these lists from what changed to what it must compile again.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::steer::model::{
    AliasId, Conditions, DatacenterId, EndpointId, MemberKind, Pool, PoolId, ProbeId, Topology,
    fraction_without_ramp,
};

/// What charts are compiled from: the configuration, and the conditions that change without an
/// edit.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct CompileInputs<'a> {
    pub topology: &'a Topology,
    pub conditions: &'a Conditions,
}

/// What uses each endpoint, pool, target, alias and datacenter of one topology.
#[derive(Debug)]
pub(in crate::steer) struct Dependencies {
    /// By endpoint: the pool that it is a member of.
    pool_of: Box<[PoolId]>,
    /// By pool: the pools that it is a member of.
    parents: AdjacencyLists,
    /// By pool: the plans that answer from it directly.
    plans: AdjacencyLists,
    /// By target: the endpoints that it judges.
    endpoints_by_probe: AdjacencyLists,
    /// By alias: the endpoints that it resolves.
    endpoints_by_alias: AdjacencyLists,
    /// By datacenter: the endpoints in it.
    endpoints_by_datacenter: AdjacencyLists,
}

impl Dependencies {
    /// The dependencies in a topology; `roots` are the pools that each plan answers from.
    pub(in crate::steer) fn new(topology: &Topology, roots: &[Vec<PoolId>]) -> Self {
        let Topology { endpoints, pools, .. } = topology;
        let mut pool_of = vec![PoolId(0); endpoints.len()];
        for (pool, id) in pools.iter().zip((0..).map(PoolId)) {
            pool.members
                .iter()
                .filter_map(|member| endpoint_of(member.kind))
                .for_each(|at| pool_of[at.index()] = id);
        }
        let inner = |(pool, at): (&Arc<Pool>, u32)| -> Vec<(u32, u32)> {
            let pools = pool.members.iter().filter_map(|member| match member.kind {
                MemberKind::Pool(id) => Some(id.0),
                MemberKind::Endpoint(_) => None,
            });
            pools.map(|inner| (inner, at)).collect()
        };
        let parents: Vec<(u32, u32)> = pools.iter().zip(0..).flat_map(inner).collect();
        let plans = roots
            .iter()
            .zip(0..)
            .flat_map(|(roots, plan)| roots.iter().map(move |root| (root.0, plan)));
        let plans: Vec<(u32, u32)> = plans.collect();
        let probed = topology.endpoint_probes.iter().zip(0..);
        let probed =
            probed.flat_map(|(probes, at)| probes.iter().flatten().map(move |probe| (probe.0, at)));
        let probed: Vec<(u32, u32)> = probed.collect();
        let aliased = topology
            .endpoint_alias
            .iter()
            .zip(0..)
            .filter_map(|(alias, at)| Some(((*alias)?.0, at)));
        let aliased: Vec<(u32, u32)> = aliased.collect();
        let placed = endpoints.iter().zip(0..);
        let placed = placed
            .flat_map(|(endpoint, at)| endpoint.datacenters.iter().map(move |place| (place.0, at)));
        let placed: Vec<(u32, u32)> = placed.collect();
        Self {
            pool_of: pool_of.into_boxed_slice(),
            parents: AdjacencyLists::new(pools.len(), &parents),
            plans: AdjacencyLists::new(pools.len(), &plans),
            endpoints_by_probe: AdjacencyLists::new(topology.probes.len(), &probed),
            endpoints_by_alias: AdjacencyLists::new(topology.aliases.len(), &aliased),
            endpoints_by_datacenter: AdjacencyLists::new(topology.datacenters.len(), &placed),
        }
    }

    /// The pools that have an endpoint which a target judges.
    pub(in crate::steer) fn pools_of_probe(&self, probe: ProbeId) -> impl Iterator<Item = PoolId> {
        self.endpoints_by_probe
            .list(probe.index())
            .iter()
            .map(|&endpoint| self.pool_of[endpoint as usize])
    }

    /// For each pool, whether it is one of `pools` or has one of them below it.
    pub(in crate::steer) fn dependents(
        &self,
        pools: impl IntoIterator<Item = PoolId>,
    ) -> Vec<bool> {
        let mut is_above = vec![false; self.parents.count()];
        let mut open: Vec<PoolId> = pools.into_iter().collect();
        while let Some(pool) = open.pop() {
            if !std::mem::replace(&mut is_above[pool.index()], true) {
                open.extend(self.parents.list(pool.index()).iter().copied().map(PoolId));
            }
        }
        is_above
    }

    /// The plans that can answer from one of these pools, in ascending order.
    pub(in crate::steer) fn plans_above(
        &self,
        pools: impl IntoIterator<Item = PoolId>,
    ) -> Vec<u32> {
        let is_above = self.dependents(pools);
        let pools = is_above.iter().enumerate().filter(|(_, is_above)| **is_above);
        let mut plans: Vec<u32> =
            pools.flat_map(|(pool, _)| self.plans.list(pool)).copied().collect();
        plans.sort_unstable();
        plans.dedup();
        plans
    }

    /// The pools whose own inputs differ between two sets of conditions of this topology: a
    /// member's health, state, part or addresses, or what regulates the pool itself.
    pub(in crate::steer) fn changed(&self, before: &Conditions, now: &Conditions) -> Vec<PoolId> {
        let mut endpoints: Vec<u32> = Vec::new();
        let differing = |at: &usize| before.standings.get(*at) != now.standings.get(*at);
        let probes = (0..before.standings.len().max(now.standings.len())).filter(differing);
        endpoints.extend(probes.flat_map(|at| self.endpoints_by_probe.list(at)));
        let differing = |at: &usize| before.aliases.get(*at) != now.aliases.get(*at);
        let aliases = (0..before.aliases.len().max(now.aliases.len())).filter(differing);
        endpoints.extend(aliases.flat_map(|at| self.endpoints_by_alias.list(at)));
        let places = (0..self.endpoints_by_datacenter.count())
            .filter(|at| has_other_state(*at, before, now));
        endpoints.extend(places.flat_map(|at| self.endpoints_by_datacenter.list(at)));
        endpoints.extend(
            differing_keys(
                &before.adjustments.endpoint_fractions,
                &now.adjustments.endpoint_fractions,
            )
            .map(|id| id.0),
        );
        let mut pools: Vec<PoolId> =
            endpoints.into_iter().filter_map(|at| self.pool_of.get(at as usize).copied()).collect();
        pools.extend(
            pools_with_other_adjustments(before, now)
                .into_iter()
                .filter(|pool| pool.index() < self.parents.count()),
        );
        pools.sort_unstable();
        pools.dedup();
        pools
    }

    /// The same where the topology differs as well. Ids are those of this topology; a pool or an
    /// endpoint is compared with what had its id before ([`crate::steer::Numbering`]).
    pub(in crate::steer) fn changed_topology(
        &self,
        before: CompileInputs<'_>,
        now: CompileInputs<'_>,
    ) -> Vec<PoolId> {
        let (old, new) = (before.topology, now.topology);
        let is_other_place = |at: usize| {
            let same =
                old.datacenters.get(at).zip(new.datacenters.get(at)).is_some_and(|(was, is)| {
                    was.name == is.name && was.location == is.location && was.keep == is.keep
                });
            !same || has_other_state(at, before.conditions, now.conditions)
        };
        let other_places: Vec<bool> = (0..new.datacenters.len()).map(is_other_place).collect();
        let mut is_changed = vec![false; new.pools.len()];
        for (at, pool) in self.pool_of.iter().enumerate() {
            let id = EndpointId(at as u32);
            let places = &new.endpoints[at].datacenters;
            if !is_same_endpoint(id, before, now)
                || places.iter().any(|place| other_places[place.index()])
            {
                is_changed[pool.index()] = true;
            }
        }
        for (at, pool) in new.pools.iter().enumerate() {
            is_changed[at] |= !old.pools.get(at).is_some_and(|was| is_same_pool(was, pool));
        }
        for pool in pools_with_other_adjustments(before.conditions, now.conditions) {
            if let Some(is_changed) = is_changed.get_mut(pool.index()) {
                *is_changed = true;
            }
        }
        (0..)
            .map(PoolId)
            .zip(is_changed)
            .filter(|(_, is_changed)| *is_changed)
            .map(|(pool, _)| pool)
            .collect()
    }
}

/// Whether a datacenter has another state, or takes another part of its clients.
fn has_other_state(at: usize, before: &Conditions, now: &Conditions) -> bool {
    let of = |conditions: &Conditions| {
        let state = conditions.datacenters.get(at).copied().unwrap_or_default();
        let ramp =
            conditions.adjustments.datacenter_fractions.get(&DatacenterId(at as u32)).copied();
        (state, ramp.unwrap_or_else(|| fraction_without_ramp(state)))
    };
    of(before) != of(now)
}

/// Whether an endpoint answers as it did: written alike, judged alike, resolved alike.
fn is_same_endpoint(id: EndpointId, before: CompileInputs<'_>, now: CompileInputs<'_>) -> bool {
    let at = id.index();
    let (Some(was), Some(is)) = (before.topology.endpoints.get(at), now.topology.endpoints.get(at))
    else {
        return false;
    };
    // A monitor counts by its results, a load source by its reports: their positions may differ.
    let is_written_alike = Arc::ptr_eq(was, is)
        || was.name == is.name
            && was.target == is.target
            && was.datacenters == is.datacenters
            && was.state == is.state
            && was.force == is.force;
    let standings = |inputs: CompileInputs<'_>| -> Vec<_> {
        let probes = &inputs.topology.endpoint_probes[at];
        probes.iter().map(|probe| inputs.conditions.standing(*probe)).collect()
    };
    let is_judged_alike = || {
        let (old, new) = (&before.topology.endpoint_probes[at], &now.topology.endpoint_probes[at]);
        old.iter().chain(new).all(Option::is_none) && old.len() == new.len()
            || standings(before) == standings(now)
    };
    let resolved = |inputs: CompileInputs<'_>| {
        inputs.topology.endpoint_alias[at]
            .map(|alias: AliasId| inputs.conditions.aliases.get(alias.index()).cloned())
    };
    let part = |inputs: CompileInputs<'_>| {
        inputs.conditions.adjustments.endpoint_fractions.get(&id).copied()
    };
    is_written_alike
        && is_judged_alike()
        && resolved(before) == resolved(now)
        && part(before) == part(now)
}

/// Whether two pools with equal members choose alike.
fn is_same_pool(was: &Arc<Pool>, is: &Arc<Pool>) -> bool {
    let (old, new) = (&was.regulation, &is.regulation);
    Arc::ptr_eq(was, is)
        || was.name == is.name
            && was.policy == is.policy
            && was.spread == is.spread
            && was.answers == is.answers
            && was.min_up == is.min_up
            && was.families == is.families
            && was.members == is.members
            && old.keep == new.keep
            && old.trickle == new.trickle
            && old.failback == new.failback
            && old.capacity == new.capacity
}

/// The pools that are regulated differently: other shares, another holder, or another state of
/// recovery.
fn pools_with_other_adjustments(before: &Conditions, now: &Conditions) -> Vec<PoolId> {
    let (was, is) = (&before.adjustments, &now.adjustments);
    let mut pools: Vec<PoolId> = differing_keys(&was.kept_fractions, &is.kept_fractions)
        .chain(differing_keys(&was.weights, &is.weights))
        .chain(differing_keys(&was.holders, &is.holders))
        .chain(differing_keys(&was.failbacks, &is.failbacks))
        .copied()
        .collect();
    let groups = before.recovering.keys().chain(now.recovering.keys());
    pools.extend(
        groups
            .filter(|group| before.recovering.get(group) != now.recovering.get(group))
            .map(|group| group.pool),
    );
    pools
}

/// The keys that have another value, or a value in only one of two maps.
fn differing_keys<'m, K: Eq + Hash, V: PartialEq>(
    before: &'m HashMap<K, V>,
    now: &'m HashMap<K, V>,
) -> impl Iterator<Item = &'m K> {
    let differing =
        before.iter().filter(|(key, value)| now.get(key) != Some(*value)).map(|(key, _)| key);
    differing.chain(now.keys().filter(|key| !before.contains_key(key)))
}

fn endpoint_of(kind: MemberKind) -> Option<EndpointId> {
    match kind {
        MemberKind::Endpoint(id) => Some(id),
        MemberKind::Pool(_) => None,
    }
}

/// Lists of numbers by position, in one allocation.
#[derive(Debug)]
struct AdjacencyLists {
    /// By position: where its list starts. One more at the end.
    starts: Box<[u32]>,
    items: Box<[u32]>,
}

impl AdjacencyLists {
    /// `count` lists of these pairs of position and item.
    fn new(count: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0_u32; count + 1];
        pairs.iter().for_each(|(at, _)| starts[*at as usize + 1] += 1);
        for at in 0..count {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut items = vec![0; pairs.len()];
        for (at, item) in pairs {
            let next = &mut next[*at as usize];
            items[*next as usize] = *item;
            *next += 1;
        }
        Self { starts: starts.into_boxed_slice(), items: items.into_boxed_slice() }
    }

    fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The list at a position; empty beyond the last one.
    fn list(&self, at: usize) -> &[u32] {
        match self.starts.get(at..at + 2) {
            Some(&[start, end]) => &self.items[start as usize..end as usize],
            _ => &[],
        }
    }
}
