//! Drains: which tables an operator's word edits, what it would leave, and how long cached answers go on.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use super::{
    edit::{EditError, StateEdit, edit_state},
    handle::{DrainError, DrainRequest},
    load::World,
    report,
    state::unix_now,
    status::DrainStatus,
};
use crate::{
    config::Nearest,
    steer::{Chart, Conditions, DatacenterId, State, Topology},
};

/// How the drains of this process's life went, by datacenter.
#[derive(Debug, Default)]
pub(super) struct Drains {
    states: HashMap<Box<str>, State>,
    drains: HashMap<Box<str>, DrainStatus>,
}

impl Drains {
    /// How the drain of a datacenter goes; nothing where it is in service.
    pub(super) fn of(&self, name: &str) -> Option<DrainStatus> {
        self.drains.get(name).copied()
    }

    /// Takes note of a snapshot that was just published: what left service with it, and what came back.
    pub(super) fn note(&mut self, topology: &Topology, conditions: &Conditions, now: i64) {
        let gives_nothing = |state: State| matches!(state, State::Draining | State::Disabled);
        let states: HashMap<Box<str>, State> = topology
            .datacenters
            .iter()
            .map(|datacenter| datacenter.name.clone())
            .zip(conditions.datacenters.iter().copied())
            .collect();
        if states == self.states {
            return;
        }
        let mut services = None;
        for (at, (datacenter, &state)) in topology.datacenters.iter().zip(&conditions.datacenters).enumerate() {
            let was = self.states.get(&datacenter.name).copied();
            if !gives_nothing(state) {
                if self.drains.remove(&datacenter.name).is_some() {
                    tracing::info!(datacenter = %datacenter.name, "back in service");
                }
            } else if was.is_some_and(|was| !gives_nothing(was)) {
                let services = services.get_or_insert_with(|| topology.services_by_datacenter());
                let ttl = |service: &crate::steer::ServiceId| topology.services[service.index()].ttl_secs;
                let longest_ttl = services[at].iter().map(ttl).max().unwrap_or(0);
                let drain = DrainStatus { effective: now, longest_ttl, expires: now + i64::from(longest_ttl) };
                tracing::info!(
                    datacenter = %datacenter.name,
                    state = state.word(),
                    reason = datacenter.reason.as_deref().unwrap_or_default(),
                    longest_ttl,
                    "no new answer names it; the last cached one expires after the longest TTL"
                );
                self.drains.insert(datacenter.name.clone(), drain);
            }
        }
        self.states = states;
    }
}

/// The edits that a request comes to.
#[derive(Debug)]
pub(super) struct DrainPlan {
    datacenters: Vec<(DatacenterId, String)>,
    by_file: BTreeMap<PathBuf, Vec<String>>,
    edit: StateEdit,
}

/// Which tables `request` edits.
pub(super) fn plan(request: &DrainRequest, world: &World) -> Result<DrainPlan, DrainError> {
    let wanted = request.datacenter.as_str();
    let all = || world.topology.datacenters.iter().zip((0..).map(DatacenterId));
    let by_name: Vec<_> = all().filter(|(datacenter, _)| *datacenter.name == *wanted).collect();
    let by_region = || all().filter(|(datacenter, _)| datacenter.region.as_deref() == Some(wanted)).collect();
    let chosen: Vec<_> = if by_name.is_empty() { by_region() } else { by_name };
    if chosen.is_empty() {
        let names = world.topology.datacenters.iter();
        let names = names.flat_map(|datacenter| [Some(&*datacenter.name), datacenter.region.as_deref()]);
        let nearest = Nearest::default().among(wanted, names.flatten()).map(str::to_owned);
        return Err(DrainError::Unknown(wanted.to_owned(), nearest));
    }
    let mut by_file: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for (datacenter, id) in &chosen {
        let path = world.config.datacenter_origins[id.index()].path.clone();
        by_file.entry(path).or_default().push(datacenter.name.to_string());
    }
    let edit = StateEdit {
        state: if request.drain { State::Draining } else { State::Active },
        reason: request.reason.clone().filter(|_| request.drain),
        until: request.for_secs.filter(|_| request.drain).map(|secs| unix_now().saturating_add_unsigned(secs)),
    };
    let datacenters = chosen.into_iter().map(|(datacenter, id)| (id, datacenter.name.to_string())).collect();
    Ok(DrainPlan { datacenters, by_file, edit })
}

impl DrainPlan {
    /// The datacenters' names.
    pub(super) fn names(&self) -> Vec<String> {
        self.datacenters.iter().map(|(_, name)| name.clone()).collect()
    }

    /// `conditions` as they will be.
    pub(super) fn conditions(&self, conditions: &Conditions) -> Conditions {
        let mut conditions = conditions.clone();
        for (id, _) in &self.datacenters {
            conditions.datacenters[id.index()] = self.edit.state;
        }
        conditions
    }

    /// Edits the files; which ones.
    pub(super) fn carry_out(&self) -> Result<Vec<String>, EditError> {
        for (path, names) in &self.by_file {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            edit_state(path, &names, &self.edit)?;
        }
        Ok(self.by_file.keys().map(|path| path.display().to_string()).collect())
    }
}

/// Services that have usable members under `before` and none under `after`.
pub(super) fn newly_distressed(topology: &Topology, before: &[Arc<Chart>], after: &[Arc<Chart>]) -> Vec<String> {
    let was: std::collections::HashSet<_> =
        report::distressed(topology, before).into_iter().map(|(name, ..)| name).collect();
    let mut names: Vec<String> = report::distressed(topology, after)
        .into_iter()
        .filter(|(name, ..)| !was.contains(name))
        .map(|(name, ..)| name.to_string())
        .collect();
    names.dedup();
    names
}

/// How many seconds until the next datacenter's state ends by its `until`.
pub(super) fn next_lapse(topology: &Topology, conditions: &Conditions, now: i64) -> Option<u64> {
    let is_open = |at: usize| conditions.datacenters.get(at).is_some_and(|state| *state != State::Active);
    let untils = topology.datacenters.iter().enumerate().filter(|(at, _)| is_open(*at)).filter_map(|(_, d)| d.until);
    // The clock may be set while we wait: look again each minute.
    untils.map(|until| (until - now).clamp(0, 60) as u64).min()
}
