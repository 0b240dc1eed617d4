//! The names of pools and endpoints. Their numbers change between loads and runs; their names, in
//! the order in which the files have them, do not.

use std::{collections::HashMap, sync::Arc};

use crate::steer::{EndpointId, MemberKind, Numbering, PoolId, Topology};

/// The pools and endpoints of one topology, by name.
#[derive(Debug, Clone)]
pub(super) struct NameTable {
    pub(super) topology: Arc<Topology>,
    /// The key of each pool: its name, and `#2` for the second one of that name. An inline pool may
    /// have the name of a named one.
    pool_keys: Vec<String>,
    pools: HashMap<String, PoolId>,
    /// The pool that has each endpoint as a member.
    pool_of: Vec<Option<PoolId>>,
}

impl NameTable {
    /// The names of a topology whose pools and endpoints have the numbers of `numbering`.
    pub(super) fn new(topology: &Arc<Topology>, numbering: &Numbering) -> Self {
        let count = topology.pools.len();
        let mut seen: HashMap<&str, u32> = HashMap::with_capacity(count);
        let mut pool_keys = vec![String::new(); count];
        let mut pool_of = vec![None; topology.endpoints.len()];
        for id in numbering.pools_as_written(count) {
            let pool = &topology.pools[id.index()];
            let ordinal = seen.entry(&pool.name).or_default();
            *ordinal += 1;
            pool_keys[id.index()] = match ordinal {
                1 => pool.name.to_string(),
                more => format!("{}#{more}", pool.name),
            };
            for member in &pool.members {
                if let MemberKind::Endpoint(endpoint) = member.kind {
                    pool_of[endpoint.index()] = Some(id);
                }
            }
        }
        let pools = pool_keys.iter().cloned().zip((0..).map(PoolId)).collect();
        Self { topology: Arc::clone(topology), pool_keys, pools, pool_of }
    }

    pub(super) fn pool_key(&self, id: PoolId) -> Option<&str> {
        self.pool_keys.get(id.index()).map(String::as_str)
    }

    pub(super) fn pool(&self, key: &str) -> Option<PoolId> {
        self.pools.get(key).copied()
    }

    /// The key of the endpoint's pool, and the endpoint's name.
    pub(super) fn endpoint_key(&self, id: EndpointId) -> Option<(&str, &str)> {
        let pool = self.pool_of.get(id.index()).copied().flatten()?;
        Some((self.pool_key(pool)?, &self.topology.endpoints[id.index()].name))
    }

    /// The endpoint of this name in a pool.
    pub(super) fn endpoint(&self, pool: &str, name: &str) -> Option<EndpointId> {
        let members = &self.topology.pools[self.pool(pool)?.index()].members;
        members.iter().find_map(|member| match member.kind {
            MemberKind::Endpoint(id) if *self.topology.endpoints[id.index()].name == *name => {
                Some(id)
            }
            _ => None,
        })
    }

    /// The name of a member, by its position in the pool.
    pub(super) fn member(&self, pool: &str, position: u16) -> Option<&str> {
        let members = &self.topology.pools[self.pool(pool)?.index()].members;
        Some(self.topology.member_name(members.get(usize::from(position))?.kind))
    }
}
