//! The parts of `status` about overrides: what operators set over the files.

use super::{
    lists::{joined, names_and_types, set_in_files},
    table::{CellColour, TableCell, TextTable},
};
use crate::{
    cli::{
        screen::Screen,
        text::{MAX_SERVICES, StatusStyle, format_duration, format_time, ramp_text},
    },
    control::{OverrideStatus, RampStatus, RemainingAnswer, Status},
    listing,
    number_format::{percent, thousands},
};

/// The command that lists all overrides.
pub(super) const COMMAND: &str = "portolan status overrides";
/// The maximum number of overrides that a report about something else shows.
const MAX_LINES: usize = 5;
/// The maximum number of overrides in the report of a server that fits the screen.
const MAX_ROWS: usize = 50;

/// The view: every override, then the datacenters that the files take out of service.
pub(super) fn view(status: &Status, screen: Screen, style: StatusStyle) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(fault_line(status, style));
    let overrides: Vec<&OverrideStatus> = status.overrides.iter().collect();
    parts.push(match overrides.is_empty() {
        true => "no override is set\n".to_owned(),
        false => {
            table(&overrides, &status.ramps, screen, style)
                + &still_answered_parts(&overrides, screen, style)
        }
    });
    let in_files = set_in_files(status, screen, style);
    parts.push(match (in_files, overrides.is_empty()) {
        (Some(text), _) => text,
        (None, true) => "every datacenter is active\n".to_owned(),
        (None, false) => "the files take no datacenter out of service\n".to_owned(),
    });
    let separator = if overrides.is_empty() { "" } else { "\n" };
    parts.join(separator)
}

/// The part of a report that shows the whole status.
pub(super) fn part(status: &Status, style: StatusStyle) -> String {
    let mut text = String::new();
    if let Some(line) = fault_line(status, style) {
        text += &format!("\n{line}");
    }
    let shown: Vec<&OverrideStatus> = status.overrides.iter().take(MAX_ROWS).collect();
    if !shown.is_empty() {
        let whole = Screen { columns: usize::MAX, lines: usize::MAX };
        text += "\n";
        text += &table(&shown, &status.ramps, whole, style);
        // The line of the datacenter lists what is still answered from it.
        let is_listed = |one: &&OverrideStatus| {
            matches!(one.subject_kind.as_str(), "datacenter" | "region") && one.kind == "state"
        };
        let others: Vec<&OverrideStatus> =
            shown.iter().copied().filter(|one| !is_listed(one)).collect();
        text += &still_answered_parts(&others, whole, style);
        text += &more_line(status.overrides.len() - shown.len());
    }
    text
}

/// Why overrides of a previous run are lost, if they are.
fn fault_line(status: &Status, style: StatusStyle) -> Option<String> {
    let fault = status.override_fault.as_ref()?;
    Some(format!("{} {fault}\n", style.bad("overrides lost:")))
}

/// The table of overrides, one in each row.
pub(super) fn table(
    overrides: &[&OverrideStatus],
    ramps: &[RampStatus],
    screen: Screen,
    style: StatusStyle,
) -> String {
    let mut table = TextTable::new(&["override", "sets", "effect", "by"], &[]);
    for one in overrides {
        let value = if one.in_force { CellColour::Warn } else { CellColour::Plain };
        let (effect, colour) = effect(one);
        table.push(vec![
            one.subject.as_str().into(),
            TableCell::coloured(one.value.as_str(), value),
            TableCell::coloured(effect, colour),
            details(one, ramps).into(),
        ]);
    }
    joined(table.lines(screen, style))
}

/// What is still answered in spite of overrides.
fn still_answered_parts(
    overrides: &[&OverrideStatus],
    screen: Screen,
    style: StatusStyle,
) -> String {
    let remaining = overrides.iter().filter(|one| one.still_answered_count > 0);
    remaining.map(|one| still_answered(one, screen, style)).collect()
}

/// Whether answers follow an override.
fn effect(one: &OverrideStatus) -> (&'static str, CellColour) {
    match (one.is_defined, one.in_force, one.effective) {
        (false, ..) => ("names nothing", CellColour::Warn),
        (true, false, _) => ("not begun", CellColour::Plain),
        (true, true, true) => ("effective", CellColour::Good),
        (true, true, false) => ("not yet", CellColour::Warn),
    }
}

