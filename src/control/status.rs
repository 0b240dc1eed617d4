//! The status document, which is behind `/api/v1/status`, `portolan status`,
//! `/readyz` and the metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    journal::JournalStatus, overrides::OverrideStatus, remaining_answer::RemainingAnswer,
    safety::SafetyStatus, service_status::ServiceCounts, subject_text::subject_text,
};
use crate::probe::{NoResult, SchedulerCounts};

/// The state of the server at one moment. Times are in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The server that sent the document.
    #[serde(default)]
    pub server: ServerStatus,
    /// The generation of the snapshot in force.
    pub generation: u64,
    /// The time at which the process started.
    pub started: i64,
    /// The time of the document.
    pub now: i64,
    /// Whether DNS queries are answered. They are not before the end of the first round of health
    /// checks.
    #[serde(default = "default_true")]
    pub is_listening: bool,
    /// What an operator should look at, grave concerns first; `/readyz` has the same list.
    #[serde(default)]
    pub concerns: Vec<Concern>,
    /// The state of the configuration files.
    pub configuration: ConfigurationStatus,
    /// Files that are held at their last good content, in order of path.
    #[serde(default)]
    pub held: Vec<HeldStatus>,
    /// The expectations and assertions of the files that do not hold, one line each.
    #[serde(default)]
    pub requirements: Vec<String>,
    /// The safety rules, and what they hold.
    #[serde(default)]
    pub safety: SafetyStatus,
    /// The state that could not be saved, and why; a restart begins without it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unsaved: Option<String>,
    /// The journal's own state.
    #[serde(default)]
    pub journal: JournalStatus,
    /// The certificates of DNS over TLS and over HTTPS.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// The GeoIP databases in use.
    pub databases: Vec<DatabaseStatus>,
    /// The zones in order of name.
    pub zones: Vec<ZoneStatus>,
    /// The datacenters in order of name.
    pub datacenters: Vec<DatacenterStatus>,
    /// What operators set over the files, in order of subject.
    #[serde(default)]
    pub overrides: Vec<OverrideStatus>,
    /// Why overrides of a previous run are lost; `None` if none is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub override_fault: Option<String>,
    /// The number of services.
    pub services: usize,
    /// How many services are in each state.
    #[serde(default)]
    pub service_counts: ServiceCounts,
    /// Names, types and clients without a usable member, in order of name. A short document has the
    /// first 100.
    pub distressed: Vec<DistressedService>,
    /// The number of all such names, types and clients.
    #[serde(default)]
    pub distressed_count: usize,
    /// The targets of monitors.
    pub targets: Vec<TargetStatus>,
    /// Monitors that give no results, because they cannot work.
    #[serde(default)]
    pub monitor_faults: Vec<MonitorFault>,
    /// The newest report of each load source and target.
    #[serde(default)]
    pub loads: Vec<LoadStatus>,
    /// Pools that load reports, a capacity or a failback have an effect on.
    #[serde(default)]
    pub pools: Vec<PoolStatus>,
    /// Drains, slow starts and failbacks in progress.
    #[serde(default)]
    pub ramps: Vec<RampStatus>,
    /// The number of lasting disagreements between load reports and probes since the start.
    #[serde(default)]
    pub disagreements: u64,
    /// The number of polls of load sources that brought no report since the start.
    #[serde(default)]
    pub failed_polls: u64,
    /// Load sources whose polls give no result because of this server.
    #[serde(default)]
    pub polls: UncheckedStatus,
    /// The addresses of aliases, in order of name.
    #[serde(default)]
    pub aliases: Vec<AliasStatus>,
    /// Health checks in numbers, and whether a doubt freezes verdicts.
    pub checker: CheckerStatus,
}

fn default_true() -> bool {
    true
}

/// Something that an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Concern {
    /// What is wrong and what to do, as one sentence without its full stop.
    pub text: String,
    /// Whether clients get other answers than they should, or none.
    #[serde(default)]
    pub is_grave: bool,
}

