//! The lists of `status`: services, targets, datacenters.

use super::table::{CellColour, TableCell, TextTable};
use crate::{
    cli::{
        screen::Screen,
        text::{StatusStyle, format_duration, format_relative_time, format_time},
    },
    control::{DatacenterStatus, ServiceCounts, ServiceState, ServiceStatus, Status, TargetStatus},
    listing,
    number_format::thousands,
};

/// A list as lines of text.
pub(super) fn joined(lines: Vec<String>) -> String {
    lines.join("\n") + "\n"
}

/// The number of services in each state that occurs: `12 distressed, 1,758 well`.
pub(super) fn counts_text(counts: &ServiceCounts) -> String {
    let present = ServiceState::ALL.into_iter().filter(|state| counts.of(*state) > 0);
    let part = |state| format!("{} {}", thousands(counts.of(state) as u64), state.as_str());
    present.map(part).collect::<Vec<_>>().join(", ")
}

fn state_colour(state: ServiceState) -> CellColour {
    match state {
        ServiceState::Distressed | ServiceState::Recovering => CellColour::Bad,
        ServiceState::Degraded => CellColour::Warn,
        ServiceState::Well => CellColour::Good,
    }
}

/// The table of services.
pub(super) fn services(services: &[ServiceStatus], screen: Screen, style: StatusStyle) -> String {
    let mut table = TextTable::new(
        &["service", "state", "members", "down", "out", "answered"],
        &["members", "down", "out"],
    );
    let number = |count: usize| TableCell::from(thousands(count as u64));
    for service in services {
        let down = if service.down > 0 { CellColour::Warn } else { CellColour::Plain };
        table.push(vec![
            service.name.as_str().into(),
            TableCell::coloured(service.state.as_str(), state_colour(service.state)),
            number(service.members),
            TableCell::coloured(thousands(service.down as u64), down),
            number(service.out),
            answered(service).into(),
        ]);
    }
    joined(table.lines(screen, style))
}

/// What a service is answered with: `from fra, iad; down: web-sin`.
fn answered(service: &ServiceStatus) -> String {
    let from =
        (!service.datacenters.is_empty()).then(|| format!("from {}", listed(&service.datacenters)));
    from.into_iter().chain(service.why.iter().cloned()).collect::<Vec<_>>().join("; ")
}

/// The first names of a list, or a dash.
pub(super) fn listed(names: &[String]) -> String {
    const MAX_NAMES: usize = 3;
    match names.is_empty() {
        true => "-".to_owned(),
        false => listing::join_first(names, MAX_NAMES, names.len()),
    }
}

/// `1 name and type`, `2 names and types`.
pub(super) fn names_and_types(count: usize) -> String {
    listing::counted(count, "name and type").replace("name and types", "names and types")
}

/// The table of datacenters at the time `now`, and what is still answered from drained ones.
pub(super) fn datacenters(
    datacenters: &[&DatacenterStatus],
    now: i64,
    screen: Screen,
    style: StatusStyle,
) -> String {
    let mut table = TextTable::new(
        &["datacenter", "region", "state", "services", "up", "down", "unknown", "note"],
        &["services", "up", "down", "unknown"],
    );
    let number = |count: usize| thousands(count as u64);
    for datacenter in datacenters {
        let is_active = datacenter.state == "active";
        let state = if is_active { CellColour::Good } else { CellColour::Warn };
        let down = if datacenter.down > 0 { CellColour::Bad } else { CellColour::Plain };
        table.push(vec![
            datacenter.name.as_str().into(),
            datacenter.region.as_deref().unwrap_or("-").into(),
            TableCell::coloured(datacenter.state.as_str(), state),
            number(datacenter.services).into(),
            number(datacenter.up).into(),
            TableCell::coloured(number(datacenter.down), down),
            number(datacenter.unknown).into(),
            note(datacenter, now).into(),
        ]);
    }
    let mut text = joined(table.lines(screen, style));
    for datacenter in datacenters.iter().filter(|each| each.still_answered_count > 0) {
        let (name, state) = (&datacenter.name, &datacenter.state);
        let count = names_and_types(datacenter.still_answered_count);
        text += &format!(
            "\n{}\n",
            style.warn(&format!("{name} is {state}; still answered from it: {count}"))
        );
        for still in &datacenter.still_answered {
            let line = format!("  {} {}: {}", still.service, still.rtype, still.why);
            text += &joined(screen.wrap(&line, 4));
        }
    }
    text
}

