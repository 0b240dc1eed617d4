//! What the controller hands over with each snapshot. Everything large is shared.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    control::{LoadedConfig, last_good::LastGood, saved_serials::SavedSerial},
    dns::Name,
    steer::{Conditions, Numbering, OverrideSet, ProbeId, Topology},
};

/// The conditions of a snapshot that was published.
#[derive(Debug, Clone)]
pub(in crate::control) struct PublishedConditions {
    /// When it was published, in milliseconds since 1970.
    pub time_ms: i64,
    /// The generation of the snapshot.
    pub generation: u64,
    pub conditions: Arc<Conditions>,
    /// The configuration that the conditions belong to.
    pub configuration: Arc<PublishedConfiguration>,
    /// Why the health status of these probes changed.
    pub causes: Vec<(ProbeId, String)>,
}

/// A configuration that was applied.
#[derive(Debug)]
pub(in crate::control) struct PublishedConfiguration {
    /// The effective topology, whose pools and endpoints have the numbers of `numbering`.
    pub topology: Arc<Topology>,
    /// The topology as the files say, with the same numbers.
    pub configured: Arc<Topology>,
    /// What operators set over the files.
    pub overrides: Arc<OverrideSet>,
    /// When the overrides were applied, in seconds since 1970.
    pub overrides_at: i64,
    pub numbering: Numbering,
    /// The files that the configuration was made of.
    pub last_good: Arc<LastGood>,
    /// The serials that the zones have.
    pub serials: HashMap<Name, SavedSerial>,
    pub databases: Vec<DatabaseIdentity>,
}

/// A GeoIP database that was in use. The database itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::control) struct DatabaseIdentity {
    pub path: String,
    pub kind: String,
    /// When it was built, in seconds since 1970.
    pub built: u64,
}

impl PublishedConfiguration {
    pub(in crate::control) fn of(loaded: &LoadedConfig) -> Self {
        Self {
            topology: Arc::clone(&loaded.topology),
            configured: Arc::clone(&loaded.configured),
            overrides: Arc::clone(&loaded.overrides),
            overrides_at: loaded.overrides_at,
            numbering: loaded.numbering.clone(),
            last_good: Arc::clone(&loaded.last_good),
            serials: loaded.serials.clone(),
            databases: DatabaseIdentity::all_of(loaded),
        }
    }
}

impl DatabaseIdentity {
    /// The databases in use, in order of precedence.
    pub(in crate::control) fn all_of(loaded: &LoadedConfig) -> Vec<Self> {
        let identity = |file: &crate::control::databases::DatabaseFile| Self {
            path: file.path.display().to_string(),
            kind: file.database.kind().to_owned(),
            built: file.database.build_epoch(),
        };
        loaded.databases.iter().map(identity).collect()
    }
}
