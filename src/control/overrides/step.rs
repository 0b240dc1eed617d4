//! What a request does to the override of one subject.

use std::sync::Arc;

use super::{
    error::OverrideError,
    request::{OverrideAction, OverrideRequest},
    standing::{SubjectItem, named_items, origin_text},
};
use crate::{
    control::{LoadedConfig, clock::format_time},
    printable,
    steer::{
        Conditions, Fraction, HealthOverride, Override, OverrideKind, OverrideSet, OverrideSubject,
        OverrideValue, ServingState, Topology, apply_overrides,
    },
};

/// What happens to the override of a subject.
#[derive(Debug)]
pub(super) enum OverrideStep {
    /// It is set, in place of an earlier one of its kind.
    Set(Override),
    /// The override of this kind is removed.
    Remove(OverrideKind),
    /// Nothing happens, for this reason.
    Stays(String),
}

/// What a step is decided from.
#[derive(Clone, Copy)]
pub(super) struct StepContext<'a> {
    pub request: &'a OverrideRequest,
    pub loaded: &'a LoadedConfig,
    pub conditions: &'a Conditions,
    /// The overrides, without those that have ended.
    pub set: &'a OverrideSet,
    /// The effective topology with these overrides.
    pub topology: &'a Topology,
    /// The time in seconds since 1970.
    pub now: i64,
}

