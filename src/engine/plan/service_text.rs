//! The services of a plan as text. Services that change alike are shown once.

use super::view::{LossView, ServiceChange, ShareView, ShiftView};
use crate::{listing, number_format::percent_in_column};

/// The maximum number of groups of services shown one by one.
pub(super) const MAX_SERVICES: usize = 50;
/// The maximum number of names shown of services that change alike.
const MAX_NAMES: usize = 4;
/// The maximum number of datacenters shown whose shares change.
const MAX_SHARES: usize = 8;
/// The maximum number of flows shown of one shift.
const MAX_FLOWS: usize = 4;

/// Colours a text by an ANSI code, or leaves it as it is.
pub(super) type ColourFn<'p> = &'p dyn Fn(&str, &str) -> String;

/// The changed services, those that move the most clients first.
pub(super) fn push_services(
    changed: &[ServiceChange],
    lines: &mut Vec<String>,
    paint: ColourFn<'_>,
) {
    let mut groups: Vec<Vec<&ServiceChange>> = Vec::new();
    for change in changed {
        match groups.iter_mut().find(|group| is_alike(group[0], change)) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    for group in groups.iter().take(MAX_SERVICES) {
        let names = group.iter().map(|change| &change.name);
        lines.push(String::new());
        lines.push(paint("1", &listing::join_first(names, MAX_NAMES, group.len())));
        push_change(group[0], lines, paint);
    }
    let hidden: usize = groups.iter().skip(MAX_SERVICES).map(Vec::len).sum();
    if hidden > 0 {
        lines.push(format!(
            "... and {}, which move no more clients; --json has all",
            listing::counted(hidden, "service")
        ));
    }
}

/// Whether two services differ in nothing but the name.
fn is_alike(one: &ServiceChange, other: &ServiceChange) -> bool {
    let ServiceChange { name: _, shifts, ttl_secs, loses_all, losses, shares } = one;
    (shifts, ttl_secs, loses_all) == (&other.shifts, &other.ttl_secs, &other.loses_all)
        && (losses, shares) == (&other.losses, &other.shares)
}

fn push_change(change: &ServiceChange, lines: &mut Vec<String>, paint: ColourFn<'_>) {
    for loss in &change.losses {
        lines.push(paint("31", &format!("  {}", describe_loss(loss))));
    }
    if let Some((before, after)) = change.ttl_secs {
        lines.push(format!("  ttl    {before} s -> {after} s"));
    }
    for (index, shift) in change.shifts.iter().enumerate() {
        // Both record types mostly shift equally; an equal shift is shown once.
        let is_alike = |other: &&ShiftView| {
            ShiftView { records: shift.records.clone(), ..(*other).clone() } == *shift
        };
        if change.shifts[..index].iter().any(|other| is_alike(&other)) {
            continue;
        }
        let records: Vec<&str> =
            change.shifts.iter().filter(is_alike).map(|other| other.records.as_str()).collect();
        push_shift(shift, &records.join(" "), lines);
    }
    let moved = |share: &&ShareView| (share.after_percent - share.before_percent).abs();
    let mut shares: Vec<&ShareView> =
        change.shares.iter().filter(|share| moved(share) > 0.0).collect();
    shares.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
    let texts = shares.iter().map(|share| {
        let [before, after] = [share.before_percent, share.after_percent].map(percent_in_column);
        format!("{} {before} -> {after}", share.datacenter)
    });
    if !shares.is_empty() {
        lines.push(format!("  shares {}", listing::join_first(texts, MAX_SHARES, shares.len())));
    }
}

fn push_shift(shift: &ShiftView, records: &str, lines: &mut Vec<String>) {
    lines.push(describe_shift(shift, records));
    for flow in shift.flows.iter().take(MAX_FLOWS) {
        let to = if flow.to == flow.from {
            format!("other endpoints in {}", flow.from)
        } else {
            flow.to.clone()
        };
        lines.push(format!(
            "         {:>7}  {} -> {to}",
            percent_in_column(flow.percent),
            flow.from
        ));
    }
    let more = shift.flows.len().saturating_sub(MAX_FLOWS);
    if more > 0 {
        let rest: f64 = shift.flows.iter().skip(MAX_FLOWS).map(|flow| flow.percent).sum();
        lines.push(format!("         {:>7}  {more} smaller flows", percent_in_column(rest)));
    }
    let countries: Vec<String> = shift
        .countries
        .iter()
        .map(|country| format!("{} {}", country.country, percent_in_column(country.percent)))
        .collect();
    if !countries.is_empty() {
        lines.push(format!("         share of each country's clients: {}", countries.join(", ")));
    }
}

/// `A      nothing usable is left for country DE: on-all-down answers`.
pub(super) fn describe_loss(loss: &LossView) -> String {
    let clients = match loss.clients.len() {
        0 => "all clients".to_owned(),
        count => listing::join_first(&loss.clients, 3, count),
    };
    format!("{:<6} nothing usable is left for {clients}: on-all-down answers", loss.records)
}

fn describe_shift(shift: &ShiftView, records: &str) -> String {
    let ShiftView { clients, moved_percent, touched_percent, .. } = shift;
    let touched = if (touched_percent - moved_percent).abs() < 0.05 {
        String::new()
    } else {
        format!(", among {} whose shares change", percent_in_column(*touched_percent))
    };
    format!(
        "  {records:<6} {} of {clients} clients move{touched}",
        percent_in_column(*moved_percent)
    )
}
