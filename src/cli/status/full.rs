//! The status document as text: every part of it, with the most urgent problems first.

use std::fmt::Write;

use super::{
    lists::{end_text, is_overridden},
    overrides, problems, steering,
};
use crate::{
    cli::text::{
        MAX_SERVICES, MAX_TARGETS, StatusStyle, format_duration, format_relative_time, format_time,
        write_hidden_count,
    },
    control::{DatacenterStatus, RemainingAnswer, Status, TargetStatus},
    listing,
};

/// The maximum number of zones that are shown.
const MAX_ZONES: usize = 20;

/// Everything that the status document has, below the headline.
pub(super) fn render(status: &Status, style: StatusStyle) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = problems::render(&mut text, status, style)
        .and_then(|()| text.write_str(&overrides::part(status, style)))
        .and_then(|()| datacenters(&mut text, status, style))
        .and_then(|()| targets(&mut text, status, style))
        .and_then(|()| aliases(&mut text, status, style))
        .and_then(|()| steering::render(&mut text, status, style))
        .and_then(|()| inventory(&mut text, status));
    text
}

fn datacenters(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.datacenters.is_empty() {
        return Ok(());
    }
    let width = |length: fn(&DatacenterStatus) -> usize, min: usize| {
        status.datacenters.iter().map(length).fold(min, usize::max)
    };
    let name = width(|datacenter| datacenter.name.chars().count(), 10);
    let region =
        width(|datacenter| datacenter.region.as_deref().unwrap_or_default().chars().count(), 6);
    let header = format!(
        "{:<name$}  {:<region$}  {:<8}  {:>8}  health",
        "datacenter", "region", "state", "services"
    );
    writeln!(text, "\n{}", style.strong(&header))?;
    for datacenter in &status.datacenters {
        let shown = format!("{:<8}", datacenter.state);
        let state = match datacenter.state.as_str() {
            "active" => style.good(&shown),
            _ => style.warn(&shown),
        };
        write!(
            text,
            "{:<name$}  {:<region$}  {state}  {:>8}  {}",
            datacenter.name,
            datacenter.region.as_deref().unwrap_or("-"),
            datacenter.services,
            health_summary(datacenter, style)
        )?;
        if datacenter.state != "active" {
            let reason = datacenter
                .reason
                .as_deref()
                .map(|reason| format!("  {reason:?}"))
                .unwrap_or_default();
            let until = datacenter
                .until
                .map(|until| format!("  until {}", end_text(until, datacenter)))
                .unwrap_or_default();
            write!(text, "{reason}{until}")?;
        }
        if is_overridden(datacenter) {
            write!(text, "  by {}", datacenter.origin)?;
        }
        if let Some(drain) = datacenter.drain {
            let expires = expiry_text(drain.expires - status.now);
            write!(
                text,
                "  effective since {}, last cached answer {expires}",
                format_time(drain.effective)
            )?;
        }
        writeln!(text)?;
        still_answered(text, datacenter, style)?;
    }
    Ok(())
}

/// `expires in 25 s`, `expired 4 m ago`.
fn expiry_text(secs: i64) -> String {
    let verb = if secs > 0 { "expires" } else { "expired" };
    format!("{verb} {}", format_relative_time(secs))
}

/// The services that are still answered from a drained datacenter.
fn still_answered(
    text: &mut String,
    datacenter: &DatacenterStatus,
    style: StatusStyle,
) -> std::fmt::Result {
    let DatacenterStatus { name, state, still_answered, still_answered_count: count, .. } =
        datacenter;
    if *count == 0 {
        return Ok(());
    }
    let plural = if *count == 1 { "" } else { "s" };
    let heading = format!(
        "  {name} is {state}, but {count} name{plural} and type{plural} are still answered from it:"
    );
    writeln!(text, "{}", style.warn(&heading))?;
    for RemainingAnswer { service, rtype, why } in still_answered.iter().take(MAX_SERVICES) {
        writeln!(text, "    {service} {rtype}: {why}")?;
    }
    write_hidden_count(text, count.saturating_sub(MAX_SERVICES), "names and types")
}

/// The health of the targets, whatever the state: `all 4 targets up`, `1 of 4 targets down`.
fn health_summary(datacenter: &DatacenterStatus, style: StatusStyle) -> String {
    let DatacenterStatus { up, down, unknown, .. } = datacenter;
    let all = up + down + unknown;
    let targets = if all == 1 { "target" } else { "targets" };
    let unknown_text = if *unknown > 0 { format!(", {unknown} unknown") } else { String::new() };
    match (*up, *down) {
        _ if all == 0 => "not probed".to_owned(),
        (_, 0) if *unknown == 0 => format!("all {all} {targets} up"),
        (up, 0) => format!("{up} of {all} {targets} up{unknown_text}"),
        (_, down) if down == all => style.bad(&format!("all {all} {targets} down")),
        (_, down) => {
            format!("{}{unknown_text}", style.bad(&format!("{down} of {all} {targets} down")))
        }
    }
}

