//! Dependencies: from probes, aliases and datacenters to endpoints, from these to pools, and from
//! pools to plans. The compiler follows these lists from what changed to the plans that it must
//! compile again.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::steer::model::{
    AliasId, Conditions, DatacenterId, EndpointId, MemberKind, Pool, PoolId, ProbeId, Topology,
    fraction_without_ramp,
};

/// The inputs of a compilation: the configuration, and the conditions that change without an edit.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct CompileInputs<'a> {
    pub topology: &'a Topology,
    pub conditions: &'a Conditions,
}

/// The users of each endpoint, pool, probe, alias and datacenter of one topology.
#[derive(Debug)]
pub(in crate::steer) struct Dependencies {
    /// By endpoint: the pool that it is a member of.
    pool_of: Box<[PoolId]>,
    /// By pool: the pools that it is a member of.
    parents: AdjacencyLists,
    /// By pool: the plans that answer from it directly.
    plans: AdjacencyLists,
    /// By probe: the endpoints whose health it decides.
    endpoints_by_probe: AdjacencyLists,
    /// By alias: the endpoints that it gives addresses to.
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
                .for_each(|endpoint| pool_of[endpoint.index()] = id);
        }
        let inner_pools = |(pool, parent): (&Arc<Pool>, u32)| -> Vec<(u32, u32)> {
            let pools = pool.members.iter().filter_map(|member| match member.kind {
                MemberKind::Pool(id) => Some(id.0),
                MemberKind::Endpoint(_) => None,
            });
            pools.map(|inner| (inner, parent)).collect()
        };
        let parents: Vec<(u32, u32)> = pools.iter().zip(0..).flat_map(inner_pools).collect();
        let plans = roots
            .iter()
            .zip(0..)
            .flat_map(|(roots, plan)| roots.iter().map(move |root| (root.0, plan)));
        let plans: Vec<(u32, u32)> = plans.collect();
        let probed: Vec<(u32, u32)> = topology
            .endpoint_probes
            .iter()
            .zip(0..)
            .flat_map(|(probes, endpoint)| {
                probes.iter().flatten().map(move |probe| (probe.0, endpoint))
            })
            .collect();
        let aliased: Vec<(u32, u32)> = topology
            .endpoint_alias
            .iter()
            .zip(0..)
            .filter_map(|(alias, endpoint)| Some(((*alias)?.0, endpoint)))
            .collect();
        let located: Vec<(u32, u32)> = endpoints
            .iter()
            .zip(0..)
            .flat_map(|(endpoint, index)| {
                endpoint.datacenters.iter().map(move |datacenter| (datacenter.0, index))
            })
            .collect();
        Self {
            pool_of: pool_of.into_boxed_slice(),
            parents: AdjacencyLists::new(pools.len(), &parents),
            plans: AdjacencyLists::new(pools.len(), &plans),
            endpoints_by_probe: AdjacencyLists::new(topology.probes.len(), &probed),
            endpoints_by_alias: AdjacencyLists::new(topology.aliases.len(), &aliased),
            endpoints_by_datacenter: AdjacencyLists::new(topology.datacenters.len(), &located),
        }
    }

    /// The pools with an endpoint whose health a probe decides.
    pub(in crate::steer) fn pools_of_probe(&self, probe: ProbeId) -> impl Iterator<Item = PoolId> {
        self.endpoints_by_probe
            .list(probe.index())
            .iter()
            .map(|&endpoint| self.pool_of[endpoint as usize])
    }

    /// For each pool, whether it is one of `pools` or above one of them.
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

    /// The pools whose inputs differ between two sets of conditions of this topology: the health,
    /// state, fraction or addresses of a member, or the adjustments of the pool itself.
    pub(in crate::steer) fn changed(&self, before: &Conditions, now: &Conditions) -> Vec<PoolId> {
        let mut endpoints: Vec<u32> = Vec::new();
        let differs =
            |probe: &usize| before.health_statuses.get(*probe) != now.health_statuses.get(*probe);
        let probes =
            (0..before.health_statuses.len().max(now.health_statuses.len())).filter(differs);
        endpoints.extend(probes.flat_map(|probe| self.endpoints_by_probe.list(probe)));
        let differs = |alias: &usize| before.aliases.get(*alias) != now.aliases.get(*alias);
        let aliases = (0..before.aliases.len().max(now.aliases.len())).filter(differs);
        endpoints.extend(aliases.flat_map(|alias| self.endpoints_by_alias.list(alias)));
        let datacenters = (0..self.endpoints_by_datacenter.count())
            .filter(|datacenter| has_other_state(*datacenter, before, now));
        endpoints.extend(datacenters.flat_map(|id| self.endpoints_by_datacenter.list(id)));
        endpoints.extend(
            differing_keys(
                &before.adjustments.endpoint_fractions,
                &now.adjustments.endpoint_fractions,
            )
            .map(|id| id.0),
        );
        let mut pools: Vec<PoolId> =
            endpoints.into_iter().filter_map(|id| self.pool_of.get(id as usize).copied()).collect();
        pools.extend(
            pools_with_other_adjustments(before, now)
                .into_iter()
                .filter(|pool| pool.index() < self.parents.count()),
        );
        pools.sort_unstable();
        pools.dedup();
        pools
    }

    /// The same as [`Dependencies::changed`], for two topologies. Ids are those of this topology; a
    /// pool or an endpoint is compared with the one that had its id before
    /// ([`crate::steer::Numbering`]).
    pub(in crate::steer) fn changed_topology(
        &self,
        before: CompileInputs<'_>,
        now: CompileInputs<'_>,
    ) -> Vec<PoolId> {
        let (old, new) = (before.topology, now.topology);
        let differs = |index: usize| {
            let datacenters = old.datacenters.get(index).zip(new.datacenters.get(index));
            let is_same = datacenters.is_some_and(|(old, new)| {
                old.name == new.name && old.location == new.location && old.keep == new.keep
            });
            !is_same || has_other_state(index, before.conditions, now.conditions)
        };
        let differing_datacenters: Vec<bool> = (0..new.datacenters.len()).map(differs).collect();
        let mut is_changed = vec![false; new.pools.len()];
        for (index, pool) in self.pool_of.iter().enumerate() {
            let mut datacenters = new.endpoints[index].datacenters.iter();
            if !is_same_endpoint(EndpointId(index as u32), before, now)
                || datacenters.any(|datacenter| differing_datacenters[datacenter.index()])
            {
                is_changed[pool.index()] = true;
            }
        }
        for (index, pool) in new.pools.iter().enumerate() {
            is_changed[index] |= !old.pools.get(index).is_some_and(|old| is_same_pool(old, pool));
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

/// Whether a datacenter has another state, or another fraction of its clients.
fn has_other_state(index: usize, before: &Conditions, now: &Conditions) -> bool {
    let state_and_fraction = |conditions: &Conditions| {
        let state = conditions.datacenters.get(index).copied().unwrap_or_default();
        let ramp =
            conditions.adjustments.datacenter_fractions.get(&DatacenterId(index as u32)).copied();
        (state, ramp.unwrap_or_else(|| fraction_without_ramp(state)))
    };
    state_and_fraction(before) != state_and_fraction(now)
}

/// Whether an endpoint answers the same: its definition, health, addresses and fraction are equal.
fn is_same_endpoint<'a>(id: EndpointId, before: CompileInputs<'a>, now: CompileInputs<'a>) -> bool {
    let index = id.index();
    let endpoint = |inputs: CompileInputs<'a>| inputs.topology.endpoints.get(index);
    let Some((old, new)) = endpoint(before).zip(endpoint(now)) else { return false };
    // Only the results of a monitor and the reports of a load source matter, so their positions may
    // differ.
    let has_same_definition = Arc::ptr_eq(old, new)
        || old.name == new.name
            && old.target == new.target
            && old.datacenters == new.datacenters
            && old.state == new.state
            && old.force == new.force;
    let statuses = |inputs: CompileInputs<'_>| -> Vec<_> {
        let probes = &inputs.topology.endpoint_probes[index];
        probes.iter().map(|probe| inputs.conditions.health_status(*probe)).collect()
    };
    let has_same_health = || {
        let probes = |inputs: CompileInputs<'a>| &inputs.topology.endpoint_probes[index];
        let (old, new) = (probes(before), probes(now));
        old.iter().chain(new).all(Option::is_none) && old.len() == new.len()
            || statuses(before) == statuses(now)
    };
    let resolved = |inputs: CompileInputs<'_>| {
        inputs.topology.endpoint_alias[index]
            .map(|alias: AliasId| inputs.conditions.aliases.get(alias.index()).cloned())
    };
    let fraction = |inputs: CompileInputs<'_>| {
        inputs.conditions.adjustments.endpoint_fractions.get(&id).copied()
    };
    has_same_definition
        && has_same_health()
        && resolved(before) == resolved(now)
        && fraction(before) == fraction(now)
}

