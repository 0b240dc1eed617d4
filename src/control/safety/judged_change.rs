//! A change of the answers, judged by the rules.

use std::{collections::BTreeSet, time::Duration};

use super::{
    movement_window::{MeasuredMovement, MovementWindow},
    violation::RuleViolation,
};
use crate::{
    control::format_time,
    engine::MovedShare,
    number_format::percent,
    steer::{
        BrokenMinimum, Conditions, Datacenter, SafetyRule, SafetyRules, Topology,
        active_datacenters,
    },
};

/// The maximum number of moves between datacenters, and of countries, that a message has.
const MAX_LISTED: usize = 3;

/// The names of the active datacenters.
pub(in crate::control) type ActiveNames = BTreeSet<Box<str>>;

/// The names of the datacenters that are active under these conditions.
pub(in crate::control) fn active_names(
    topology: &Topology,
    conditions: &Conditions,
) -> ActiveNames {
    let active = active_datacenters(topology, conditions);
    let datacenters = topology.datacenters.iter().zip(active);
    datacenters.filter(|(_, active)| *active).map(|(one, _)| one.name.clone()).collect()
}

/// A change of the answers.
#[derive(Debug, Clone)]
pub(in crate::control) struct JudgedChange<'a> {
    /// The rules, whose ids are those of `topology`.
    pub rules: &'a SafetyRules,
    /// The file, line and column of the rules.
    pub origin: Option<String>,
    /// The topology before the change.
    pub before: &'a Topology,
    /// The topology after the change.
    pub topology: &'a Topology,
    pub active_before: &'a ActiveNames,
    pub active_after: &'a ActiveNames,
    /// What the change moves; `None` if no rule limits that.
    pub moved: Option<&'a MovedShare>,
    /// The time over which clients move.
    pub over: Duration,
    /// What moved before this change.
    pub window: &'a MovementWindow,
    /// The present, in seconds since 1970.
    pub now: i64,
}

impl JudgedChange<'_> {
    /// The rules that the change breaks, except for those that an operator accepts. A minimum that
    /// is broken already is broken again only by a change that takes one more datacenter away.
    pub(in crate::control) fn violations(
        &self,
        accepted: &BTreeSet<SafetyRule>,
    ) -> Vec<RuleViolation> {
        let mut found = self.minimums();
        found.extend(self.movement());
        found.retain(|(rule, _)| !accepted.contains(rule));
        let violation = |(rule, text)| RuleViolation {
            origin: self.origin.clone(),
            ..RuleViolation::new(rule, text)
        };
        found.into_iter().map(violation).collect()
    }

    /// The movement of the change; `None` if it was not measured.
    pub(in crate::control) fn as_movement(&self) -> Option<MeasuredMovement> {
        Some(MeasuredMovement {
            at: self.now,
            over_secs: self.over.as_secs(),
            share: self.moved?.share,
        })
    }

    fn minimums(&self) -> Vec<(SafetyRule, String)> {
        let is_active = |one: &Datacenter, active: &ActiveNames| active.contains(&one.name);
        let after: Vec<bool> =
            self.topology.datacenters.iter().map(|one| is_active(one, self.active_after)).collect();
        let lost: Vec<&str> =
            self.active_before.difference(self.active_after).map(|name| &**name).collect();
        let text = |broken: &BrokenMinimum| match lost[..] {
            [] => (broken.rule, broken.to_string()),
            _ => (broken.rule, format!("{broken}, without {}", lost.join(", "))),
        };
        // Datacenters and regions are compared by name: a change can remove or move them.
        let count_before = |broken: &BrokenMinimum| {
            let names: Vec<&str> = broken.names.split(", ").collect();
            let counts = |one: &&Datacenter| {
                broken.names.is_empty()
                    || names.contains(&&*one.name)
                    || one.region.as_deref().is_some_and(|region| names.contains(&region))
            };
            let counted = self.before.datacenters.iter().filter(counts);
            counted.filter(|one| is_active(one, self.active_before)).count()
        };
        let is_new = |broken: &&BrokenMinimum| {
            let before = count_before(broken);
            before >= broken.required || broken.active < before
        };
        self.rules.broken_minimums(&after).iter().filter(is_new).map(text).collect()
    }

    fn movement(&self) -> Option<(SafetyRule, String)> {
        let limit = self.rules.movement?;
        let moved = self.moved.filter(|moved| moved.share > 0.0)?;
        let peak = self.as_movement()?.peak(limit.within);
        let used = self.window.used(self.now, limit.within);
        if peak + used <= limit.share {
            return None;
        }
        let within = jiff::SignedDuration::from_secs(limit.within.as_secs() as i64);
        let gradually = if peak < moved.share {
            format!(", {} of it within any {within:#}", percent(peak))
        } else {
            String::new()
        };
        let earlier = if used > 0.0 {
            format!(", and {} of earlier changes still counts", percent(used))
        } else {
            String::new()
        };
        let fits = self.window.fits_at(peak, limit.share, self.now, limit.within);
        let when = match fits {
            Some(at) if at > self.now => {
                format!("; the change is within the limit from {}", format_time(at))
            }
            _ => String::new(),
        };
        let text = format!(
            "{} of the demand would move{}{gradually}{earlier}; the limit is {} within {within:#}{when}",
            percent(moved.share),
            destinations(moved),
            percent(limit.share)
        );
        Some((SafetyRule::MaxMoved, text))
    }
}

/// The largest moves and the countries with most moved clients, in brackets.
fn destinations(moved: &MovedShare) -> String {
    let flows = moved.flows.iter().take(MAX_LISTED);
    let flows =
        flows.map(|flow| format!("{} to {} {}", flow.from, flow.to, percent(flow.percent / 100.0)));
    let countries = moved.countries.iter().take(MAX_LISTED);
    let countries: Vec<&str> = countries.map(|one| &*one.country).collect();
    let mut parts: Vec<String> = flows.collect();
    if !countries.is_empty() {
        parts.push(format!("most in {}", countries.join(", ")));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}
