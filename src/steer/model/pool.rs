//! Pools: members and a policy, as configured and validated.

use std::{num::NonZeroU32, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    document_forms,
    fraction::Fraction,
    ids::{EndpointId, LoadSourceId, PoolId},
};

/// Members and a policy. A member is an endpoint or another pool; pools never form a cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pool {
    /// The name in `[pool.NAME]`, or the service's name for an inline pool.
    pub name: Box<str>,
    /// The policy by which it selects among its members.
    pub policy: Policy,
    /// How a query picks its slot, and so its members within their shares.
    pub spread: Spread,
    /// The number of members that one answer names.
    pub answers: AnswerCount,
    /// The minimum of usable members below which the pool is not usable.
    pub min_up: MinUp,
    /// Whether a member must be healthy in every address family that it is configured with.
    pub families: FamilyCoupling,
    /// The members in the order written; for `geo`, the distinct members of all rules and of
    /// `default`. Empty only for a `geo` pool whose lists are all empty.
    pub members: Vec<Member>,
    /// What moves clients from one member to another besides health.
    pub regulation: Regulation,
}

/// What moves a pool's clients from one member to another, besides health.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Regulation {
    /// The load source of the balancer behind the pool.
    #[serde(skip)]
    pub load: Option<LoadSourceId>,
    /// The load above which the pool's excess of clients spills: to the next choice of the pool
    /// that has this one as a member.
    pub capacity: Option<Capacity>,
    /// The fraction of its clients that the pool keeps; less than all under the operator's `shed`.
    pub keep: Fraction,
    /// For `failover`: the share of clients, from 0 to 1, that each member after the first always
    /// receives, so that it is known to work.
    pub trickle: Option<f64>,
    /// For `failover`: when clients return to a member that has recovered.
    pub failback: Failback,
}

/// The capacity of a pool, as levels of a measure of its load report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capacity {
    /// The measure of the load report that the levels refer to.
    pub measure: LoadMeasure,
    /// The level above which the excess spills to the next choice.
    pub target: LoadLevel,
    /// The level from which the excess spills as fast as shares may move.
    pub max: LoadLevel,
}

/// A level of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadLevel {
    /// In the measure's own unit: connections, or what a gauge counts.
    Amount(f64),
    /// A share of the greatest value that the report states (its limit of connections; 1 for a
    /// gauge that is a share): 0.8 for `80%`.
    Share(f64),
}

/// The value of a load report that a policy or a capacity uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadMeasure {
    /// The number of connections, compared with their limit.
    Connections,
    /// The response time, from the report or from the member's health checks.
    ResponseTime,
    /// A gauge of the report by its name: `cpu`, `memory`, or a name that the operator chose.
    Gauge(Box<str>),
}

impl LoadMeasure {
    /// The keyword in the zone file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Connections => "connections",
            Self::ResponseTime => "response-time",
            Self::Gauge(name) => name,
        }
    }
}

/// When clients of a `failover` pool return to a recovered member that precedes the one which they
/// were moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failback {
    /// As soon as the member is usable.
    #[default]
    Auto,
    /// Once the member has been usable for this time without a break.
    After(Duration),
    /// When an operator commands it.
    Manual,
}

/// One member of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// The endpoint or the pool that is the member.
    pub kind: MemberKind,
    /// The weight, from 0 to 65535; 0 makes it a standby, used only when nothing else is usable.
    pub weight: u16,
    /// The bias of `nearest`, from -99 to 99: above 0 makes the member count as nearer, below 0 as
    /// farther.
    pub bias: i8,
}

/// The endpoint or the pool that a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberKind {
    /// An endpoint of this pool.
    Endpoint(EndpointId),
    /// Another pool, with its own members.
    Pool(PoolId),
}

/// How a pool chooses among its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Shares by weight among the usable members.
    Weighted,
    /// The first usable member in order.
    Failover,
    /// The nearest usable member, and those within `tie` of it by weight.
    Nearest {
        /// How much farther than the nearest a member may be and still share its clients.
        tie: Option<Tie>,
    },
    /// The members of the most specific rule that matches the client, in order.
    Geo {
        /// The rules in the order written.
        rules: Vec<GeoRule>,
        /// Indices into `members`, tried after every matching rule.
        default: Vec<u32>,
    },
    /// Every usable member in one answer.
    All,
    /// Shares by weight, reduced as the members' load reports demand.
    Load(LoadPolicy),
}

/// How shares follow from load reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadPolicy {
    /// The value of the load reports that decides.
    pub measure: LoadMeasure,
    /// The level of a gauge up to which a member keeps its whole share.
    pub soft: f64,
    /// The level of a gauge from which a member gets the minimum share.
    pub hard: f64,
}

impl Policy {
    /// Whether it ranks members by the client's place.
    pub fn is_geographic(&self) -> bool {
        matches!(self, Self::Nearest { .. } | Self::Geo { .. })
    }

    /// The keyword in the zone file.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::Failover => "failover",
            Self::Nearest { .. } => "nearest",
            Self::Geo { .. } => "geo",
            Self::All => "all",
            Self::Load(_) => "load",
        }
    }
}

/// How much farther than the nearest a member may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tie {
    /// Up to this share of the nearest member's distance: 0.05 for `5%`.
    Share(f64),
    /// Up to this number of kilometres.
    Kilometres(f64),
}

/// A rule of a `geo` pool: it matches a client that any of its keys matches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GeoRule {
    /// Prefixes of client addresses, with host bits zero.
    #[serde(with = "document_forms::prefixes")]
    pub subnets: Vec<IpNet>,
    /// Numbers of autonomous systems.
    pub asns: Vec<u32>,
    /// Subdivision codes (ISO 3166-2) in upper case: `US-CA`.
    pub subdivisions: Vec<Box<str>>,
    /// Country codes (ISO 3166-1 alpha-2) in upper case: `DE`.
    pub countries: Vec<Box<str>>,
    /// Continent codes in upper case: `EU`.
    pub continents: Vec<Box<str>>,
    /// Indices into the pool's `members`, tried in order. If empty, the rule's clients get NODATA.
    pub members: Vec<u32>,
    /// Whether its clients never get another rule's members nor those of `default`, even if none of
    /// its own members is healthy.
    pub strict: bool,
}

/// How a query picks its slot of a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// At random, for each query.
    #[default]
    Query,
    /// By a keyed hash of the client's masked prefix.
    Client,
    /// In turn, by a counter of the shard.
    Turn,
}

/// The number of members that one answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerCount {
    /// This number, or as many as are usable if those are fewer.
    Count(NonZeroU32),
    /// All members that are usable.
    All,
}

/// Whether a member of which one address family is down still answers for the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FamilyCoupling {
    /// The member does: A and AAAA are chosen independently.
    #[default]
    Independent,
    /// The member does only if no member is healthy in all of its families.
    Coupled,
}

/// The minimum of usable members for a pool to be usable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MinUp {
    /// At least this number of members is usable.
    Members(NonZeroU32),
    /// Usable members have at least this share of the weight of all members: 0.5 for `50%`.
    Share(f64),
}
