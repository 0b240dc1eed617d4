//! One name in full: a service, pool, member, datacenter, region or target.

use super::{
    lists::{self, end_text, is_overridden, joined, listed},
    overrides,
    table::{CellColour, TableCell, TextTable},
};
use crate::{
    cli::{
        screen::Screen,
        text::{MAX_SERVICES, StatusStyle, format_time},
    },
    control::{
        DatacenterReport, EndpointShare, GroupSample, OverrideStatus, PoolSubject, ServiceReport,
        ServiceState, SubjectReport, TargetReport, TypeShares,
    },
    engine::{MemberOverview, PoolOverview, TargetView},
    listing,
    number_format::percent,
};

/// The maximum number of groups of clients that are shown one by one; more are summed up.
const MAX_GROUPS: usize = 10;

/// The maximum length of a reason that is repeated in the next row.
const MAX_REPEATED: usize = 30;

/// Everything that has the name, one part after the other; first the overrides that concern it.
pub(super) fn render(report: &SubjectReport, screen: Screen, style: StatusStyle) -> String {
    let services = report.services.iter().map(|service| service_text(service, screen, style));
    let pools = report.pools.iter().map(|pool| pool_text(pool, screen, style));
    let datacenters = report
        .datacenters
        .iter()
        .map(|datacenter| datacenter_text(datacenter, report.now, screen, style));
    let targets =
        report.targets.iter().map(|target| target_text(target, report.now, screen, style));
    let region = region_line(report, style);
    let parts = overrides_text(report, screen, style)
        .into_iter()
        .chain(services)
        .chain(pools)
        .chain(region)
        .chain(datacenters)
        .chain(targets);
    parts.collect::<Vec<_>>().join("\n")
}

/// What operators set over the files that concerns the name.
fn overrides_text(report: &SubjectReport, screen: Screen, style: StatusStyle) -> Option<String> {
    let overrides: Vec<&OverrideStatus> = report.overrides.iter().collect();
    let text = || overrides::table(&overrides, &report.ramps, screen, style);
    (!overrides.is_empty()).then(text)
}

/// A line for a region, which is a name of several datacenters or of another one.
fn region_line(report: &SubjectReport, style: StatusStyle) -> Option<String> {
    let is_region = |datacenter: &DatacenterReport| datacenter.status.name != report.name;
    let named: Vec<&str> = report
        .datacenters
        .iter()
        .filter(|datacenter| is_region(datacenter))
        .map(|datacenter| &*datacenter.status.name)
        .collect();
    let heading =
        format!("region {}: {}", report.name, listing::counted(named.len(), "datacenter"));
    (!named.is_empty()).then(|| style.strong(&heading) + "\n")
}

/// Lines of a key and its text.
struct KeyText {
    screen: Screen,
    lines: Vec<String>,
}

impl KeyText {
    fn new(screen: Screen, heading: String) -> Self {
        Self { screen, lines: vec![heading] }
    }

    fn add(&mut self, key: &str, text: impl AsRef<str>) {
        let line = format!("  {key:<13} {}", text.as_ref());
        self.lines.extend(self.screen.wrap(&line, 16));
    }

    fn add_list(&mut self, key: &str, names: &[String]) {
        if !names.is_empty() {
            self.add(key, listing::join_first(names, MAX_SERVICES, names.len()));
        }
    }
}

fn service_text(service: &ServiceReport, screen: Screen, style: StatusStyle) -> String {
    let summary = &service.summary;
    let state = match summary.state {
        ServiceState::Well => style.good("well"),
        ServiceState::Degraded => style.warn(&format!(
            "degraded, {} of {} down",
            summary.down,
            listing::counted(summary.members, "member")
        )),
        ServiceState::Recovering => {
            style.bad("recovering, all members are answered until enough of them are back")
        }
        ServiceState::Distressed => {
            style.bad("distressed, some or all clients find no usable member")
        }
    };
    let mut keys = KeyText::new(
        screen,
        format!("{} {state}", style.strong(&format!("service {}:", summary.name))),
    );
    keys.add("defined in", defined(service.file.as_ref(), &summary.zone));
    keys.add("pool", format!("{} ({}), TTL {} s", summary.pool, summary.policy, summary.ttl));
    keys.add("on-all-down", &service.on_all_down);
    summary.why.iter().for_each(|why| keys.add("because", why));
    let mut text = joined(keys.lines);
    for shares in &service.answers {
        text += "\n";
        text += &shares_text(shares, screen, style);
    }
    for pool in &service.pools {
        text += "\n";
        text += &members_text(pool, screen, style);
    }
    if service.pools.iter().any(|pool| pool.is_by_place) {
        let name = &summary.name;
        text += &format!("\nfor one client: portolan explain {name} --client IP\n");
    }
    text
}

