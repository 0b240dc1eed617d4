//! The services whose charts in force leave some clients without a usable member, and which of them
//! the log has.
//!
//! Invariant: `services` is what reading all charts of the snapshot in force would find. Only
//! charts that changed are read, so that a change of one service costs nothing for the 100,000
//! others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    control::{
        LoadedConfig,
        distress::{self, DistressedClients},
    },
    dns::Name,
    snapshot::Snapshot,
    steer::{Chart, FallbackStage, Family, RecordKind, ServiceId},
};

/// The log names this many services of each kind of change.
const MAX_LOGGED_SERVICES: usize = 10;

/// How clients without a usable member are answered: the stage of the fallback, and whether a pool
/// answers them.
type Fallback = (FallbackStage, bool);

/// A service's name and a record type.
type NameAndType = (Name, &'static str);

/// Follows the published snapshots.
#[derive(Debug, Default)]
pub(super) struct DistressTracker {
    services: BTreeSet<ServiceId>,
    /// What the log has reported last.
    logged: BTreeMap<NameAndType, Fallback>,
}

impl DistressTracker {
    /// Follows the snapshot `now`, which was published after `before`.
    pub(super) fn update(&mut self, before: &Snapshot, now: &Snapshot) {
        let is_same_topology = Arc::ptr_eq(&before.topology, &now.topology);
        if !is_same_topology {
            self.services.clear();
        }
        let is_unchanged = |index: usize, chart: &Arc<Chart>| {
            is_same_topology && before.charts.get(index).is_some_and(|old| Arc::ptr_eq(old, chart))
        };
        for (index, chart) in now.charts.iter().enumerate() {
            if is_unchanged(index, chart) {
                continue;
            }
            let id = ServiceId(index as u32);
            let is_distressed = [Family::V4, Family::V6]
                .iter()
                .any(|family| !chart.unusable_areas(*family).is_empty());
            match is_distressed {
                true => self.services.insert(id),
                false => self.services.remove(&id),
            };
        }
    }

    /// The services that answer all of their members because none is usable.
    pub(super) fn down<'c>(
        &self,
        charts: &'c [Arc<Chart>],
    ) -> impl Iterator<Item = (ServiceId, &'c Chart)> {
        let charts = self.services.iter().map(|id| (*id, &*charts[id.index()]));
        charts.filter(|(_, chart)| chart.is_down())
    }

    /// Logs which services and types ran out of usable members or have another fallback than
    /// before, and which have usable members again. `has_all_aliases` says whether every alias was
    /// resolved, or failed to resolve, once: a start does not wait for that, and services that
    /// depend on an alias are not reported before.
    pub(super) fn log_changes(
        &mut self,
        loaded: &LoadedConfig,
        charts: &[Arc<Chart>],
        has_all_aliases: bool,
    ) {
        let (mut now, mut new) = (BTreeMap::new(), Vec::new());
        let is_settled = |id: &&ServiceId| has_all_aliases || !charts[id.index()].awaits_alias();
        let clients =
            |id: &ServiceId| distress::distressed_clients((*id, &charts[id.index()]), |_, _| true);
        for distressed in self.services.iter().filter(is_settled).flat_map(clients) {
            let service = &loaded.topology.services[distressed.service.index()];
            let key = (service.name.clone(), service.kind.record_type(distressed.family));
            let fallback = (distressed.stage, distressed.pool.is_some());
            if self.logged.get(&key) != Some(&fallback) && !now.contains_key(&key) {
                new.push(distressed);
            }
            // Where clients have different fallbacks, the first stands for all.
            now.entry(key).or_insert(fallback);
        }
        log_new(loaded, charts, &new);
        log_recovered(self.logged.keys().filter(|key| !now.contains_key(*key)));
        self.logged = now;
    }
}

fn log_new(loaded: &LoadedConfig, charts: &[Arc<Chart>], new: &[DistressedClients]) {
    let compiler = &loaded.compiler;
    for distressed in new.iter().take(MAX_LOGGED_SERVICES) {
        let service = &loaded.topology.services[distressed.service.index()];
        let rtype = service.kind.record_type(distressed.family);
        let clients = distressed.client_texts(compiler).join("; ");
        let clients = (!clients.is_empty()).then_some(clients);
        let answers = distressed.answer_text(compiler, &charts[distressed.service.index()]);
        // The other family of the service may well have usable members.
        let family = (service.kind != RecordKind::Srv).then(|| distressed.family.as_str());
        tracing::warn!(service = %service.name, rtype, family, clients, answers, "service has no usable member");
    }
    if let Some(services) = new.len().checked_sub(MAX_LOGGED_SERVICES).filter(|more| *more > 0) {
        tracing::warn!(services, "more services have no usable member: status lists them");
    }
}

fn log_recovered<'k>(mut recovered: impl Iterator<Item = &'k NameAndType>) {
    for (name, rtype) in recovered.by_ref().take(MAX_LOGGED_SERVICES) {
        tracing::info!(service = %name, rtype, "service has usable members again");
    }
    match recovered.count() {
        0 => {}
        services => tracing::info!(services, "more services have usable members again"),
    }
}
