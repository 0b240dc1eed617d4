//! The result of an inspection: the pools that a service tried for one client, as a tree, with the
//! decision about each member.

use std::net::IpAddr;

use ipnet::IpNet;

use super::share_modifiers::ShareModifiers;
use crate::{
    geo::Location,
    health::HealthStatus,
    steer::{
        chart::FallbackStage,
        compile::Decision,
        model::{DatacenterId, EndpointId, PoolId, ServingState, Spread},
    },
};

/// A client, by what preferences depend on.
#[derive(Debug, Clone, Copy)]
pub struct ClientLocation<'a> {
    /// The address of the client subnet, or of the resolver.
    pub address: IpAddr,
    /// The location of the address, by the databases.
    pub location: &'a Location,
}

/// How a service was answered for one client.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The prefixes of `subnet` rules that hold the client, longest first.
    pub matching_prefixes: Vec<IpNet>,
    /// The pools tried, in order; the last one answers, if any does.
    pub attempts: Vec<InspectedAttempt>,
    /// The least time until a verdict that the answer depends on could flip, in seconds.
    pub flips_in_secs: Option<u32>,
    /// All members are answered although some are usable again: too few have recovered from an
    /// outage of all.
    pub is_recovering: bool,
}

/// One pool that the service tried.
#[derive(Debug, Clone)]
pub struct InspectedAttempt {
    /// The stage of the fallback at this attempt.
    pub stage: FallbackStage,
    /// The stage that the tree was searched for: after [`FallbackStage::Normal`], members count
    /// whatever their health checks say.
    pub search_stage: FallbackStage,
    /// The pool, with everything below it.
    pub tree: InspectedPool,
    /// No member of the family asked for is usable, and one of the other family is: the answer is
    /// NODATA.
    pub serves_other_family: bool,
}

/// A pool, inspected for the client.
#[derive(Debug, Clone)]
pub struct InspectedPool {
    /// The number of the pool that was inspected.
    pub id: PoolId,
    /// The fallback stage of the search: after [`FallbackStage::Normal`], members count whatever
    /// their health checks say.
    pub search_stage: FallbackStage,
    /// In a `geo` pool: the rule that ends the search for this client.
    pub final_rule: Option<FinalRule>,
    /// Whether as many members are usable as `min-up` requires.
    pub meets_min_up: bool,
    /// Whether a client can be answered from the pool.
    pub is_usable: bool,
    /// Whether nothing is answered because the configuration says so (`default = []`), not because
    /// of a failure.
    pub is_empty_by_config: bool,
    /// How many members an answer has.
    pub picks: usize,
    /// How a client picks its slot.
    pub spread: Spread,
    /// The number of slots of the wheel; 1 if there is only one answer.
    pub slots: usize,
    /// Every member: in a `nearest` pool by distance, in a `geo` pool in the order of the matching
    /// rules, in other pools as written.
    pub members: Vec<InspectedMember>,
}

/// The rule of a `geo` pool after which neither another rule nor `default` is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalRule {
    /// The key of the rule that matched.
    pub matched_key: MatchedKey,
    /// Whether `strict = true` ends the search; otherwise the rule ends it because it has no
    /// members.
    pub is_strict: bool,
}

/// A member of a pool, and the decision about it.
#[derive(Debug, Clone)]
pub struct InspectedMember {
    /// The position of the member in the pool.
    pub position: usize,
    /// Whether the member was picked, and why.
    pub decision: Decision,
    /// The share of the pool's answers that contain the member, from 0 to 1: counted in the slots
    /// of the wheel, or computed from draws by weight.
    pub share: f64,
    /// Whether the member is a standby, by weight 0 or by state: it is picked only when nothing
    /// else is usable.
    pub is_standby: bool,
    /// Whether the other address family of the member is down, in a pool that couples families.
    pub has_family_down: bool,
    /// What changes the share of the member besides rank and weight.
    pub modifiers: ShareModifiers,
    /// In a `nearest` pool: the distance to the nearest datacenter of the member in kilometres,
    /// without and with the bias. `None` if the location of the client or of the member is not
    /// known.
    pub distance_km: Option<(f64, f64)>,
    /// In a `geo` pool: the key of the rule that offers the member to this client.
    pub matched_key: Option<MatchedKey>,
    /// The datacenters of the member; for a pool, those of all its endpoints.
    pub datacenters: Vec<DatacenterId>,
    /// The endpoint or the pool that is the member.
    pub content: InspectedNode,
}

/// An endpoint or a pool, inspected.
#[derive(Debug, Clone)]
pub enum InspectedNode {
    /// An endpoint with its state and health.
    Endpoint(InspectedEndpoint),
    /// A pool with its own members.
    Pool(InspectedPool),
}

/// An endpoint, inspected under the conditions in force.
#[derive(Debug, Clone)]
pub struct InspectedEndpoint {
    /// The number of the endpoint.
    pub id: EndpointId,
    /// The state of the endpoint or of its datacenter, whichever is stricter.
    pub state: ServingState,
    /// The datacenter that the state comes from; `None` where it is the state of the endpoint.
    pub state_of: Option<DatacenterId>,
    /// Whether an operator forced the endpoint down.
    pub is_forced_down: bool,
    /// The addresses of the endpoint or of its alias, each with its health status if it is probed.
    /// A CNAME has one entry without an address.
    pub addresses: Vec<(Option<IpAddr>, Option<HealthStatus>)>,
}

/// Why a rule of a `geo` pool offers a member: the key that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchedKey {
    /// A prefix that holds the client.
    Subnet(IpNet),
    /// The client's autonomous system.
    Asn(u32),
    /// A subdivision of a country (ISO 3166-2).
    Subdivision(Box<str>),
    /// A country (ISO 3166-1 alpha-2).
    Country(Box<str>),
    /// A continent by its two letters.
    Continent(Box<str>),
    /// No key: `default` offers it to every client that reaches it.
    Default,
}