/// A monitor that cannot work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MonitorFault {
    /// The name of the monitor.
    pub monitor: String,
    /// Why the monitor cannot work, and the consequence.
    pub error: String,
}

/// The server that sent a reply: a reader must not mistake it for another one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServerStatus {
    /// The server's NSID (RFC 5001): `id` of the configuration, else the host name; in hexadecimal
    /// if it is not text.
    pub node: String,
    /// The id of the process.
    pub pid: u32,
    /// The time at which the process started, in seconds since 1970-01-01T00:00:00Z.
    pub started: i64,
    /// The URL that the command line asked; the server leaves it out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
}

/// The state of the configuration files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigurationStatus {
    /// The time at which the configuration in force was applied.
    pub loaded: i64,
    /// The number of reloads that were applied since the start.
    pub reloads: u64,
    /// The number of reloads since the start that were refused, or that held a file newly.
    pub failures: u64,
    /// The time since which files on disk are not in use, in seconds since 1970: those in `held`
    /// or, if none is held, all files.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<i64>,
    /// Why files are not in use; empty while all are. One line each: `file:line:column: what
    /// (help)`.
    pub errors: Vec<String>,
    /// The zones and services that the files would remove, and why a load does not remove them
    /// before an operator accepts it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removal: Option<String>,
    /// Warnings about what is in use, one line each.
    pub warnings: Vec<String>,
    /// The warnings about geography that pools need and no loaded database has. `warnings` has them
    /// too.
    #[serde(default)]
    pub geography: Vec<String>,
}

/// A file that is not in use as it is: its last good content is in use, or nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldStatus {
    /// The path of the file.
    pub file: String,
    /// The time since which the file is held, in seconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    /// Why the file is held, one line each: `file:line:column: what (help)`.
    pub errors: Vec<String>,
    /// Whether nothing of the file is in use, because it is new and was never without errors.
    #[serde(rename = "left-out", default)]
    pub is_left_out: bool,
}

impl HeldStatus {
    /// What is in use instead of the file, in words.
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
    /// The time at which the server's own certificate in use expires, in seconds since
    /// 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Why the files on disk cannot be used: `file: what (help: remedy)`. `None` if they are in
    /// use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The time since which the files on disk cannot be used, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// The number of failed attempts to read the files since the start.
    pub failed_reads: u64,
}

/// A GeoIP database in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseStatus {
    /// The path of the file.
    pub path: String,
    /// The type that the file names, such as `GeoLite2-City`.
    pub kind: String,
    /// The time at which the vendor built the database.
    pub built: u64,
    /// The number of networks with data of their own.
    pub networks: usize,
    /// Why the newest file is not in use; `None` if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// A zone that the server answers for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ZoneStatus {
    /// The name of the apex.
    pub name: String,
    /// The serial of the SOA record.
    pub serial: u32,
    /// The number of static records.
    pub records: usize,
    /// The number of services in the zone.
    pub services: usize,
}

/// A datacenter, with its state and health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatacenterStatus {
    /// The name of the datacenter.
    pub name: String,
    /// The name of its region.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// `active`, `standby`, `draining` or `disabled`, at the time of the document.
    pub state: String,
    /// The operator's reason for the state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The time at which the state ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<i64>,
    /// What the state comes from: the place in `file`, or an override in words.
    #[serde(default)]
    pub origin: String,
    /// The state that follows at `until`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state_after: Option<String>,
    /// The file, line and column of the datacenter's table.
    pub file: String,
    /// The number of services with a member in the datacenter.
    pub services: usize,
    /// The health of the targets, which does not depend on the state: `all-up`, `some-down`,
    /// `all-down`, `unknown` (some targets have no verdict yet, none is down) or `no-targets`.
    #[serde(default)]
    pub health: String,
    /// The number of targets of the datacenter's endpoints whose verdict is up. A target that
    /// several endpoints share counts once. Of a combined monitor only
    /// the combined target counts.
    pub up: usize,
    /// The number of such targets whose verdict is down.
    pub down: usize,
    /// The number of such targets that have no verdict yet or are not probed.
    pub unknown: usize,
    /// Whether the datacenter is drained or disabled, and no answer of the snapshot in force names
    /// it.
    #[serde(default)]
    pub effective: bool,
    /// While the datacenter is drained or disabled: names and types whose answers still name it, in
    /// order of name. A short document has the first 100.
    #[serde(default)]
    pub still_answered: Vec<RemainingAnswer>,
    /// The number of all such names and types.
    #[serde(default)]
    pub still_answered_count: usize,
    /// The times of the drain; `None` before it is effective.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drain: Option<DrainStatus>,
}

