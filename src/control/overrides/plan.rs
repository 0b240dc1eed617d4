//! The overrides after a request, and the topologies that follow from them.

use std::sync::Arc;

use super::{
    change::OverrideChange,
    error::OverrideError,
    request::OverrideRequest,
    standing::named_items,
    step::{OverrideStep, StepContext, override_text},
};
use crate::{
    config::SpellingSuggester,
    control::LoadedConfig,
    steer::{
        Compiler, Conditions, MemberKind, Override, OverrideKind, OverrideSet, OverrideSubject,
        ServingState, Topology, apply_overrides,
    },
};

/// The maximum number of overrides of a server.
const MAX_OVERRIDES: usize = 10_000;

/// What a request, or the clock, makes of the overrides in force.
#[derive(Debug)]
pub(in crate::control) struct OverridePlan {
    /// The overrides after the change.
    pub set: OverrideSet,
    /// The effective topology afterwards.
    pub topology: Arc<Topology>,
    /// The effective topology once all of the request has begun, if that is later.
    pub begun: Option<Arc<Topology>>,
    /// The compiler of the configuration in use when this was planned.
    pub base: Arc<Compiler>,
    /// The subjects of the request.
    pub subjects: Vec<OverrideSubject>,
    /// What happens to the override of each subject.
    pub changes: Vec<OverrideChange>,
    /// The overrides whose end has passed.
    pub ended: Vec<Arc<Override>>,
    /// The time that `topology` belongs to, in seconds since 1970.
    pub now: i64,
}

impl OverridePlan {
    /// Whether the request leaves all overrides as they are.
    pub(in crate::control) fn changes_nothing(&self) -> bool {
        self.ended.is_empty() && self.changes.iter().all(|change| change.change == "unchanged")
    }

    /// Whether answers stay as they are: no override in force differs.
    pub(in crate::control) fn keeps_topology(&self, loaded: &LoadedConfig) -> bool {
        self.topology.overrides == loaded.topology.overrides
    }
}

/// Plans a request. Both times are in seconds since 1970. `now` is the present. `steering_time` is
/// the time as of which overrides are evaluated: `now`, or earlier while a rule holds a scheduled
/// change.
///
/// # Errors
/// The request is invalid, or one of its subjects cannot follow it.
pub(in crate::control) fn plan(
    request: &OverrideRequest,
    loaded: &LoadedConfig,
    conditions: &Conditions,
    (now, steering_time): (i64, i64),
) -> Result<OverridePlan, OverrideError> {
    request.validate(now)?;
    let mut plan = plan_of_timers(loaded, steering_time);
    for text in &request.subjects {
        let subject = find_subject(text, &loaded.topology, &plan.set)?;
        if plan.subjects.contains(&subject) {
            continue;
        }
        let context = StepContext {
            request,
            loaded,
            conditions,
            set: &plan.set.clone(),
            topology: &plan.topology.clone(),
            now,
        };
        let step = context.step(&subject)?;
        plan.take(subject, step, loaded, conditions);
    }
    if plan.set.len() > MAX_OVERRIDES {
        return Err(OverrideError::Invalid(format!(
            "there would be more than {MAX_OVERRIDES} overrides; set the states in the files instead"
        )));
    }
    plan.begun = begun_topology(&plan, loaded, now, steering_time);
    Ok(plan)
}

/// Plans what the clock does: overrides begin and end. `now` is in seconds since 1970.
pub(in crate::control) fn plan_of_timers(loaded: &LoadedConfig, now: i64) -> OverridePlan {
    let mut set = OverrideSet::clone(&loaded.overrides);
    let ended = set.remove_ended(now);
    OverridePlan {
        topology: apply_overrides(&loaded.configured, &set, now),
        set,
        begun: None,
        base: Arc::clone(&loaded.compiler),
        subjects: Vec::new(),
        changes: Vec::new(),
        ended,
        now,
    }
}

