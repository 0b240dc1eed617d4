//! What the server says of itself: the document behind `/api/v1/status`, `portolan status`,
//! `/readyz` and the metrics.

use serde::{Deserialize, Serialize};

use super::{distress, unchecked::UncheckedStatus};

/// The whole state at one moment. Times are seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The server that says all this.
    #[serde(default)]
    pub server: ServerStatus,
    /// Of the snapshot that queries are answered from.
    pub generation: u64,
    /// When the process started.
    pub started: i64,
    /// The moment this was written.
    pub now: i64,
    /// DNS queries are answered: not before the first round of health checks.
    #[serde(default = "yes")]
    pub is_listening: bool,
    /// What an operator should look at, the gravest first; the same as at `/readyz`.
    #[serde(default)]
    pub concerns: Vec<Concern>,
    /// What became of the files.
    pub configuration: ConfigurationStatus,
    /// Files that are held at their last good content, in order of path.
    #[serde(default)]
    pub held: Vec<HeldStatus>,
    /// What of the state directory could not be saved, and why; a restart begins without it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unsaved: Option<String>,
    /// The certificates of DNS over TLS and over HTTPS.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// The GeoIP databases in use.
    pub databases: Vec<DatabaseStatus>,
    /// In order of name.
    pub zones: Vec<ZoneStatus>,
    /// In order of name.
    pub datacenters: Vec<DatacenterStatus>,
    /// How many services there are.
    pub services: usize,
    /// Names, types and clients for which nothing is usable, in order of name; of a short document
    /// the first 100.
    pub distressed: Vec<DistressedService>,
    /// How many there are.
    #[serde(default)]
    pub distressed_count: usize,
    /// What is probed.
    pub targets: Vec<TargetStatus>,
    /// Monitors that judge nothing, because a file that they need is broken.
    #[serde(default)]
    pub monitor_faults: Vec<MonitorFault>,
    /// Load reports.
    #[serde(default)]
    pub loads: Vec<LoadStatus>,
    /// Pools that load reports, capacities or failbacks have a part in.
    #[serde(default)]
    pub pools: Vec<PoolStatus>,
    /// Drains and slow starts under way.
    #[serde(default)]
    pub ramps: Vec<RampStatus>,
    /// Lasting disagreements between balancers and our probes since the start.
    #[serde(default)]
    pub disagreements: u64,
    /// Polls of load sources that brought no report since the start.
    #[serde(default)]
    pub failed_polls: u64,
    /// Load sources whose polls give no result for reasons that lie in this server.
    #[serde(default)]
    pub polls: UncheckedStatus,
    /// What aliases stand for, in order of name.
    #[serde(default)]
    pub aliases: Vec<AliasStatus>,
    /// The checker's belief in itself.
    pub checker: CheckerStatus,
}

fn yes() -> bool {
    true
}

/// Something that an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Concern {
    /// What is wrong and what to do, as one sentence without its full stop.
    pub text: String,
    /// Clients get other answers than they should, or none.
    #[serde(default)]
    pub is_grave: bool,
}

/// A monitor that cannot work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MonitorFault {
    /// The monitor's name.
    pub monitor: String,
    /// Why, and what follows.
    pub error: String,
}

/// The server that sent a reply: a reader must not mistake it for another one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServerStatus {
    /// What its NSID says (RFC 5001): `id` of the configuration, else the host name; in hexadecimal
    /// where it is not text.
    pub node: String,
    /// The id of its process.
    pub pid: u32,
    /// When it started, in seconds since 1970-01-01T00:00:00Z.
    pub started: i64,
    /// Where it was asked; the command line knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
}

/// What became of the files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigurationStatus {
    /// When the configuration in use was taken up.
    pub loaded: i64,
    /// Reloads that were taken up since the start.
    pub reloads: u64,
    /// Reloads that were refused since the start.
    pub failures: u64,
    /// Since when files are not in use as they are: all of them, or those in `held`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<i64>,
    /// Why they are not in use; empty while all are. One line each: `file:line:column: what
    /// (help)`.
    pub errors: Vec<String>,
    /// What the files would remove if an operator accepted it, and why a load does not remove it by
    /// itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removal: Option<String>,
    /// What is in use and looks wrong.
    pub warnings: Vec<String>,
    /// Those of the warnings that say which geography pools need and no loaded database has.
    #[serde(default)]
    pub geography: Vec<String>,
}

