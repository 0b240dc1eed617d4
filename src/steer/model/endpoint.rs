//! Endpoints: the addresses and names that answers hold.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    datacenter::ServingState,
    ids::{DatacenterId, LoadSourceId, MonitorId},
    ramp_times::RampTimes,
};
use crate::dns::Name;

/// Addresses, or a name in place of addresses, that answers can hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Endpoint {
    /// The configured name; by default the first address or the target of the CNAME.
    pub name: Box<str>,
    /// What answers with this endpoint contain.
    pub target: EndpointTarget,
    /// The datacenter of the endpoint, or all datacenters of the region that it names; empty if it
    /// names neither.
    pub datacenters: Vec<DatacenterId>,
    /// The monitor of its health checks, which probe each address by itself.
    pub monitor: Option<MonitorId>,
    /// Its configured state. The stricter of this and its datacenter's state applies.
    pub state: ServingState,
    /// The operator's override of the monitor's verdicts.
    pub force: Option<HealthOverride>,
    /// The load source of the endpoint, or of the balancer behind it.
    #[serde(skip)]
    pub load: Option<LoadSourceId>,
    /// The durations of a slow start and of a drain.
    pub ramp_times: RampTimes,
}

/// The content of an endpoint's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointTarget {
    /// Addresses in the order written, both families mixed; never empty, no address twice.
    Addresses(Vec<IpAddr>),
    /// The target of a CNAME record, which answers queries of every type.
    Cname(Name),
    /// The addresses that this name has, which change without an edit
    /// ([`crate::steer::Conditions::aliases`]).
    Alias(Name),
    /// The host and port of an SRV record.
    Host(SrvHost),
}

/// The content of an SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SrvHost {
    /// The host that provides the service: the record's target.
    pub name: Name,
    /// The port of the service on that host.
    pub port: u16,
    /// The SRV priority: clients try the lowest first.
    pub priority: u16,
    /// The member's weight in the pool; in the record, the weight among hosts of one priority.
    pub weight: u16,
}

/// The operator's override of the monitor's verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthOverride {
    /// Usable whatever the probes say.
    Up,
    /// Not usable whatever the probes say.
    Down,
}