fn defined(file: Option<&String>, zone: &str) -> String {
    match file {
        Some(file) => format!("{file}, zone {zone}"),
        None => format!("zone {zone}"),
    }
}

/// The endpoints that answers of one type name, with their shares.
fn shares_text(shares: &TypeShares, screen: Screen, style: StatusStyle) -> String {
    let TypeShares { rtype, groups, members, examples } = shares;
    if members.is_empty() {
        return format!("answers of type {rtype}: none\n");
    }
    // Groups of special-purpose addresses alone have no example.
    if !examples.is_empty() && *groups <= MAX_GROUPS {
        return groups_text(shares, screen, style);
    }
    let groups_text = match groups {
        1 => "the same for all clients".to_owned(),
        many => format!("{many} groups of clients with different answers"),
    };
    let heading = style.strong(&format!("answers of type {rtype} now, {groups_text}"));
    let mut table = TextTable::new(&["  member", "share", "datacenter", "clients"], &["share"]);
    for member in members {
        table.push(vec![
            format!("  {}", member.name).into(),
            share_range(member).into(),
            listed(&member.datacenters).into(),
            match (member.groups, *groups) {
                (_, 1) => "all".to_owned(),
                (some, all) => format!("{some} of {all} groups"),
            }
            .into(),
        ]);
    }
    heading + "\n" + &joined(table.lines(screen, style))
}

/// The answers to each group of clients.
fn groups_text(shares: &TypeShares, screen: Screen, style: StatusStyle) -> String {
    let TypeShares { rtype, groups, examples, .. } = shares;
    let heading = format!("answers of type {rtype} now, to {groups} groups of clients");
    let mut table =
        TextTable::new(&["  a client", "country", "share", "member", "datacenter"], &["share"]);
    for GroupSample { client, country, members } in examples {
        let mut start = [format!("  {client}"), country.as_deref().unwrap_or("-").to_owned()];
        if members.is_empty() {
            let [client, country] = start;
            table.push(vec![
                client.into(),
                country.into(),
                "-".into(),
                "no records".into(),
                "".into(),
            ]);
            continue;
        }
        for member in members {
            let [client, country] = std::mem::take(&mut start);
            table.push(vec![
                client.into(),
                country.into(),
                percent(member.percent / 100.0).into(),
                member.name.as_str().into(),
                listed(&member.datacenters).into(),
            ]);
        }
    }
    style.strong(&heading) + "\n" + &joined(table.lines(screen, style))
}

/// `33%`, or `20% to 50%` among the groups of clients that are answered with the member.
fn share_range(member: &EndpointShare) -> String {
    let (least, greatest) =
        (percent(member.least_percent / 100.0), percent(member.greatest_percent / 100.0));
    if least == greatest { greatest } else { format!("{least} to {greatest}") }
}

fn pool_text(subject: &PoolSubject, screen: Screen, style: StatusStyle) -> String {
    let name = &subject.pool.name;
    let state = match subject.pool.is_usable {
        true => style.good("usable"),
        false => style.bad("not usable"),
    };
    let mut keys =
        KeyText::new(screen, format!("{} {state}", style.strong(&format!("pool {name}:"))));
    if let Some(file) = &subject.file {
        keys.add("defined in", file);
    }
    keys.add_list("services", &subject.services);
    keys.add_list("member of", &subject.member_of);
    joined(keys.lines) + "\n" + &members_text(&subject.pool, screen, style)
}

/// The members of a pool, with those of the pools below it.
fn members_text(pool: &PoolOverview, screen: Screen, style: StatusStyle) -> String {
    let min_up =
        if pool.min_up == "1" { String::new() } else { format!(", min-up {}", pool.min_up) };
    let heading = style.strong(&format!("members of pool {}: {}{min_up}", pool.name, pool.policy));
    let titles = ["  member", "weight", "share", "state", "datacenter", "health", "why"];
    let mut table = TextTable::new(&titles, &["weight", "share"]);
    add_members(&mut table, pool, 1, &mut String::new());
    heading + "\n" + &joined(table.lines(screen, style))
}

