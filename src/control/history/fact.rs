//! A fact: one condition by name, with its value. A fact that is absent has its plain value: an
//! active datacenter, a target that was never probed, a full share.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The subject of a fact. Pools are named by [`super::names::NameTable`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FactKey {
    /// The state of a datacenter.
    Datacenter(String),
    /// The health status of a target: the names of monitor and target.
    Target(String, String),
    /// The addresses of an alias.
    Alias(String),
    /// The fraction of its share that a datacenter receives.
    DatacenterFraction(String),
    /// The fraction of its share that an endpoint of a pool receives.
    EndpointFraction(String, String),
    /// The fraction of its clients that a pool keeps.
    KeptFraction(String),
    /// The weights of a pool's members.
    Weights(String),
    /// The member that holds the clients of a pool.
    Holder(String),
    /// The failback in progress of a pool.
    Failback(String),
    /// A group of a pool's clients that recovers: the members offered, and whether a strict rule
    /// offers them.
    Recovering(String, Vec<u16>, bool),
}

/// The value of a fact. Members are positions in their pool; fractions are in 1024ths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FactValue {
    /// A state other than active, by its keyword.
    State(String),
    /// A verdict by its keyword, the seconds until it could flip, and whether the first outcome is
    /// awaited.
    Health(String, Option<u32>, bool),
    /// Addresses with their TTL in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// A fraction below the whole.
    Fraction(u16),
    /// The weight of each member.
    Weights(Vec<u32>),
    /// One member of a pool.
    Member(u16),
    /// The member that clients leave, the one that they return to, and the fraction that it has.
    Failback(u16, u16, u16),
    /// A time in seconds.
    Secs(u32),
}

/// A fact that differs: its value now, `None` for the plain one.
pub(super) type FactChange = (FactKey, Option<FactValue>);
