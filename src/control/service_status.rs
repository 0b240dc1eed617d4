//! Services in reports: the list of all services, and what is wrong with them.

use serde::{Deserialize, Serialize};

/// The state of a service, read from the snapshot in force; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Some clients find no usable member.
    Distressed,
    /// All members were down, and too few are back: these clients are still answered with all.
    Recovering,
    /// Every client finds a usable member, and some members are down.
    Degraded,
    /// No member is down, except for those that an operator took out of service.
    Well,
}

impl ServiceState {
    /// All states, the worst first.
    pub const ALL: [Self; 4] = [Self::Distressed, Self::Recovering, Self::Degraded, Self::Well];

    /// The state in documents and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Distressed => "distressed",
            Self::Recovering => "recovering",
            Self::Degraded => "degraded",
            Self::Well => "well",
        }
    }
}

/// How many services are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ServiceCounts {
    /// The services of which some clients find no usable member.
    pub distressed: usize,
    /// The services that recover from an outage of all members.
    pub recovering: usize,
    /// The services with members that are down, while every client finds a usable one.
    pub degraded: usize,
    /// The services of which no member is down.
    pub well: usize,
}

impl ServiceCounts {
    /// Counts a service in this state.
    pub fn add(&mut self, state: ServiceState) {
        *match state {
            ServiceState::Distressed => &mut self.distressed,
            ServiceState::Recovering => &mut self.recovering,
            ServiceState::Degraded => &mut self.degraded,
            ServiceState::Well => &mut self.well,
        } += 1;
    }

    /// The number of services in a state.
    pub fn of(&self, state: ServiceState) -> usize {
        match state {
            ServiceState::Distressed => self.distressed,
            ServiceState::Recovering => self.recovering,
            ServiceState::Degraded => self.degraded,
            ServiceState::Well => self.well,
        }
    }
}

/// One service in the list of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceStatus {
    /// The name of the service.
    pub name: String,
    /// The zone that holds the name.
    pub zone: String,
    /// The name of the pool that selects the answer; that of the service, if the pool is its own.
    pub pool: String,
    /// The policy of the pool, as in the zone file.
    pub policy: String,
    /// The maximum TTL of an answer, in seconds.
    pub ttl: u32,
    /// Whether clients are answered with usable members.
    pub state: ServiceState,
    /// The number of endpoints that the pool consists of.
    pub members: usize,
    /// The number of these with an address that is down.
    pub down: usize,
    /// The number of these that an operator took out of service: draining, disabled, standby or
    /// forced down, by their own state or by that of their datacenter.
    pub out: usize,
    /// The datacenters that answers of the snapshot in force name.
    pub datacenters: Vec<String>,
    /// What is wrong: what clients without a usable member are answered with, one line for each
    /// type and group of clients; else the members that are down.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub why: Vec<String>,
}
