//! Drains as edits: which tables a request edits, and which clients it would leave without a usable
//! member.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    clock::unix_now,
    config_load::LoadedConfig,
    distress,
    edit::{DatacenterEdit, EditError, edit_tables},
    handle::{DrainAction, DrainError, DrainOptions, DrainRequest, not_in_service},
    newly_distressed::NewlyDistressed,
};
use crate::{
    config::{DefinitionOrigin, REASON_HELP, SpellingSuggester, reason_fault},
    steer::{
        Chart, Compiler, Conditions, Datacenter, DatacenterId, RampTimes, ServiceId, ServingState,
        Topology, UnusableArea,
    },
};

/// The edits that a request calls for.
#[derive(Debug)]
pub(super) struct DrainPlan {
    /// Each datacenter that the request means, by id and name, and what happens to it.
    datacenters: Vec<(DatacenterId, String, DrainStep)>,
    /// For each file: the datacenters whose tables are edited, and the edits.
    by_file: BTreeMap<PathBuf, Vec<(String, DatacenterEdit)>>,
}

/// What a request does to a datacenter.
#[derive(Debug)]
enum DrainStep {
    /// The table of the datacenter is edited, and gives it this state.
    Becomes(ServingState),
    /// The datacenter stays as it is, for this reason.
    Stays(String),
}

