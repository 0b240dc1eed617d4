//! Violations: the requirements that do not hold, in words.

use std::fmt;

use ipnet::IpNet;

use super::model::RequirementId;
use crate::{dns::Name, listing};

/// The maximum number of records of an answer that a message shows.
const MAX_SHOWN_RECORDS: usize = 4;

/// A requirement that does not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The requirement that does not hold.
    pub requirement: RequirementId,
    /// Why it does not hold.
    pub fault: RequirementFault,
}

/// Why a requirement does not hold.
#[derive(Debug, Clone, PartialEq)]
pub enum RequirementFault {
    /// Its clients are named by facts that no loaded database has.
    MissingGeography {
        /// The facts that no database has: `countries`.
        facts: &'static str,
        /// Whether some database is loaded.
        has_databases: bool,
    },
    /// No network has these keys, such as `country XX`.
    NoClients(Vec<String>),
    /// The service can answer no record of an item.
    UnknownItem {
        /// The item as written.
        item: Box<str>,
        /// The service that cannot answer it.
        service: Name,
        /// The names that the service can answer.
        known: Vec<Box<str>>,
    },
    /// No service can answer any datacenter that the assertion allows.
    NeverAnswered,
    /// Some clients get another answer.
    Counterexample(Box<Counterexample>),
}

/// Clients that get another answer than a requirement allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Counterexample {
    /// The service that is asked.
    pub service: Name,
    /// The type of the records: `A`, `AAAA` or `SRV`.
    pub records: &'static str,
    /// A network of the clients, each of which may get the answer.
    pub client: IpNet,
    /// The names of the datacenters that are down.
    pub down: Vec<Box<str>>,
    /// The names of the datacenters that are drained.
    pub drained: Vec<Box<str>>,
    /// What the clients may get, those records first that are not allowed; empty for NODATA.
    pub answer: Vec<String>,
    /// What the requirement allows.
    pub expected: String,
    /// The pools from the service to the answer, and the stage of the fallback.
    pub path: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, records, client, answer, expected, .. } = self;
        write!(f, "{service} {records} for {client}")?;
        for (names, verb) in [(&self.down, "down"), (&self.drained, "drained")] {
            if !names.is_empty() {
                write!(f, " with {} {verb}", names.join(" and "))?;
            }
        }
        let answer = match &answer[..] {
            [] => "nothing (NODATA)".to_owned(),
            answer => listing::join_first(answer, MAX_SHOWN_RECORDS, answer.len()),
        };
        write!(f, ": expected {expected}, got {answer}")
    }
}

impl fmt::Display for RequirementFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingGeography { facts, has_databases: true } => {
                write!(f, "no loaded GeoIP database has {facts}, so its clients are not known")
            }
            Self::MissingGeography { facts, has_databases: false } => {
                write!(f, "no GeoIP database is loaded, so {facts} of clients are not known")
            }
            Self::NoClients(keys) => {
                let keys = listing::join_first(keys, MAX_SHOWN_RECORDS, keys.len());
                write!(f, "no network in the loaded databases has {keys}")
            }
            Self::UnknownItem { item, service, .. } => {
                write!(f, "{service} has no member, address or datacenter \"{item}\"")
            }
            Self::NeverAnswered => {
                f.write_str("none of its services has a member in the datacenters of `only`")
            }
            Self::Counterexample(found) => found.fmt(f),
        }
    }
}

impl RequirementFault {
    /// The remedy, on one line.
    pub fn help(&self) -> String {
        match self {
            Self::MissingGeography { .. } => {
                "name a database that has them in `databases` of [geoip], or name the clients by address"
                    .to_owned()
            }
            Self::NoClients(_) => {
                "correct the code, or name a database that has these networks in `databases` of [geoip]"
                    .to_owned()
            }
            Self::UnknownItem { known, .. } => {
                format!("the service has {}", listing::join_first(known, 8, known.len()))
            }
            Self::NeverAnswered => {
                "name a datacenter or region of the services' members, or correct the members".to_owned()
            }
            Self::Counterexample(found) => format!(
                "change the pools, or the requirement; the answer came by {}",
                found.path
            ),
        }
    }
}