/// A file that is not in use as it is: its last good content is, or nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldStatus {
    /// The file's path.
    pub file: String,
    /// Since when it is held, in seconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    /// Why. One line each: `file:line:column: what (help)`.
    pub errors: Vec<String>,
    /// Whether nothing of the file is in use, because it is new and was never without errors.
    #[serde(rename = "left-out", default)]
    pub is_left_out: bool,
}

impl HeldStatus {
    /// What is in use in its place.
    pub fn in_use(&self) -> &'static str {
        if self.is_left_out {
            "left out, since it has no earlier content"
        } else {
            "held at its last good content"
        }
    }
}

/// The certificate of DNS over TLS, over HTTPS, or of both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct CertificateStatus {
    /// The PEM file of the chain.
    pub certificate: String,
    /// The PEM file of the key.
    pub key: String,
    /// When the server's own certificate in use expires, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Why the files on disk are not in use, if they are not: `file: what (help: remedy)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when they are not, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Attempts to read the files that failed since the start.
    pub failed_reads: u64,
}

/// A GeoIP database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseStatus {
    /// The file.
    pub path: String,
    /// `GeoLite2-City`.
    pub kind: String,
    /// When its vendor built it.
    pub built: u64,
    /// How many networks it tells apart.
    pub networks: usize,
    /// Why the newest file is not in use, if it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ZoneStatus {
    /// The apex.
    pub name: String,
    /// The SOA's serial.
    pub serial: u32,
    /// Static records.
    pub records: usize,
    /// Services in it.
    pub services: usize,
}

/// A datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatacenterStatus {
    /// The name.
    pub name: String,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// `active`, `standby`, `draining` or `disabled`, at this hour.
    pub state: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// When the state ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<i64>,
    /// The file that holds its table.
    pub file: String,
    /// Services with a member in it.
    pub services: usize,
    /// Health, whatever the state: `all-up`, `some-down`, `all-down`, `unknown` (some targets have
    /// no verdict yet, none is down) or `no-targets`.
    #[serde(default)]
    pub health: String,
    /// Targets of its endpoints whose verdict is up. A target that several endpoints share counts
    /// once; of a combined monitor the combined target counts, not its parts.
    pub up: usize,
    /// Targets of its endpoints whose verdict is down.
    pub down: usize,
    /// The same, without a verdict yet or not probed.
    pub unknown: usize,
    /// It is drained or disabled, and no answer of the snapshot in force names it.
    #[serde(default)]
    pub effective: bool,
    /// While it is drained or disabled: names and types whose answers name it all the same, in
    /// order of name; of a short document the first 100.
    #[serde(default)]
    pub still_answered: Vec<RemainingAnswer>,
    /// How many there are.
    #[serde(default)]
    pub still_answered_count: usize,
    /// Since when a drain is effective; nothing before it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drain: Option<DrainStatus>,
}

/// A service whose answers name a drained datacenter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemainingAnswer {
    /// The service's name.
    pub service: String,
    /// The record type: `A`, `AAAA` or `SRV`.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Why, in a phrase.
    pub why: String,
}

/// An effective drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrainStatus {
    /// From when on no new answer named the datacenter.
    pub effective: i64,
    /// The longest time for which a cache may keep an answer that named it, in seconds.
    pub longest_ttl: u32,
    /// When the last cached answer has expired: the sum of both.
    pub expires: i64,
}

/// A service for which nothing is usable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DistressedService {
    /// Its name.
    pub name: String,
    /// `A`, `AAAA` or `SRV`.
    pub rtype: String,
    /// Whose clients find no usable member: `country DE`; empty where it is all of the service's.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub clients: Vec<String>,
    /// What they are answered with now, in a phrase.
    pub plight: String,
    /// Some members are usable again, but less than half of them by weight.
    #[serde(default)]
    pub is_recovering: bool,
}

