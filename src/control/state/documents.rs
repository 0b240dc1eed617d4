//! What the files of the state directory say: aliases, ramps and holders, recoveries. Each is a
//! JSON object with a `version`; one of another version is refused as a whole.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::steer::{
    RampKey, SavedFailback, SavedFeedback, SavedHolder, SavedRecovery, SavedShares,
};

const ALIAS_VERSION: u32 = 1;
const FEEDBACK_VERSION: u32 = 1;
const RECOVERY_VERSION: u32 = 1;

/// What an alias stood for longer ago is not used: its addresses may belong to another host by now.
const MAX_ALIAS_AGE_SECS: i64 = 7 * 86_400;
/// How far into the future an alias may be dated: clocks are set.
const ALIAS_TOLERANCE_SECS: i64 = 300;

/// What an alias stood for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SavedAlias {
    /// The name of the alias.
    pub name: String,
    /// The addresses that the alias stood for.
    pub addresses: Vec<IpAddr>,
    /// When it was last resolved, in seconds since 1970.
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
    /// Datacenters, and the part of its share that each receives.
    datacenters: Vec<(String, f64)>,
    /// Pools, their endpoints, and the part of its share that each receives.
    endpoints: Vec<(String, String, f64)>,
    /// Pools, and the members that hold their clients.
    holders: Vec<(String, String)>,
    /// Pools, their members, and the share of each.
    #[serde(default)]
    shares: Vec<(String, Vec<(String, f64)>)>,
    /// Pools, and what they keep of their clients.
    #[serde(default)]
    keeps: Vec<(String, f64)>,
    /// Failover pools whose clients are on their way back: the pool, the member that held them, the
    /// one that they return to, and how many have returned.
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
    /// When it ends at the latest, in milliseconds since 1970.
    until_ms: i64,
}

/// The document of this version.
fn versioned<T: DeserializeOwned>(octets: &[u8], version: u32) -> Result<T, String> {
    #[derive(Deserialize)]
    struct VersionHeader {
        version: u32,
    }
    let found: VersionHeader = serde_json::from_slice(octets).map_err(|error| error.to_string())?;
    match found.version == version {
        true => serde_json::from_slice(octets).map_err(|error| error.to_string()),
        false => {
            Err(format!("it has version {}; this program reads version {version}", found.version))
        }
    }
}

/// A document of text keys and finite numbers, which can always be written.
fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

/// Aliases at `now` (seconds since 1970), less those resolved too long ago.
pub(super) fn decode_aliases(octets: &[u8], now: i64) -> Result<Vec<SavedAlias>, String> {
    let file: AliasFile = versioned(octets, ALIAS_VERSION)?;
    let is_recent = |alias: &SavedAlias| {
        (now - MAX_ALIAS_AGE_SECS..=now + ALIAS_TOLERANCE_SECS).contains(&alias.resolved)
    };
    Ok(file.aliases.into_iter().filter(is_recent).collect())
}

pub(super) fn encode_aliases(aliases: Vec<SavedAlias>) -> Vec<u8> {
    to_json(&AliasFile { version: ALIAS_VERSION, aliases })
}

pub(super) fn decode_feedback(octets: &[u8]) -> Result<SavedFeedback, String> {
    let file: FeedbackFile = versioned(octets, FEEDBACK_VERSION)?;
    let datacenters =
        file.datacenters.into_iter().map(|(name, at)| (RampKey::Datacenter(name.into()), at));
    let endpoints = file.endpoints.into_iter();
    let endpoints =
        endpoints.map(|(pool, endpoint, at)| (RampKey::Endpoint(pool.into(), endpoint.into()), at));
    let named = |members: Vec<(String, f64)>| {
        members.into_iter().map(|(name, at)| (name.into(), at)).collect()
    };
    let returning = |(pool, from, to, at): (String, String, String, f64)| SavedFailback {
        pool: pool.into(),
        from: from.into(),
        to: to.into(),
        returned_fraction: at,
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
    for (key, at) in &saved.ramps {
        match key {
            RampKey::Datacenter(name) => file.datacenters.push((name.to_string(), *at)),
            RampKey::Endpoint(pool, name) => {
                file.endpoints.push((pool.to_string(), name.to_string(), *at))
            }
            // Saved with the member that held the clients.
            RampKey::Failback(..) => {}
        }
    }
    let named = |members: &[(Box<str>, f64)]| {
        members.iter().map(|(name, at)| (name.to_string(), *at)).collect()
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
pub(super) fn decode_recoveries(octets: &[u8], now_ms: i64) -> Result<Vec<SavedRecovery>, String> {
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