fn targets(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.targets.is_empty() {
        return Ok(());
    }
    let (failing, healthy): (Vec<_>, Vec<_>) = status
        .targets
        .iter()
        .partition(|target| target.is_failing() || target.flips_in_secs.is_some());
    let shown = failing.iter().chain(healthy.iter().take(MAX_TARGETS)).copied();
    let monitor = shown.clone().map(|target| target.monitor.chars().count()).fold(7, usize::max);
    let address = shown.clone().map(|target| target.target.chars().count()).fold(6, usize::max);
    let places =
        |target: &TargetStatus| match (target.datacenters.is_empty(), target.part_of.is_empty()) {
            (false, _) => target.datacenters.join(","),
            (true, false) => format!("part of {}", target.part_of.join(",")),
            (true, true) => "-".to_owned(),
        };
    let place = shown.clone().map(|target| places(target).chars().count()).fold(10, usize::max);
    let header = format!(
        "{:<monitor$}  {:<address$}  {:<place$}  {:<8}  last probe",
        "monitor", "target", "datacenter", "verdict"
    );
    writeln!(text, "\n{}", style.strong(&header))?;
    for target in shown {
        let word = format!("{:<8}", target.verdict);
        let verdict = match target.verdict.as_str() {
            "up" => style.good(&word),
            "down" => style.bad(&word),
            _ => word,
        };
        let last = target.last.as_deref().unwrap_or("none yet");
        let latency = target.latency_ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
        let since = target.since.map(|since| {
            format!(", {} for {}", target.verdict, format_duration(status.now - since))
        });
        // An unknown target has no verdict that could flip; after a while it counts as up.
        let flips = target.flips_in_secs.filter(|_| target.verdict != "unknown");
        let flips = flips.map(|secs| format!(", may flip in {secs} s")).unwrap_or_default();
        let since = since.unwrap_or_default();
        writeln!(
            text,
            "{:<monitor$}  {:<address$}  {:<place$}  {verdict}  {last}{latency}{since}{flips}",
            target.monitor,
            target.target,
            places(target)
        )?;
    }
    let hidden = healthy.len().saturating_sub(MAX_TARGETS);
    if hidden > 0 {
        writeln!(text, "and {hidden} more without problems: portolan status targets")?;
    }
    Ok(())
}

fn aliases(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.aliases.is_empty() {
        return Ok(());
    }
    let (failing, healthy): (Vec<_>, Vec<_>) =
        status.aliases.iter().partition(|alias| alias.error.is_some());
    let shown = failing.iter().chain(healthy.iter().take(MAX_TARGETS)).copied();
    let name = shown.clone().map(|alias| alias.name.chars().count()).fold(5, usize::max);
    writeln!(text, "\n{}", style.strong(&format!("{:<name$}  addresses", "alias")))?;
    for alias in shown {
        let addresses = if alias.addresses.is_empty() {
            "none yet".to_owned()
        } else {
            alias.addresses.join(", ")
        };
        let resolved = alias
            .resolved
            .map(|time| format!(", resolved {}", format_relative_time(time - status.now)))
            .unwrap_or_default();
        let error =
            alias.error.as_ref().map(|why| format!("  {}", style.bad(why))).unwrap_or_default();
        writeln!(text, "{:<name$}  {addresses}{resolved}{error}", alias.name)?;
    }
    let hidden = healthy.len().saturating_sub(MAX_TARGETS);
    if hidden > 0 {
        writeln!(text, "and {hidden} more without problems; `portolan status --json` lists all")?;
    }
    Ok(())
}

fn inventory(text: &mut String, status: &Status) -> std::fmt::Result {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (services, zones) = (status.services, status.zones.len());
    writeln!(text, "\n{services} service{} in {zones} zone{}", plural(services), plural(zones))?;
    for zone in status.zones.iter().take(MAX_ZONES) {
        let (records, services) =
            (listing::counted(zone.records, "record"), listing::counted(zone.services, "service"));
        writeln!(text, "  {}: {records}, {services}, serial {}", zone.name, zone.serial)?;
    }
    if status.zones.len() > MAX_ZONES {
        writeln!(
            text,
            "  and {} more; `portolan status --json` lists all",
            status.zones.len() - MAX_ZONES
        )?;
    }
    for database in &status.databases {
        let built = i64::try_from(database.built).map(format_time).unwrap_or_default();
        writeln!(
            text,
            "GeoIP {}: {}, {} networks, built {built}",
            database.path, database.kind, database.networks
        )?;
    }
    for certificate in &status.certificates {
        writeln!(
            text,
            "certificate {} {}",
            certificate.certificate,
            certificate.expiry(status.now)
        )?;
    }
    Ok(())
}
