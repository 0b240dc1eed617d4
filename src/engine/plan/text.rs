//! A plan as text: how many clients move, between which datacenters, in which countries.

use super::view::{BasisView, DatacenterChange, Plan, ServiceChange, ShiftView};
use crate::number_format::{percent_in_column, thousands};

/// The maximum number of services shown one by one.
const MAX_SERVICES: usize = 50;
/// The maximum number of flows shown of one shift.
const MAX_FLOWS: usize = 4;

/// The plan as text, with ANSI colours if `color` is set.
pub fn render_plan(plan: &Plan, color: bool) -> String {
    let paint = |code: &str, text: &str| {
        if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut lines = vec![paint("1", &headline(plan))];
    for datacenter in &plan.datacenters {
        lines.push(format!("  datacenter {}", describe_datacenter(datacenter)));
    }
    for (word, names) in [("added", &plan.added), ("removed", &plan.removed)] {
        lines.extend(names.iter().take(MAX_SERVICES).map(|name| format!("  {word:<10} {name}")));
    }
    for change in plan.changed.iter().take(MAX_SERVICES) {
        lines.push(String::new());
        lines.push(paint("1", &change.name));
        push_change(change, &mut lines, &paint);
    }
    if plan.changed.len() > MAX_SERVICES {
        lines.push(format!(
            "... and {} services more, which move less",
            plan.changed.len() - MAX_SERVICES
        ));
    }
    lines.push(String::new());
    lines.extend(plan.assumptions.iter().map(|sentence| paint("2", sentence)));
    lines.push(paint("2", &describe_basis(&plan.basis)));
    lines.join("\n") + "\n"
}

fn headline(plan: &Plan) -> String {
    let all = plan.changed.len() + plan.unchanged;
    if plan.changed.is_empty() {
        return format!("nothing moves: {all} services answer as before");
    }
    let (name, moved) =
        plan.changed.first().map_or(("", 0.0), |change| (&change.name, change.moved_percent()));
    format!(
        "{} of {all} services change; most clients move in {name}: {}",
        plan.changed.len(),
        percent_in_column(moved)
    )
}

fn describe_datacenter(change: &DatacenterChange) -> String {
    let reason = change.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{}: {before} -> {after}{reason}", change.name),
        (None, Some(after)) => format!("{}: new, {after}{reason}", change.name),
        (_, None) => format!("{}: removed", change.name),
    }
}

fn push_change(
    change: &ServiceChange,
    lines: &mut Vec<String>,
    paint: &dyn Fn(&str, &str) -> String,
) {
    for records in &change.loses_all {
        lines.push(paint(
            "31",
            &format!("  {records:<6} nothing usable is left for some clients: on-all-down answers"),
        ));
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
        lines.push(describe_shift(shift, &records.join(" ")));
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
        let countries: Vec<String> = shift
            .countries
            .iter()
            .map(|country| format!("{} {}", country.country, percent_in_column(country.percent)))
            .collect();
        if !countries.is_empty() {
            lines.push(format!(
                "         share of each country's clients: {}",
                countries.join(", ")
            ));
        }
    }
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

fn describe_basis(basis: &BasisView) -> String {
    let networks = |is_by_country: bool| {
        if is_by_country { "in networks of a known country" } else { "of public networks" }
    };
    format!(
        "weighed by {} IPv4 addresses {}, {} IPv6 /48s {}",
        thousands(basis.ipv4_addresses),
        networks(basis.is_by_country.0),
        thousands(basis.ipv6_networks),
        networks(basis.is_by_country.1)
    )
}
