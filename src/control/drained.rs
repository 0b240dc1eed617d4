//! Drained datacenters: which answers of the snapshot in force still name one, since when none does, and how long caches keep
//! the answers that did.
//!
//! Follows each snapshot as it is published and knows nothing of how a drain is stored. A datacenter is watched while its
//! state is draining or disabled. Only charts that differ from those of the snapshot before are read, so that a change of
//! one service costs nothing for the 100,000 others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::status::DrainStatus;
use crate::{
    snapshot::Snapshot,
    steer::{Cause, Chart, Conditions, DatacenterId, Presence, ServiceId, Sighting, State, Topology},
};

/// The log names this many services.
const LOGGED: usize = 5;

/// The watched datacenters, and the answers of the snapshot in force that name one.
#[derive(Debug, Default)]
pub(super) struct Drained {
    watches: BTreeMap<Box<str>, Watch>,
    /// By service; only services whose answers name a watched datacenter.
    still: BTreeMap<ServiceId, Vec<Sighting>>,
}

/// A datacenter that is drained or disabled.
#[derive(Debug)]
struct Watch {
    id: DatacenterId,
    state: State,
    reason: Option<Box<str>>,
    /// When the last answer that named it has left every cache, as far as known now.
    cached_until: i64,
    /// Set while no answer names it.
    effective: Option<DrainStatus>,
    /// The log has that services have no other member left.
    is_logged: bool,
}

/// A published snapshot and what its charts were compiled under.
#[derive(Clone, Copy)]
pub(super) struct Published<'a> {
    pub snapshot: &'a Snapshot,
    pub conditions: &'a Conditions,
    /// Seconds since 1970.
    pub now: i64,
}

impl Drained {
    /// Since when no answer names a datacenter; nothing while some do, or while it is in service.
    pub(super) fn effective(&self, name: &str) -> Option<DrainStatus> {
        self.watches.get(name)?.effective
    }

    /// The answers that name a drained datacenter, in order of the services' names, A before AAAA.
    pub(super) fn still_answered(&self, name: &str) -> impl Iterator<Item = (ServiceId, Sighting)> {
        let id = self.watches.get(name).map(|watch| watch.id);
        let of = move |sighting: &&Sighting| Some(sighting.datacenter) == id;
        self.still.iter().flat_map(move |(service, found)| found.iter().filter(of).map(|found| (*service, *found)))
    }

    /// Follows a snapshot that was just published after `before`.
    pub(super) fn follow(&mut self, before: &Snapshot, published: Published<'_>) {
        let topology = &published.snapshot.topology;
        let is_same = Arc::ptr_eq(&before.topology, topology) && self.watches_what(topology, published.conditions);
        if is_same && self.watches.is_empty() {
            return;
        }
        let ceased = if is_same {
            self.look_again(before, published)
        } else {
            self.watch(before, published);
            self.still.clear();
            self.look(published, |_| true);
            Vec::new()
        };
        self.settle(&ceased, published);
    }

    /// Whether the watched datacenters are those that these conditions drain or disable.
    fn watches_what(&self, topology: &Topology, conditions: &Conditions) -> bool {
        let watched = drained(topology, conditions);
        watched.len() == self.watches.len()
            && watched.iter().all(|(id, state)| {
                let watch = self.watches.get(&topology.datacenters[id.index()].name);
                watch.is_some_and(|watch| watch.state == *state)
            })
    }

    /// Makes the drained and disabled datacenters the watched ones. One that is new may be in caches because of any service
    /// that has a member in it; so may one of a changed configuration, unless no answer named it before.
    fn watch(&mut self, before: &Snapshot, Published { snapshot, conditions, now }: Published<'_>) {
        let topology = &snapshot.topology;
        let longest = |topology: &Topology| -> HashMap<Box<str>, u32> {
            let ttl =
                |services: &Vec<ServiceId>| services.iter().map(|id| topology.services[id.index()].ttl_secs).max();
            let names = topology.datacenters.iter().map(|datacenter| datacenter.name.clone());
            names.zip(topology.services_by_datacenter().iter().map(|services| ttl(services).unwrap_or(0))).collect()
        };
        let drained = drained(topology, conditions);
        let ttls = if drained.is_empty() { Vec::new() } else { vec![longest(&before.topology), longest(topology)] };
        let mut old = std::mem::take(&mut self.watches);
        for (id, state) in drained {
            let datacenter = &topology.datacenters[id.index()];
            let name = &datacenter.name;
            let known = old.remove(name);
            let ttl = ttls.iter().filter_map(|ttls| ttls.get(name)).max().copied().unwrap_or(0);
            let cached_until = match &known {
                Some(Watch { cached_until, effective: Some(_), .. }) => *cached_until,
                _ => now + i64::from(ttl),
            };
            let (effective, is_logged) = known.map_or((None, false), |watch| (watch.effective, watch.is_logged));
            let reason = datacenter.reason.clone();
            let watch = Watch { id, state, reason, cached_until, effective, is_logged };
            self.watches.insert(name.clone(), watch);
        }
        for name in old.into_keys().filter(|name| topology.datacenters.iter().any(|place| place.name == *name)) {
            tracing::info!(datacenter = %name, "datacenter is no longer drained or disabled");
        }
    }

