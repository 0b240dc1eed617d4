//! An explanation as people and programs read it: words and numbers only, so that it survives JSON
//! and the server's version.

use serde::{Deserialize, Serialize};

/// The answer a client gets and each step of why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// What was asked, and by whom.
    pub question: QuestionView,
    /// The snapshot that answered.
    pub generation: u64,
    /// The reply.
    pub reply: ReplyView,
    /// The one thing that decided, in a phrase.
    pub because: String,
    /// The names looked up, one after the other: the question's and those of aliases.
    pub steps: Vec<StepView>,
}

/// What was asked, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuestionView {
    /// The name.
    pub name: String,
    /// The type's mnemonic.
    pub rtype: String,
    /// The address that the query came from: the client's resolver, or the client itself.
    pub client: String,
    /// The EDNS Client Subnet that came with it.
    pub subnet: Option<String>,
}

/// A reply, decoded from the bytes that would be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplyView {
    /// The code's mnemonic.
    pub rcode: String,
    /// AA is set.
    pub is_authoritative: bool,
    /// The answer section.
    pub answers: Vec<RecordView>,
    /// The authority section: a referral, or the SOA of a negative answer.
    pub authorities: Vec<RecordView>,
    /// The ECS scope prefix length; absent where no subnet was echoed.
    pub scope: Option<u8>,
    /// What the scope means to a resolver's cache.
    pub scope_means: String,
}

/// A resource record in presentation format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordView {
    /// The owner.
    pub name: String,
    /// Seconds.
    pub ttl: u32,
    /// The type's mnemonic.
    pub rtype: String,
    /// The rdata.
    pub rdata: String,
}

/// A name looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepView {
    /// The name.
    pub name: String,
    /// The apex of the zone that holds it; absent for the target of an alias that leaves our zones.
    pub zone: Option<String>,
    /// `service`, `static`, `alias`, `wildcard`, `whoami`, `empty`, `delegation`, `dname`,
    /// `missing` or `elsewhere`.
    pub kind: String,
    /// The same in a phrase.
    pub means: String,
    /// How the service there chose, if one did.
    pub steering: Option<SteeringView>,
}

/// How a service chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SteeringView {
    /// The type of the records it chose: `A` or `AAAA`.
    pub records: String,
    /// Which address decided, and why that one.
    pub decided_by: DecidedByView,
    /// Where the databases put that address.
    pub location: LocationView,
    /// How many different answers there are over all areas, at this moment.
    pub areas: usize,
    /// The area that the client is in; absent where there is but one.
    pub area: Option<u32>,
    /// The TTL of the records.
    pub ttl: TtlView,
    /// The pools turned to, one after the other; the last one answers, if any does.
    pub attempts: Vec<AttemptView>,
}

/// Which address decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DecidedByView {
    /// The address, or the prefix.
    pub address: String,
    /// It is the client subnet that came with the query.
    pub is_subnet: bool,
    /// Why that one.
    pub why: String,
}

/// Where the databases put an address.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocationView {
    /// The narrowest network that they say it of.
    pub network: String,
    /// The IPv4 address that an IPv6 address carries and is looked up as.
    pub carried: Option<String>,
    /// `EU`.
    pub continent: Option<String>,
    /// ISO 3166-1.
    pub country: Option<String>,
    /// ISO 3166-2: the widest that holds the place.
    pub subdivision: Option<String>,
    /// All of them, the narrowest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub subdivisions: Vec<String>,
    /// English name.
    pub city: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// The autonomous system.
    pub asn: Option<u32>,
    /// Its name.
    pub organization: Option<String>,
    /// The databases, in order of precedence.
    pub databases: Vec<String>,
    /// The prefixes of `subnet` rules that hold it.
    pub named: Vec<String>,
}

/// A TTL and why it is what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TtlView {
    /// Seconds.
    pub secs: u32,
    /// As the service has it.
    pub configured_secs: u32,
    /// Why it is lower.
    pub lowered_because: Option<String>,
}

/// A pool that the service turned to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptView {
    /// Why this one; absent for the service's own pool in good health.
    pub why: Option<String>,
    /// It answers.
    pub is_answering: bool,
    /// It has nothing usable of the type asked for, and something for the other address family:
    /// NODATA.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub serves_other_family: bool,
    /// The pool.
    pub pool: PoolView,
}

/// What a pool comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// Its policy's word.
    pub policy: String,
    /// Its spread's word.
    pub spread: String,
    /// What it needs to be usable: `1`, `50%`.
    pub min_up: String,
    /// It has that.
    pub meets_min_up: bool,
    /// It comes to something.
    pub is_usable: bool,
    /// Of a `geo` pool: the rule that ends the search for this client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends_at: Option<String>,
    /// How many members an answer has.
    pub picks: usize,
    /// Slots of its wheel.
    pub slots: usize,
    /// In the order in which it ranks them, or as written.
    pub members: Vec<MemberView>,
}

/// What became of a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemberView {
    /// Its name.
    pub name: String,
    /// The pool's answers can hold it.
    pub is_picked: bool,
    /// The answer above holds it.
    pub is_answered: bool,
    /// Why, in a phrase.
    pub reason: String,
    /// The share of the pool's answers that hold it.
    pub percent: f64,
    /// Its weight.
    pub weight: u16,
    /// Its bias.
    pub bias: i8,
    /// Only for when nothing else is usable.
    pub is_standby: bool,
    /// Amid a drain or a slow start: what it takes of its share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub takes_percent: Option<f64>,
    /// While it sheds or spills: what it keeps of its clients.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keeps_percent: Option<f64>,
    /// The same of the clients in this client's area.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keeps_here_percent: Option<f64>,
    /// Of a `load` pool whose shares follow reports: its weight out of 1024.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight_by_load: Option<u32>,
    /// Of a `failover` pool: clients stay with it although a member before it is usable.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_holder: bool,
    /// Kilometres to its nearest datacenter.
    pub distance_km: Option<f64>,
    /// The same as its bias has it.
    pub biased_km: Option<f64>,
    /// The key of the rule that offers it, for a `geo` pool.
    pub rule: Option<String>,
    /// The datacenters that it is in.
    pub datacenters: Vec<DatacenterView>,
    /// Of an endpoint: its state, its datacenter's included.
    pub state: Option<String>,
    /// Of an endpoint that is an alias: the name whose addresses it has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<String>,
    /// Of an endpoint: each address, or the name it stands for.
    pub targets: Vec<TargetView>,
    /// Of a pool: what it comes to.
    pub pool: Option<PoolView>,
}

/// A datacenter and its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatacenterView {
    /// Its name.
    pub name: String,
    /// The state's word.
    pub state: String,
    /// Why the state is what it is.
    pub reason: Option<String>,
    /// When it ends (RFC 3339).
    pub until: Option<String>,
}

/// An address, or a name, and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetView {
    /// The address or the name.
    pub target: String,
    /// It is of the family asked for.
    pub is_of_family: bool,
    /// `unknown`, `up`, `down`; absent where nothing probes it.
    pub verdict: Option<String>,
    /// The least seconds until the verdict could flip.
    pub flips_in_secs: Option<u32>,
}
