//! The report of a change by an operator, as text: what was set, and its effect on the snapshot in
//! force.

use super::text::{format_relative_time, format_time, ramp_text};
use crate::control::{
    DrainOutcome, DrainReport, DrainStatus, NewlyDistressed, OverrideChange, OverrideStatus,
    RemainingAnswer, unix_now,
};

/// The maximum number of names and types that are shown of those still answered from what was
/// drained.
const MAX_SHOWN: usize = 10;

/// What was set, and its effect.
pub(super) fn text(report: &DrainReport) -> String {
    let mut lines: Vec<String> = report.files.iter().map(|file| format!("edited {file}")).collect();
    for OverrideChange { subject, change, text } in &report.changes {
        lines.push(match change.as_str() {
            "unchanged" => format!("{subject}: {text}"),
            change => format!("{subject}: override {change}: {text}"),
        });
    }
    for outcome in &report.outcomes {
        lines.push(outcome_text(outcome, report));
        lines.extend(still_answered(&outcome.still_answered));
    }
    let is_shown_above = |one: &&OverrideStatus| {
        matches!(one.subject_kind.as_str(), "datacenter" | "region") && one.kind == "state"
    };
    for one in report.overrides.iter().filter(|one| !is_shown_above(one)) {
        lines.push(override_line(one, report));
        lines.extend(still_answered(&one.still_answered));
    }
    lines.join("\n")
}

/// The names and types that the change leaves without a usable member.
pub(super) fn warnings(report: &DrainReport) -> Vec<String> {
    let warning = |NewlyDistressed { subject, answers }: &NewlyDistressed| {
        format!("warning: no usable member is left for {subject}: answered with {answers}")
    };
    let mut warnings: Vec<String> = report.distressed.iter().take(MAX_SHOWN).map(warning).collect();
    if let Some(more) = report.distressed.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
        warnings.push(format!(
            "warning: no usable member is left for {more} more: portolan status services --failing"
        ));
    }
    warnings
}

/// The effect of an override of a pool or member, in one line.
fn override_line(one: &OverrideStatus, report: &DrainReport) -> String {
    let OverrideStatus { subject, value, .. } = one;
    if !one.is_defined {
        return format!(
            "{subject}: it names nothing in the configuration, and waits until it does"
        );
    }
    if let Some(starts) = one.starts.filter(|_| !one.in_force) {
        return format!("{subject}: {value} from {}", format_time(starts));
    }
    let ramp = report.ramps.iter().find(|ramp| ramp.pool.is_some());
    match (one.effective, value.as_str(), ramp) {
        (true, "draining" | "disabled" | "forced down", _) => {
            format!(
                "{subject}: {value}; no new answer names it, and caches keep the last one for at most {} s",
                one.longest_ttl
            )
        }
        (true, _, Some(ramp)) => format!("{subject}: {value}: {}", ramp_text(ramp)),
        (true, _, None) => format!("{subject}: {value}"),
        (false, _, Some(ramp)) => {
            format!("{subject}: {value}, not effective yet: {}", ramp_text(ramp))
        }
        (false, _, None) => format!(
            "{subject}: {value}, not effective: still in {}",
            answers_text(one.still_answered_count)
        ),
    }
}

/// The outcome for one datacenter, in one line.
fn outcome_text(outcome: &DrainOutcome, report: &DrainReport) -> String {
    let DrainOutcome { datacenter: name, unchanged, state, effective, .. } = outcome;
    if let Some(why) = unchanged {
        return format!("{name}: {why}{}", planned_end_text(outcome));
    }
    let drain = report
        .datacenters
        .iter()
        .find(|(datacenter, _)| datacenter == name)
        .and_then(|(_, drain)| *drain);
    let ramp = report.ramps.iter().find(|ramp| ramp.name == *name && ramp.pool.is_none());
    match (state.as_str(), ramp, drain) {
        ("draining" | "disabled", _, Some(drain)) if *effective => {
            format!("{name}: {}{}", effective_text(drain), planned_end_text(outcome))
        }
        ("draining", Some(ramp), _) => {
            format!(
                "{name}: draining, not effective yet: {}{}",
                ramp_text(ramp),
                planned_end_text(outcome)
            )
        }
        ("active", Some(ramp), _) => {
            format!("{name}: coming back into service: {}", ramp_text(ramp))
        }
        ("active", None, _) if outcome.answered_count > 0 => {
            format!("{name}: in service, in {}", answers_text(outcome.answered_count))
        }
        ("active", None, _) if outcome.services == 0 => {
            format!("{name}: active; no service has a member in it")
        }
        ("active", None, _) if outcome.targets == 0 => format!(
            "{name}: active, but no answer names it: other members come first; see `portolan explain NAME`"
        ),
        ("active", None, _) => {
            format!(
                "{name}: active, but no answer names it; `portolan status` shows the health of its targets"
            )
        }
        _ => format!(
            "{name}: {state}, not effective: still in {}{}",
            answers_text(outcome.answered_count),
            planned_end_text(outcome)
        ),
    }
}

fn effective_text(drain: DrainStatus) -> String {
    format!(
        "out of every new answer since {}; the longest TTL handed out is {} s, so the last cached answer expires at {} ({})",
        format_time(drain.effective),
        drain.longest_ttl,
        format_time(drain.expires),
        format_relative_time(drain.expires - unix_now()),
    )
}

/// `; until 2026-12-01 06:00:00 UTC, then active ("kernel upgrade")`, with the state that follows.
fn planned_end_text(outcome: &DrainOutcome) -> String {
    let after = if outcome.state_after.is_empty() { "active" } else { &outcome.state_after };
    let until = outcome
        .until
        .map(|until| format!("; until {}, then {after}", format_time(until)))
        .unwrap_or_default();
    let reason =
        outcome.reason.as_deref().map(|reason| format!(" ({reason:?})")).unwrap_or_default();
    until + &reason
}

fn answers_text(count: usize) -> String {
    match count {
        1 => "the answers of 1 name and type".to_owned(),
        many => format!("the answers of {many} names and types"),
    }
}

/// The names and types that are still answered from a drained datacenter, one per line. The ramp is
/// in the line of the datacenter.
fn still_answered(all: &[RemainingAnswer]) -> Vec<String> {
    let mut lines: Vec<String> = all
        .iter()
        .take(MAX_SHOWN)
        .map(|still| format!("  {} {}: {}", still.service, still.rtype, still.why))
        .collect();
    if all.len() > MAX_SHOWN {
        lines.push(format!(
            "  and {} more; `portolan status --json` lists all",
            all.len() - MAX_SHOWN
        ));
    }
    lines
}