/// `ada (127.0.0.1) since 2026-12-01 06:00:00 UTC, "kernel upgrade", until 2026-12-01 08:00:00
/// UTC`.
fn details(one: &OverrideStatus, ramps: &[RampStatus]) -> String {
    let peer = one.peer.as_ref().map(|peer| format!(" ({peer})")).unwrap_or_default();
    let mut text = format!("{}{peer} since {}", one.author, format_time(one.since));
    if let Some(reason) = &one.reason {
        text += &format!(", {reason:?}");
    }
    if let Some(starts) = one.starts.filter(|_| !one.in_force) {
        text += &format!(", from {}", format_time(starts));
    }
    if let Some(ends) = one.ends {
        text += &format!(", until {}", format_time(ends));
    }
    if let Some(secs) = one.over_secs.filter(|secs| *secs > 0) {
        text += &format!(", over {}", format_duration(i64::try_from(secs).unwrap_or(i64::MAX)));
    }
    match (ramps.iter().find(|ramp| ramp.is_of(one)), one.kept_share) {
        (Some(ramp), _) => text += &format!(", {}", ramp_text(ramp)),
        (None, Some(kept)) => text += &format!(", paused at {}", percent(kept)),
        (None, None) => {}
    }
    text
}

/// What is still answered in spite of an override, one name and type per line.
fn still_answered(one: &OverrideStatus, screen: Screen, style: StatusStyle) -> String {
    let count = names_and_types(one.still_answered_count);
    let heading = format!("{} is {}; still answered from it: {count}", one.subject, one.value);
    let mut text = format!("\n{}\n", style.warn(&heading));
    for RemainingAnswer { service, rtype, why } in one.still_answered.iter().take(MAX_SERVICES) {
        text += &joined(screen.wrap(&format!("  {service} {rtype}: {why}"), 4));
    }
    let shown = one.still_answered.len().min(MAX_SERVICES);
    match one.still_answered_count.saturating_sub(shown) {
        0 => text,
        more => text + &format!("  and {} more\n", thousands(more as u64)),
    }
}

/// The overrides in one line each, for a report about something else: those in force first.
pub(super) fn lines(overrides: &[OverrideStatus]) -> Vec<String> {
    let (in_force, others): (Vec<_>, Vec<_>) = overrides.iter().partition(|one| one.in_force);
    in_force.into_iter().chain(others).map(line).collect()
}

/// `fra: draining by ada, effective, until 2026-12-01 08:00:00 UTC, "kernel upgrade"`.
fn line(one: &OverrideStatus) -> String {
    let reason = one.reason.as_ref().map(|reason| format!(", {reason:?}")).unwrap_or_default();
    let starts = one.starts.filter(|_| !one.in_force);
    let starts = starts.map(|time| format!(", from {}", format_time(time))).unwrap_or_default();
    let ends = one.ends.map(|time| format!(", until {}", format_time(time))).unwrap_or_default();
    let effect = match (effect(one).0, one.still_answered_count) {
        ("not yet", 0) => "not effective yet".to_owned(),
        ("not yet", count) => format!("{} still answered", names_and_types(count)),
        ("names nothing", _) => "names nothing in the configuration".to_owned(),
        (effect, _) => effect.to_owned(),
    };
    let (subject, value, author) = (&one.subject, &one.value, &one.author);
    format!("{subject}: {value} by {author}{starts}, {effect}{ends}{reason}")
}

/// The heading of the overrides in a report about something else.
pub(super) fn heading(count: usize) -> String {
    format!("{} set by operators", listing::counted(count, "override"))
}

/// The first overrides and how many more there are; nothing without overrides.
pub(super) fn first_lines(overrides: &[OverrideStatus], screen: Screen) -> String {
    if overrides.is_empty() {
        return String::new();
    }
    let shown = lines(overrides).into_iter().take(MAX_LINES);
    let shown = shown.map(|line| screen.cut(&format!("  {line}")) + "\n");
    let hidden = overrides.len().saturating_sub(MAX_LINES);
    format!("{}\n", heading(overrides.len())) + &shown.collect::<String>() + &more_line(hidden)
}

/// How many more overrides there are than are shown.
fn more_line(hidden: usize) -> String {
    match hidden {
        0 => String::new(),
        hidden => format!("  and {} more: {COMMAND}\n", thousands(hidden as u64)),
    }
}
