//! Numbering: pools and endpoints keep their numbers over loads, so that charts that name them stay valid when something else is
//! added or removed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    endpoint::Endpoint,
    pool::{Member, MemberKind, Pool},
    service::OnAllDown,
    topology::{EndpointId, PoolId, Topology},
};

impl Topology {
    /// The same with the pools and endpoints of `old` in their old places, found by name, and shared where they are equal. A new
    /// one gets the place of one that is gone, or a place behind all others. Where more are gone than new, the last
    /// ones take their places.
    pub fn numbered_after(mut self, old: &Self) -> Self {
        if !self.has_names_of(old) {
            self = self.renumbered(old);
        }
        for (pool, old) in self.pools.iter_mut().zip(&old.pools) {
            share(pool, old);
        }
        for (endpoint, old) in self.endpoints.iter_mut().zip(&old.endpoints) {
            share(endpoint, old);
        }
        self
    }

    /// Whether the pools and endpoints have the names of those of `old`, in the same order.
    fn has_names_of(&self, old: &Self) -> bool {
        let pools = self.pools.iter().zip(&old.pools);
        let has_members_of = |(new, old): (&Arc<Pool>, &Arc<Pool>)| {
            let of = |pool: &Pool| pool.members.iter().map(|member| member.kind).collect::<Vec<_>>();
            Arc::ptr_eq(new, old) || new.name == old.name && of(new) == of(old)
        };
        self.pools.len() == old.pools.len()
            && self.endpoints.len() == old.endpoints.len()
            && pools.map(has_members_of).all(|is_same| is_same)
            && self.endpoints.iter().zip(&old.endpoints).all(|(new, old)| new.name == old.name)
    }

    fn renumbered(self, old: &Self) -> Self {
        let pools = places(&names_of_pools(&self), &names_of_pools(old));
        let endpoints = places(&names_of_endpoints(&self), &names_of_endpoints(old));
        let kind = |kind: MemberKind| match kind {
            MemberKind::Pool(id) => MemberKind::Pool(PoolId(pools[id.index()])),
            MemberKind::Endpoint(id) => MemberKind::Endpoint(EndpointId(endpoints[id.index()])),
        };
        let renumber_members = |pool: Arc<Pool>| {
            let mut pool = Arc::unwrap_or_clone(pool);
            pool.members.iter_mut().for_each(|member: &mut Member| member.kind = kind(member.kind));
            pool
        };
        let mut services = self.services;
        for service in &mut services {
            service.pool = PoolId(pools[service.pool.index()]);
            if let OnAllDown::Pool(other) = &mut service.on_all_down {
                *other = PoolId(pools[other.index()]);
            }
        }
        let in_place = |places: &[u32], count: usize| {
            let mut order = vec![0_usize; count];
            places.iter().enumerate().for_each(|(at, place)| order[*place as usize] = at);
            order
        };
        let mut renumbered: Vec<Option<Pool>> = self.pools.into_iter().map(renumber_members).map(Some).collect();
        let order = in_place(&pools, renumbered.len());
        let pools = order.into_iter().filter_map(|at| renumbered[at].take()).collect();
        let mut moved: Vec<Option<Endpoint>> = self.endpoints.into_iter().map(Arc::unwrap_or_clone).map(Some).collect();
        let order = in_place(&endpoints, moved.len());
        let endpoints = order.into_iter().filter_map(|at| moved[at].take()).collect();
        Self::new(self.datacenters, self.monitors, endpoints, pools, services).with_loads(self.loads)
    }
}

/// What identifies a pool over loads: its name, and how many pools before it have that name. An inline pool may have the name
/// of a named one.
fn names_of_pools(topology: &Topology) -> Vec<(&str, u32)> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    topology
        .pools
        .iter()
        .map(|pool| {
            let count = seen.entry(&pool.name).or_default();
            *count += 1;
            (&*pool.name, *count)
        })
        .collect()
}

/// What identifies an endpoint over loads: its pool, and its own name, which no other endpoint of that pool has.
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

/// For each of `new`, its place: that of the same one in `old` where there is one, so far as the places go.
fn places<K: Eq + std::hash::Hash>(new: &[K], old: &[K]) -> Vec<u32> {
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

/// Makes two equal values one.
fn share<T: PartialEq>(value: &mut Arc<T>, old: &Arc<T>) {
    if !Arc::ptr_eq(value, old) && **value == **old {
        *value = Arc::clone(old);
    }
}
