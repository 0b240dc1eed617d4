//! The chart of one service: from the client's address to its area, and from there to the choice of
//! its answer.

use std::{net::IpAddr, sync::Arc};

use super::{
    fallback_stage::FallbackStage,
    route::{Route, client_key},
    wheel::WheelChoice,
};
use crate::{
    geo::Atlas,
    steer::model::{Family, PoolId, RecordKind},
};

/// A service compiled for the query path.
#[derive(Debug, Default)]
pub struct Chart {
    pub(in crate::steer) ttl_secs: u32,
    pub(in crate::steer) v4: FamilyChart,
    pub(in crate::steer) v6: FamilyChart,
    pub(in crate::steer) may_answer_cname: bool,
    pub(in crate::steer) kind: RecordKind,
    pub(in crate::steer) awaits_alias: bool,
    pub(in crate::steer) is_unresolved: bool,
}

/// A service's answers in one family.
#[derive(Debug, Default)]
pub(in crate::steer) struct FamilyChart {
    /// Maps a client's address to its area; absent if the answer does not depend on the address,
    /// and then there is at most one area.
    pub atlas: Option<Arc<Atlas>>,
    /// The answer of each area of `atlas`.
    pub areas: Box<[AreaAnswer]>,
    /// Whether a wheel picks its slot by the client's prefix.
    pub is_by_client: bool,
    /// Whether client subnets are ignored: `client-subnet = false`.
    pub ignores_subnets: bool,
    /// The worst fallback stage of any area.
    pub stage: FallbackStage,
    /// The areas of the service's survey in which members of the family exist and none is usable.
    pub unusable_areas: Box<[UnusableArea]>,
}

/// An area in which members of a family exist and none is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnusableArea {
    /// The area of the service's survey ([`crate::steer::Compiler::describe_areas`]).
    pub area: u32,
    /// The position of its clients' answer among the answers of the chart.
    pub answer_index: u32,
    /// The fallback that answers its clients.
    pub stage: FallbackStage,
    /// The pool that its clients are answered from; `None` for NODATA.
    pub pool: Option<PoolId>,
    /// Whether members are usable again, but too few after an outage of all.
    pub is_recovering: bool,
}

/// The answer that the clients of one area get.
#[derive(Debug, Clone)]
pub(in crate::steer) struct AreaAnswer {
    /// The choice to draw from; `None` is NODATA.
    pub choice: Option<WheelChoice>,
    /// The time until a verdict that the choice depends on could flip, in seconds.
    pub flips_in_secs: u32,
    /// Whether the order of an answer is one of preference.
    pub keeps_order: bool,
}

/// The address that decides for a query with a client subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidingAddress {
    /// The subnet of the query.
    Subnet,
    /// The resolver's address: the service ignores subnets.
    Resolver,
    /// The resolver's address: the subnet is special-purpose, and no rule or database contains it.
    ResolverForSpecialSubnet,
}

