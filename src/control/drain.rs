//! Drains as edits: which tables a request edits, and what it would leave to answer with.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    config_load::LoadedConfig,
    distress,
    edit::{DatacenterEdit, EditError, edit_tables},
    handle::{
        DrainAction, DrainError, DrainOptions, DrainRequest, NewlyDistressed, not_in_service,
    },
    state::unix_now,
};
use crate::{
    config::{DefinitionOrigin, REASON_HELP, SpellingSuggester, reason_fault},
    steer::{
        Chart, Compiler, Conditions, Datacenter, DatacenterId, RampTimes, ServiceId, ServingState,
        Topology, UnusableArea,
    },
};

/// The edits that a request comes to.
#[derive(Debug)]
pub(super) struct DrainPlan {
    /// What becomes of each datacenter that was named.
    datacenters: Vec<(DatacenterId, String, DrainStep)>,
    by_file: BTreeMap<PathBuf, Vec<(String, DatacenterEdit)>>,
}

/// What becomes of a datacenter.
#[derive(Debug)]
enum DrainStep {
    /// Its table is edited, and this is its state then.
    Becomes(ServingState),
    /// It stays as it is, because of this.
    Stays(String),
}

/// Which tables `request` edits, and how.
pub(super) fn plan(
    request: &DrainRequest,
    world: &LoadedConfig,
    conditions: &Conditions,
) -> Result<DrainPlan, DrainError> {
    if let DrainAction::Drain(drain) = &request.action {
        validate(drain, unix_now()).map_err(DrainError::Invalid)?;
    }
    let chosen = matching_datacenters(&request.datacenter, &world.topology)?;
    let mut by_file: BTreeMap<PathBuf, Vec<(String, DatacenterEdit)>> = BTreeMap::new();
    let mut datacenters = Vec::new();
    let mut refusals = Vec::new();
    for id in chosen {
        let subject = DrainTarget::new(id, world, conditions);
        let name = subject.datacenter.name.to_string();
        match subject.edit(&request.action) {
            Ok((edit, state)) => {
                by_file.entry(subject.origin.path.clone()).or_default().push((name.clone(), edit));
                datacenters.push((id, name, DrainStep::Becomes(state)));
            }
            Err(NoEditReason::AlreadyInState(why)) => {
                datacenters.push((id, name, DrainStep::Stays(why)))
            }
            Err(NoEditReason::Refused(error)) => {
                let why = match &error {
                    DrainError::NotInService { state, origin, .. } => {
                        format!(
                            "not drained, its table is as it was: {}",
                            not_in_service(state, origin)
                        )
                    }
                    error => error.to_string(),
                };
                datacenters.push((id, name, DrainStep::Stays(why)));
                refusals.push(error);
            }
        }
    }
    // Of a region those are drained that can be; a request that no datacenter can follow is
    // refused.
    match (refusals.len() == datacenters.len(), refusals.into_iter().next()) {
        (true, Some(refusal)) => Err(refusal),
        _ => Ok(DrainPlan { datacenters, by_file }),
    }
}

/// Whether a drain can be written into a file, and says what was asked for.
///
/// # Errors
/// Which value cannot, and what it may be.
fn validate(drain: &DrainOptions, now: i64) -> Result<(), String> {
    const DAY_SECS: u64 = 86_400;
    const OMIT: &str = "omit `for-secs` (`--for`) to drain until `undrain`";
    if let Some(fault) = drain.reason.as_deref().and_then(reason_fault) {
        return Err(format!("the reason {fault}; {REASON_HELP}"));
    }
    let longest_over = RampTimes::MAX_RAMP.as_secs();
    if let Some(secs) = drain.over_secs.filter(|secs| *secs > longest_over) {
        return Err(format!(
            "`over-secs` is {secs}; the maximum is {longest_over} ({} days)",
            longest_over / DAY_SECS
        ));
    }
    let last = jiff::Timestamp::MAX.as_second().saturating_sub(now).unsigned_abs();
    match drain.for_secs {
        Some(0) => Err(format!("`for-secs` is 0, so that the drain would end at once; {OMIT}")),
        Some(secs) if secs > last => Err(format!(
            "`for-secs` is {secs}, so that the drain would end after the year 9999; the maximum is {last}; {OMIT}"
        )),
        _ => Ok(()),
    }
}

