//! The chart: a service compiled for the query path. Client to area, area to wheel, wheel to slot,
//! slot to ready answer.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::{
    draw_state::DrawState,
    record_kind::RecordKind,
    topology::{DatacenterId, EndpointId, PoolId},
    wheel::WheelChoice,
};
use crate::{dns::Rtype, geo::Atlas};

/// An address family, which is also what a query of type A or AAAA asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    /// The family whose addresses a type asks for; other types have none.
    #[inline]
    pub fn asked_by(rtype: Rtype) -> Option<Self> {
        match rtype {
            Rtype::A => Some(Self::V4),
            Rtype::AAAA => Some(Self::V6),
            _ => None,
        }
    }

    /// IPv6 for IPv4, and IPv4 for IPv6.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// `IPv4` or `IPv6`.
    pub fn word(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Whether an address is of this family.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// A service compiled for the query path.
#[derive(Debug, Default)]
pub struct Chart {
    pub(super) ttl_secs: u32,
    pub(super) v4: FamilyChart,
    pub(super) v6: FamilyChart,
    pub(super) may_answer_cname: bool,
    pub(super) kind: RecordKind,
    pub(super) awaits_alias: bool,
    pub(super) is_unresolved: bool,
}

/// A service's answers of one family.
#[derive(Debug, Default)]
pub(super) struct FamilyChart {
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
    /// The area of the service's survey ([`super::Compiler::area_words`]).
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
pub(super) struct AreaAnswer {
    /// `NormalizedStream` is NODATA.
    pub choice: Option<WheelChoice>,
    /// Until a verdict that this choice hangs on could flip, in seconds.
    pub flips_in_secs: u32,
    /// Whether the order of an answer is one of preference.
    pub keeps_order: bool,
}

/// How far a service had to go to find an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum FallbackStage {
    /// Usable members answer, or the family has no members.
    #[default]
    Normal,
    /// No member of the family is usable, and the other family is answered: NODATA.
    OtherFamily,
    /// Nothing is usable: `on-all-down` decides what is answered.
    AllDown,
    /// Nothing but draining members or such as are forced down is left: they are answered.
    OnlyDrainedLeft,
    /// Nothing but disabled members is left: they are answered.
    OnlyDisabledLeft,
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

/// One endpoint's part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointAnswer {
    /// Counted as answered; of an endpoint that names a region, the first datacenter of those that
    /// are most in service.
    pub datacenter: Option<DatacenterId>,
    /// The endpoint, for reports: no query reads it.
    pub endpoint: EndpointId,
    /// The records' rdata, all of one type.
    pub rdata: Rdata,
}

/// The rdata of one endpoint's records.
#[derive(Debug, Clone, PartialEq)]
pub enum Rdata {
    /// A records, in the order written.
    A(Box<[[u8; 4]]>),
    /// AAAA records, in the order written.
    Aaaa(Box<[[u8; 16]]>),
    /// One CNAME record: the target in lower-cased uncompressed wire form.
    Cname(Box<[u8]>),
    /// One SRV record.
    Srv(SrvRdata),
}

/// The rdata of an SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRdata {
    /// Lower is tried first.
    pub priority: u16,
    /// Among those of one priority.
    pub weight: u16,
    /// Where the service is at the target.
    pub port: u16,
    /// In lower-cased uncompressed wire form.
    pub target: Box<[u8]>,
}

/// What a chart has for one client: a wheel to draw from and how far the answer may travel.
#[derive(Debug)]
pub struct Route<'a> {
    /// The TTL of every record drawn from here, in seconds.
    pub ttl_secs: u32,
    /// ECS SCOPE PREFIX-LENGTH (RFC 7871 section 7.2.1), in the family of the subnet asked with; 0
    /// where no subnet decided.
    pub scope: u8,
    /// Whether the order of the answer is one of preference.
    pub keeps_order: bool,
    choice: Option<&'a WheelChoice>,
    client: u64,
}

/// The client prefix that `spread = "client"` keeps together, and the least scope of an answer
/// chosen by it.
const CLIENT_PREFIX_V4: u8 = 24;
const CLIENT_PREFIX_V6: u8 = 56;

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

    pub(super) fn family(&self, family: Family) -> &FamilyChart {
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

/// The client's prefix as a number, and the least scope of an answer chosen by it: /24 of IPv4 and
/// /56 of IPv6, told apart by the top bit.
fn client_key(client: &IpAddr) -> (u64, u8) {
    let v4_key = |address: &Ipv4Addr| u64::from(address.to_bits() >> (32 - CLIENT_PREFIX_V4));
    match client {
        IpAddr::V4(address) => (v4_key(address), CLIENT_PREFIX_V4),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => (v4_key(&mapped), 96 + CLIENT_PREFIX_V4),
            None => {
                ((address.to_bits() >> (128 - CLIENT_PREFIX_V6)) as u64 | 1 << 63, CLIENT_PREFIX_V6)
            }
        },
    }
}

impl<'a> Route<'a> {
    /// Whether there is nothing to draw: NODATA.
    pub fn is_empty(&self) -> bool {
        self.choice.is_none()
    }

    /// Draws the endpoints of one answer and hands each to `each`, in the order of the answer; none
    /// at all means NODATA. A CNAME comes alone.
    pub fn draw<F: FnMut(&'a EndpointAnswer)>(&self, draws: &mut DrawState, each: &mut F) {
        if let Some(choice) = self.choice {
            choice.draw(self.client, draws, each);
        }
    }
}

impl Rdata {
    /// Whether there is no record: the endpoint has no address of the family, and is in the answer
    /// to keep a CNAME company.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::A(addresses) => addresses.is_empty(),
            Self::Aaaa(addresses) => addresses.is_empty(),
            Self::Cname(_) | Self::Srv(_) => false,
        }
    }

    /// As texts, in the order of the answer.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::A(addresses) => {
                addresses.iter().map(|a| Ipv4Addr::from(*a).to_string()).collect()
            }
            Self::Aaaa(addresses) => {
                addresses.iter().map(|a| Ipv6Addr::from(*a).to_string()).collect()
            }
            Self::Cname(wire) => crate::dns::Name::from_wire(wire)
                .map(|name| vec![name.to_string()])
                .unwrap_or_default(),
            Self::Srv(srv) => {
                let host = |name: crate::dns::Name| vec![format!("{name}:{}", srv.port)];
                crate::dns::Name::from_wire(&srv.target).map(host).unwrap_or_default()
            }
        }
    }
}
