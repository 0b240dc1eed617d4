//! Numbering: pools and endpoints keep their numbers across loads, so that charts that refer to
//! them by number stay valid when other pools or endpoints are added or removed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    ids::{EndpointId, PoolId},
    pool::{Member, MemberKind, Pool},
    service::OnAllDown,
    topology::Topology,
};

/// The numbers of pools and endpoints, by their positions in the files. Empty if every number is
/// the position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbering {
    pools: Vec<u32>,
    endpoints: Vec<u32>,
}

/// A topology as written and as numbered. A topology that differs little shares its pools and
/// endpoints with it.
#[derive(Debug, Clone, Copy)]
pub struct NumberedTopology<'a> {
    /// The topology whose ids are positions in the files.
    pub written: &'a Arc<Topology>,
    /// The topology whose ids are the numbers that charts use.
    pub numbered: &'a Arc<Topology>,
    /// The numbering by which `numbered` follows from `written`.
    pub numbering: &'a Numbering,
}

impl Numbering {
    /// The numbers that the pools and endpoints of `written` have in `old`, found by name. A new
    /// item gets the number of a removed one, or a number after all others. If fewer items are new
    /// than removed, those with the highest numbers get the free lower ones.
    pub fn after(written: &Topology, old: &Topology) -> Self {
        if has_names_of(written, old) {
            return Self::default();
        }
        Self {
            pools: assign_numbers(&names_of_pools(written), &names_of_pools(old)),
            endpoints: assign_numbers(&names_of_endpoints(written), &names_of_endpoints(old)),
        }
    }

    /// The numbers of `count` pools, in the order in which the files have them.
    pub fn pools_as_written(&self, count: usize) -> impl Iterator<Item = PoolId> {
        let number = |position: usize| self.pools.get(position).copied().unwrap_or(position as u32);
        (0..count).map(move |position| PoolId(number(position)))
    }

    /// Whether each pool and endpoint has its position as its number.
    fn is_by_position(&self) -> bool {
        self.pools.is_empty() && self.endpoints.is_empty()
    }

    /// `written` with these numbers. Pools that `written` shares with `base.written` are shared
    /// with `base.numbered`.
    pub fn apply(
        &self,
        written: &Arc<Topology>,
        base: Option<NumberedTopology<'_>>,
    ) -> Arc<Topology> {
        if self.is_by_position() {
            return Arc::clone(written);
        }
        let base = base.filter(|base| base.numbering == self);
        let pools: Vec<Arc<Pool>> = written
            .pools
            .iter()
            .enumerate()
            .map(|(index, pool)| self.pool(index, pool, base))
            .collect();
        let mut services = Vec::clone(&written.services);
        for service in &mut services {
            service.pool = PoolId(self.pools[service.pool.index()]);
            if let OnAllDown::Pool(other) = &mut service.on_all_down {
                *other = PoolId(self.pools[other.index()]);
            }
        }
        let pools = in_number_order(&self.pools, &pools);
        let endpoints = in_number_order(&self.endpoints, &written.endpoints);
        let (datacenters, monitors) = (written.datacenters.clone(), written.monitors.clone());
        let topology = Topology::from_shared(datacenters, monitors, endpoints, pools, services);
        Arc::new(topology.with_load_sources(written.load_sources.clone()))
    }

    fn pool(
        &self,
        index: usize,
        pool: &Arc<Pool>,
        base: Option<NumberedTopology<'_>>,
    ) -> Arc<Pool> {
        let known = base.filter(|base| {
            base.written.pools.get(index).is_some_and(|known| Arc::ptr_eq(known, pool))
        });
        if let Some(base) = known {
            return Arc::clone(&base.numbered.pools[self.pools[index] as usize]);
        }
        let mut pool = Pool::clone(pool);
        let renumber = |member: &mut Member| {
            member.kind = match member.kind {
                MemberKind::Pool(id) => MemberKind::Pool(PoolId(self.pools[id.index()])),
                MemberKind::Endpoint(id) => {
                    MemberKind::Endpoint(EndpointId(self.endpoints[id.index()]))
                }
            };
        };
        pool.members.iter_mut().for_each(renumber);
        Arc::new(pool)
    }
}

/// Whether the pools and endpoints of both topologies have the same names in the same order.
fn has_names_of(written: &Topology, old: &Topology) -> bool {
    let kinds = |pool: &Pool| pool.members.iter().map(|member| member.kind).collect::<Vec<_>>();
    let is_same_pool = |(new, old): (&Arc<Pool>, &Arc<Pool>)| {
        Arc::ptr_eq(new, old) || new.name == old.name && kinds(new) == kinds(old)
    };
    written.pools.len() == old.pools.len()
        && written.endpoints.len() == old.endpoints.len()
        && written.pools.iter().zip(&old.pools).all(is_same_pool)
        && written
            .endpoints
            .iter()
            .zip(&old.endpoints)
            .all(|(new, old)| Arc::ptr_eq(new, old) || new.name == old.name)
}

/// The key of each pool across loads: its name, and its ordinal among the pools of that name. An
/// inline pool may have the name of a named one.
fn names_of_pools(topology: &Topology) -> Vec<(&str, u32)> {
    let mut seen: HashMap<&str, u32> = HashMap::with_capacity(topology.pools.len());
    let mut names = Vec::with_capacity(topology.pools.len());
    for pool in &topology.pools {
        let count = seen.entry(&pool.name).or_default();
        *count += 1;
        names.push((&*pool.name, *count));
    }
    names
}

/// The key of each endpoint across loads: its pool's key and its name, which is unique in the pool.
fn names_of_endpoints(topology: &Topology) -> Vec<((&str, u32), &str)> {
    let mut names = vec![(("", 0), ""); topology.endpoints.len()];
    for (pool, name) in topology.pools.iter().zip(names_of_pools(topology)) {
        for member in &pool.members {
            if let MemberKind::Endpoint(id) = member.kind {
                names[id.index()] = (name, &topology.endpoints[id.index()].name);
            }
        }
    }
    names
}

/// The number of each key of `new`: its position in `old`, if it is there and below the length of
/// `new`; else a free number.
fn assign_numbers<K: Eq + std::hash::Hash>(new: &[K], old: &[K]) -> Vec<u32> {
    let known: HashMap<&K, u32> = old.iter().zip(0..).collect();
    let old_number =
        |key: &K| known.get(key).copied().filter(|number| (*number as usize) < new.len());
    let mut numbers: Vec<Option<u32>> = new.iter().map(old_number).collect();
    let taken: HashSet<u32> = numbers.iter().flatten().copied().collect();
    let mut free = (0..new.len() as u32).filter(|number| !taken.contains(number));
    for number in numbers.iter_mut().filter(|number| number.is_none()) {
        *number = free.next();
    }
    numbers.into_iter().flatten().collect()
}

/// The values in the order of their numbers.
fn in_number_order<T>(numbers: &[u32], values: &[Arc<T>]) -> Vec<Arc<T>> {
    let mut order = vec![0_usize; values.len()];
    numbers.iter().enumerate().for_each(|(index, number)| order[*number as usize] = index);
    order.into_iter().map(|index| Arc::clone(&values[index])).collect()
}
