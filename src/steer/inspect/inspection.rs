//! Inspection: the tree of pools as the compiler searches it for one client, kept for people to
//! read.
//!
//! Nothing is decided here. Every pick comes from the same [`PoolSearch`], the same policies and
//! the same preferences as the service's chart; this file only keeps what they looked at, and names
//! the cause where something was not picked.

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

/// A client as preferences see it.
#[derive(Debug, Clone, Copy)]
pub struct ClientLocation<'a> {
    /// The address that decides.
    pub address: IpAddr,
    /// Where the databases put it.
    pub location: &'a Location,
}

/// How a service came to its answer for one client.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The prefixes of `subnet` rules that hold the client, longest first.
    pub matching_prefixes: Vec<IpNet>,
    /// The pools turned to, one after the other; the last one answers, if any does.
    pub attempts: Vec<InspectedAttempt>,
    /// The least time until a verdict that the answer hangs on could flip, in seconds.
    pub flips_in_secs: Option<u32>,
    /// All members are answered, although some are usable again: too few are, after an outage of
    /// all.
    pub is_recovering: bool,
}

/// One pool that the service turned to.
#[derive(Debug, Clone)]
pub struct InspectedAttempt {
    /// How far the service had gone by then.
    pub stage: FallbackStage,
    /// What the tree was searched for: past [`FallbackStage::Normal`], members count
    /// whatever their probes say.
    pub search_stage: FallbackStage,
    /// The pool.
    pub tree: InspectedPool,
    /// Nothing in it is usable for the family asked for, and something is for the other one:
    /// NODATA.
    pub serves_other_family: bool,
}

/// What a pool comes to for the client.
#[derive(Debug, Clone)]
pub struct InspectedPool {
    /// Which.
    pub id: PoolId,
    /// What it was searched for: past [`FallbackStage::Normal`], members count whatever
    /// their probes say.
    pub search_stage: FallbackStage,
    /// The rule that ends the search for this client, in a `geo` pool.
    pub final_rule: Option<FinalRule>,
    /// Enough of its members are usable.
    pub meets_min_up: bool,
    /// It comes to something.
    pub is_usable: bool,
    /// There is nothing by the operator's will (`default = []`), not by a failure.
    pub is_empty_by_config: bool,
    /// How many members an answer has.
    pub picks: usize,
    /// How a client picks its slot.
    pub spread: Spread,
    /// Slots of its wheel; 1 where it has but one thing to answer.
    pub slots: usize,
    /// Every member: in order of distance for `nearest`, of the matching rules for `geo`, else as
    /// written.
    pub members: Vec<InspectedMember>,
}

/// A rule of a `geo` pool after which no other rule and no default is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalRule {
    /// The key of the rule that matched.
    pub matched_key: MatchedKey,
    /// By `strict = true`; else because the rule has no members.
    pub is_strict: bool,
}

/// A member of a pool and what became of it.
#[derive(Debug, Clone)]
pub struct InspectedMember {
    /// Its position in the pool.
    pub position: usize,
    /// Picked or not, and why.
    pub decision: Decision,
    /// The share of the pool's answers that hold it, counted in the wheel's slots or computed from
    /// its draws by weight: 0 to 1.
    pub share: f64,
    /// Only for when nothing else is usable, by weight 0 or by state.
    pub is_standby: bool,
    /// Its other address family is down, in a pool that takes families together.
    pub has_family_down: bool,
    /// What beside rank and weight decides on its share.
    pub modifiers: ShareModifiers,
    /// Kilometres to its nearest datacenter, and the same as its bias has it; for `nearest`, where
    /// both places are known.
    pub distance_km: Option<(f64, f64)>,
    /// The rule of a `geo` pool that offers it to this client.
    pub matched_key: Option<MatchedKey>,
    /// Every datacenter that it is in, for a pool those of all its endpoints.
    pub datacenters: Vec<DatacenterId>,
    /// What it is.
    pub content: InspectedNode,
}

/// An endpoint or a pool, inspected.
#[derive(Debug, Clone)]
pub enum InspectedNode {
    /// An endpoint.
    Endpoint(InspectedEndpoint),
    /// A pool.
    Pool(InspectedPool),
}

/// An endpoint under present conditions.
#[derive(Debug, Clone)]
pub struct InspectedEndpoint {
    /// Which.
    pub id: EndpointId,
    /// Its state: its own or its datacenter's, the stricter of the two.
    pub state: ServingState,
    /// The datacenter whose state that is, where it is not its own.
    pub state_of: Option<DatacenterId>,
    /// The operator forced it down.
    pub is_forced_down: bool,
    /// Each of its addresses, or those that its alias has now, with the standing where it is
    /// probed; none for a CNAME.
    pub addresses: Vec<(Option<IpAddr>, Option<HealthStatus>)>,
}

/// Why a rule of a `geo` pool offers a member: the key that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchedKey {
    /// A prefix that holds the client.
    Subnet(IpNet),
    /// The client's autonomous system.
    Asn(u32),
    /// The client's subdivision.
    Subdivision(Box<str>),
    /// The client's country.
    Country(Box<str>),
    /// The client's continent.
    Continent(Box<str>),
    /// None: every client is offered it in the end.
    Default,
}
