//! The part of `status` about overrides: what operators set over the files.

use std::fmt::Write;

use crate::{
    cli::text::{MAX_SERVICES, StatusStyle, format_duration, format_time, write_hidden_count},
    control::{OverrideStatus, RemainingAnswer, Status},
    number_format::percent,
};

/// The most overrides that are shown.
const MAX_OVERRIDES: usize = 50;

pub(super) fn render(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if let Some(fault) = &status.override_fault {
        writeln!(text, "\n{} {fault}", style.bad("overrides lost:"))?;
    }
    if status.overrides.is_empty() {
        return Ok(());
    }
    let width = |length: fn(&OverrideStatus) -> usize, min: usize| {
        status.overrides.iter().take(MAX_OVERRIDES).map(length).fold(min, usize::max)
    };
    let subject = width(|one| one.subject.chars().count(), 8);
    let value = width(|one| one.value.chars().count(), 5);
    let header = format!("{:<subject$}  {:<value$}  by", "override", "sets");
    writeln!(text, "\n{}", style.strong(&header))?;
    for one in status.overrides.iter().take(MAX_OVERRIDES) {
        let shown = format!("{:<value$}", one.value);
        let shown = if one.in_force { style.warn(&shown) } else { shown };
        writeln!(text, "{:<subject$}  {shown}  {}", one.subject, details(one, style))?;
        // The line of the datacenter lists what is still answered from it.
        let is_listed = matches!(one.subject_kind.as_str(), "datacenter" | "region");
        if !is_listed || one.kind == "force" {
            still_answered(text, one)?;
        }
    }
    write_hidden_count(text, status.overrides.len().saturating_sub(MAX_OVERRIDES), "overrides")
}

/// `anna since 2026-12-01 06:00:00 UTC, "kernel upgrade", effective`.
fn details(one: &OverrideStatus, style: StatusStyle) -> String {
    let mut text = format!("{} since {}", one.author, format_time(one.since));
    if let Some(reason) = &one.reason {
        text += &format!(", {reason:?}");
    }
    if let Some(secs) = one.over_secs {
        text += &format!(", over {}", format_duration(i64::try_from(secs).unwrap_or(i64::MAX)));
    }
    if let Some(kept) = one.kept_share {
        text += &format!(", paused at {}", percent(kept));
    }
    if let Some(starts) = one.starts.filter(|_| !one.in_force) {
        text += &format!(", from {}", format_time(starts));
    }
    if let Some(ends) = one.ends {
        text += &format!(", until {}", format_time(ends));
    }
    let effect = match (one.is_defined, one.in_force, one.effective) {
        (false, ..) => style.warn("names nothing in the configuration"),
        (true, false, _) => "not begun".to_owned(),
        (true, true, true) => style.good("effective"),
        (true, true, false) => style.warn("not effective yet"),
    };
    format!("{text}, {effect}")
}

fn still_answered(text: &mut String, one: &OverrideStatus) -> std::fmt::Result {
    for RemainingAnswer { service, rtype, why } in one.still_answered.iter().take(MAX_SERVICES) {
        writeln!(text, "    {service} {rtype}: {why}")?;
    }
    write_hidden_count(
        text,
        one.still_answered_count.saturating_sub(MAX_SERVICES),
        "names and types",
    )
}
