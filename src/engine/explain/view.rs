//! The explanation as shown to operators and programs: text and numbers only, so that it survives a
//! round trip through JSON and a client of another version.

use serde::{Deserialize, Serialize};

/// The answer that one client gets, and every step that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// The question and the client.
    pub question: QuestionView,
    /// The generation of the snapshot that answered.
    pub generation: u64,
    /// The reply to the question.
    pub reply: ReplyView,
    /// The deciding reason, as one phrase.
    pub because: String,
    /// The names looked up, in order: that of the question, and the targets of aliases.
    pub steps: Vec<StepView>,
}

/// The question and the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuestionView {
    /// The name asked for.
    pub name: String,
    /// The mnemonic of the type asked for.
    pub rtype: String,
    /// The address that the query came from: the client's resolver, or the client itself.
    pub client: String,
    /// The EDNS client subnet of the query.
    pub subnet: Option<String>,
}

/// A reply, decoded from the octets that would be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplyView {
    /// The mnemonic of the response code.
    pub rcode: String,
    /// Whether AA is set.
    pub is_authoritative: bool,
    /// The records of the answer section.
    pub answers: Vec<RecordView>,
    /// The authority section: a referral, or the SOA of a negative answer.
    pub authorities: Vec<RecordView>,
    /// The ECS scope prefix length; absent if no subnet was echoed.
    pub scope: Option<u8>,
    /// What the scope means for the cache of a resolver.
    pub scope_means: String,
}

/// A resource record in presentation format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordView {
    /// The owner name of the record.
    pub name: String,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The mnemonic of the type.
    pub rtype: String,
    /// The rdata in presentation format.
    pub rdata: String,
}

/// One name that was looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepView {
    /// The name looked up.
    pub name: String,
    /// The apex of the zone that has the name; absent for a target outside the zones served here.
    pub zone: Option<String>,
    /// `service`, `static`, `alias`, `wildcard`, `whoami`, `empty`, `delegation`, `dname`,
    /// `missing` or `elsewhere`.
    pub kind: String,
    /// The kind of the step in words.
    pub means: String,
    /// How the service at the name chose, if there is one.
    pub steering: Option<SteeringView>,
}

/// How a service chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SteeringView {
    /// The type of the records chosen: `A`, `AAAA`, `SRV`, `HTTPS` or `SVCB`.
    pub records: String,
    /// Which address decided, and why that one.
    pub decided_by: DecidedByView,
    /// The location of that address in the databases.
    pub location: LocationView,
    /// The number of areas with different answers at present.
    pub areas: usize,
    /// The area that the client is in; absent if there is only one.
    pub area: Option<u32>,
    /// The TTL of the records.
    pub ttl: TtlView,
    /// The pools tried, in order; if any answers, it is the last.
    pub attempts: Vec<AttemptView>,
}

impl SteeringView {
    /// Whether one of the pools tried answers.
    pub(super) fn is_answering(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.is_answering)
    }
}

/// The address that decided where the client is, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DecidedByView {
    /// The address, or the prefix.
    pub address: String,
    /// Whether the address is the client subnet of the query, not the address of the resolver.
    pub is_subnet: bool,
    /// Why this address decided.
    pub why: String,
}

/// The location of an address in the databases.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocationView {
    /// The narrowest network that contains the address in any database.
    pub network: String,
    /// The IPv4 address that an IPv6 address embeds and is looked up as.
    pub carried: Option<String>,
    /// The continent by its two letters: `EU`.
    pub continent: Option<String>,
    /// The country, as an ISO 3166-1 alpha-2 code.
    pub country: Option<String>,
    /// The widest subdivision, as an ISO 3166-2 code.
    pub subdivision: Option<String>,
    /// All subdivisions, the narrowest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub subdivisions: Vec<String>,
    /// The English name of the city.
    pub city: Option<String>,
    /// The latitude in degrees north.
    pub latitude: Option<f64>,
    /// The longitude in degrees east.
    pub longitude: Option<f64>,
    /// The number of the autonomous system.
    pub asn: Option<u32>,
    /// The name of the autonomous system.
    pub organization: Option<String>,
    /// The labels of the databases that this location was taken from, in order of precedence; of
    /// all databases if none of them knows the address.
    pub databases: Vec<String>,
    /// The prefixes of `subnet` rules that contain the address.
    pub named: Vec<String>,
}