impl StepContext<'_> {
    /// What the request does to the override of `subject`.
    ///
    /// # Errors
    /// The subject cannot follow the request.
    pub(super) fn step(&self, subject: &OverrideSubject) -> Result<OverrideStep, OverrideError> {
        match self.request.action {
            OverrideAction::Drain => self.drain(subject),
            OverrideAction::Undrain => self.undrain(subject),
            OverrideAction::Pause => self.pause(subject),
            OverrideAction::Resume => self.resume(subject),
            OverrideAction::Enable => Ok(self.enable(subject)),
            OverrideAction::Disable => self.state(subject, ServingState::Disabled),
            OverrideAction::Standby => self.state(subject, ServingState::Standby),
            OverrideAction::ForceUp => self.force(subject, HealthOverride::Up),
            OverrideAction::ForceDown => self.force(subject, HealthOverride::Down),
            OverrideAction::Weight(weight) => self.weight(subject, weight),
            OverrideAction::Remove(kind) => Ok(match self.set.find(subject, kind) {
                Some(_) => OverrideStep::Remove(kind),
                None => OverrideStep::Stays(format!("no override of its {} is set", kind.as_str())),
            }),
        }
    }

    fn items(&self, subject: &OverrideSubject) -> Vec<SubjectItem> {
        named_items(subject, self.loaded, self.topology, self.conditions, self.now)
    }

    /// The override of a subject that sets `value` now. One that begins later is replaced by a
    /// request for the same value at once.
    fn in_force(&self, subject: &OverrideSubject, value: OverrideValue) -> Option<&Arc<Override>> {
        let known = self.set.find(subject, value.kind())?;
        (known.value == value && known.is_in_force(self.now)).then_some(known)
    }

    /// The items of the subject, of which there must be at least one.
    fn some_items(&self, subject: &OverrideSubject) -> Result<Vec<SubjectItem>, OverrideError> {
        let items = self.items(subject);
        if items.is_empty() {
            let text = format!("{subject} has no endpoint now, so that nothing would change");
            return Err(OverrideError::Invalid(text));
        }
        Ok(items)
    }

    /// A new override with the options of the request.
    fn new_override(&self, subject: &OverrideSubject, value: OverrideValue) -> Override {
        let OverrideRequest { options, author, .. } = self.request;
        let user: String = author
            .user
            .iter()
            .flat_map(|user| user.chars())
            .filter(|c| !printable::is_unprintable(*c))
            .collect();
        Override {
            subject: subject.clone(),
            value,
            author: if user.is_empty() { "unknown".into() } else { user.into() },
            peer: author.peer.as_deref().map(Into::into),
            reason: options.reason.as_deref().map(Into::into),
            set_at: self.now,
            starts: options.at,
            ends: options.ends(options.at.unwrap_or(self.now)),
            over: options.over(),
            hold: None,
            accepted: options.accepted.iter().copied().collect(),
        }
    }

    /// The override in force with the options that the request names in place of its own.
    fn changed_override(&self, known: &Override) -> Override {
        let new = self.new_override(&known.subject, known.value);
        // A request that names a duration resumes a paused drain.
        let hold = known.hold.filter(|_| new.over.is_none());
        Override {
            set_at: known.set_at,
            reason: new.reason.or_else(|| known.reason.clone()),
            starts: new.starts.or(known.starts),
            ends: new.ends.or(known.ends),
            over: new.over.or(known.over),
            hold,
            ..new
        }
    }

    fn drain(&self, subject: &OverrideSubject) -> Result<OverrideStep, OverrideError> {
        let draining = OverrideValue::State(ServingState::Draining);
        if let Some(known) = self.in_force(subject, draining) {
            return Ok(match self.request.options.is_empty() {
                true => OverrideStep::Stays(format!("already draining, by {}", origin_text(known))),
                false => OverrideStep::Set(self.changed_override(known)),
            });
        }
        let items = self.some_items(subject)?;
        let is_drained = |item: &SubjectItem| item.state == ServingState::Draining;
        if items.iter().all(is_drained) && self.request.options.is_empty() {
            let origin = &items[0].origin;
            return Ok(OverrideStep::Stays(format!("already draining, by {origin}")));
        }
        let can_follow = |item: &&SubjectItem| {
            matches!(item.state, ServingState::Active | ServingState::Draining)
        };
        if items.iter().find(can_follow).is_none() {
            return Err(OverrideError::NotInService {
                subject: subject.to_string(),
                state: items[0].state.as_str().to_owned(),
                origin: items[0].origin.clone(),
            });
        }
        Ok(OverrideStep::Set(self.new_override(subject, draining)))
    }

    fn undrain(&self, subject: &OverrideSubject) -> Result<OverrideStep, OverrideError> {
        let known = self.set.find(subject, OverrideKind::State);
        match known.map(|known| known.value) {
            Some(OverrideValue::State(ServingState::Draining)) => return Ok(self.removal(subject)),
            Some(OverrideValue::Return) if self.request.options.over_secs.is_none() => {
                let why = "its clients are already returning; to change the duration of the return, give --over";
                return Ok(OverrideStep::Stays(why.to_owned()));
            }
            Some(OverrideValue::Return) => return Ok(self.removal(subject)),
            _ => {}
        }
        let items = self.items(subject);
        let drained = items.iter().find(|item| item.state == ServingState::Draining);
        if let Some(SubjectItem { origin, decided_by, .. }) = drained {
            return Err(OverrideError::DrainedElsewhere {
                subject: subject.to_string(),
                origin: origin.clone(),
                remedy: match decided_by {
                    Some(other) => format!(
                        "`portolan undrain {other}` ends that drain, `portolan enable {subject}` puts {subject} alone into service"
                    ),
                    None => format!(
                        "edit the file, have `portolan undrain {subject} --edit` edit it, or put {subject} into service in spite of it: `portolan enable {subject}`"
                    ),
                },
            });
        }
        Ok(OverrideStep::Stays(match (known, items.first()) {
            (Some(known), _) => format!(
                "not drained: its state is {} by {}; `portolan enable {subject}` puts it into service",
                known.value.text(),
                origin_text(known)
            ),
            (None, Some(item)) if item.state == ServingState::Active => {
                "not drained: its state is active".to_owned()
            }
            (None, Some(item)) => format!(
                "not drained: its state is {} in {}. `portolan enable {subject}` puts it into service",
                item.state.as_str(),
                item.origin
            ),
            (None, None) => "not drained: it names nothing in the configuration".to_owned(),
        }))
    }

    /// The end of an override of the state, over the time that the request names.
    fn removal(&self, subject: &OverrideSubject) -> OverrideStep {
        let Some(secs) = self.request.options.over_secs.filter(|secs| *secs > 0) else {
            return OverrideStep::Remove(OverrideKind::State);
        };
        let after = self.items_after_removal(subject);
        if after.iter().all(|item| item.state != ServingState::Active) {
            return OverrideStep::Remove(OverrideKind::State);
        }
        OverrideStep::Set(Override {
            starts: None,
            ends: Some(self.now.saturating_add_unsigned(secs)),
            ..self.new_override(subject, OverrideValue::Return)
        })
    }

    /// The items of the subject once it has no override of its state.
    fn items_after_removal(&self, subject: &OverrideSubject) -> Vec<SubjectItem> {
        let mut set = self.set.clone();
        set.remove(subject, OverrideKind::State);
        let topology = apply_overrides(&self.loaded.configured, &set, self.now);
        named_items(subject, self.loaded, &topology, self.conditions, self.now)
    }

    fn enable(&self, subject: &OverrideSubject) -> OverrideStep {
        let is_active = |item: &SubjectItem| item.state == ServingState::Active;
        let known = self.set.find(subject, OverrideKind::State);
        let active = OverrideValue::State(ServingState::Active);
        match known {
            _ if !self.items_after_removal(subject).iter().all(is_active) => {
                match self.in_force(subject, active) {
                    Some(known) if self.request.options.is_empty() => {
                        OverrideStep::Stays(format!("already active, by {}", origin_text(known)))
                    }
                    _ => OverrideStep::Set(self.new_override(subject, active)),
                }
            }
            Some(_) => self.removal(subject),
            None => OverrideStep::Stays("already active: no override is needed".to_owned()),
        }
    }

    fn state(
        &self,
        subject: &OverrideSubject,
        state: ServingState,
    ) -> Result<OverrideStep, OverrideError> {
        self.some_items(subject)?;
        Ok(self.set_or_change(subject, OverrideValue::State(state)))
    }

    /// Sets a value. An override with this value gets the options that the request names.
    fn set_or_change(&self, subject: &OverrideSubject, value: OverrideValue) -> OverrideStep {
        match self.in_force(subject, value) {
            Some(known) if self.request.options.is_empty() => {
                OverrideStep::Stays(format!("already {}, by {}", value.text(), origin_text(known)))
            }
            Some(known) => OverrideStep::Set(self.changed_override(known)),
            None => OverrideStep::Set(self.new_override(subject, value)),
        }
    }

    fn force(
        &self,
        subject: &OverrideSubject,
        force: HealthOverride,
    ) -> Result<OverrideStep, OverrideError> {
        if subject.endpoints(self.topology).is_empty() {
            return Err(OverrideError::Invalid(format!(
                "{subject} has no endpoint of its own whose health could be forced"
            )));
        }
        Ok(self.set_or_change(subject, OverrideValue::Force(force)))
    }

    fn weight(
        &self,
        subject: &OverrideSubject,
        weight: u16,
    ) -> Result<OverrideStep, OverrideError> {
        if subject.member(self.topology).is_none() {
            return Err(OverrideError::Invalid(format!(
                "{subject} is no member of a pool, and so has no weight; name POOL/MEMBER or service:NAME/MEMBER"
            )));
        }
        Ok(self.set_or_change(subject, OverrideValue::Weight(weight)))
    }

    fn pause(&self, subject: &OverrideSubject) -> Result<OverrideStep, OverrideError> {
        let items = self.draining_items(subject)?;
        // The least share that is left: no client returns to what is being drained.
        let left = items.iter().map(|item| item.fraction.unwrap_or(Fraction::ZERO)).min();
        Ok(OverrideStep::Set(Override { hold: left, ..self.present_drain(subject) }))
    }

    fn resume(&self, subject: &OverrideSubject) -> Result<OverrideStep, OverrideError> {
        self.draining_items(subject)?;
        Ok(OverrideStep::Set(Override { hold: None, ..self.present_drain(subject) }))
    }

    fn draining_items(&self, subject: &OverrideSubject) -> Result<Vec<SubjectItem>, OverrideError> {
        let mut items = self.items(subject);
        items.retain(|item| item.state == ServingState::Draining);
        match items.is_empty() {
            true => Err(OverrideError::NotDraining(subject.to_string())),
            false => Ok(items),
        }
    }

    /// The override that drains the subject; a new one if a file or another override does.
    fn present_drain(&self, subject: &OverrideSubject) -> Override {
        let draining = OverrideValue::State(ServingState::Draining);
        match self.in_force(subject, draining) {
            Some(known) => Override::clone(known),
            None => self.new_override(subject, draining),
        }
    }
}

/// An override in words: `draining from 2026-12-01 06:00:00 UTC until 2026-12-01 08:00:00 UTC`.
pub(super) fn override_text(one: &Override) -> String {
    let mut text = one.value.text();
    if let Some(starts) = one.starts {
        text += &format!(" from {}", format_time(starts));
    }
    if let Some(ends) = one.ends {
        text += &format!(" until {}, then as the files say", format_time(ends));
    }
    if let Some(reason) = &one.reason {
        text += &format!(" ({reason:?})");
    }
    text
}