/// Why a datacenter is not active, until when, and whether answers follow it.
fn note(datacenter: &DatacenterStatus, now: i64) -> String {
    let origin = is_overridden(datacenter).then(|| format!("by {}", datacenter.origin));
    if datacenter.state == "active" {
        return origin.unwrap_or_default();
    }
    let reason = datacenter.reason.as_ref().map(|reason| format!("{reason:?}"));
    let until = datacenter.until.map(|until| format!("until {}", end_text(until, datacenter)));
    let effect = datacenter.drain.map(|drain| {
        let since = format_time(drain.effective);
        let verb = if drain.expires > now { "expires" } else { "expired" };
        let expiry = format_relative_time(drain.expires - now);
        format!("effective since {since}, last cached answer {verb} {expiry}")
    });
    [reason, until, origin, effect].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `2026-12-01 08:00:00 UTC`, and the state that follows if that is not the usual one.
pub(super) fn end_text(until: i64, datacenter: &DatacenterStatus) -> String {
    let after = datacenter.state_after.as_deref().filter(|state| *state != "active");
    let after = after.map(|state| format!(" (then {state})")).unwrap_or_default();
    format!("{}{after}", format_time(until))
}

/// The table of targets at the time `now`.
pub(super) fn targets(
    targets: &[TargetStatus],
    now: i64,
    screen: Screen,
    style: StatusStyle,
) -> String {
    let mut table =
        TextTable::new(&["monitor", "target", "datacenter", "verdict", "since", "last probe"], &[]);
    for target in targets {
        let colour = match target.verdict.as_str() {
            "up" => CellColour::Good,
            "down" => CellColour::Bad,
            _ => CellColour::Plain,
        };
        table.push(vec![
            target.monitor.as_str().into(),
            target.target.as_str().into(),
            place(target).into(),
            TableCell::coloured(target.verdict.as_str(), colour),
            target.since.map_or("-".to_owned(), |since| format_duration(now - since)).into(),
            last_probe(target).into(),
        ]);
    }
    joined(table.lines(screen, style))
}

/// The datacenters of a target, or the combined monitors that it is a part of.
fn place(target: &TargetStatus) -> String {
    match (target.datacenters.is_empty(), target.part_of.is_empty()) {
        (false, _) => target.datacenters.join(","),
        (true, false) => format!("part of {}", target.part_of.join(",")),
        (true, true) => "-".to_owned(),
    }
}

/// `connection refused (12 ms), may flip in 4 s`.
pub(super) fn last_probe(target: &TargetStatus) -> String {
    let last = target.last.as_deref().unwrap_or("none yet");
    let latency = target.latency_ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
    let flips = target.flips_in_secs.filter(|_| target.verdict != "unknown");
    let flips = flips.map(|secs| format!(", may flip in {secs} s")).unwrap_or_default();
    format!("{last}{latency}{flips}")
}

/// The table of the datacenters that the files take out of service; `None` if there is none.
pub(super) fn set_in_files(status: &Status, screen: Screen, style: StatusStyle) -> Option<String> {
    let mut table = TextTable::new(&["in the files", "state", "place", "effect", "note"], &[]);
    let is_set =
        |datacenter: &&DatacenterStatus| datacenter.state != "active" && !is_overridden(datacenter);
    let mut is_empty = true;
    for datacenter in status.datacenters.iter().filter(is_set) {
        is_empty = false;
        let effect = match (datacenter.still_answered_count, datacenter.effective) {
            (0, true) => TableCell::coloured("effective", CellColour::Good),
            (0, false) => "in force".into(),
            (_, _) => TableCell::coloured("not yet", CellColour::Warn),
        };
        table.push(vec![
            datacenter.name.as_str().into(),
            TableCell::coloured(datacenter.state.as_str(), CellColour::Warn),
            datacenter.file.as_str().into(),
            effect,
            note(datacenter, status.now).into(),
        ]);
    }
    (!is_empty).then(|| joined(table.lines(screen, style)))
}

/// Whether an override says which state a datacenter has.
pub(super) fn is_overridden(datacenter: &DatacenterStatus) -> bool {
    !datacenter.origin.is_empty() && datacenter.origin != datacenter.file
}
