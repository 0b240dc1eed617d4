//! The families that a service publishes, and what holds them together.
//!
//! A and AAAA choose apart, but a service is down only when neither family has a usable member.
//! While one has, the other one's answer without a usable member is NODATA, so that clients use the
//! working family at once. Both families therefore stop at the same stage of a search, and
//! `on-all-down` applies to both or to none.

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
    /// By family: whether a fixed address or a CNAME belongs to it. An SRV service has its hosts in
    /// the place of IPv4.
    has_fixed: [bool; 2],
    /// `ipv6 = false` publishes no AAAA.
    ipv6: bool,
    /// What they resolve to decides which families are published besides.
    aliases: Vec<AliasId>,
}

impl PublishedFamilies {
    /// Of a service's own pool, given every endpoint below it.
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

    /// Whether a family is published under the present conditions.
    pub(in crate::steer) fn holds(&self, family: Family, search: &PoolSearch<'_>) -> bool {
        let (is_fixed, is_wanted) = match family {
            Family::V4 => (self.has_fixed[0], true),
            Family::V6 => (self.has_fixed[1], self.ipv6),
        };
        is_wanted && (is_fixed || self.aliases.iter().any(|&alias| search.may_have(alias, family)))
    }

    /// What the family that `view` does not ask for comes to in `pool`; `None` where that family is
    /// not published.
    pub(in crate::steer) fn other_family(
        &self,
        pool: PoolId,
        view: SearchContext<'_>,
        search: &mut PoolSearch<'_>,
    ) -> Option<SearchResult> {
        let family = view.family.other();
        self.holds(family, search).then(|| search.pool(pool, SearchContext { family, ..view }))
    }
}
