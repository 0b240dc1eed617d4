//! The contents of the state directory's files: aliases, ramps and holders, recoveries, observed
//! demand. Each is a JSON object with a `version`; an object of another version is refused as a
//! whole.

use std::{fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    control::safety::MeasuredMovement,
    demand::ObservedDemand,
    steer::{RampKey, SavedFailback, SavedFeedback, SavedHolder, SavedRecovery, SavedShares},
};

const ALIAS_VERSION: u32 = 1;
const FEEDBACK_VERSION: u32 = 1;
const RECOVERY_VERSION: u32 = 1;
const SAFETY_VERSION: u32 = 1;
const DEMAND_VERSION: u32 = 1;

/// The maximum age of an alias that is used, in seconds: older addresses may belong to another host
/// now.
const MAX_ALIAS_AGE_SECS: i64 = 7 * 86_400;
/// How far in the future an alias may be dated, in seconds, because a clock was set.
const ALIAS_TOLERANCE_SECS: i64 = 300;

/// An alias with its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SavedAlias {
    /// The name of the alias.
    pub name: String,
    /// The addresses of the last good answer.
    pub addresses: Vec<IpAddr>,
    /// The time at which the alias was last resolved, in seconds since 1970.
    pub resolved: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct AliasFile {
    version: u32,
    aliases: Vec<SavedAlias>,
}

/// The file of ramps, and of the members that hold the clients of failover pools.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FeedbackFile {
    version: u32,
    /// Datacenters, and the fraction of its normal traffic that each receives, from 0 to 1.
    datacenters: Vec<(String, f64)>,
    /// Pools, their endpoints, and the fraction of its normal traffic that each endpoint receives.
    endpoints: Vec<(String, String, f64)>,
    /// Pools, and the members that hold their clients.
    holders: Vec<(String, String)>,
    /// `load` pools, their members, and the share of the clients that each member receives.
    #[serde(default)]
    shares: Vec<(String, Vec<(String, f64)>)>,
    /// Pools with a capacity, and the share of its clients that each keeps.
    #[serde(default)]
    keeps: Vec<(String, f64)>,
    /// Failover pools whose clients are returning: the pool, the member that held the clients, the
    /// member that they return to, and the share that has returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    returns: Vec<(String, String, String, f64)>,
}

/// Services that recover from an outage of all members.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecoveryFile {
    version: u32,
    recoveries: Vec<RecoverySpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecoverySpec {
    pool: String,
    members: Vec<String>,
    is_strict: bool,
    /// The time at which the recovery ends at the latest, in milliseconds since 1970.
    until_ms: i64,
}

/// What the safety rules remember.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::control) struct SavedSafety {
    /// The datacenters that are held in the answers against their health checks.
    pub held: Vec<String>,
    /// The changes that moved demand lately.
    pub movements: Vec<MeasuredMovement>,
    /// The targets of held datacenters that are in the answers: monitor and target.
    #[serde(default)]
    pub held_targets: Vec<(String, String)>,
    /// The time of the last allowed state, in seconds since 1970, while what the clock would change
    /// is held.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub steered_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SafetyFile {
    version: u32,
    memory: SavedSafety,
}

/// The demand that was observed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct DemandFile {
    version: u32,
    demand: ObservedDemand,
}

/// Why a file of the state directory is not used.
#[derive(Debug)]
pub(super) enum DocumentError {
    /// The file is not the JSON document that it should be.
    Malformed(serde_json::Error),
    /// Another version of the program wrote the file.
    Version { found: u32, supported: u32 },
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Version { found, supported } => {
                write!(f, "it has version {found}; this program reads version {supported}")
            }
        }
    }
}

impl std::error::Error for DocumentError {}

/// Decodes a document of this version.
fn versioned<T: DeserializeOwned>(octets: &[u8], version: u32) -> Result<T, DocumentError> {
    #[derive(Deserialize)]
    struct VersionHeader {
        version: u32,
    }
    let header: VersionHeader = serde_json::from_slice(octets).map_err(DocumentError::Malformed)?;
    match header.version == version {
        true => serde_json::from_slice(octets).map_err(DocumentError::Malformed),
        false => Err(DocumentError::Version { found: header.version, supported: version }),
    }
}

/// Encodes a document of text keys and finite numbers, which never fails.
fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

/// The saved aliases, except those that were resolved too long before `now`, in seconds since 1970.
pub(super) fn decode_aliases(octets: &[u8], now: i64) -> Result<Vec<SavedAlias>, DocumentError> {
    let file: AliasFile = versioned(octets, ALIAS_VERSION)?;
    let is_recent = |alias: &SavedAlias| {
        (now - MAX_ALIAS_AGE_SECS..=now + ALIAS_TOLERANCE_SECS).contains(&alias.resolved)
    };
    Ok(file.aliases.into_iter().filter(is_recent).collect())
}

pub(super) fn encode_aliases(aliases: Vec<SavedAlias>) -> Vec<u8> {
    to_json(&AliasFile { version: ALIAS_VERSION, aliases })
}