/// Plans the edits of a request.
///
/// # Errors
/// The request is invalid, or no datacenter that it means can follow it.
pub(super) fn plan(
    request: &DrainRequest,
    loaded: &LoadedConfig,
    conditions: &Conditions,
) -> Result<DrainPlan, DrainError> {
    if let DrainAction::Drain(drain) = &request.action {
        validate(drain, unix_now())?;
    }
    let chosen = matching_datacenters(&request.datacenter, &loaded.topology)?;
    let mut by_file: BTreeMap<PathBuf, Vec<(String, DatacenterEdit)>> = BTreeMap::new();
    let mut datacenters = Vec::new();
    let mut refusals = Vec::new();
    for id in chosen {
        let target = DrainTarget::new(id, loaded, conditions);
        let name = target.datacenter.name.to_string();
        match target.edit(&request.action) {
            Ok((edit, state)) => {
                by_file.entry(target.origin.path.clone()).or_default().push((name.clone(), edit));
                datacenters.push((id, name, DrainStep::Becomes(state)));
            }
            Err(NoEditReason::AlreadyInState(why)) => {
                datacenters.push((id, name, DrainStep::Stays(why)))
            }
            Err(NoEditReason::Refused(error)) => {
                let why = match &error {
                    DrainError::NotInService { state, origin, .. } => {
                        format!(
                            "not drained; its table was not changed: {}",
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
    // In a region the datacenters that can be drained are. A request that no datacenter can follow
    // is refused.
    match (refusals.len() == datacenters.len(), refusals.into_iter().next()) {
        (true, Some(refusal)) => Err(refusal),
        _ => Ok(DrainPlan { datacenters, by_file }),
    }
}

/// Checks that a drain can be written into a file so that the file means what was asked for. `now`
/// is in seconds since 1970.
///
/// # Errors
/// [`DrainError::Invalid`] names the value that cannot be written, and the values that can.
fn validate(drain: &DrainOptions, now: i64) -> Result<(), DrainError> {
    const DAY_SECS: u64 = 86_400;
    const OMIT: &str = "omit `for-secs` (`--for`) to drain until `undrain`";
    if let Some(fault) = drain.reason.as_deref().and_then(reason_fault) {
        return Err(DrainError::Invalid(format!("the reason {fault}; {REASON_HELP}")));
    }
    let longest_over = RampTimes::MAX_RAMP.as_secs();
    if let Some(secs) = drain.over_secs.filter(|secs| *secs > longest_over) {
        return Err(DrainError::Invalid(format!(
            "`over-secs` is {secs}; the maximum is {longest_over} ({} days)",
            longest_over / DAY_SECS
        )));
    }
    let last = jiff::Timestamp::MAX.as_second().saturating_sub(now).unsigned_abs();
    match drain.for_secs {
        Some(0) => Err(DrainError::Invalid(format!(
            "`for-secs` is 0, so that the drain would end at once; {OMIT}"
        ))),
        Some(secs) if secs > last => Err(DrainError::Invalid(format!(
            "`for-secs` is {secs}, so that the drain would end after the year 9999; the maximum is {last}; {OMIT}"
        ))),
        _ => Ok(()),
    }
}

/// The datacenter of this name or, if there is none, the datacenters of the region.
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

/// A datacenter that a request names, as the files in force have it: an edit changes nothing that
/// an override decides.
struct DrainTarget<'a> {
    datacenter: &'a Datacenter,
    origin: &'a DefinitionOrigin,
    /// The datacenter's state now. It differs from the state in the file after the time `until`.
    state: ServingState,
    /// The share of its clients that the datacenter still has during a drain, from 0 to 1.
    remaining_share: f64,
}

/// Why a table is not edited.
enum NoEditReason {
    /// The request changes nothing.
    AlreadyInState(String),
    /// The edit would be a mistake.
    Refused(DrainError),
}

impl<'a> DrainTarget<'a> {
    fn new(id: DatacenterId, loaded: &'a LoadedConfig, conditions: &Conditions) -> Self {
        Self {
            datacenter: &loaded.configured.datacenters[id.index()],
            origin: &loaded.config.datacenter_origins[id.index()],
            state: loaded.configured.datacenters[id.index()].state_at(unix_now()),
            remaining_share: conditions
                .adjustments
                .datacenter_fractions
                .get(&id)
                .map_or(0.0, |fraction| fraction.share()),
        }
    }

    /// The edit of the table, and the state of the datacenter after it.
    fn edit(&self, action: &DrainAction) -> Result<(DatacenterEdit, ServingState), NoEditReason> {
        let (edit, state) = match action {
            DrainAction::Drain(drain) => (self.drain(drain)?, ServingState::Draining),
            DrainAction::Undrain => (self.undrain()?, ServingState::Active),
            DrainAction::Pause | DrainAction::Resume if self.state != ServingState::Draining => {
                return Err(NoEditReason::Refused(DrainError::NotDraining(
                    self.datacenter.name.to_string(),
                )));
            }
            DrainAction::Resume => {
                (DatacenterEdit::default().pause_at(None), ServingState::Draining)
            }
            DrainAction::Pause => (
                DatacenterEdit::default().pause_at(Some(1.0 - self.remaining_share)),
                ServingState::Draining,
            ),
        };
        Ok((edit.if_state(self.datacenter.state), state))
    }

    /// The edit that begins a drain. A drain in progress keeps everything that the request does not
    /// name.
    fn drain(&self, drain: &DrainOptions) -> Result<DatacenterEdit, NoEditReason> {
        let until = drain.for_secs.map(|secs| unix_now().saturating_add_unsigned(secs));
        match self.state {
            ServingState::Active => {
                let edit = DatacenterEdit::state(ServingState::Draining)
                    .reason(drain.reason.as_deref())
                    .until(until);
                Ok(edit.pause_at(None).drain_over(drain.over_secs))
            }
            ServingState::Draining => {
                let mut edit = DatacenterEdit::default();
                edit = drain
                    .reason
                    .as_deref()
                    .map_or(edit.clone(), |reason| edit.reason(Some(reason)));
                edit = until.map_or(edit.clone(), |until| edit.until(Some(until)));
                // A request that names a duration resumes a paused drain.
                edit = drain
                    .over_secs
                    .map_or(edit.clone(), |secs| edit.drain_over(Some(secs)).pause_at(None));
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
                    state: self.state.as_str().to_owned(),
                    origin: self.origin.to_string(),
                }))
            }
        }
    }

    /// The edit that ends a drain.
    fn undrain(&self) -> Result<DatacenterEdit, NoEditReason> {
        match self.state {
            ServingState::Draining => Ok(DatacenterEdit::state(ServingState::Active)
                .reason(None)
                .until(None)
                .pause_at(None)
                .drain_over(None)),
            ServingState::Active => Err(NoEditReason::AlreadyInState(
                "not drained: its state is active; nothing was edited".to_owned(),
            )),
            ServingState::Standby | ServingState::Disabled => {
                Err(NoEditReason::AlreadyInState(format!(
                    "not drained: its state is {} in {}; nothing was edited. To put it into service, set state = \"active\" there",
                    self.state.as_str(),
                    self.origin
                )))
            }
        }
    }
}

impl DrainPlan {
    /// The name of each datacenter, and the reason if it stays as it is.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.datacenters.iter().map(|(_, name, step)| match step {
            DrainStep::Becomes(_) => (name.as_str(), None),
            DrainStep::Stays(why) => (name.as_str(), Some(why.as_str())),
        })
    }

    /// The conditions after the edits, with all ramps at their end.
    pub(super) fn conditions_after(&self, conditions: &Conditions) -> Conditions {
        let mut conditions = conditions.clone();
        for (id, _, step) in &self.datacenters {
            // A drain in progress was accepted when it began.
            if let DrainStep::Becomes(state) = step
                && conditions.datacenters[id.index()] != *state
            {
                conditions.datacenters[id.index()] = *state;
                // The check is of the end of the drain, however long the ramp takes.
                conditions.adjustments.datacenter_fractions.remove(id);
            }
        }
        conditions
    }

    /// Whether the plan edits this file.
    pub(super) fn edits_file(&self, file: &str) -> bool {
        self.by_file.keys().any(|path| path.display().to_string() == file)
    }

    /// Edits the files; returns their paths.
    pub(super) fn write_edits(&self) -> Result<Vec<String>, EditError> {
        for (path, edits) in &self.by_file {
            let edits: Vec<(&str, &DatacenterEdit)> =
                edits.iter().map(|(name, edit)| (name.as_str(), edit)).collect();
            edit_tables(path, &edits)?;
        }
        Ok(self.by_file.keys().map(|path| path.display().to_string()).collect())
    }
}