/// The datacenter of this name, else those of the region.
fn matching_datacenters(
    wanted: &str,
    topology: &Topology,
) -> Result<Vec<DatacenterId>, DrainError> {
    let all = || topology.datacenters.iter().zip((0..).map(DatacenterId));
    let by_name: Vec<_> =
        all().filter(|(datacenter, _)| *datacenter.name == *wanted).map(|(_, id)| id).collect();
    let is_in_region = |datacenter: &Datacenter| datacenter.region.as_deref() == Some(wanted);
    let by_region =
        || all().filter(|(datacenter, _)| is_in_region(datacenter)).map(|(_, id)| id).collect();
    let chosen: Vec<_> = if by_name.is_empty() { by_region() } else { by_name };
    if chosen.is_empty() {
        let names = topology.datacenters.iter();
        let names =
            names.flat_map(|datacenter| [Some(&*datacenter.name), datacenter.region.as_deref()]);
        let nearest =
            SpellingSuggester::default().suggest(wanted, names.flatten()).map(str::to_owned);
        return Err(DrainError::Unknown(wanted.to_owned(), nearest));
    }
    Ok(chosen)
}

/// A datacenter that a request names, as the snapshot in force has it.
struct DrainTarget<'a> {
    datacenter: &'a Datacenter,
    origin: &'a DefinitionOrigin,
    /// Its state now: `until` may have ended the one that is written.
    state: ServingState,
    /// The share of its clients that a ramp leaves it.
    remaining_share: f64,
}

/// Why a table is not edited.
enum NoEditReason {
    /// There is nothing to do.
    AlreadyInState(String),
    /// It must not be done.
    Refused(DrainError),
}

impl<'a> DrainTarget<'a> {
    fn new(id: DatacenterId, world: &'a LoadedConfig, conditions: &Conditions) -> Self {
        Self {
            datacenter: &world.topology.datacenters[id.index()],
            origin: &world.config.datacenter_origins[id.index()],
            state: conditions.datacenters[id.index()],
            remaining_share: conditions
                .adjustments
                .datacenter_fractions
                .get(&id)
                .map_or(0.0, |part| part.share()),
        }
    }

    /// What the table is to say, and the state that the datacenter has then.
    fn edit(&self, act: &DrainAction) -> Result<(DatacenterEdit, ServingState), NoEditReason> {
        let (edit, state) = match act {
            DrainAction::Drain(drain) => (self.drain(drain)?, ServingState::Draining),
            DrainAction::Undrain => (self.undrain()?, ServingState::Active),
            DrainAction::Pause | DrainAction::Resume if self.state != ServingState::Draining => {
                return Err(NoEditReason::Refused(DrainError::NotDraining(
                    self.datacenter.name.to_string(),
                )));
            }
            DrainAction::Resume => {
                (DatacenterEdit::default().hold_at(None), ServingState::Draining)
            }
            DrainAction::Pause => (
                DatacenterEdit::default().hold_at(Some(1.0 - self.remaining_share)),
                ServingState::Draining,
            ),
        };
        Ok((edit.if_state(self.datacenter.state), state))
    }

