//! The present state of what a subject names, and what says so: an override or a file.

use crate::{
    control::{LoadedConfig, clock::format_time},
    steer::{
        Conditions, DatacenterId, EndpointId, Fraction, Override, OverrideSubject, ServingState,
        Topology,
    },
};

/// A datacenter or an endpoint that a subject names.
#[derive(Debug)]
pub(super) struct SubjectItem {
    /// The name of the datacenter or endpoint.
    pub name: String,
    /// The state that it has by itself: of an endpoint regardless of its datacenter.
    pub state: ServingState,
    /// The file or override that says so.
    pub origin: String,
    /// The override that decides on the state, if one does.
    pub decided_by: Option<OverrideSubject>,
    /// The fraction of its clients that it receives during a ramp.
    pub fraction: Option<Fraction>,
}

/// The datacenters that a subject names or, if it names none, its endpoints, as `topology` has
/// them.
pub(super) fn named_items(
    subject: &OverrideSubject,
    loaded: &LoadedConfig,
    topology: &Topology,
    conditions: &Conditions,
    now: i64,
) -> Vec<SubjectItem> {
    let datacenters = subject.datacenters(topology);
    if !datacenters.is_empty() {
        let item = |id: DatacenterId| {
            let decided_by = topology.overrides.datacenters.get(&id);
            SubjectItem {
                name: topology.datacenters[id.index()].name.to_string(),
                state: topology.datacenters[id.index()].state_at(now),
                origin: decided_by.map_or_else(
                    || loaded.config.datacenter_origins[id.index()].to_string(),
                    |one| origin_text(one),
                ),
                decided_by: decided_by.map(|one| one.subject.clone()),
                fraction: conditions.adjustments.datacenter_fractions.get(&id).copied(),
            }
        };
        return datacenters.into_iter().map(item).collect();
    }
    let item = |id: EndpointId| {
        let decided_by = topology.overrides.endpoints.get(&id);
        SubjectItem {
            name: topology.endpoints[id.index()].name.to_string(),
            state: topology.endpoints[id.index()].state,
            origin: decided_by
                .map_or_else(|| "the file of its pool".to_owned(), |one| origin_text(one)),
            decided_by: decided_by.map(|one| one.subject.clone()),
            fraction: conditions.adjustments.endpoint_fractions.get(&id).copied(),
        }
    };
    subject.endpoints(topology).into_iter().map(item).collect()
}

/// Which override it is, for a sentence: `the override of fra by anna since 2026-12-01 06:00:00
/// UTC`.
pub(in crate::control) fn origin_text(one: &Override) -> String {
    format!("the override of {} by {} since {}", one.subject, one.author, format_time(one.set_at))
}