/// Adds the members of a pool. `last_why` is the reason in the row above: a long one, such as that
/// of a drain, is not repeated.
fn add_members(table: &mut TextTable, pool: &PoolOverview, depth: usize, last_why: &mut String) {
    for member in &pool.members {
        let share = match member.percent {
            Some(share) => percent(share / 100.0),
            None if pool.is_by_place => "by place".to_owned(),
            // What is answered depends on the service.
            None => "-".to_owned(),
        };
        let state = match (&member.state, &member.pool) {
            (Some(state), _) => state.clone(),
            (None, Some(inner)) if inner.is_usable => "usable".to_owned(),
            (None, _) => "not usable".to_owned(),
        };
        let datacenters: Vec<String> =
            member.datacenters.iter().map(|datacenter| datacenter.name.clone()).collect();
        let is_repeated = member.why.len() > MAX_REPEATED && member.why == *last_why;
        last_why.clone_from(&member.why);
        table.push(vec![
            format!("{}{}", "  ".repeat(depth), member.name).into(),
            member.weight.to_string().into(),
            share.into(),
            TableCell::coloured(state.clone(), member_colour(&state)),
            if member.pool.is_some() { String::new() } else { listed(&datacenters) }.into(),
            health(member),
            if is_repeated { "as above" } else { &member.why }.into(),
        ]);
        if let Some(inner) = &member.pool {
            add_members(table, inner, depth + 1, last_why);
        }
    }
}

fn member_colour(state: &str) -> CellColour {
    match state {
        "active" | "usable" => CellColour::Plain,
        "not usable" => CellColour::Bad,
        _ => CellColour::Warn,
    }
}

/// The health of an endpoint: `up`, `2 up`, `1 of 2 down`, `forced up`.
fn health(member: &MemberOverview) -> TableCell {
    if let Some(force) = &member.force {
        return TableCell::coloured(format!("forced {force}"), CellColour::Warn);
    }
    let count = |verdict: &str| {
        let is_so = |target: &&TargetView| target.verdict.as_deref() == Some(verdict);
        member.targets.iter().filter(is_so).count()
    };
    let probed = member.targets.iter().filter(|target| target.verdict.is_some()).count();
    match (count("down"), count("unknown"), probed) {
        _ if member.pool.is_some() => "".into(),
        (_, _, 0) => "not probed".into(),
        (0, 0, _) => TableCell::coloured("up", CellColour::Good),
        (0, unknown, all) if unknown == all => "unknown".into(),
        (0, unknown, all) => format!("{unknown} of {all} unknown").into(),
        (down, _, all) if down == all => TableCell::coloured("down", CellColour::Bad),
        (down, _, all) => TableCell::coloured(format!("{down} of {all} down"), CellColour::Bad),
    }
}

fn datacenter_text(
    report: &DatacenterReport,
    now: i64,
    screen: Screen,
    style: StatusStyle,
) -> String {
    let status = &report.status;
    let state = match status.state.as_str() {
        "active" => style.good("active"),
        state => style.warn(state),
    };
    let heading = style.strong(&format!("datacenter {}:", status.name));
    let mut keys = KeyText::new(screen, format!("{heading} {state}"));
    keys.add("defined in", &status.file);
    if let Some(region) = &status.region {
        keys.add("region", region);
    }
    if is_overridden(status) {
        keys.add("set by", &status.origin);
    }
    if status.state != "active" {
        status.reason.iter().for_each(|reason| keys.add("reason", reason));
        status.until.iter().for_each(|until| keys.add("until", end_text(*until, status)));
    }
    if let Some(drain) = status.drain {
        let (effective, expires) = (format_time(drain.effective), format_time(drain.expires));
        keys.add(
            "effective",
            format!("since {effective}; the last cached answer expires at {expires}"),
        );
    }
    for still in &status.still_answered {
        keys.add("in answers of", format!("{} {}: {}", still.service, still.rtype, still.why));
    }
    let (up, down, unknown) = (status.up, status.down, status.unknown);
    keys.add("targets", format!("{up} up, {down} down, {unknown} unknown"));
    keys.add_list("services", &report.services);
    let mut text = joined(keys.lines);
    if !report.targets.is_empty() {
        text += "\n";
        text += &lists::targets(&report.targets, now, screen, style);
    }
    text
}

fn target_text(report: &TargetReport, now: i64, screen: Screen, style: StatusStyle) -> String {
    let status = &report.status;
    let heading = style.strong(&format!("target {} of monitor {}", status.target, status.monitor));
    let mut keys = KeyText::new(screen, heading);
    keys.add_list("members", &report.members);
    joined(keys.lines) + "\n" + &lists::targets(std::slice::from_ref(status), now, screen, style)
}