    /// A drain that is in progress keeps all that the request does not name.
    fn drain(&self, drain: &DrainOptions) -> Result<DatacenterEdit, NoEditReason> {
        let until = drain.for_secs.map(|secs| unix_now().saturating_add_unsigned(secs));
        match self.state {
            ServingState::Active => {
                let edit = DatacenterEdit::state(ServingState::Draining)
                    .reason(drain.reason.as_deref())
                    .until(until);
                Ok(edit.hold_at(None).drain_over(drain.over_secs))
            }
            ServingState::Draining => {
                let mut edit = DatacenterEdit::default();
                edit = drain
                    .reason
                    .as_deref()
                    .map_or(edit.clone(), |reason| edit.reason(Some(reason)));
                edit = until.map_or(edit.clone(), |until| edit.until(Some(until)));
                // Whoever names a pace wants it to go on.
                edit = drain
                    .over_secs
                    .map_or(edit.clone(), |secs| edit.drain_over(Some(secs)).hold_at(None));
                match edit.is_empty() {
                    true => Err(NoEditReason::AlreadyInState(
                        "already draining; nothing was edited".to_owned(),
                    )),
                    false => Ok(edit),
                }
            }
            ServingState::Standby | ServingState::Disabled => {
                Err(NoEditReason::Refused(DrainError::NotInService {
                    datacenter: self.datacenter.name.to_string(),
                    state: self.state.word().to_owned(),
                    origin: self.origin.to_string(),
                }))
            }
        }
    }

    fn undrain(&self) -> Result<DatacenterEdit, NoEditReason> {
        match self.state {
            ServingState::Draining => Ok(DatacenterEdit::state(ServingState::Active)
                .reason(None)
                .until(None)
                .hold_at(None)
                .drain_over(None)),
            ServingState::Active => Err(NoEditReason::AlreadyInState(
                "not drained: its state is active; nothing was edited".to_owned(),
            )),
            ServingState::Standby | ServingState::Disabled => {
                Err(NoEditReason::AlreadyInState(format!(
                    "not drained: its state is {} in {}; nothing was edited. To put it into service, set state = \"active\" there",
                    self.state.word(),
                    self.origin
                )))
            }
        }
    }
}

impl DrainPlan {
    /// The datacenters' names, and why those stay as they are that do.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.datacenters.iter().map(|(_, name, step)| match step {
            DrainStep::Becomes(_) => (name.as_str(), None),
            DrainStep::Stays(why) => (name.as_str(), Some(why.as_str())),
        })
    }

    /// `conditions_after` as they will be.
    pub(super) fn conditions_after(&self, conditions: &Conditions) -> Conditions {
        let mut conditions = conditions.clone();
        for (id, _, step) in &self.datacenters {
            // What drains already was accepted when its drain began.
            if let DrainStep::Becomes(state) = step
                && conditions.datacenters[id.index()] != *state
            {
                conditions.datacenters[id.index()] = *state;
                // At its end, however long it goes.
                conditions.adjustments.datacenter_fractions.remove(id);
            }
        }
        conditions
    }

    /// Whether it edits this file.
    pub(super) fn edits_file(&self, file: &str) -> bool {
        self.by_file.keys().any(|path| path.display().to_string() == file)
    }

    /// Edits the files; which ones.
    pub(super) fn write_edits(&self) -> Result<Vec<String>, EditError> {
        for (path, edits) in &self.by_file {
            let edits: Vec<(&str, &DatacenterEdit)> =
                edits.iter().map(|(name, edit)| (name.as_str(), edit)).collect();
            edit_tables(path, &edits)?;
        }
        Ok(self.by_file.keys().map(|path| path.display().to_string()).collect())
    }
}

/// What has usable members by the charts `before` and none by those `after`: service, type and
/// clients, and what they are answered with.
pub(super) fn newly_distressed(
    compiler: &Compiler,
    before: &[Arc<Chart>],
    after: &[Arc<Chart>],
) -> Vec<NewlyDistressed> {
    let mut found = Vec::new();
    let pairs = (0..).map(ServiceId).zip(before.iter().zip(after));
    for (id, (was, is)) in pairs.filter(|(_, (was, is))| !Arc::ptr_eq(was, is)) {
        let is_new = |family, there: &UnusableArea| {
            !was.unusable_areas(family).iter().any(|known| known.area == there.area)
        };
        let darkened = distress::distressed_clients((id, is), is_new).into_iter();
        found.extend(darkened.map(|one| NewlyDistressed {
            subject: one.subject(compiler),
            answers: one.answer_text(compiler, is),
        }));
    }
    found
}

