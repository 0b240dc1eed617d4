//! Endpoints: what can be answered.

use std::net::IpAddr;

use super::{
    datacenter::ServingState,
    ids::{DatacenterId, LoadSourceId, MonitorId},
    ramp_times::RampTimes,
};
use crate::dns::Name;

/// What can be answered: addresses, or a name that stands for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// As written, or the first address, or the CNAME's target.
    pub name: Box<str>,
    /// What an answer holds.
    pub target: EndpointTarget,
    /// Its datacenter; all datacenters of a region where the endpoint names a region; empty where
    /// it names none.
    pub datacenters: Vec<DatacenterId>,
    /// What probes it, each address by itself.
    pub monitor: Option<MonitorId>,
    /// Its own state; its datacenter's counts beside it, and the stricter of the two rules.
    pub state: ServingState,
    /// What the operator says instead of the monitor.
    pub force: Option<HealthOverride>,
    /// What it, or the balancer behind it, says of its load.
    pub load: Option<LoadSourceId>,
    /// How fast clients come and go.
    pub ramp_times: RampTimes,
}

/// What an answer holds.
#[derive(Debug, Clone, PartialEq)]
pub enum EndpointTarget {
    /// Addresses in the order written, both families mixed; never empty, no address twice.
    Addresses(Vec<IpAddr>),
    /// A CNAME record, for every type.
    Cname(Name),
    /// The addresses that this name has, which change without an edit
    /// ([`crate::steer::Conditions::aliases`]).
    Alias(Name),
    /// A host and a port: what an SRV record names.
    Host(SrvHost),
}

/// What an SRV record names (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvHost {
    /// Where the service is.
    pub name: Name,
    /// Its port there.
    pub port: u16,
    /// Lower is tried first.
    pub priority: u16,
    /// The member's weight; for clients, among hosts of one priority.
    pub weight: u16,
}

/// The operator's word over the monitor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HealthOverride {
    /// Usable whatever the probes say.
    Up,
    /// Not usable whatever the probes say.
    Down,
}
