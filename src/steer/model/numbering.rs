//! Numbering: pools and endpoints keep their numbers across loads, so that charts that name them
//! stay valid when something else is added or removed.

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

/// The numbers of pools and endpoints by their positions in the files; empty where each has its
/// position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbering {
    pools: Vec<u32>,
    endpoints: Vec<u32>,
}

/// A topology as written and as numbered. One that differs little shares its parts.
#[derive(Debug, Clone, Copy)]
pub struct NumberedTopology<'a> {
    /// The topology whose ids are positions in the files.
    pub written: &'a Arc<Topology>,
    /// The topology whose ids are the numbers that charts use.
    pub numbered: &'a Arc<Topology>,
    /// The numbering that makes `numbered` of `written`.
    pub numbering: &'a Numbering,
}

impl Numbering {
    /// The numbers that the pools and endpoints of `written` have in `old`, found by name. A new
    /// one gets the number of one that is gone, or one behind all others. Where fewer are new than
    /// gone, those with the highest numbers move into the free ones.
    pub fn after(written: &Topology, old: &Topology) -> Self {
        if has_names_of(written, old) {
            return Self::default();
        }
        Self {
            pools: assign_numbers(&names_of_pools(written), &names_of_pools(old)),
            endpoints: assign_numbers(&names_of_endpoints(written), &names_of_endpoints(old)),
        }
    }

    /// Whether each pool and endpoint has its position as its number.
    fn is_by_position(&self) -> bool {
        self.pools.is_empty() && self.endpoints.is_empty()
    }

    /// `written` with these numbers; what it shares with `base` as written is shared as numbered,
    /// too.
    pub fn apply(
        &self,
        written: &Arc<Topology>,
        base: Option<NumberedTopology<'_>>,
    ) -> Arc<Topology> {
        if self.is_by_position() {
            return Arc::clone(written);
        }
        let base = base.filter(|base| base.numbering == self);
        let pools: Vec<Arc<Pool>> =
            written.pools.iter().enumerate().map(|(at, pool)| self.pool(at, pool, base)).collect();
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

    fn pool(&self, at: usize, pool: &Arc<Pool>, base: Option<NumberedTopology<'_>>) -> Arc<Pool> {
        let known = base.filter(|base| {
            base.written.pools.get(at).is_some_and(|known| Arc::ptr_eq(known, pool))
        });
        if let Some(base) = known {
            return Arc::clone(&base.numbered.pools[self.pools[at] as usize]);
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

/// Whether pools and endpoints have the names of those of `old`, in the same order.
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

/// What identifies a pool across loads: its name, and how many pools before it have that name. An
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

/// What identifies an endpoint across loads: its pool, and its own name, which no other endpoint of
/// that pool has.
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

/// The place of each of `new`: its place in `old`, unless it is not there or the place is beyond
/// the last one; else a free place.
fn assign_numbers<K: Eq + std::hash::Hash>(new: &[K], old: &[K]) -> Vec<u32> {
    let known: HashMap<&K, u32> = old.iter().zip(0..).collect();
    let old_place = |key: &K| known.get(key).copied().filter(|place| (*place as usize) < new.len());
    let mut places: Vec<Option<u32>> = new.iter().map(old_place).collect();
    let taken: HashSet<u32> = places.iter().flatten().copied().collect();
    let mut free = (0..new.len() as u32).filter(|place| !taken.contains(place));
    for place in places.iter_mut().filter(|place| place.is_none()) {
        *place = free.next();
    }
    places.into_iter().flatten().collect()
}

/// The values in the order of their places.
fn in_number_order<T>(places: &[u32], values: &[Arc<T>]) -> Vec<Arc<T>> {
    let mut order = vec![0_usize; values.len()];
    places.iter().enumerate().for_each(|(at, place)| order[*place as usize] = at);
    order.into_iter().map(|at| Arc::clone(&values[at])).collect()
}