/// Logs each datacenter whose state has ended by its `until`.
pub(super) fn log_expired_states(
    topology: &Topology,
    before: &[ServingState],
    after: &[ServingState],
) {
    for ((datacenter, before), after) in topology.datacenters.iter().zip(before).zip(after) {
        if before != after {
            tracing::info!(
                datacenter = %datacenter.name,
                from = before.word(),
                to = after.word(),
                reason = datacenter.reason.as_deref(),
                until = datacenter.until.and_then(timestamp).map(tracing::field::display),
                "datacenter state ended as planned"
            );
        }
    }
}

/// A time in seconds since 1970 in the form of RFC 3339.
fn timestamp(secs: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(secs).ok()
}

/// How many seconds until the next datacenter's state ends by its `until`.
pub(super) fn secs_to_next_state_end(
    topology: &Topology,
    conditions: &Conditions,
    now: i64,
) -> Option<u64> {
    let is_open = |at: usize| {
        conditions.datacenters.get(at).is_some_and(|state| *state != ServingState::Active)
    };
    let untils = topology
        .datacenters
        .iter()
        .enumerate()
        .filter(|(at, _)| is_open(*at))
        .filter_map(|(_, d)| d.until);
    // The clock may be set while we wait: look again each minute.
    untils.map(|until| (until - now).clamp(0, 60) as u64).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_cannot_be_written_is_refused_with_the_value_and_what_it_may_be() {
        let now = 1_800_000_000;
        let calendar = jiff::Timestamp::MAX.as_second().abs_diff(now);
        let drain = DrainOptions::default;
        for (drain, wanted, why) in [
            (drain(), "", "nothing is asked for"),
            (DrainOptions { for_secs: Some(1), ..drain() }, "", "the shortest"),
            (DrainOptions { for_secs: Some(0), ..drain() }, "would end at once", "none"),
            (
                DrainOptions { for_secs: Some(calendar), ..drain() },
                "",
                "the last moment of the calendar",
            ),
            (
                DrainOptions { for_secs: Some(calendar + 1), ..drain() },
                "after the year 9999",
                "one second more",
            ),
            (
                DrainOptions { for_secs: Some(u64::MAX), ..drain() },
                "after the year 9999",
                "an overflow",
            ),
            (
                DrainOptions { over_secs: Some(RampTimes::MAX_RAMP.as_secs()), ..drain() },
                "",
                "the longest ramp",
            ),
            (
                DrainOptions { over_secs: Some(u64::MAX), ..drain() },
                "the maximum is 604800 (7 days)",
                "a longer one",
            ),
            (DrainOptions { reason: Some("Wartung, Köln".into()), ..drain() }, "", "a reason"),
            (DrainOptions { reason: Some("x".repeat(200)), ..drain() }, "", "the longest"),
            (
                DrainOptions { reason: Some("x".repeat(201)), ..drain() },
                "has 201 octets; the maximum is 200",
                "a longer one",
            ),
            (
                DrainOptions { reason: Some("a\u{1b}[2J".into()), ..drain() },
                "holds the control character \\u{1b}",
                "ESC",
            ),
            (
                DrainOptions { reason: Some("a\nforged".into()), ..drain() },
                "holds the control character \\n",
                "a second line",
            ),
            (
                DrainOptions { reason: Some("a\u{202e}b".into()), ..drain() },
                "holds the invisible character \\u{202e}",
                "direction",
            ),
        ] {
            let error = validate(&drain, now).err().unwrap_or_default();
            assert_eq!(error.is_empty(), wanted.is_empty(), "{why}: {error}");
            assert!(error.contains(wanted), "{why}: {error}");
        }
    }
}