/// The time at which a drain became effective, and the time at which caches follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrainStatus {
    /// The time since which no new answer names the datacenter, in seconds since 1970.
    pub effective: i64,
    /// The longest time after that for which a cache may keep an answer that names it, in seconds.
    pub longest_ttl: u32,
    /// The time at which the last cached answer expires: the sum of both.
    pub expires: i64,
}

/// Clients of a service that find no usable member in one family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DistressedService {
    /// The name of the service.
    pub name: String,
    /// The record type: `A`, `AAAA` or `SRV`.
    pub rtype: String,
    /// The clients without a usable member, such as `country DE`; empty if they are all clients of
    /// the service.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub clients: Vec<String>,
    /// What these clients are answered with now, in a phrase.
    pub plight: String,
    /// Whether some members are usable again, but less than half of them by weight.
    #[serde(default)]
    pub is_recovering: bool,
}

impl DistressedService {
    /// `www.example.com AAAA (country DE; country AT)`.
    pub fn subject(&self) -> String {
        subject_text(&self.name, &self.rtype, &self.clients, usize::MAX)
    }
}

/// One target of one monitor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetStatus {
    /// The name of the monitor.
    pub monitor: String,
    /// The address or name that is probed.
    pub target: String,
    /// The datacenters of the endpoints that the target decides on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub datacenters: Vec<String>,
    /// The combined monitors that the target is a part of.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub part_of: Vec<String>,
    /// `up`, `down` or `unknown`.
    pub verdict: String,
    /// The time since which the verdict holds; `None` if a previous run reached it, or there is
    /// none yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<i64>,
    /// The outcome of the latest probe: `ok`, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<String>,
    /// The duration of the latest probe, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_ms: Option<u64>,
    /// While outcomes contradict the verdict: the shortest time until it changes, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flips_in_secs: Option<u32>,
}

impl TargetStatus {
    /// Whether the target is down, or its outcomes contradict its verdict.
    pub fn is_failing(&self) -> bool {
        self.verdict == "down" || self.flips_in_secs.is_some() && self.verdict == "up"
    }
}

/// An alias, with the addresses that it resolves to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AliasStatus {
    /// The name of the alias.
    pub name: String,
    /// The addresses of the last good answer.
    pub addresses: Vec<String>,
    /// The TTL of answers with these addresses, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl: Option<u32>,
    /// The time at which the alias was last resolved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved: Option<i64>,
    /// Why the latest attempt to resolve it failed; `None` if it did not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// The newest report of a load source, of one balancer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadStatus {
    /// The name of the load source.
    pub load: String,
    /// The address or name that the report is about; `None` if one report is about all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// The datacenters of the endpoints that the report is about, in order of name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub datacenters: Vec<String>,
    /// The age of the newest report, in seconds; `None` before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub age_secs: Option<u64>,
    /// Whether the newest report has expired: pools use configured weights.
    pub is_stale: bool,
    /// Why the latest poll brought no report; `None` if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The end of the first poll since the last report, if the latest poll brought none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failing_since: Option<i64>,
    /// The number of connections in the report.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connections: Option<f64>,
    /// The maximum number of connections.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<f64>,
    /// The number of servers that are up, and of all servers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub servers: Option<(u32, u32)>,
    /// The share of the whole capacity that is left, from 0 to 1; `None` if all is left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capacity_left: Option<f64>,
    /// The duration of a request, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_ms: Option<f64>,
    /// The other numbers of the report, by name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty", default)]
    pub gauges: std::collections::BTreeMap<String, f64>,
    /// How the report contradicts the probes, once that has lasted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disagreement: Option<String>,
}