/// Whether two pools select the same if their members are the same.
fn is_same_pool(old: &Arc<Pool>, new: &Arc<Pool>) -> bool {
    Arc::ptr_eq(old, new)
        || old.name == new.name
            && old.policy == new.policy
            && old.spread == new.spread
            && old.answers == new.answers
            && old.min_up == new.min_up
            && old.families == new.families
            && old.members == new.members
            && old.regulation.keep == new.regulation.keep
            && old.regulation.trickle == new.regulation.trickle
            && old.regulation.failback == new.regulation.failback
            && old.regulation.capacity == new.regulation.capacity
}

/// The pools whose adjustments differ: other weights or fractions, another holder or failback, or
/// another state of recovery.
fn pools_with_other_adjustments(before: &Conditions, now: &Conditions) -> Vec<PoolId> {
    let (old, new) = (&before.adjustments, &now.adjustments);
    let mut pools: Vec<PoolId> = differing_keys(&old.kept_fractions, &new.kept_fractions)
        .chain(differing_keys(&old.weights, &new.weights))
        .chain(differing_keys(&old.holders, &new.holders))
        .chain(differing_keys(&old.failbacks, &new.failbacks))
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

/// A list of numbers for each position, all in one allocation.
#[derive(Debug)]
struct AdjacencyLists {
    /// By position: the index in `items` at which its list starts. One more marks the end of the
    /// last list.
    starts: Box<[u32]>,
    items: Box<[u32]>,
}

impl AdjacencyLists {
    /// `count` lists, filled from pairs of position and item.
    fn new(count: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0_u32; count + 1];
        pairs.iter().for_each(|(position, _)| starts[*position as usize + 1] += 1);
        for position in 0..count {
            starts[position + 1] += starts[position];
        }
        let mut next = starts.clone();
        let mut items = vec![0; pairs.len()];
        for (position, item) in pairs {
            let next = &mut next[*position as usize];
            items[*next as usize] = *item;
            *next += 1;
        }
        Self { starts: starts.into_boxed_slice(), items: items.into_boxed_slice() }
    }

    fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The list at a position; empty beyond the last one.
    fn list(&self, position: usize) -> &[u32] {
        match self.starts.get(position..position + 2) {
            Some(&[start, end]) => &self.items[start as usize..end as usize],
            _ => &[],
        }
    }
}
