//! Pools: members and a policy, as configured and validated.

use std::{num::NonZeroU32, time::Duration};

use ipnet::IpNet;

use super::{
    fraction::Fraction,
    ids::{EndpointId, LoadSourceId, PoolId},
};

/// Members and a policy. A member is an endpoint or another pool; pools never form a cycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// The name in `[pool.NAME]`, or the service's name for an inline pool.
    pub name: Box<str>,
    /// How it chooses among members.
    pub policy: Policy,
    /// How a client picks within the shares.
    pub spread: Spread,
    /// How many members' answers make one answer.
    pub answers: AnswerCount,
    /// When the pool is usable at all.
    pub min_up: MinUp,
    /// Whether a member needs all address families that it has.
    pub families: FamilyCoupling,
    /// In the order written; never empty, but for a `geo` pool whose lists are all empty.
    /// For `geo`: the distinct members of all rules and of `default`.
    pub members: Vec<Member>,
    /// What shifts clients from one choice to the next.
    pub regulation: Regulation,
}

/// What shifts a pool's clients from one choice to the next, beside health.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Regulation {
    /// What the balancer behind the pool says of itself.
    pub load: Option<LoadSourceId>,
    /// How much the pool takes before its excess goes to the next choice of whoever holds it.
    pub capacity: Option<Capacity>,
    /// What an operator lets the pool keep of its clients: less than all of them under `shed`.
    pub keep: Fraction,
    /// Of `failover`: the share of clients that each member behind the first gets all the same, so
    /// that it stays proven.
    pub trickle: Option<f64>,
    /// Of `failover`: when clients go back to a member that has recovered.
    pub failback: Failback,
}

/// How much a pool takes: of its load report's measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// What is measured.
    pub measure: LoadMeasure,
    /// Above this the excess goes to the next choice.
    pub target: LoadLevel,
    /// At and above this the excess goes as fast as shares may move.
    pub max: LoadLevel,
}

/// A level of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadLevel {
    /// In the measure's own unit: connections, or what a gauge counts.
    Amount(f64),
    /// Of what the report says is the most (its limit of connections; 1 for a gauge that is a
    /// share): 0.8 for `80%`.
    Share(f64),
}

/// What of a load report decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoadMeasure {
    /// Connections, against their limit.
    Connections,
    /// The time to respond, of the report or of the member's own probes.
    ResponseTime,
    /// A gauge of the report by its name: `cpu`, `memory`, or one that the operator named.
    Gauge(Box<str>),
}

impl LoadMeasure {
    /// The word in the zone file.
    pub fn word(&self) -> &str {
        match self {
            Self::Connections => "connections",
            Self::ResponseTime => "response-time",
            Self::Gauge(name) => name,
        }
    }
}

/// When clients of a `failover` pool go back to a member that stands before the one they were moved
/// to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Failback {
    /// As soon as it is usable.
    #[default]
    Auto,
    /// Once it has been usable for so long without a break.
    After(Duration),
    /// When an operator says so.
    Manual,
}

/// One member of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// 0 to 65535; 0 = only when nothing else is usable.
    pub weight: u16,
    /// -99 to 99; changes the distance that `nearest` sees.
    pub bias: i8,
}

/// An endpoint or a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberKind {
    /// An endpoint of this pool.
    Endpoint(EndpointId),
    /// Another pool.
    Pool(PoolId),
}

/// How a pool chooses among its members.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// Shares by weight among the usable members.
    Weighted,
    /// The first usable member in order.
    Failover,
    /// The nearest usable member, and those within `tie` of it by weight.
    Nearest {
        /// How much farther a member may be and still share the nearest one's clients.
        tie: Option<Tie>,
    },
    /// The members of the most specific rule that matches the client, in order.
    Geo {
        /// In the order written.
        rules: Vec<GeoRule>,
        /// Indices into `members`, tried after every matching rule.
        default: Vec<u32>,
    },
    /// Every usable member in one answer.
    All,
    /// Shares by weight and by what the members' load reports leave of it.
    Load(LoadPolicy),
}

/// How load reports become shares.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadPolicy {
    /// What decides.
    pub measure: LoadMeasure,
    /// A gauge below this takes nothing from a member's share.
    pub soft: f64,
    /// A gauge at or above this leaves a member the least share.
    pub hard: f64,
}

impl Policy {
    /// The word in the zone file.
    pub fn word(&self) -> &'static str {
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tie {
    /// Up to this share more than the nearest one's distance: 0.05 for `5%`.
    Share(f64),
    /// Up to this many kilometres more.
    Kilometres(f64),
}

/// A rule of a `geo` pool: it matches a client that any of its keys matches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GeoRule {
    /// Prefixes, host bits zero.
    pub subnets: Vec<IpNet>,
    /// Autonomous systems.
    pub asns: Vec<u32>,
    /// ISO 3166-2, upper case: `US-CA`.
    pub subdivisions: Vec<Box<str>>,
    /// ISO 3166-1 alpha-2, upper case.
    pub countries: Vec<Box<str>>,
    /// Upper case: `EU`.
    pub continents: Vec<Box<str>>,
    /// Indices into the pool's `members`, tried in order. Where there is none, the rule's clients
    /// get NODATA.
    pub members: Vec<u32>,
    /// Its clients never get another rule's members nor those of `default`, whatever the health.
    pub strict: bool,
}

/// How a client picks its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Spread {
    /// Each query draws.
    #[default]
    Query,
    /// A keyed hash of the client's masked prefix.
    Client,
    /// Slots in turn, per shard.
    Turn,
}

/// How many members' answers make one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerCount {
    /// This many, or as many as are usable.
    Count(NonZeroU32),
    /// Every usable one.
    All,
}

/// Whether a member of which one address family is down still answers for the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FamilyCoupling {
    /// It does: A and AAAA choose apart.
    #[default]
    Independent,
    /// Only where no member has all families that it is configured with.
    Coupled,
}

/// When a pool is usable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinUp {
    /// While at least this many members are usable.
    Members(NonZeroU32),
    /// While usable members hold at least this share of all members' weight: 0.5 for `50%`.
    Share(f64),
}