/// A pool that load reports, a capacity or a failback have an effect on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolStatus {
    /// The name of the pool.
    pub name: String,
    /// For a `load` pool: its members, and the share of its clients that each receives, from 0 to
    /// 1. The shares follow load reports, health, drains and slow starts.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub shares: Vec<(String, f64)>,
    /// Why the pool uses its configured weights; `None` if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fallback: Option<String>,
    /// For a pool with a capacity: the share of its clients that it keeps, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep: Option<f64>,
    /// The load of the pool when it was last evaluated, as a share of its capacity.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<f64>,
    /// The maximum that `level` should have.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<f64>,
    /// For a `failover` pool: the member that clients stay with although an earlier one is usable.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holder: Option<String>,
}

/// A drain, a slow start or a failback in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RampStatus {
    /// The name of the datacenter, of the endpoint, or of the member that clients return to.
    pub name: String,
    /// The pool of the endpoint or member.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<String>,
    /// `drain`, `held-drain`, `slow-start`, or `failback`: clients of a failover pool return to its
    /// member.
    #[serde(default)]
    pub kind: String,
    /// The fraction of its normal traffic that it receives now, from 0 to 1.
    pub at: f64,
    /// The fraction that it receives at the end.
    pub goal: f64,
    /// The time at which it reaches `goal`.
    pub ends: i64,
}

impl RampStatus {
    /// Whether it is the ramp of what an override takes away or brings back. A region and a pool
    /// have no ramp of their own.
    pub fn is_of(&self, one: &OverrideStatus) -> bool {
        match &self.pool {
            None => one.subject_kind == "datacenter" && self.name == one.subject,
            Some(pool) => {
                let member = one.subject.strip_prefix("service:").unwrap_or(&one.subject);
                one.kind == "state" && member.rsplit_once('/') == Some((pool, &self.name))
            }
        }
    }
}

/// Health checks in numbers, and whether a doubt freezes verdicts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckerStatus {
    /// `trusting`, `suspecting` (verdicts are frozen) or `convinced`.
    pub doubt: String,
    /// The number of times that verdicts were frozen since the start.
    pub freezes: u64,
    /// The number of targets that are probed.
    #[serde(default)]
    pub targets: usize,
    /// The number of these with an outcome in this run of the program; `judged` in JSON.
    #[serde(default, rename = "judged")]
    pub checked: usize,
    /// The number of probes that began since the start.
    pub started: u64,
    /// The number of these that began too late.
    pub late: u64,
    /// The number of probes without a result because of this server or its configuration.
    pub discarded: u64,
    /// The number of probes in progress.
    pub in_flight: u64,
    /// Targets whose probes give no result because of this server.
    #[serde(default)]
    pub checks: UncheckedStatus,
}

/// Health checks, or polls of load sources, that give no result because of this server or its
/// system.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UncheckedStatus {
    /// The number of targets, or of load sources.
    pub all: u64,
    /// The number of those that are unchecked: the last two or more due checks gave no result.
    pub unchecked: u64,
    /// The number of unchecked ones by the reason of the latest check, without reasons that apply
    /// to none.
    pub reasons: BTreeMap<String, u64>,
    /// The number of checks without a result since the start, by reason.
    pub unmade: BTreeMap<String, u64>,
}

impl From<SchedulerCounts> for UncheckedStatus {
    fn from(counts: SchedulerCounts) -> Self {
        let named = |(reason, count): (NoResult, u64)| (reason.label().to_owned(), count);
        Self {
            all: counts.targets as u64,
            unchecked: counts.unchecked.sum(),
            reasons: counts.unchecked.iter().filter(|(_, count)| *count > 0).map(named).collect(),
            unmade: counts.without_result.iter().map(named).collect(),
        }
    }
}