/// The services, types and clients that have usable members in the charts `before` and none in the
/// charts `after`, and what they are then answered with.
pub(super) fn newly_distressed(
    compiler: &Compiler,
    before: &[Arc<Chart>],
    after: &[Arc<Chart>],
) -> Vec<NewlyDistressed> {
    let mut found = Vec::new();
    let pairs = (0..).map(ServiceId).zip(before.iter().zip(after));
    for (id, (old, new)) in pairs.filter(|(_, (old, new))| !Arc::ptr_eq(old, new)) {
        let is_new = |family, unusable: &UnusableArea| {
            !old.unusable_areas(family).iter().any(|known| known.area == unusable.area)
        };
        let distressed = distress::distressed_clients((id, new), is_new).into_iter();
        found.extend(distressed.map(|clients| NewlyDistressed {
            subject: clients.subject(compiler),
            answers: clients.answer_text(compiler, new),
        }));
    }
    found
}

/// Logs each datacenter whose state differs `before` and `after`, because its `until` has passed.
pub(super) fn log_expired_states(
    topology: &Topology,
    before: &[ServingState],
    after: &[ServingState],
) {
    for ((datacenter, before), after) in topology.datacenters.iter().zip(before).zip(after) {
        if before != after {
            tracing::info!(
                datacenter = %datacenter.name,
                from = before.as_str(),
                to = after.as_str(),
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

/// The number of seconds until the next datacenter's state ends by its `until`: at most 60. `now`
/// is in seconds since 1970.
pub(super) fn secs_to_next_state_end(
    topology: &Topology,
    conditions: &Conditions,
    now: i64,
) -> Option<u64> {
    let secs_left = |(index, datacenter): (usize, &Datacenter)| {
        if conditions.datacenters.get(index) != Some(&datacenter.state_at(now)) {
            return Some(0);
        }
        let until = datacenter.until.filter(|until| *until > now)?;
        // The clock may be set during the wait, so that it is read again each minute.
        Some((until - now).min(60) as u64)
    };
    topology.datacenters.iter().enumerate().filter_map(secs_left).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_cannot_be_written_is_refused_with_the_value_and_the_valid_ones() {
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
            let error =
                validate(&drain, now).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(error.is_empty(), wanted.is_empty(), "{why}: {error}");
            assert!(error.contains(wanted), "{why}: {error}");
        }
    }
}