impl OverridePlan {
    /// Adds what happens to one subject.
    fn take(
        &mut self,
        subject: OverrideSubject,
        step: OverrideStep,
        loaded: &LoadedConfig,
        conditions: &Conditions,
    ) {
        let now = self.now;
        let removed = |plan: &Self| {
            let items = named_items(&subject, loaded, &plan.topology, conditions, now);
            let is_group = matches!(subject, OverrideSubject::Region(_) | OverrideSubject::Pool(_));
            items.into_iter().find(|item| match item.state {
                ServingState::Active => false,
                ServingState::Draining => true,
                ServingState::Standby | ServingState::Disabled => !is_group,
            })
        };
        let (change, text) = match step {
            OverrideStep::Set(one) => {
                let text = override_text(&one);
                self.set.set(one);
                ("set", text)
            }
            OverrideStep::Remove(kind) => {
                let old = self.set.remove(&subject, kind);
                self.topology = apply_overrides(&loaded.configured, &self.set, now);
                let old = old.map(|old| override_text(&old)).unwrap_or_default();
                let still = removed(self).filter(|_| kind == OverrideKind::State);
                let still = still.map(|item| {
                    format!(
                        "; {} is still {}, by {}{}",
                        item.name,
                        item.state.as_str(),
                        item.origin,
                        if item.decided_by.is_none() { "; `--edit` edits the file" } else { "" }
                    )
                });
                ("removed", old + &still.unwrap_or_default())
            }
            OverrideStep::Stays(why) => ("unchanged", why),
        };
        if change == "set" {
            self.topology = apply_overrides(&loaded.configured, &self.set, now);
        }
        let (change, name) = (change.to_owned(), subject.to_string());
        self.changes.push(OverrideChange { subject: name, change, text });
        self.subjects.push(subject);
    }
}

/// The effective topology once the overrides of the request have begun that begin later.
fn begun_topology(
    plan: &OverridePlan,
    loaded: &LoadedConfig,
    now: i64,
    steering_time: i64,
) -> Option<Arc<Topology>> {
    let is_later = |one: &Override| {
        plan.subjects.contains(&one.subject) && one.starts.is_some_and(|starts| starts > now)
    };
    if !plan.set.iter().any(|one| is_later(one)) {
        return None;
    }
    let begun = plan.set.iter().map(|one| match is_later(one) {
        true => Override { starts: None, ..Override::clone(one) },
        false => Override::clone(one),
    });
    Some(apply_overrides(&loaded.configured, &begun.collect(), steering_time))
}

/// The subject that a text means: what the configuration defines or, if it defines nothing of this
/// name, what an override is set on.
fn find_subject(
    text: &str,
    topology: &Topology,
    set: &OverrideSet,
) -> Result<OverrideSubject, OverrideError> {
    let in_set = || {
        let candidates = OverrideSubject::candidates(text);
        candidates.into_iter().find(|one| set.iter().any(|known| known.subject == *one))
    };
    OverrideSubject::find(text, topology)
        .or_else(in_set)
        .ok_or_else(|| OverrideError::Unknown(text.to_owned(), nearest_subject(text, topology)))
}

/// The name that is most similar to a subject that nothing has.
fn nearest_subject(text: &str, topology: &Topology) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for datacenter in &topology.datacenters {
        names.push(datacenter.name.to_string());
        names.extend(datacenter.region.as_deref().map(str::to_owned));
    }
    let is_member = text.contains('/');
    for pool in &topology.pools {
        match is_member {
            true => names.extend(member_names(text, pool, topology)),
            false => names.push(pool.name.to_string()),
        }
    }
    SpellingSuggester::default().suggest(text, names.iter().map(String::as_str)).map(str::to_owned)
}

/// The members of a pool as subjects, in the form that `text` has.
fn member_names<'a>(
    text: &str,
    pool: &'a crate::steer::Pool,
    topology: &'a Topology,
) -> impl Iterator<Item = String> + 'a {
    let prefix = if text.starts_with("service:") { "service:" } else { "" };
    let name =
        move |kind: MemberKind| format!("{prefix}{}/{}", pool.name, topology.member_name(kind));
    pool.members.iter().map(move |member| name(member.kind))
}
