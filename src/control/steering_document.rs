//! What the answers in force were compiled from, as a document: another process can compile the
//! same charts from it, and compare them with those of a change.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{overrides, safety::PlannedRules, status::DatabaseStatus};
use crate::{
    demand::ObservedDemand,
    engine::PoolLoadLevel,
    steer::{Conditions, OverrideSet, Topology, TopologyDocument, apply_overrides},
};

/// What the answers in force were compiled from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SteeringDocument {
    /// The generation of the snapshot in force.
    pub generation: u64,
    /// The GeoIP databases, in order of precedence.
    pub databases: Vec<DatabaseStatus>,
    /// Datacenters, pools, endpoints and services, as the files in use define them.
    pub topology: TopologyDocument,
    /// What operators set over the files, in the form of its file; `None` if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overrides: Option<String>,
    /// When the overrides were applied, in seconds since 1970.
    pub overrides_at: i64,
    /// Health, states, aliases and shares now. Ids are positions in the lists of the topology.
    pub conditions: Conditions,
    /// The load of each pool with a capacity, by name.
    pub pool_loads: BTreeMap<String, PoolLoadLevel>,
    /// The safety rules, and what has moved lately.
    #[serde(default)]
    pub rules: PlannedRules,
    /// The answers that each service gave since the start; services without any are left out.
    pub answers: BTreeMap<String, u64>,
    /// The demand that was observed, by network; `None` if no query was observed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub demand: Option<ObservedDemand>,
}

impl SteeringDocument {
    /// The overrides of `set` in the form of the document.
    pub(super) fn overrides_text(set: &OverrideSet) -> Option<String> {
        match set.is_empty() {
            true => None,
            false => String::from_utf8(overrides::encode(set)).ok(),
        }
    }

    /// What operators set over the files.
    ///
    /// # Errors
    /// Another version of portolan wrote the document.
    pub fn override_set(&self) -> Result<OverrideSet, String> {
        match &self.overrides {
            Some(text) => overrides::decode(text.as_bytes()).map_err(|error| error.to_string()),
            None => Ok(OverrideSet::default()),
        }
    }

    /// The effective topology: the files in use with these overrides.
    pub fn effective_topology(&self, set: &OverrideSet) -> Arc<Topology> {
        let configured = Arc::new(self.topology.clone().into_topology());
        apply_overrides(&configured, set, self.overrides_at)
    }
}