impl DistressedService {
    /// `www.example.com AAAA (country DE; country AT)`.
    pub fn subject(&self) -> String {
        distress::subject_text(&self.name, &self.rtype, &self.clients, usize::MAX)
    }
}

/// One target of one monitor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetStatus {
    /// The monitor's name.
    pub monitor: String,
    /// The address or name.
    pub target: String,
    /// The datacenters of the endpoints that it decides on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub datacenters: Vec<String>,
    /// It decides on no endpoint by itself: the combined monitors that it is a part of.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub part_of: Vec<String>,
    /// `up`, `down` or `unknown`.
    pub verdict: String,
    /// Since when, if it was settled in this process's life.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<i64>,
    /// The latest probe: `ok`, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<String>,
    /// How long the latest probe took.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_ms: Option<u64>,
    /// While outcomes against the verdict are counted: the least time until it flips.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flips_in_secs: Option<u32>,
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AliasStatus {
    /// The name.
    pub name: String,
    /// What it stands for, the last good answer.
    pub addresses: Vec<String>,
    /// How long answers that hold them may be cached, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl: Option<u32>,
    /// When it was last resolved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved: Option<i64>,
    /// Why it is not resolved now, if it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// What one load source says of one balancer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadStatus {
    /// The source's name.
    pub load: String,
    /// Whose report, where each address has its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// How old the newest report is, in seconds; nothing before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub age_secs: Option<u64>,
    /// Too old to say anything: configured weights rule.
    pub is_stale: bool,
    /// Why the latest poll brought no report.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Since when no poll has brought a report, where the latest brought none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failing_since: Option<i64>,
    /// Connections now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connections: Option<f64>,
    /// The most of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<f64>,
    /// Servers that are up, and all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub servers: Option<(u32, u32)>,
    /// What is left of the whole capacity, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capacity_left: Option<f64>,
    /// How long a request takes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_ms: Option<f64>,
    /// Other numbers by name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty", default)]
    pub gauges: std::collections::BTreeMap<String, f64>,
    /// How it differs from what our probes find, once that lasts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disagreement: Option<String>,
}

/// A pool that load reports, a capacity or a failback have a part in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Of a `load` pool: its members and the share of its clients that each gets, from 0 to 1: by
    /// load reports, health, drains and slow starts.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub shares: Vec<(String, f64)>,
    /// Why the configured weights rule, if they do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fallback: Option<String>,
    /// Of a pool with a capacity: what it keeps of its clients, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep: Option<f64>,
    /// The level of its load at the last look.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<f64>,
    /// What that should be at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<f64>,
    /// Of a `failover` pool: the member that clients stay with although one before it is usable.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holder: Option<String>,
}

/// A drain or a slow start under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RampStatus {
    /// The datacenter, the endpoint, or the member that clients return to.
    pub name: String,
    /// The pool of an endpoint or a member.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<String>,
    /// `drain`, `held-drain`, `slow-start`, or `failback`: clients of a failover pool return to its
    /// member.
    #[serde(default)]
    pub kind: String,
    /// How much of its share it takes now, from 0 to 1.
    pub at: f64,
    /// Where that goes.
    pub goal: f64,
    /// When it is there.
    pub ends: i64,
}

/// The checker's belief in itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckerStatus {
    /// `trusting`, `suspecting` (verdicts are frozen) or `convinced`.
    pub doubt: String,
    /// How often it began to doubt itself since the start.
    pub freezes: u64,
    /// Targets that are probed.
    #[serde(default)]
    pub targets: usize,
    /// Of these, targets with an outcome in this run of the program.
    #[serde(default)]
    pub judged: usize,
    /// Probes started since the start.
    pub started: u64,
    /// Of these, later than their time allows.
    pub late: u64,
    /// Probes that ended without a result, for causes in this server or its configuration.
    pub discarded: u64,
    /// Probes that run now.
    pub in_flight: u64,
    /// Targets whose probes give no result, for causes in this server.
    #[serde(default)]
    pub checks: UncheckedStatus,
}
