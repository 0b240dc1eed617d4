//! The chart: a service compiled for the query path. Client to area, area to wheel, wheel to slot,
//! slot to ready answer.

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

/// A service's answers of one family.
#[derive(Debug, Default)]
pub(in crate::steer) struct FamilyChart {
    /// Client to area; absent where nothing of the client has a part, and then there is at most one
    /// area.
    pub atlas: Option<Arc<Atlas>>,
    /// By area of `atlas`.
    pub areas: Box<[AreaAnswer]>,
    /// Whether some wheel picks by the client's prefix.
    pub is_by_client: bool,
    /// Client subnets do not count: `client-subnet = false`.
    pub ignores_subnets: bool,
    /// The worst plight of any area.
    pub stage: FallbackStage,
    /// The areas of the service's survey in which members of the family exist and none is usable.
    pub unusable_areas: Box<[UnusableArea]>,
}

/// An area in which members of a family exist and none is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnusableArea {
    /// The area of the service's survey ([`crate::steer::Compiler::describe_areas`]).
    pub area: u32,
    /// The position of what its clients get among what the chart has for any.
    pub answer_index: u32,
    /// How far the service had to go.
    pub stage: FallbackStage,
    /// The pool that its clients are answered from; nothing where that is NODATA.
    pub pool: Option<PoolId>,
    /// Members are usable again, but too few after an outage of all.
    pub is_recovering: bool,
}

/// What one area's clients get.
#[derive(Debug, Clone)]
pub(in crate::steer) struct AreaAnswer {
    /// `None` is NODATA.
    pub choice: Option<WheelChoice>,
    /// Until a verdict that this choice hangs on could flip, in seconds.
    pub flips_in_secs: u32,
    /// Whether the order of an answer is one of preference.
    pub keeps_order: bool,
}

/// What decides for a client that a subnet is known of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidingAddress {
    /// The subnet.
    Subnet,
    /// The resolver's address: the service does not look at subnets.
    Resolver,
    /// The resolver's address: the subnet is special-purpose, and neither a rule nor a database
    /// knows it.
    ResolverForSpecialSubnet,
}

impl Chart {
    /// The course for a client: by `subnet` (the first address of what ECS says, prefix not 0),
    /// else by the `resolver`'s address.
    #[inline(always)]
    pub fn route(&self, family: Family, subnet: Option<IpAddr>, resolver: &IpAddr) -> Route<'_> {
        let chart = self.family(family);
        let ruling = chart.area_lookup(subnet.as_ref(), resolver);
        let Some(reach) = chart.areas.get(ruling.area) else {
            let scope = ruling.scope;
            return Route {
                ttl_secs: self.ttl_secs,
                scope,
                keeps_order: false,
                choice: None,
                client: 0,
            };
        };
        let (key, least) =
            if chart.is_by_client { ruling.client_key(subnet.as_ref(), resolver) } else { (0, 0) };
        Route {
            ttl_secs: self.ttl_secs.min(reach.flips_in_secs),
            scope: ruling.scope.max(least),
            keeps_order: reach.keeps_order,
            choice: reach.choice.as_ref(),
            client: key,
        }
    }

    /// Whether a client may be answered a CNAME, for whatever type it asks.
    pub fn may_answer_cname(&self) -> bool {
        self.may_answer_cname
    }

    /// Whether some alias of the service was never resolved: which families it has is not known.
    pub fn awaits_alias(&self) -> bool {
        self.awaits_alias
    }

    /// Whether nothing can be answered to any client, and aliases that were never resolved may be
    /// why: the name may well have records.
    pub fn is_unresolved(&self) -> bool {
        self.is_unresolved
    }

    /// Whether any client can get records of a family, now or after a change of health.
    pub fn publishes(&self, family: Family) -> bool {
        !self.family(family).areas.is_empty()
    }

    /// Which records the service answers.
    pub fn kind(&self) -> &RecordKind {
        &self.kind
    }

    /// How far the service had to go to find an answer, over all areas of one family.
    pub fn fallback_stage(&self, family: Family) -> FallbackStage {
        self.family(family).stage
    }

    /// Whether nothing is usable for some clients, so that `on-all-down` decides what they get.
    pub fn is_down(&self) -> bool {
        [&self.v4, &self.v6].iter().any(|family| family.stage >= FallbackStage::AllDown)
    }

    /// Where members of one family exist and none is usable, in ascending order of area.
    pub fn unusable_areas(&self, family: Family) -> &[UnusableArea] {
        &self.family(family).unusable_areas
    }

    /// Whether the subnet that came with a query decides for a client, or the resolver's address
    /// for one of these reasons.
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

    /// The atlas of one family, folded to this service's answers; absent where one answer serves
    /// every client.
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
    /// What decides for a client. Of a special-purpose subnet that neither a rule nor a database
    /// knows, nothing follows about the client's place: the resolver's address decides (RFC 7871
    /// section 11.1). That answer holds for the special range around the subnet and for no client
    /// outside of it, or a resolver would give it to all of its clients.
    #[inline]
    fn area_lookup(&self, subnet: Option<&IpAddr>, resolver: &IpAddr) -> AreaLookup {
        let by_resolver = |area, scope| AreaLookup { area, scope, is_by_subnet: false };
        match (&self.atlas, subnet) {
            (Some(atlas), Some(subnet)) if !self.ignores_subnets => {
                let place = atlas.locate(subnet);
                if place.is_special {
                    return by_resolver(atlas.locate(resolver).area.0 as usize, place.scope);
                }
                AreaLookup { area: place.area.0 as usize, scope: place.scope, is_by_subnet: true }
            }
            (Some(atlas), _) => by_resolver(atlas.locate(resolver).area.0 as usize, 0),
            (None, _) => by_resolver(0, 0),
        }
    }
}

/// What decides for a client.
struct AreaLookup {
    area: usize,
    /// How far the area goes around the subnet; 0 where no subnet came, or where every client gets
    /// the same.
    scope: u8,
    /// The subnet decides, and not the resolver's address.
    is_by_subnet: bool,
}

impl AreaLookup {
    /// The prefix that a wheel picks by, as a number, and the least scope of an answer that it
    /// picked.
    #[inline]
    fn client_key(&self, subnet: Option<&IpAddr>, resolver: &IpAddr) -> (u64, u8) {
        match subnet {
            Some(subnet) if self.is_by_subnet => client_key(subnet),
            _ => (client_key(resolver).0, 0),
        }
    }
}
