//! The families that a service publishes, and how they depend on each other.
//!
//! A and AAAA are chosen independently, but a service is down only if neither family has a usable
//! member. While one family has a usable member, a family without one is answered NODATA, so that
//! clients use the working family at once. Both families therefore stop at the same stage of a
//! search, and `on-all-down` applies to both or to none.

use std::net::IpAddr;

use super::{
    policy::SearchResult,
    search::{PoolSearch, SearchContext},
};
use crate::steer::model::{
    AliasId, EndpointId, EndpointTarget, Family, PoolId, RecordKind, Topology,
};

/// The families that a service publishes, by the members of its own pool.
#[derive(Debug)]
pub(in crate::steer) struct PublishedFamilies {
    /// By family: whether it has a fixed address or a CNAME. An SRV service has its hosts in the
    /// place of IPv4.
    has_fixed: [bool; 2],
    /// Whether AAAA is published: not if `ipv6 = false`.
    ipv6: bool,
    /// The aliases of the service: a family that one of them has is published, too.
    aliases: Vec<AliasId>,
}

impl PublishedFamilies {
    /// The families published by a service's own pool, whose endpoints are `endpoints`.
    pub(in crate::steer) fn new(
        topology: &Topology,
        kind: &RecordKind,
        ipv6: bool,
        endpoints: &[EndpointId],
    ) -> Self {
        let holds = |is_family: fn(&IpAddr) -> bool| {
            endpoints.iter().any(|endpoint| match &topology.endpoints[endpoint.index()].target {
                EndpointTarget::Addresses(addresses) => addresses.iter().any(is_family),
                EndpointTarget::Cname(_) => true,
                EndpointTarget::Alias(_) | EndpointTarget::Host(_) => false,
            })
        };
        let mut aliases: Vec<_> =
            endpoints.iter().filter_map(|id| topology.endpoint_alias[id.index()]).collect();
        aliases.sort_unstable();
        aliases.dedup();
        Self {
            has_fixed: [*kind == RecordKind::Srv || holds(IpAddr::is_ipv4), holds(IpAddr::is_ipv6)],
            ipv6,
            aliases,
        }
    }

    /// Whether the families depend on what aliases resolve to.
    pub(in crate::steer) fn has_aliases(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// Whether some alias was never resolved.
    pub(in crate::steer) fn awaits_alias(&self, search: &PoolSearch<'_>) -> bool {
        self.aliases.iter().any(|&alias| search.is_unresolved(alias))
    }

    /// Whether a family is published under the conditions of `search`.
    pub(in crate::steer) fn holds(&self, family: Family, search: &PoolSearch<'_>) -> bool {
        let (is_fixed, is_enabled) = match family {
            Family::V4 => (self.has_fixed[0], true),
            Family::V6 => (self.has_fixed[1], self.ipv6),
        };
        is_enabled && (is_fixed || self.aliases.iter().any(|&alias| search.may_have(alias, family)))
    }

    /// The result of searching `pool` for the other family than that of `context`; `None` if the
    /// other family is not published.
    pub(in crate::steer) fn other_family(
        &self,
        pool: PoolId,
        context: SearchContext<'_>,
        search: &mut PoolSearch<'_>,
    ) -> Option<SearchResult> {
        let family = context.family.other();
        self.holds(family, search).then(|| search.pool(pool, SearchContext { family, ..context }))
    }
}
