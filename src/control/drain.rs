//! Drains as edits: which tables a request edits, and what it would leave to answer with.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    edit::{EditError, TableEdit, edit_tables},
    handle::{DrainAct, DrainError, DrainRequest},
    load::World,
    report,
    state::unix_now,
};
use crate::{
    config::Nearest,
    steer::{Chart, Conditions, DatacenterId, Pace, State, Topology},
};

/// The edits that a request comes to.
#[derive(Debug)]
pub(super) struct DrainPlan {
    datacenters: Vec<(DatacenterId, String)>,
    by_file: BTreeMap<PathBuf, Vec<(String, TableEdit)>>,
    /// What the datacenters' state will be.
    state: State,
}

/// Which tables `request` edits, and how.
pub(super) fn plan(request: &DrainRequest, world: &World, conditions: &Conditions) -> Result<DrainPlan, DrainError> {
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
    let mut by_file: BTreeMap<PathBuf, Vec<(String, TableEdit)>> = BTreeMap::new();
    for (datacenter, id) in &chosen {
        let path = world.config.datacenter_origins[id.index()].path.clone();
        let edit = edit(request, &datacenter.name, *id, conditions)?;
        by_file.entry(path).or_default().push((datacenter.name.to_string(), edit));
    }
    let state = if request.act == DrainAct::Undrain { State::Active } else { State::Draining };
    let datacenters = chosen.into_iter().map(|(datacenter, id)| (id, datacenter.name.to_string())).collect();
    Ok(DrainPlan { datacenters, by_file, state })
}

/// What one datacenter's table is to say.
fn edit(
    request: &DrainRequest,
    name: &str,
    id: DatacenterId,
    conditions: &Conditions,
) -> Result<TableEdit, DrainError> {
    let is_draining = conditions.datacenters.get(id.index()) == Some(&State::Draining);
    match &request.act {
        DrainAct::Drain(drain) => {
            if drain.over_secs.is_some_and(|secs| secs > Pace::LONGEST.as_secs()) {
                let days = Pace::LONGEST.as_secs() / 86_400;
                return Err(DrainError::Edit(format!("a drain goes over {days} days at most; nothing was edited")));
            }
            let until = drain.for_secs.map(|secs| unix_now().saturating_add_unsigned(secs));
            let edit = TableEdit::state(State::Draining, drain.reason.as_deref(), until);
            Ok(drain.over_secs.map_or(edit.clone(), |secs| edit.over(secs)))
        }
        DrainAct::Undrain => Ok(TableEdit::state(State::Active, None, None)),
        DrainAct::Pause | DrainAct::Resume if !is_draining => Err(DrainError::NotDraining(name.to_owned())),
        DrainAct::Resume => Ok(TableEdit::hold(None)),
        DrainAct::Pause => {
            let part = conditions.steering.datacenter_parts.get(&id).map_or(0.0, |part| part.share());
            Ok(TableEdit::hold(Some(1.0 - part)))
        }
    }
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
            conditions.datacenters[id.index()] = self.state;
            // At its end, however long it goes.
            conditions.steering.datacenter_parts.remove(id);
        }
        conditions
    }

    /// Whether it edits this file.
    pub(super) fn edits(&self, file: &str) -> bool {
        self.by_file.keys().any(|path| path.display().to_string() == file)
    }

    /// Edits the files; which ones.
    pub(super) fn carry_out(&self) -> Result<Vec<String>, EditError> {
        for (path, edits) in &self.by_file {
            let edits: Vec<(&str, &TableEdit)> = edits.iter().map(|(name, edit)| (name.as_str(), edit)).collect();
            edit_tables(path, &edits)?;
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

/// Logs each datacenter whose state has ended by its `until`.
pub(super) fn log_ended(topology: &Topology, before: &[State], after: &[State]) {
    for ((datacenter, before), after) in topology.datacenters.iter().zip(before).zip(after) {
        if before != after {
            tracing::info!(
                datacenter = %datacenter.name,
                from = before.word(),
                to = after.word(),
                reason = datacenter.reason.as_deref(),
                until = datacenter.until.and_then(moment).map(tracing::field::display),
                "datacenter state ended as planned"
            );
        }
    }
}

/// A time in seconds since 1970 in the form of RFC 3339.
fn moment(secs: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(secs).ok()
}

/// How many seconds until the next datacenter's state ends by its `until`.
pub(super) fn next_lapse(topology: &Topology, conditions: &Conditions, now: i64) -> Option<u64> {
    let is_open = |at: usize| conditions.datacenters.get(at).is_some_and(|state| *state != State::Active);
    let untils = topology.datacenters.iter().enumerate().filter(|(at, _)| is_open(*at)).filter_map(|(_, d)| d.until);
    // The clock may be set while we wait: look again each minute.
    untils.map(|until| (until - now).clamp(0, 60) as u64).min()
}
