//! Events of the journal for what differs between two published snapshots. Small steps of shares
//! and ramps are summed up: an event comes with the beginning, the end, and each larger step.

use std::collections::HashMap;

use super::{
    difference::Facts,
    fact::{FactChange, FactKey, FactValue},
    names::NameTable,
};
use crate::{
    control::journal::{Event, EventKind},
    listing,
    number_format::percent,
    steer::ServingState,
};

/// The maximum number of targets that are events of their own in one snapshot.
const MAX_TARGET_EVENTS: usize = 100;
/// The maximum number of addresses and of members that a text names.
const MAX_NAMED: usize = 8;
/// A ramp is an event when it passes a multiple of this, in 1024ths: a quarter.
const RAMP_STEP: u32 = 256;
/// A share is an event when it passes a multiple of this, in 1024ths: a sixteenth.
const SHARE_STEP: u32 = 64;

/// What is known about the changes besides the facts.
pub(super) struct ChangeContext<'a> {
    pub(super) names: &'a NameTable,
    /// The facts before the changes.
    pub(super) before: &'a Facts,
    /// The generation of the snapshot with the changes.
    pub(super) generation: u64,
    /// Whether the configuration changed as well.
    pub(super) is_new_configuration: bool,
    /// Why the health status of targets changed.
    pub(super) causes: &'a HashMap<FactKey, String>,
}

/// The events for facts that changed.
pub(super) fn events(context: &ChangeContext<'_>, changes: &[FactChange]) -> Vec<Event> {
    let found = changes.iter().filter_map(|(key, value)| context.event(key, value.as_ref()));
    let (targets, mut events): (Vec<_>, Vec<_>) =
        found.partition(|event| event.kind == EventKind::Health);
    let more = targets.len().saturating_sub(MAX_TARGET_EVENTS);
    events.extend(targets.into_iter().take(MAX_TARGET_EVENTS));
    if more > 0 {
        let subject = listing::counted(more, "more target");
        let after = Some("changed: `portolan status` shows them".to_owned());
        let generation = Some(context.generation);
        events.push(Event { after, generation, ..Event::new(EventKind::Health, subject) });
    }
    events
}

/// The states of an event, as texts.
struct ChangeTexts {
    before: Option<String>,
    after: Option<String>,
}

impl ChangeContext<'_> {
    fn event(&self, key: &FactKey, after: Option<&FactValue>) -> Option<Event> {
        let before = self.before.get(key);
        let (kind, subject) = subject(key);
        let (texts, cause) = match key {
            FactKey::Datacenter(name) => (state_texts(before, after), self.state_cause(name)),
            FactKey::Target(..) => {
                (self.health_texts(before, after)?, self.causes.get(key).cloned())
            }
            FactKey::Alias(_) => {
                (ChangeTexts { before: addresses(before), after: addresses(after) }, None)
            }
            FactKey::DatacenterFraction(_) | FactKey::EndpointFraction(..) => {
                (ramp_texts(before, after)?, None)
            }
            FactKey::KeptFraction(_) => (kept_texts(before, after)?, None),
            FactKey::Weights(pool) => (self.weight_texts(pool, before, after)?, None),
            FactKey::Holder(pool) => {
                let holder = |value| self.holder(pool, value);
                (ChangeTexts { before: holder(before), after: holder(after) }, None)
            }
            FactKey::Failback(pool) => (self.failback_texts(pool, before, after)?, None),
            FactKey::Recovering(..) => {
                let is_begin = (before.is_none(), after.is_none());
                (recovery_texts(is_begin)?, None)
            }
        };
        let ChangeTexts { before, after } = texts;
        let generation = Some(self.generation);
        Some(Event { before, after, cause, generation, ..Event::new(kind, subject) })
    }

    /// The operator's reason in the file; or that the state has ended as planned.
    fn state_cause(&self, name: &str) -> Option<String> {
        let datacenters = &self.names.topology.datacenters;
        let datacenter = datacenters.iter().find(|datacenter| *datacenter.name == *name)?;
        match self.is_new_configuration {
            true => datacenter.reason.as_deref().map(str::to_owned),
            false => Some("its `until` has passed".to_owned()),
        }
    }

    /// `None` if the verdict is the same, or the target is no longer checked.
    fn health_texts(
        &self,
        before: Option<&FactValue>,
        after: Option<&FactValue>,
    ) -> Option<ChangeTexts> {
        let verdict = |value: Option<&FactValue>| match value {
            Some(FactValue::Health(word, ..)) => word.clone(),
            _ => "unknown".to_owned(),
        };
        let is_gone = self.is_new_configuration && after.is_none();
        let (before, after) = (verdict(before), verdict(after));
        (before != after && !is_gone)
            .then_some(ChangeTexts { before: Some(before), after: Some(after) })
    }

    fn weight_texts(
        &self,
        pool: &str,
        before: Option<&FactValue>,
        after: Option<&FactValue>,
    ) -> Option<ChangeTexts> {
        let steps = |value: Option<&FactValue>| match value {
            Some(FactValue::Weights(weights)) => {
                weights.iter().map(|weight| weight / SHARE_STEP).collect()
            }
            _ => Vec::new(),
        };
        (steps(before) != steps(after)).then(|| ChangeTexts {
            before: self.weights(pool, before),
            after: self.weights(pool, after),
        })
    }

    fn weights(&self, pool: &str, value: Option<&FactValue>) -> Option<String> {
        let Some(FactValue::Weights(weights)) = value else {
            return Some("configured weights".to_owned());
        };
        let share = |(weight, position): (&u32, u16)| {
            let name = self.names.member(pool, position).unwrap_or("?");
            format!("{name} {}", percent(f64::from(*weight) / 1024.0))
        };
        let shares = weights.iter().zip(0..).map(share);
        Some(listing::join_first(shares, MAX_NAMED, weights.len()))
    }

    fn holder(&self, pool: &str, value: Option<&FactValue>) -> Option<String> {
        let member = match value {
            Some(FactValue::Member(position)) => self.names.member(pool, *position),
            _ => Some("first usable member"),
        };
        member.map(str::to_owned)
    }

    fn failback_texts(
        &self,
        pool: &str,
        before: Option<&FactValue>,
        after: Option<&FactValue>,
    ) -> Option<ChangeTexts> {
        let progress = |value: Option<&FactValue>| match value {
            Some(FactValue::Failback(_, to, steps)) => Some((*to, *steps)),
            _ => None,
        };
        let (before, after) = (progress(before), progress(after));
        let step = |progress: Option<(u16, u16)>| {
            progress.map(|(to, steps)| (to, u32::from(steps) / RAMP_STEP))
        };
        let text = |progress: Option<(u16, u16)>| {
            let (to, steps) = progress?;
            let name = self.names.member(pool, to).unwrap_or("?");
            Some(format!("{} of the clients returned to {name}", share(steps)))
        };
        (step(before) != step(after)).then(|| ChangeTexts {
            before: text(before),
            after: text(after).or(Some("return of clients ended".to_owned())),
        })
    }
}

