//! The items of a topology that the subject of an override names.

use super::subject::OverrideSubject;
use crate::steer::model::{
    datacenter::Datacenter,
    ids::{DatacenterId, EndpointId, PoolId},
    pool::MemberKind,
    topology::Topology,
};

impl OverrideSubject {
    /// The subject that a text means in a topology: a datacenter before a region before a pool of
    /// this name. `None` if nothing has the name.
    pub fn find(text: &str, topology: &Topology) -> Option<Self> {
        Self::candidates(text).into_iter().find(|subject| subject.is_defined(topology))
    }

    /// Whether the subject names anything in a topology.
    pub fn is_defined(&self, topology: &Topology) -> bool {
        match self {
            Self::Datacenter(_) | Self::Region(_) => !self.datacenters(topology).is_empty(),
            Self::Pool(name) => pool_id(topology, name).is_some(),
            Self::Member { .. } | Self::ServiceMember { .. } => self.member(topology).is_some(),
        }
    }

    /// The datacenters that the subject names; none for a pool or a member.
    pub fn datacenters(&self, topology: &Topology) -> Vec<DatacenterId> {
        let is_named = |datacenter: &Datacenter| match self {
            Self::Datacenter(name) => datacenter.name == *name,
            Self::Region(name) => datacenter.region.as_ref() == Some(name),
            Self::Pool(_) | Self::Member { .. } | Self::ServiceMember { .. } => false,
        };
        let all = topology.datacenters.iter().zip((0..).map(DatacenterId));
        all.filter(|(datacenter, _)| is_named(datacenter)).map(|(_, id)| id).collect()
    }

    /// The endpoints that the subject names: of a datacenter or region those that are nowhere else,
    /// of a pool all below it.
    pub fn endpoints(&self, topology: &Topology) -> Vec<EndpointId> {
        match self {
            Self::Datacenter(_) | Self::Region(_) => {
                let named = self.datacenters(topology);
                let all = topology.endpoints.iter().zip((0..).map(EndpointId));
                let is_inside = |datacenters: &[DatacenterId]| {
                    !datacenters.is_empty() && datacenters.iter().all(|id| named.contains(id))
                };
                all.filter(|(endpoint, _)| is_inside(&endpoint.datacenters))
                    .map(|(_, id)| id)
                    .collect()
            }
            Self::Pool(name) => {
                pool_id(topology, name).map(|id| topology.endpoints_below([id])).unwrap_or_default()
            }
            Self::Member { .. } | Self::ServiceMember { .. } => match self.member(topology) {
                Some((pool, position)) => {
                    let kind = topology.pools[pool.index()].members[position].kind;
                    topology.endpoints_of([kind]).collect()
                }
                None => Vec::new(),
            },
        }
    }

    /// The member that the subject names: its pool, and its position in it.
    pub fn member(&self, topology: &Topology) -> Option<(PoolId, usize)> {
        let (pool, member) = match self {
            Self::Member { pool, member } => (pool_id(topology, pool)?, member),
            Self::ServiceMember { service, member } => (inline_pool(topology, service)?, member),
            Self::Datacenter(_) | Self::Region(_) | Self::Pool(_) => return None,
        };
        let members = &topology.pools[pool.index()].members;
        let position =
            members.iter().position(|found| *topology.member_name(found.kind) == **member)?;
        Some((pool, position))
    }

    /// The number of pools that the subject reaches: an override of a pool above another one is
    /// less specific than that of the other one.
    pub(super) fn pool_count(&self, topology: &Topology) -> usize {
        let root = match self {
            Self::Pool(name) => pool_id(topology, name),
            Self::Member { .. } | Self::ServiceMember { .. } => {
                self.member(topology).and_then(|(pool, position)| {
                    match topology.pools[pool.index()].members[position].kind {
                        MemberKind::Pool(id) => Some(id),
                        MemberKind::Endpoint(_) => None,
                    }
                })
            }
            Self::Datacenter(_) | Self::Region(_) => None,
        };
        root.map_or(0, |root| topology.pools_below([root]).len())
    }
}

/// The pool of this name. A named pool comes before the one that a service of this name lists
/// itself.
fn pool_id(topology: &Topology, name: &str) -> Option<PoolId> {
    let named = || {
        let all = topology.pools.iter().zip((0..).map(PoolId));
        all.filter(|(pool, _)| *pool.name == *name).map(|(_, id)| id)
    };
    let inline = inline_pool(topology, name);
    named().find(|id| Some(*id) != inline).or_else(|| named().next())
}

/// The pool of the members that a service lists itself: it has the name of the service.
fn inline_pool(topology: &Topology, service: &str) -> Option<PoolId> {
    let wanted = service.parse().ok()?;
    let mut services = topology.services.iter().filter(|service| service.name == wanted);
    let is_inline = |id: PoolId| {
        topology.pools[id.index()].name.parse().is_ok_and(|name: crate::dns::Name| name == wanted)
    };
    services.find(|service| is_inline(service.pool)).map(|service| service.pool)
}