impl Chart {
    /// The route for a client: by `subnet` (the first address of the ECS prefix, whose length is
    /// not 0), else by the `resolver`'s address.
    #[inline(always)]
    pub fn route(&self, family: Family, subnet: Option<IpAddr>, resolver: &IpAddr) -> Route<'_> {
        let chart = self.family(family);
        let lookup = chart.area_lookup(subnet.as_ref(), resolver);
        let Some(area) = chart.areas.get(lookup.area) else {
            let scope = lookup.scope;
            return Route {
                ttl_secs: self.ttl_secs,
                scope,
                keeps_order: false,
                choice: None,
                client: 0,
            };
        };
        let (key, min_scope) =
            if chart.is_by_client { lookup.client_key(subnet.as_ref(), resolver) } else { (0, 0) };
        Route {
            ttl_secs: self.ttl_secs.min(area.flips_in_secs),
            scope: lookup.scope.max(min_scope),
            keeps_order: area.keeps_order,
            choice: area.choice.as_ref(),
            client: key,
        }
    }

    /// Whether a client may be answered a CNAME, which answers queries of every type.
    pub fn may_answer_cname(&self) -> bool {
        self.may_answer_cname
    }

    /// Whether some alias of the service was never resolved, so that its families are not known.
    pub fn awaits_alias(&self) -> bool {
        self.awaits_alias
    }

    /// Whether no client can be answered, and aliases that were never resolved may be the reason:
    /// the name may have records.
    pub fn is_unresolved(&self) -> bool {
        self.is_unresolved
    }

    /// Whether any client can get records of a family, now or after a change of health.
    pub fn publishes(&self, family: Family) -> bool {
        !self.family(family).areas.is_empty()
    }

    /// The types of records that the service answers.
    pub fn kind(&self) -> &RecordKind {
        &self.kind
    }

    /// The worst fallback stage of all areas of one family.
    pub fn fallback_stage(&self, family: Family) -> FallbackStage {
        self.family(family).stage
    }

    /// Whether nothing is usable for some clients, so that `on-all-down` decides what they get.
    pub fn is_down(&self) -> bool {
        [&self.v4, &self.v6].iter().any(|family| family.stage >= FallbackStage::AllDown)
    }

    /// The areas in which members of one family exist and none is usable, in ascending order.
    pub fn unusable_areas(&self, family: Family) -> &[UnusableArea] {
        &self.family(family).unusable_areas
    }

    /// Whether the subnet of a query decides, or the resolver's address, and for which reason.
    pub fn deciding_address(&self, family: Family, subnet: IpAddr) -> DecidingAddress {
        let chart = self.family(family);
        match &chart.atlas {
            _ if chart.ignores_subnets => DecidingAddress::Resolver,
            Some(atlas) if atlas.locate(&subnet).is_special => {
                DecidingAddress::ResolverForSpecialSubnet
            }
            _ => DecidingAddress::Subnet,
        }
    }

    /// The atlas of one family, folded to this service's answers; absent if one answer serves every
    /// client.
    pub fn atlas(&self, family: Family) -> Option<&Arc<Atlas>> {
        self.family(family).atlas.as_ref()
    }

    pub(in crate::steer) fn family(&self, family: Family) -> &FamilyChart {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl FamilyChart {
    /// The area of a client, and what it follows from. A special-purpose subnet that no rule or
    /// database contains does not locate the client, so the resolver's address decides (RFC 7871
    /// section 11.1). That answer is valid for the special range around the subnet and for no
    /// client outside of it; otherwise a resolver would give it to all of its clients.
    #[inline]
    fn area_lookup(&self, subnet: Option<&IpAddr>, resolver: &IpAddr) -> AreaLookup {
        let by_resolver = |area, scope| AreaLookup { area, scope, is_by_subnet: false };
        match (&self.atlas, subnet) {
            (Some(atlas), Some(subnet)) if !self.ignores_subnets => {
                let located = atlas.locate(subnet);
                if located.is_special {
                    return by_resolver(atlas.locate(resolver).area.0 as usize, located.scope);
                }
                AreaLookup {
                    area: located.area.0 as usize,
                    scope: located.scope,
                    is_by_subnet: true,
                }
            }
            (Some(atlas), _) => by_resolver(atlas.locate(resolver).area.0 as usize, 0),
            (None, _) => by_resolver(0, 0),
        }
    }
}

/// A client's area, with the scope of its answer.
struct AreaLookup {
    area: usize,
    /// The length of the widest prefix around the subnet inside the area; 0 if no subnet decides,
    /// or if every client gets the same answer.
    scope: u8,
    /// Whether the subnet decides, and not the resolver's address.
    is_by_subnet: bool,
}

impl AreaLookup {
    /// The prefix by which a wheel picks, as a number, and the minimum scope of an answer that it
    /// picked.
    #[inline]
    fn client_key(&self, subnet: Option<&IpAddr>, resolver: &IpAddr) -> (u64, u8) {
        match subnet {
            Some(subnet) if self.is_by_subnet => client_key(subnet),
            _ => (client_key(resolver).0, 0),
        }
    }
}
