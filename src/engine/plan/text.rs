//! A plan as text: first what it is based on, how much moves and which capacities are exceeded;
//! then the datacenters, the outages, and each service.

use super::{
    network_weights::MIN_SAMPLES,
    service_text::{ColourFn, MAX_SERVICES, describe_loss, push_services},
    view::{
        BasisView, CacheView, DatacenterChange, ExceededCapacity, LoadView, MovementView,
        ObservedDemandView, OutageView, Plan, SampleTotalsView,
    },
};
use crate::{
    listing,
    number_format::{percent_in_column, thousands},
};

/// The maximum number of networks shown.
const MAX_NETWORKS: usize = 5;
/// The maximum number of datacenters shown that get the clients of one that is down.
const MAX_GAINS: usize = 4;
/// The maximum number of names shown of datacenters that change alike.
const MAX_DATACENTERS: usize = 10;
/// The maximum number of services without anything usable that are shown for one outage.
const MAX_LOSSES: usize = 5;

/// The plan as text, with ANSI colours if `color` is set.
pub fn render_plan(plan: &Plan, color: bool) -> String {
    let paint = |code: &str, text: &str| {
        if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let paint: ColourFn<'_> = &paint;
    let mut lines = vec![paint("1", &headline(plan))];
    lines.extend(plan.exceeded.iter().map(|exceeded| paint("1;31", &describe_exceeded(exceeded))));
    lines.extend(describe_datacenters(&plan.datacenters));
    lines.push(paint("2", &describe_basis(&plan.basis)));
    lines.extend(plan.assumptions.iter().map(|sentence| paint("2", sentence)));
    lines.extend(plan.movements.iter().flat_map(describe_movement));
    lines.extend(plan.caches.as_ref().map(describe_caches));
    push_loads(plan, &mut lines);
    push_outages(&plan.outages, &mut lines, paint);
    for (word, names) in [("added", &plan.added), ("removed", &plan.removed)] {
        lines.extend((!names.is_empty()).then(String::new));
        lines.extend(names.iter().take(MAX_SERVICES).map(|name| format!("  {word:<10} {name}")));
        if names.len() > MAX_SERVICES {
            lines.push(format!("  ... and {} more; --json has all", names.len() - MAX_SERVICES));
        }
    }
    push_services(&plan.changed, &mut lines, paint);
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

fn describe_basis(basis: &BasisView) -> String {
    let services = match basis.is_by_answers {
        true => "services by the answers that the server counted",
        false => "all services alike",
    };
    let v4 = format!("{} IPv4 addresses", thousands(basis.ipv4_addresses));
    let v6 = format!("{} IPv6 /48s", thousands(basis.ipv6_networks));
    let (of_v4, of_v6) = basis.is_by_country;
    let observed = basis.observed.as_ref();
    let clients = match observed.filter(|seen| seen.ipv4.is_used || seen.ipv6.is_used) {
        Some(seen) => {
            let v4 = describe_family("IPv4", &seen.ipv4, &format!("{v4} {}", announced(of_v4)));
            let v6 = describe_family("IPv6", &seen.ipv6, &format!("{v6} {}", announced(of_v6)));
            let since = jiff::Timestamp::from_second(seen.since).unwrap_or_default();
            format!("by queries observed since {}: {v4}; {v6}", since.strftime("%F %R UTC"))
        }
        None => {
            let place = announced(of_v6);
            let v4 = if of_v4 == of_v6 { v4 } else { format!("{v4} {}", announced(of_v4)) };
            let few = observed.map(describe_few).unwrap_or_default();
            format!("by announced networks, not by queries{few}: {v4} and {v6} {place}")
        }
    };
    format!("clients are weighed {clients}; {services}")
}

/// Which of the announced networks count.
fn announced(is_by_country: bool) -> &'static str {
    if is_by_country { "in networks of a known country" } else { "of public networks" }
}

/// How the clients of one family are weighed, if those of any family are weighed by queries.
fn describe_family(clients: &str, seen: &SampleTotalsView, networks: &str) -> String {
    match seen.is_used {
        true => {
            let (samples, count) = (thousands(seen.samples), thousands(seen.networks as u64));
            let others = if seen.other_samples > 0 { " and others" } else { "" };
            format!("{clients} clients by {samples} samples from {count} networks{others}")
        }
        false => format!(
            "{clients} clients, with fewer than {} samples, by announced networks: {networks}",
            thousands(MIN_SAMPLES as u64)
        ),
    }
}

/// That the samples are too few to weigh clients by.
fn describe_few(seen: &ObservedDemandView) -> String {
    let [samples, needed] = [seen.ipv4.samples.max(seen.ipv6.samples), MIN_SAMPLES as u64];
    let [samples, needed] = [samples, needed].map(thousands);
    format!(", since only {samples} of the {needed} samples needed were observed")
}

fn describe_caches(caches: &CacheView) -> String {
    let moment = jiff::Timestamp::from_second(caches.until).unwrap_or_default();
    format!(
        "resolvers keep answers from before the change for up to {} s ({}): until {} if it is made now",
        caches.ttl_secs,
        caches.service,
        moment.strftime("%F %T UTC")
    )
}

fn describe_exceeded(exceeded: &ExceededCapacity) -> String {
    format!(
        "over capacity: {} would have a load of {}, and its capacity is {} (before: {})",
        exceeded.subject,
        number(exceeded.after),
        number(exceeded.capacity),
        number(exceeded.before)
    )
}

fn describe_movement(movement: &MovementView) -> Vec<String> {
    let distance = movement.extra_km.map(|km| match km >= 0.0 {
        true => format!(", on average {} km farther to their datacenter", number(km)),
        false => format!(", on average {} km nearer to their datacenter", number(-km)),
    });
    let mut lines = vec![format!(
        "{} of all {} clients move{}",
        percent_in_column(movement.moved_percent),
        movement.clients,
        distance.unwrap_or_default()
    )];
    let countries = movement
        .countries
        .iter()
        .map(|country| format!("{} {}", country.country, percent_in_column(country.percent)));
    let systems = movement.systems.iter().map(|system| {
        let name = system.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        format!("AS{}{name} {}", system.asn, percent_in_column(system.percent))
    });
    let networks = movement
        .networks
        .iter()
        .take(MAX_NETWORKS)
        .map(|network| format!("{} {}", network.network, percent_in_column(network.percent)));
    for (subject, texts) in [
        ("country", countries.collect::<Vec<_>>()),
        ("AS", systems.collect()),
        ("network", networks.collect()),
    ] {
        if !texts.is_empty() {
            lines.push(format!("  share of each {subject}'s clients: {}", texts.join(", ")));
        }
    }
    lines
}

/// The loads of datacenters, if any of them changes or has a capacity.
fn push_loads(plan: &Plan, lines: &mut Vec<String>) {
    let changes = |load: &LoadView| load.before_percent != load.after_percent;
    if !plan.loads.iter().any(|load| changes(load) || load.capacity.is_some()) {
        return;
    }
    let width = plan.loads.iter().map(|load| load.datacenter.len()).max().unwrap_or(0).max(15);
    lines.push(String::new());
    lines.push(format!("  {:<width$} {:>9} {:>9}", "share of demand", "before", "after"));
    for load in &plan.loads {
        let [before, after] = [load.before_percent, load.after_percent].map(percent_in_column);
        lines.push(format!(
            "  {:<width$} {before:>9} {after:>9}{}",
            load.datacenter,
            describe_capacity(load)
        ));
    }
}

/// `  load 3,600 of 3,000`, or the demand at which the datacenter is full.
fn describe_capacity(load: &LoadView) -> String {
    let Some(capacity) = load.capacity else { return String::new() };
    match (load.load_before, load.load_after, load.full_at_before, load.full_at_after) {
        (Some(before), Some(after), ..) => {
            format!("  load {} -> {} of {}", number(before), number(after), number(capacity))
        }
        (.., before, after) => {
            let text = |full_at: Option<f64>| full_at.map_or("never".to_owned(), number);
            let (before, after) = (text(before), text(after));
            let demands = if before == after { before } else { format!("{before} -> {after}") };
            format!("  capacity {}: full at a total demand of {demands}", number(capacity))
        }
    }
}

fn push_outages(outages: &[OutageView], lines: &mut Vec<String>, paint: ColourFn<'_>) {
    if outages.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(paint("1", "after the change, if one datacenter is down:"));
    for outage in outages {
        lines.push(format!("  {}: {}", outage.datacenter, describe_gains(outage)));
        let kept = outage.loads.iter().find(|load| load.datacenter == outage.datacenter);
        if let Some(kept) = kept.filter(|load| load.after_percent > 0.0) {
            lines.push(format!(
                "    {} keeps {}: no monitor checks these endpoints, or nothing else is left",
                kept.datacenter,
                percent_in_column(kept.after_percent)
            ));
        }
        lines.extend(describe_first_full(outage).map(|text| format!("    {text}")));
        let (new, known): (Vec<_>, Vec<_>) =
            outage.exceeded.iter().partition(|exceeded| exceeded.is_new());
        for exceeded in &new {
            lines.push(paint("1;31", &format!("    {}", describe_exceeded(exceeded))));
        }
        if !known.is_empty() {
            lines.push(format!("    over capacity without the outage, too: {}", known.len()));
        }
        for loss in outage.losses.iter().take(MAX_LOSSES) {
            let text = describe_loss(&loss.loss);
            lines.push(paint("31", &format!("    {}: {text}", loss.service)));
        }
        if outage.losses.len() > MAX_LOSSES {
            let more = outage.losses.len() - MAX_LOSSES;
            lines.push(paint("31", &format!("    ... and {more} more; --json has all")));
        }
    }
}

/// The datacenters that get clients by an outage: `ams +9.2 %, lhr +1.1 % and 2 more`.
fn describe_gains(outage: &OutageView) -> String {
    let gain = |load: &&LoadView| load.after_percent - load.before_percent;
    let mut gains: Vec<&LoadView> = outage.loads.iter().filter(|load| gain(load) > 0.0).collect();
    gains.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    let texts =
        gains.iter().map(|load| format!("{} +{}", load.datacenter, percent_in_column(gain(load))));
    match gains.len() {
        0 => "no share changes".to_owned(),
        count => listing::join_first(texts, MAX_GAINS, count),
    }
}

/// The demand at which the first of the other datacenters is full; only if no demand is given.
fn describe_first_full(outage: &OutageView) -> Option<String> {
    let unknown = outage.loads.iter().filter(|load| load.load_after.is_none());
    let known = unknown.filter_map(|load| Some((load, load.full_at_after?)));
    let (first, demand) = known.min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(format!(
        "{} is the first to be full, at a total demand of {}",
        first.datacenter,
        number(demand)
    ))
}

/// The datacenters that change, those that change alike in one line.
fn describe_datacenters(changes: &[DatacenterChange]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for change in changes {
        let text = describe_datacenter(change);
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, names)) => names.push(&change.name),
            None => groups.push((text, vec![&change.name])),
        }
    }
    let line = |(text, names): &(String, Vec<&str>)| {
        let noun = if names.len() == 1 { "datacenter" } else { "datacenters" };
        format!("  {noun} {}: {text}", listing::join_first(names, MAX_DATACENTERS, names.len()))
    };
    groups.iter().map(line).collect()
}

/// `active -> draining (kernel upgrade)`, without the name.
fn describe_datacenter(change: &DatacenterChange) -> String {
    let reason = change.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{before} -> {after}{reason}"),
        (None, Some(after)) => format!("new, {after}{reason}"),
        (_, None) => "removed".to_owned(),
    }
}

/// A load, a capacity or a distance: `3,600`, `0.5`.
fn number(value: f64) -> String {
    match value.abs() {
        10.0.. => thousands(value.round() as u64),
        _ => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}
