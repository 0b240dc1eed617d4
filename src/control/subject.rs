//! A subject in full: everything that has a name that an operator asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    last_good::LastGood,
    overrides::OverrideStatus,
    service_status::ServiceStatus,
    status::{DatacenterStatus, DistressedService, RampStatus, TargetStatus},
};
use crate::{
    config::{Definition, definition_place},
    engine::PoolOverview,
};

/// Everything that has one name: a datacenter and a pool may share theirs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SubjectReport {
    /// The name that was asked for.
    pub name: String,
    /// The generation of the snapshot in force.
    pub generation: u64,
    /// The time of the report, in seconds since 1970-01-01T00:00:00Z.
    pub now: i64,
    /// What operators set over the files that concerns what has the name: that itself, a part of
    /// it, or what it is a part of.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub overrides: Vec<OverrideStatus>,
    /// The gradual drains and returns of these overrides.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ramps: Vec<RampStatus>,
    /// The service of this name, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub services: Vec<ServiceReport>,
    /// The pool of this name, if there is one; of a name `POOL/MEMBER` its pool.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pools: Vec<PoolSubject>,
    /// The datacenter of this name, or those of the region of this name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub datacenters: Vec<DatacenterReport>,
    /// The targets with this address or name, one for each monitor that probes it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub targets: Vec<TargetReport>,
}

impl SubjectReport {
    /// The report with the place of each table in the files that were applied.
    pub(super) fn located(mut self, files: &LastGood) -> Self {
        let place = |kind: &'static str, name: &str| {
            let wanted = Definition::new(kind, name);
            files.files.values().find_map(|file| definition_place(file, &wanted))
        };
        for service in &mut self.services {
            service.file = place("service", &service.summary.name);
        }
        for pool in &mut self.pools {
            pool.file = place("pool", &pool.pool.name);
        }
        self
    }

    /// Whether nothing has the name.
    pub(super) fn is_empty(&self) -> bool {
        self.overrides.is_empty()
            && self.services.is_empty()
            && self.pools.is_empty()
            && self.datacenters.is_empty()
            && self.targets.is_empty()
    }
}

/// A service in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceReport {
    /// The service as the list of all has it.
    #[serde(flatten)]
    pub summary: ServiceStatus,
    /// The file, line and column of its table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// What is answered when no member is usable: `all`, `empty` or the name of a pool.
    pub on_all_down: String,
    /// Clients without a usable member.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub distressed: Vec<DistressedService>,
    /// For each type that is answered: the share of each endpoint.
    pub answers: Vec<TypeShares>,
    /// Its pool, then the pool of `on-all-down` if there is one.
    pub pools: Vec<PoolOverview>,
}

/// The shares of endpoints in the answers of one type, read from the snapshot in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TypeShares {
    /// The type of the records: `A`, `AAAA`, `SRV`.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The number of groups of clients with different answers.
    pub groups: usize,
    /// The endpoints that answers name; the greatest share first.
    pub members: Vec<EndpointShare>,
    /// The first groups of clients, if there are several: each by an example.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub examples: Vec<GroupSample>,
}

/// A group of clients with the same answers, by one client of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupSample {
    /// The address of a client of the group; `explain` shows why it gets its answer.
    pub client: String,
    /// The country of that address, if a database has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub country: Option<String>,
    /// The endpoints in the answers to the group; none if it gets no records.
    pub members: Vec<GroupMember>,
}

/// An endpoint in the answers to a group of clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupMember {
    /// The name of the endpoint.
    pub name: String,
    /// Its datacenters, which are several if it names a region.
    pub datacenters: Vec<String>,
    /// Its share of the answers to the group, in percent.
    pub percent: f64,
}

/// The share of one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndpointShare {
    /// The name of the endpoint.
    pub name: String,
    /// Its datacenters, which are several if it names a region.
    pub datacenters: Vec<String>,
    /// The least share among the groups of clients that are answered with it, in percent.
    pub least_percent: f64,
    /// The greatest share among the groups of clients, in percent.
    pub greatest_percent: f64,
    /// The number of groups of clients that are answered with it.
    pub groups: usize,
}

/// A pool in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolSubject {
    /// The file, line and column of its table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// The names of the services that name the pool.
    pub services: Vec<String>,
    /// The pools that it is a member of.
    pub member_of: Vec<String>,
    /// The pool with its members.
    pub pool: PoolOverview,
}

/// A datacenter in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatacenterReport {
    /// The datacenter as the status document has it.
    pub status: DatacenterStatus,
    /// The names of the services with a member in it.
    pub services: Vec<String>,
    /// The targets that decide on its endpoints.
    pub targets: Vec<TargetStatus>,
}

/// A target in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetReport {
    /// The target as the status document has it.
    pub status: TargetStatus,
    /// The endpoints that it decides on, as `POOL/MEMBER`.
    pub members: Vec<String>,
}

/// Nothing has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSubject {
    /// The name that was asked for.
    pub name: String,
    /// The most similar name, if one is similar.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is no service, pool, member, datacenter, region or target {:?}",
            self.name
        )?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest:?}?"),
            None => write!(f, "; `portolan status services` and `status targets` list the names"),
        }
    }
}

impl std::error::Error for UnknownSubject {}
