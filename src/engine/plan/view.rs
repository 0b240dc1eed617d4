//! The plan as shown to operators and programs: text and numbers only.

use serde::{Deserialize, Serialize};

/// How a change of the configuration would move clients.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The clients that the figures are based on.
    pub basis: BasisView,
    /// The assumptions behind the figures, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub assumptions: Vec<String>,
    /// Datacenters that are added, are removed or change their state.
    pub datacenters: Vec<DatacenterChange>,
    /// The names of added services.
    pub added: Vec<String>,
    /// The names of removed services.
    pub removed: Vec<String>,
    /// Services whose answers change, those that move the most clients first.
    pub changed: Vec<ServiceChange>,
    /// The number of services whose answers stay the same.
    pub unchanged: usize,
}

/// The clients that the figures of a plan are based on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BasisView {
    /// The number of IPv4 addresses counted.
    pub ipv4_addresses: u64,
    /// The number of IPv6 networks of /48 counted.
    pub ipv6_networks: u64,
    /// Whether only networks with a known country are counted, for IPv4 and IPv6.
    pub is_by_country: (bool, bool),
}

/// A datacenter that is added, is removed or changes its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatacenterChange {
    /// The name of the datacenter.
    pub name: String,
    /// The state before the change; absent for an added datacenter.
    pub before: Option<String>,
    /// The state after the change; absent for a removed datacenter.
    pub after: Option<String>,
    /// The reason given in the file.
    pub reason: Option<String>,
}

/// How one service changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceChange {
    /// The name of the service.
    pub name: String,
    /// The shifts of clients; empty if only the TTL or the fallback stage changes.
    pub shifts: Vec<ShiftView>,
    /// The TTL before and after, in seconds, if it changes.
    pub ttl_secs: Option<(u32, u32)>,
    /// Record types for which some clients would be left without anything usable, while all clients
    /// have something usable now.
    pub loses_all: Vec<String>,
}

/// How the answers of one type change for clients of one family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShiftView {
    /// The type of the compared records: `A` or `AAAA`.
    pub records: String,
    /// `IPv4` or `IPv6`: the family of the clients' addresses.
    pub clients: String,
    /// The clients for which the shares of answers change, in percent.
    pub touched_percent: f64,
    /// The clients that get another answer, on average, in percent.
    pub moved_percent: f64,
    /// The flows between datacenters, the largest first.
    pub flows: Vec<FlowView>,
    /// The countries with the most clients that move, at most five.
    pub countries: Vec<CountryView>,
}

/// The clients that move from one datacenter to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FlowView {
    /// A datacenter, `no datacenter`, or `nothing` for NODATA.
    pub from: String,
    /// The new one, in the same words; equal to `from` for clients that only change their endpoint
    /// in the datacenter.
    pub to: String,
    /// The size of the flow, in percent of all clients.
    pub percent: f64,
}

/// The share of a country's clients that move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CountryView {
    /// The country, as an ISO 3166-1 alpha-2 code.
    pub country: String,
    /// The share of its clients that move, in percent.
    pub percent: f64,
}
