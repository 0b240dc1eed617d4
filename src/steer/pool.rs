//! Pools: members and a policy, as configured and validated.

use std::num::NonZeroU32;

use ipnet::IpNet;

use super::topology::{EndpointId, PoolId};

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
    pub answers: Answers,
    /// When the pool is usable at all.
    pub min_up: MinUp,
    /// In the order written; never empty, but for a `geo` pool whose lists are all empty.
    /// For `geo`: the distinct members of all rules and of `default`.
    pub members: Vec<Member>,
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
        rules: Vec<Rule>,
        /// Indices into `members`, tried after every matching rule.
        default: Vec<u32>,
    },
    /// Every usable member in one answer.
    All,
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
pub struct Rule {
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
    /// Indices into the pool's `members`, tried in order.
    pub members: Vec<u32>,
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
pub enum Answers {
    /// This many, or as many as are usable.
    Count(NonZeroU32),
    /// Every usable one.
    All,
}

/// When a pool is usable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinUp {
    /// While at least this many members are usable.
    Members(NonZeroU32),
    /// While usable members hold at least this share of all members' weight: 0.5 for `50%`.
    Share(f64),
}
