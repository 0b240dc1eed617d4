//! A plan as people and programs read it: words and numbers only.

use serde::{Deserialize, Serialize};

/// What a change would move.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Who is counted.
    pub basis: BasisView,
    /// What the figures take for given, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub assumptions: Vec<String>,
    /// Datacenters that come, go or change their state.
    pub datacenters: Vec<DatacenterChange>,
    /// Services that there were not before.
    pub added: Vec<String>,
    /// Services that there will not be.
    pub removed: Vec<String>,
    /// Services that answer otherwise, those that move most first.
    pub changed: Vec<ServiceChange>,
    /// How many services answer as before.
    pub unchanged: usize,
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BasisView {
    /// IPv4 addresses.
    pub ipv4_addresses: u64,
    /// IPv6 networks of /48.
    pub ipv6_networks: u64,
    /// For IPv4 and IPv6: only networks whose country a database knows are counted.
    pub is_by_country: (bool, bool),
}

/// A datacenter that comes, goes or changes its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatacenterChange {
    /// Its name.
    pub name: String,
    /// Its state; absent where there is no such datacenter.
    pub before: Option<String>,
    /// Its state; absent where there will be no such datacenter.
    pub after: Option<String>,
    /// Why it changes, where the file says.
    pub reason: Option<String>,
}

/// How one service changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceChange {
    /// Its name.
    pub name: String,
    /// Whose answers change; empty where only the TTL or the plight does.
    pub shifts: Vec<ShiftView>,
    /// The TTL before and after, where it changes.
    pub ttl_secs: Option<(u32, u32)>,
    /// Record types for which some clients would be left with nothing usable, where all have
    /// something now.
    pub loses_all: Vec<String>,
}

/// How the answers of one type change for clients of one family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShiftView {
    /// `A` or `AAAA`.
    pub records: String,
    /// `IPv4` or `IPv6`: the clients' own addresses.
    pub clients: String,
    /// Clients whose answers are drawn from other shares.
    pub touched_percent: f64,
    /// Clients that get another answer, on average.
    pub moved_percent: f64,
    /// From which datacenter to which, in percent of all clients.
    pub flows: Vec<FlowView>,
    /// The countries with the most clients that move.
    pub countries: Vec<CountryView>,
}

/// From which datacenter to which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FlowView {
    /// A datacenter, `no datacenter`, or `nothing` for NODATA.
    pub from: String,
    /// The same; equal to `from` where clients only change their endpoint in it.
    pub to: String,
    /// Of all clients.
    pub percent: f64,
}

/// How many of a country's clients move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CountryView {
    /// ISO 3166-1.
    pub country: String,
    /// Of its clients.
    pub percent: f64,
}
