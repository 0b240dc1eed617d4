//! Metrics of the safety rules.

use std::fmt;

use super::page::MetricsPage;
use crate::control::{SafetyStatus, Status};

/// A whole share, in percent.
const PERCENT: f64 = 100.0;

pub(super) fn write(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let SafetyStatus {
        is_frozen,
        active_datacenters: _,
        broken,
        held_datacenters,
        held_timers,
        held_feedback,
        moved_percent,
        max_moved_percent,
        within_secs: _,
        refusals,
    } = &status.safety;
    let help = "1 during a change freeze (`freeze` of [safety]).";
    page.gauge("portolan_safety_frozen", help, i64::from(*is_frozen))?;
    let help = "Minimums of active datacenters that the answers in force break.";
    page.gauge("portolan_safety_broken_rules", help, broken.len() as i64)?;
    let help =
        "Datacenters that are down by their health checks, and that a rule holds in the answers.";
    page.gauge("portolan_safety_held_datacenters", help, held_datacenters.len() as i64)?;
    let held = held_timers.len() + held_feedback.len();
    let help = "Safety rules that hold a scheduled change or load feedback at present.";
    page.gauge("portolan_safety_held_changes", help, held as i64)?;
    let ratio =
        |percent: &Option<f64>| percent.map(|percent| ([("rule", "max-moved")], percent / PERCENT));
    let help = "The share of the demand that counts for the rule `max-moved` now, 0 to 1; a ramp counts with its largest share in one window from its start.";
    page.float_gauges("portolan_safety_moved_ratio", help, ratio(moved_percent))?;
    let help = "The share of the demand that may move within the time of the rule `max-moved`.";
    page.float_gauges("portolan_safety_max_moved_ratio", help, ratio(max_moved_percent))?;
    let refused = refusals.iter().map(|(rule, count)| ([("rule", rule.clone())], *count));
    let help = "Changes that the rule has refused or held since the start; retries of a held change are not counted again.";
    page.counters("portolan_safety_refusals", help, refused)
}
