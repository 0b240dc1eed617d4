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
    /// Datacenters and pools that would have more load than their capacity.
    #[serde(default)]
    pub exceeded: Vec<ExceededCapacity>,
    /// The clients that move, of all services together; an entry for each family that has any.
    #[serde(default)]
    pub movements: Vec<MovementView>,
    /// The share of all demand that each datacenter gets.
    #[serde(default)]
    pub loads: Vec<LoadView>,
    /// How long resolvers keep answers from before the change; `None` if nothing moves.
    #[serde(default)]
    pub caches: Option<CacheView>,
    /// With `--n-1`: the outage of each datacenter after the change, the worst first.
    #[serde(default)]
    pub outages: Vec<OutageView>,
    /// With `--map`: where clients are, and which datacenters they are answered with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub map: Option<MapView>,
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
    /// The observed queries; `None` if none is known, so that clients weigh by announced networks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed: Option<ObservedDemandView>,
    /// Whether services weigh by the answers that a server counted; else all weigh alike.
    #[serde(default)]
    pub is_by_answers: bool,
    /// The demand of all services together, in the unit of the datacenters' `capacity`.
    #[serde(default)]
    pub demand: Option<f64>,
}

/// The queries that a server observed. One query of 64 is a sample, on average, and a sample counts
/// half after a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObservedDemandView {
    /// The time of the first sample, in seconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    /// The samples of IPv4 clients.
    pub ipv4: SampleTotalsView,
    /// The samples of IPv6 clients.
    pub ipv6: SampleTotalsView,
}

/// The observed queries of one family's clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SampleTotalsView {
    /// The number of samples from announced networks, `other-samples` included.
    pub samples: u64,
    /// The number of networks that they are from, as far as the server lists them.
    pub networks: usize,
    /// The number of samples from networks that the server does not list.
    pub other_samples: u64,
    /// Whether clients weigh by them; else by announced networks, because there are fewer than
    /// 1,000.
    pub is_used: bool,
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
    /// The clients that would be left without anything usable, by type.
    #[serde(default)]
    pub losses: Vec<LossView>,
    /// The share of the service's answers that each datacenter gets, for datacenters with any.
    #[serde(default)]
    pub shares: Vec<ShareView>,
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
    /// The autonomous systems with the most clients that move, at most five.
    #[serde(default)]
    pub systems: Vec<AsnView>,
    /// How much farther the clients that change their datacenter are from it, on average, in
    /// kilometres; negative if they come nearer, `None` if no location is known.
    #[serde(default)]
    pub extra_km: Option<f64>,
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

/// The share of an autonomous system's clients that move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AsnView {
    /// The number of the autonomous system.
    pub asn: u32,
    /// The name of the autonomous system, if a database has it.
    pub name: Option<String>,
    /// The share of its clients that move, in percent.
    pub percent: f64,
}

/// The share of a network's clients that move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NetworkView {
    /// The widest prefix of which every part moves alike.
    pub network: String,
    /// The share of its clients that move, in percent.
    pub percent: f64,
    /// The clients that move, in percent of all clients of the family.
    pub of_all_percent: f64,
}

/// The clients of one family that move, on average over all services by their weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MovementView {
    /// `IPv4` or `IPv6`: the family of the clients' addresses.
    pub clients: String,
    /// The clients that get another answer, in percent.
    pub moved_percent: f64,
    /// How much farther the clients that change their datacenter are from it, on average, in
    /// kilometres; `None` if no location is known.
    pub extra_km: Option<f64>,
    /// The countries with the most clients that move, at most five.
    pub countries: Vec<CountryView>,
    /// The autonomous systems with the most clients that move, at most five.
    pub systems: Vec<AsnView>,
    /// The networks with the most clients that move, at most ten.
    pub networks: Vec<NetworkView>,
}

/// The share of a service's answers that a datacenter gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShareView {
    /// A datacenter, `no datacenter`, or `nothing` for NODATA.
    pub datacenter: String,
    /// The share before the change, in percent.
    pub before_percent: f64,
    /// The share after the change, in percent.
    pub after_percent: f64,
}

/// The share of all demand that a datacenter gets, and its load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadView {
    /// A datacenter, `no datacenter`, or `nothing` for NODATA.
    pub datacenter: String,
    /// The share before the change, in percent.
    pub before_percent: f64,
    /// The share after the change, in percent.
    pub after_percent: f64,
    /// The `capacity` of the datacenter, in the unit that it is written in.
    pub capacity: Option<f64>,
    /// The load before the change, in that unit; `None` if the demand is not known.
    pub load_before: Option<f64>,
    /// The load after the change, in that unit.
    pub load_after: Option<f64>,
    /// The demand of all services together at which the datacenter is full before the change.
    pub full_at_before: Option<f64>,
    /// The demand of all services together at which the datacenter is full after the change.
    pub full_at_after: Option<f64>,
}

/// A datacenter or a pool that would have more load than its capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExceededCapacity {
    /// `datacenter NAME` or `pool NAME`.
    pub subject: String,
    /// The load before the change.
    pub before: f64,
    /// The load after the change.
    pub after: f64,
    /// The capacity, in the same unit.
    pub capacity: f64,
}

impl ExceededCapacity {
    /// Whether the capacity is not exceeded before the change.
    pub(super) fn is_new(&self) -> bool {
        self.before <= self.capacity
    }
}

/// Clients that would be left without anything usable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LossView {
    /// The type of the records: `A`, `AAAA` or `SRV`.
    pub records: String,
    /// Which clients, in words; empty if all of them.
    pub clients: Vec<String>,
}

/// Clients of a service that would be left without anything usable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceLossView {
    /// The name of the service.
    pub service: String,
    /// The clients, and the type of their records.
    #[serde(flatten)]
    pub loss: LossView,
}

/// How long resolvers keep answers from before the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CacheView {
    /// The service with the longest TTL among those whose clients move.
    pub service: String,
    /// Its TTL before the change, in seconds.
    pub ttl_secs: u32,
    /// When the last of its answers expires if the change is made now, in seconds since
    /// 1970-01-01T00:00:00Z.
    pub until: i64,
}

/// The outage of one datacenter after the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutageView {
    /// The datacenter that is down.
    pub datacenter: String,
    /// The loads of all datacenters without the outage (before) and with it (after).
    pub loads: Vec<LoadView>,
    /// Datacenters and pools that would have more load than their capacity.
    pub exceeded: Vec<ExceededCapacity>,
    /// The clients that would be left without anything usable.
    pub losses: Vec<ServiceLossView>,
}

/// Where clients are, and which datacenters they are answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MapView {
    /// The datacenters with a location.
    pub datacenters: Vec<MapDatacenter>,
    /// The clients near each other as one place each.
    pub places: Vec<MapPlace>,
}

/// The location of a datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MapDatacenter {
    /// The name of the datacenter.
    pub name: String,
    /// The latitude in degrees north.
    pub latitude: f64,
    /// The longitude in degrees east.
    pub longitude: f64,
}

/// Clients within two degrees of each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MapPlace {
    /// The mean latitude in degrees north.
    pub latitude: f64,
    /// The mean longitude in degrees east.
    pub longitude: f64,
    /// Their part of the demand, in percent.
    pub demand_percent: f64,
    /// The datacenter that most of them are answered with before the change.
    pub before: String,
    /// The datacenter that most of them are answered with after the change.
    pub after: String,
    /// The clients that get another answer, in percent.
    pub moved_percent: f64,
}

/// A number rounded to a thousandth, so that it is short in JSON and equal after a round trip.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