    /// Reads the charts of services that `is_wanted` names; each chart once, however many services share it.
    fn look(&mut self, Published { snapshot, conditions, .. }: Published<'_>, is_wanted: impl Fn(usize) -> bool) {
        let watched: BTreeSet<DatacenterId> = self.watches.values().map(|watch| watch.id).collect();
        if watched.is_empty() {
            return;
        }
        let presence = Presence::new(&snapshot.topology, conditions, |id| watched.contains(&id));
        let mut known: HashMap<*const Chart, Vec<Sighting>> = HashMap::new();
        for (at, chart) in snapshot.charts.iter().enumerate().filter(|(at, _)| is_wanted(*at)) {
            let found = known.entry(Arc::as_ptr(chart)).or_insert_with(|| presence.sightings(chart));
            if !found.is_empty() {
                self.still.insert(ServiceId(at as u32), found.clone());
            }
        }
    }

    /// Reads the charts that changed; the services and datacenters that are no longer answered.
    fn look_again(&mut self, before: &Snapshot, published: Published<'_>) -> Vec<(ServiceId, Sighting)> {
        let charts = &published.snapshot.charts;
        let has_changed = |at: usize| !before.charts.get(at).is_some_and(|old| Arc::ptr_eq(old, &charts[at]));
        let mut old = Vec::new();
        self.still.retain(|service, found| {
            let is_kept = !has_changed(service.index());
            if !is_kept {
                old.extend(found.iter().map(|sighting| (*service, *sighting)));
            }
            is_kept
        });
        self.look(published, has_changed);
        let is_gone = |(service, was): &(ServiceId, Sighting)| {
            let is = |now: &Sighting| (now.datacenter, now.family) == (was.datacenter, was.family);
            !self.still.get(service).is_some_and(|found| found.iter().any(is))
        };
        old.retain(is_gone);
        old
    }

    /// Notes which watches became effective with this snapshot and which no longer are; the log has both.
    fn settle(&mut self, ceased: &[(ServiceId, Sighting)], Published { snapshot, now, .. }: Published<'_>) {
        let ttl = |service: &ServiceId| i64::from(snapshot.topology.services[service.index()].ttl_secs);
        for (name, watch) in &mut self.watches {
            for (service, _) in ceased.iter().filter(|(_, sighting)| sighting.datacenter == watch.id) {
                watch.cached_until = watch.cached_until.max(now + ttl(service));
            }
            let of = |one: &Sighting| one.datacenter == watch.id;
            if !self.still.values().flatten().any(of) {
                if watch.effective.is_none() {
                    watch.take_effect(name, now);
                }
                continue;
            }
            watch.effective = None;
            let last_left = |one: &Sighting| of(one) && !matches!(one.cause, Cause::Ramp(_));
            let stuck = self.still.iter().filter(|(_, found)| found.iter().any(last_left));
            let stuck: Vec<ServiceId> = stuck.map(|(service, _)| *service).collect();
            if !stuck.is_empty() && !watch.is_logged {
                watch.is_logged = true;
                let (state, services) = (watch.state.word(), named(&snapshot.topology, &stuck));
                tracing::warn!(datacenter = %name, state, services, "answers still name a drained datacenter: no other member is left");
            }
        }
    }
}

impl Watch {
    fn take_effect(&mut self, name: &str, now: i64) {
        let longest_ttl = u32::try_from(self.cached_until - now).unwrap_or(0);
        let expires = now + i64::from(longest_ttl);
        self.effective = Some(DrainStatus { effective: now, longest_ttl, expires });
        self.is_logged = false;
        tracing::info!(
            datacenter = %name,
            state = self.state.word(),
            reason = self.reason.as_deref().unwrap_or_default(),
            longest_ttl_secs = longest_ttl,
            "drain is effective: no new answer names the datacenter"
        );
    }
}

/// The datacenters that are drained or disabled.
fn drained(topology: &Topology, conditions: &Conditions) -> Vec<(DatacenterId, State)> {
    let states = conditions.datacenters.iter().take(topology.datacenters.len()).copied();
    let with_id = (0..).map(DatacenterId).zip(states);
    with_id.filter(|(_, state)| matches!(state, State::Draining | State::Disabled)).collect()
}

/// The first services by name, and how many more there are.
fn named(topology: &Topology, services: &[ServiceId]) -> String {
    let first = services.iter().take(LOGGED).map(|id| topology.services[id.index()].name.to_string());
    let mut text = first.collect::<Vec<_>>().join(", ");
    if services.len() > LOGGED {
        text += &format!(" and {} more", services.len() - LOGGED);
    }
    text
}