pub(super) fn decode_feedback(octets: &[u8]) -> Result<SavedFeedback, DocumentError> {
    let file: FeedbackFile = versioned(octets, FEEDBACK_VERSION)?;
    let datacenters =
        file.datacenters.into_iter().map(|(name, value)| (RampKey::Datacenter(name.into()), value));
    let endpoints = file.endpoints.into_iter();
    let endpoints = endpoints.map(|(pool, endpoint, value)| {
        (RampKey::Endpoint { pool: pool.into(), endpoint: endpoint.into() }, value)
    });
    let named = |members: Vec<(String, f64)>| {
        members.into_iter().map(|(name, share)| (name.into(), share)).collect()
    };
    let returning = |(pool, from, to, returned): (String, String, String, f64)| SavedFailback {
        pool: pool.into(),
        from: from.into(),
        to: to.into(),
        returned_fraction: returned,
    };
    Ok(SavedFeedback {
        ramps: datacenters.chain(endpoints).collect(),
        holders: file
            .holders
            .into_iter()
            .map(|(pool, member)| SavedHolder { pool: pool.into(), member: member.into() })
            .collect(),
        shares: file
            .shares
            .into_iter()
            .map(|(pool, members)| SavedShares { pool: pool.into(), members: named(members) })
            .collect(),
        kept_shares: file.keeps.into_iter().map(|(pool, keep)| (pool.into(), keep)).collect(),
        failbacks: file.returns.into_iter().map(returning).collect(),
    })
}

pub(super) fn encode_feedback(saved: &SavedFeedback) -> Vec<u8> {
    let mut file = FeedbackFile { version: FEEDBACK_VERSION, ..FeedbackFile::default() };
    for (key, value) in &saved.ramps {
        match key {
            RampKey::Datacenter(name) => file.datacenters.push((name.to_string(), *value)),
            RampKey::Endpoint { pool, endpoint } => {
                file.endpoints.push((pool.to_string(), endpoint.to_string(), *value))
            }
            // `returns` has these, with the member that held the clients.
            RampKey::Failback { .. } => {}
        }
    }
    let named = |members: &[(Box<str>, f64)]| {
        members.iter().map(|(name, share)| (name.to_string(), *share)).collect()
    };
    file.shares = saved
        .shares
        .iter()
        .map(|shares| (shares.pool.to_string(), named(&shares.members)))
        .collect();
    file.keeps = saved.kept_shares.iter().map(|(pool, keep)| (pool.to_string(), *keep)).collect();
    file.holders = saved
        .holders
        .iter()
        .map(|holder| (holder.pool.to_string(), holder.member.to_string()))
        .collect();
    let returning = |one: &SavedFailback| {
        (one.pool.to_string(), one.from.to_string(), one.to.to_string(), one.returned_fraction)
    };
    file.returns = saved.failbacks.iter().map(returning).collect();
    to_json(&file)
}

/// The recoveries that have not ended at `now_ms` (milliseconds since 1970).
pub(super) fn decode_recoveries(
    octets: &[u8],
    now_ms: i64,
) -> Result<Vec<SavedRecovery>, DocumentError> {
    let file: RecoveryFile = versioned(octets, RECOVERY_VERSION)?;
    let restored = |spec: RecoverySpec| {
        let left_ms =
            u64::try_from(spec.until_ms.saturating_sub(now_ms)).ok().filter(|left| *left > 0)?;
        Some(SavedRecovery {
            pool: spec.pool.into(),
            members: spec.members.into_iter().map(Into::into).collect(),
            is_strict: spec.is_strict,
            remaining: Duration::from_millis(left_ms),
        })
    };
    Ok(file.recoveries.into_iter().filter_map(restored).collect())
}

pub(super) fn encode_recoveries(saved: Vec<SavedRecovery>, now_ms: i64) -> Vec<u8> {
    let spec = |saved: SavedRecovery| RecoverySpec {
        pool: saved.pool.into(),
        members: saved.members.into_iter().map(Into::into).collect(),
        is_strict: saved.is_strict,
        until_ms: now_ms
            .saturating_add(i64::try_from(saved.remaining.as_millis()).unwrap_or(i64::MAX)),
    };
    to_json(&RecoveryFile {
        version: RECOVERY_VERSION,
        recoveries: saved.into_iter().map(spec).collect(),
    })
}

pub(super) fn decode_safety(octets: &[u8]) -> Result<SavedSafety, DocumentError> {
    let SafetyFile { memory, .. } = versioned(octets, SAFETY_VERSION)?;
    let is_sound = |one: &MeasuredMovement| (0.0..=1.0).contains(&one.share) && one.at >= 0;
    let movements = memory.movements.into_iter().filter(is_sound).collect();
    Ok(SavedSafety { movements, ..memory })
}

pub(super) fn encode_safety(memory: SavedSafety) -> Vec<u8> {
    to_json(&SafetyFile { version: SAFETY_VERSION, memory })
}

pub(super) fn decode_demand(octets: &[u8]) -> Result<ObservedDemand, DocumentError> {
    versioned(octets, DEMAND_VERSION).map(|file: DemandFile| file.demand)
}

pub(super) fn encode_demand(demand: ObservedDemand) -> Vec<u8> {
    to_json(&DemandFile { version: DEMAND_VERSION, demand })
}