/// The TTL of an answer, and why it is lower than configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TtlView {
    /// The TTL in seconds.
    pub secs: u32,
    /// The configured TTL of the service, in seconds.
    pub configured_secs: u32,
    /// Why the TTL is lower than configured.
    pub lowered_because: Option<String>,
}

/// A pool that the service tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptView {
    /// Why this pool was tried; absent for the configured pool in normal operation.
    pub why: Option<String>,
    /// Whether this pool answers.
    pub is_answering: bool,
    /// Whether the pool has nothing usable for the type asked for, but something for the other
    /// address family, so that the answer is NODATA.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub serves_other_family: bool,
    /// The pool with its members.
    pub pool: PoolView,
}

/// A pool, and the choice among its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolView {
    /// The name of the pool.
    pub name: String,
    /// The policy, as in the zone file.
    pub policy: String,
    /// The spread, as in the zone file.
    pub spread: String,
    /// The value of `min-up` in the configuration: `1`, `50%`.
    pub min_up: String,
    /// Whether enough members are up for `min-up`.
    pub meets_min_up: bool,
    /// Whether the pool can answer.
    pub is_usable: bool,
    /// For a `geo` pool, the rule that ends the search for this client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends_at: Option<String>,
    /// The number of members in an answer.
    pub picks: usize,
    /// The number of slots in the wheel of the pool.
    pub slots: usize,
    /// The members in ranking order, or in configured order without a ranking.
    pub members: Vec<MemberView>,
}

/// A member of a pool, and whether and why it was picked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemberView {
    /// The name of the member.
    pub name: String,
    /// Whether answers of the pool can contain the member.
    pub is_picked: bool,
    /// Whether the answer explained contains the member.
    pub is_answered: bool,
    /// Why the member was picked or skipped, as a phrase.
    pub reason: String,
    /// The share of the pool's answers that contain the member, in percent.
    pub percent: f64,
    /// The weight in the configuration.
    pub weight: u16,
    /// The bias in the configuration, in percent.
    pub bias: i8,
    /// Whether the member answers only if nothing else is usable.
    pub is_standby: bool,
    /// During a drain or a slow start, how much of its full share it receives, in percent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub takes_percent: Option<f64>,
    /// While it sheds or spills, how many of its clients it keeps, in percent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keeps_percent: Option<f64>,
    /// The same for the clients in the area of this client alone, in percent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keeps_here_percent: Option<f64>,
    /// In a `load` pool whose shares follow reports, its weight out of 1024.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight_by_load: Option<u32>,
    /// Whether clients of a `failover` pool stay with it although an earlier member is usable.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_holder: bool,
    /// The distance to its nearest datacenter, in kilometres.
    pub distance_km: Option<f64>,
    /// The distance after its bias, in kilometres.
    pub biased_km: Option<f64>,
    /// In a `geo` pool, the key of the rule that offers the member.
    pub rule: Option<String>,
    /// The datacenters that the member is in.
    pub datacenters: Vec<DatacenterView>,
    /// The state of an endpoint, including that of its datacenter.
    pub state: Option<String>,
    /// The name whose addresses an endpoint has, if it is an alias.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<String>,
    /// The addresses of an endpoint, or its name.
    pub targets: Vec<TargetView>,
    /// The choice within a member that is a pool.
    pub pool: Option<PoolView>,
}

/// A datacenter and its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatacenterView {
    /// The name of the datacenter.
    pub name: String,
    /// The state: `active`, `draining` or `disabled`.
    pub state: String,
    /// The configured reason for the state.
    pub reason: Option<String>,
    /// The planned end of the state (RFC 3339).
    pub until: Option<String>,
}

/// An address or a name of an endpoint, and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetView {
    /// The address or the name itself.
    pub target: String,
    /// Whether it is of the family asked for.
    pub is_of_family: bool,
    /// The verdict: `unknown`, `up`, `down`, or that a safety rule holds it; absent if no monitor
    /// probes it.
    pub verdict: Option<String>,
    /// The seconds after which the verdict may change at the earliest.
    pub flips_in_secs: Option<u32>,
}