/// The kind of the event of a fact, and its subject.
fn subject(key: &FactKey) -> (EventKind, String) {
    match key {
        FactKey::Datacenter(name) => (EventKind::State, name.clone()),
        FactKey::Target(monitor, target) => (EventKind::Health, format!("{monitor} {target}")),
        FactKey::Alias(name) => (EventKind::Alias, name.clone()),
        FactKey::DatacenterFraction(name) => (EventKind::Ramp, name.clone()),
        FactKey::EndpointFraction(pool, name) => (EventKind::Ramp, format!("{pool}/{name}")),
        FactKey::KeptFraction(pool) | FactKey::Weights(pool) => (EventKind::Shares, pool.clone()),
        FactKey::Holder(pool) => (EventKind::Holder, pool.clone()),
        FactKey::Failback(pool) => (EventKind::Ramp, pool.clone()),
        FactKey::Recovering(pool, ..) => (EventKind::Recovery, pool.clone()),
    }
}

fn state_texts(before: Option<&FactValue>, after: Option<&FactValue>) -> ChangeTexts {
    let word = |value: Option<&FactValue>| match value {
        Some(FactValue::State(word)) => word.clone(),
        _ => ServingState::Active.as_str().to_owned(),
    };
    ChangeTexts { before: Some(word(before)), after: Some(word(after)) }
}

fn addresses(value: Option<&FactValue>) -> Option<String> {
    let Some(FactValue::Addresses(addresses, _)) = value else { return None };
    Some(listing::join_first(addresses.iter(), MAX_NAMED, addresses.len()))
}

/// `None` between two quarters.
fn ramp_texts(before: Option<&FactValue>, after: Option<&FactValue>) -> Option<ChangeTexts> {
    let step = |value: Option<&FactValue>| steps(value).map(|steps| u32::from(steps) / RAMP_STEP);
    let text = |value| steps(value).map(|steps| format!("receives {} of its share", share(steps)));
    (step(before) != step(after)).then(|| ChangeTexts {
        before: text(before),
        after: text(after).or(Some("gradual change ended".to_owned())),
    })
}

/// `None` between two sixteenths.
fn kept_texts(before: Option<&FactValue>, after: Option<&FactValue>) -> Option<ChangeTexts> {
    let step = |value: Option<&FactValue>| steps(value).map(|steps| u32::from(steps) / SHARE_STEP);
    let text = |value| {
        let kept = steps(value).map_or_else(|| "all".to_owned(), share);
        Some(format!("keeps {kept} of its clients"))
    };
    (step(before) != step(after)).then(|| ChangeTexts { before: text(before), after: text(after) })
}

/// `None` while a recovery only becomes shorter.
fn recovery_texts((was_absent, is_absent): (bool, bool)) -> Option<ChangeTexts> {
    let (before, after) = match (was_absent, is_absent) {
        (true, false) => ("all down", "recovering, all members are answered"),
        (false, true) => ("recovering", "recovered"),
        _ => return None,
    };
    Some(ChangeTexts { before: Some(before.to_owned()), after: Some(after.to_owned()) })
}

fn steps(value: Option<&FactValue>) -> Option<u16> {
    match value {
        Some(FactValue::Fraction(steps)) => Some(*steps),
        _ => None,
    }
}

fn share(steps: u16) -> String {
    percent(f64::from(steps) / 1024.0)
}
