//! Requirements as configured: expectations and assertions, with their names resolved.

use std::net::IpAddr;

use crate::{
    dns::Rtype,
    steer::model::{DatacenterId, GeoRule, ServiceId},
};

/// All requirements of a configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Requirements {
    /// The expectations in the order of the files.
    pub expectations: Vec<Expectation>,
    /// The assertions in the order of the files.
    pub assertions: Vec<Assertion>,
}

impl Requirements {
    /// Whether there is nothing to verify.
    pub fn is_empty(&self) -> bool {
        self.expectations.is_empty() && self.assertions.is_empty()
    }
}

/// The position of a requirement among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequirementId {
    /// A position in [`Requirements::expectations`].
    Expectation(usize),
    /// A position in [`Requirements::assertions`].
    Assertion(usize),
}

/// The answer that some clients of a service are to get under given states.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The service that is asked.
    pub service: ServiceId,
    /// The type that is asked for; every type that the service answers, where it is not set.
    pub rtype: Option<Rtype>,
    /// The clients: each of their networks must get the answer.
    pub clients: ClientSet,
    /// The records that the clients may get.
    pub answer: Option<AnswerRule>,
    /// The shares that items must have of the records answered.
    pub shares: Vec<ExpectedShare>,
    /// The states that are assumed instead of those written.
    pub when: AssumedStates,
}

/// The records that clients may get.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerRule {
    /// Records of these items alone, and at least one; without items, no record.
    Only(Vec<AnswerItem>),
    /// No record of these items.
    Not(Vec<AnswerItem>),
}

/// Records that a requirement names.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerItem {
    /// Every record of endpoints in one of these datacenters. A region is all of its datacenters.
    Datacenters {
        /// The name of the datacenter or region.
        name: Box<str>,
        /// The datacenters that the name means.
        ids: Vec<DatacenterId>,
    },
    /// The records that hold this address.
    Address(IpAddr),
    /// Every record of a member with this name: an endpoint, or a pool with all below it.
    Member(Box<str>),
}

/// The share that an item must have.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedShare {
    /// The records that have the share together.
    pub item: AnswerItem,
    /// The share of all records answered, from 0 to 1.
    pub share: f64,
    /// The greatest difference that is accepted, from 0 to 1.
    pub tolerance: f64,
}

/// The clients that a requirement is about, by the address that decides.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientSet {
    /// All clients, special-purpose addresses included.
    All,
    /// Clients that a key of this rule matches. Its members are not used.
    Matching(GeoRule),
}

/// States that are assumed for a requirement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct AssumedStates {
    /// Datacenters whose members all fail their health checks.
    pub down: Vec<DatacenterId>,
    /// Datacenters that are draining, at the end of the drain.
    pub drained: Vec<DatacenterId>,
}

/// Datacenters that clients of services must not be answered outside of.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// The services, in ascending order.
    pub services: Vec<ServiceId>,
    /// The clients that it is about.
    pub clients: ClientSet,
    /// The datacenters that may be answered, in ascending order. NODATA is allowed, too.
    pub only: Vec<DatacenterId>,
    /// The names of these datacenters, or of their regions, as written.
    pub only_names: Box<str>,
    /// The failures under which it must hold.
    pub under: FailureDepth,
}

/// How many datacenters may be down at once; fewer are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum FailureDepth {
    /// The states as written, with every member up.
    #[default]
    Now,
    /// Any one datacenter is down, whichever it is.
    AnyOneDown,
    /// Any two datacenters are down.
    AnyTwoDown,
}

impl FailureDepth {
    /// The greatest number of datacenters that are down at once.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Now => 0,
            Self::AnyOneDown => 1,
            Self::AnyTwoDown => 2,
        }
    }
}
