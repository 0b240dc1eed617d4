//! The overview: what is wrong first, then a summary. Where the whole status fits the screen, it is
//! shown instead.

use super::{
    full,
    headline::headline,
    lists::{counts_text, end_text, is_overridden, last_probe, names_and_types},
    overrides, steering,
};
use crate::{
    cli::{
        screen::Screen,
        text::{StatusStyle, format_duration},
    },
    control::{Concern, DatacenterStatus, DistressedService, RampStatus, Status, TargetStatus},
    number_format::thousands,
};

/// The maximum number of lines that one concern takes in a summary.
const MAX_CONCERN_LINES: usize = 2;
/// The number of concerns that are shown before anything else has a row.
const MIN_CONCERNS: usize = 2;
/// The maximum number of overrides in a summary.
const MAX_OVERRIDES: usize = 3;
/// The width of the line that names the server, with a long URL.
const SERVER_LINE_COLUMNS: usize = 100;

/// The overview of a status, in as many lines as the screen has.
pub(super) fn render(status: &Status, screen: Screen, style: StatusStyle) -> String {
    let headline = headline(status, style);
    let whole = format!("{headline}\n{}", full::render(status, style));
    // The line that names the server, and the prompt below.
    let reserved = SERVER_LINE_COLUMNS.div_ceil(screen.columns) + 1;
    let lines = screen.lines.saturating_sub(reserved);
    if screen.lines_of(&whole) <= lines {
        return whole;
    }
    let text = summary(status, headline, Screen { lines, ..screen }, style);
    text.join("\n") + "\n"
}

/// A list of which as many rows are shown as there is room for.
struct SummaryList {
    heading: String,
    rows: Vec<String>,
    /// The number of all rows, some of which may not be in `rows`.
    total: usize,
    /// The command that lists all.
    command: &'static str,
}

impl SummaryList {
    /// The lines if `count` rows are shown: the heading, the rows, and how many there are more.
    fn lines(&self, count: usize) -> Vec<String> {
        if self.total == 0 {
            return Vec::new();
        }
        let hidden = self.total - count.min(self.rows.len());
        let more = format!("  and {} more: {}", thousands(hidden as u64), self.command);
        let rows = self.rows.iter().take(count).flat_map(|row| row.lines().map(str::to_owned));
        let more = (hidden > 0).then_some(more);
        std::iter::once(self.heading.clone()).chain(rows).chain(more).collect()
    }
}

/// What an operator must act on, what operators set, then the counts, then the lists of what is not
/// well.
fn summary(status: &Status, headline: String, screen: Screen, style: StatusStyle) -> Vec<String> {
    let counts = counts(status, style);
    let lists = [
        concerns(status, screen, style),
        set_by_operators(status, screen),
        services(status, screen),
        datacenters(status, screen),
        targets(status, screen),
        aliases(status, screen),
        ramps(status, screen),
    ];
    // The headline, the counts, and a blank line before each of the four parts.
    let room = screen.lines.saturating_sub(counts.len() + 5);
    let shown = shown_rows(&lists, room);
    let mut parts = lists.iter().zip(shown).map(|(list, count)| list.lines(count));
    let concerns = parts.next().unwrap_or_default();
    let overrides = parts.next().unwrap_or_default();
    let counts = counts.into_iter().map(|line| screen.cut(&line)).collect();
    let mut lines = vec![headline];
    for part in [concerns, overrides, counts, parts.flatten().collect()] {
        if !part.is_empty() {
            lines.push(String::new());
            lines.extend(part);
        }
    }
    lines.truncate(screen.lines);
    lines
}

/// How many rows of each list fit into `room` lines. The first list, of what an operator must act
/// on, comes first with some rows. Then one row after the other is added to each list in turn.
fn shown_rows(lists: &[SummaryList], room: usize) -> Vec<usize> {
    let mut shown = vec![0; lists.len()];
    let taken = |shown: &[usize]| {
        let lines = lists.iter().zip(shown).map(|(list, count)| list.lines(*count).len());
        lines.sum::<usize>()
    };
    let add = |shown: &mut Vec<usize>, index: usize| {
        shown[index] += 1;
        if shown[index] > lists[index].rows.len() || taken(shown) > room {
            shown[index] -= 1;
        }
    };
    for _ in 0..MIN_CONCERNS {
        add(&mut shown, 0);
    }
    loop {
        let before = shown.clone();
        for index in 0..lists.len() {
            add(&mut shown, index);
        }
        if shown == before {
            return shown;
        }
    }
}

/// How many there are of everything, and of each how many are not well.
fn counts(status: &Status, style: StatusStyle) -> Vec<String> {
    let verdicts =
        |verdict: &str| status.targets.iter().filter(|target| target.verdict == verdict).count();
    let states = |state: &str| {
        status.datacenters.iter().filter(|datacenter| datacenter.state == state).count()
    };
    let in_words = |counts: Vec<(usize, &str)>| {
        let present = counts.into_iter().filter(|(count, _)| *count > 0);
        let parts = present.map(|(count, word)| format!("{} {word}", thousands(count as u64)));
        parts.collect::<Vec<_>>().join(", ")
    };
    let failing_loads = status.loads.iter().filter(|load| load.error.is_some()).count();
    let failing_aliases = status.aliases.iter().filter(|alias| alias.error.is_some()).count();
    let mut services = counts_text(&status.service_counts);
    if status.service_counts.well < status.services && status.distressed_count == 0 {
        services += ": portolan status services --failing";
    }
    let rows = [
        ("services", status.services, services),
        (
            "targets",
            status.targets.len(),
            in_words(
                [("down", "down"), ("unknown", "unknown"), ("up", "up")]
                    .map(|(verdict, word)| (verdicts(verdict), word))
                    .to_vec(),
            ),
        ),
        (
            "datacenters",
            status.datacenters.len(),
            in_words(
                ["disabled", "draining", "standby", "active"]
                    .map(|state| (states(state), state))
                    .to_vec(),
            ),
        ),
        ("load sources", status.loads.len(), in_words(vec![(failing_loads, "without a report")])),
        ("aliases", status.aliases.len(), in_words(vec![(failing_aliases, "not resolved")])),
        (
            "zones",
            status.zones.len(),
            in_words(vec![(
                status.held.len(),
                if status.held.len() == 1 { "file held" } else { "files held" },
            )]),
        ),
    ];
    let row = |(what, count, text): (&str, usize, String)| {
        let line = format!("{what:<12}  {:>9}  {text}", thousands(count as u64));
        line.trim_end().to_owned()
    };
    let heading = style.strong(&format!("{:<12}  {:>9}  state", "", "number"));
    let rows = rows.into_iter().filter(|(_, count, _)| *count > 0).map(row);
    std::iter::once(heading).chain(rows).collect()
}

fn concerns(status: &Status, screen: Screen, style: StatusStyle) -> SummaryList {
    const COMMAND: &str = "portolan status --failing";
    let wrapped = |concern: &Concern| screen.wrap(&format!("  {}", concern.text), 4);
    let is_cut = status.concerns.iter().any(|concern| wrapped(concern).len() > MAX_CONCERN_LINES);
    let row = |concern: &Concern| {
        let mut lines = wrapped(concern);
        if lines.len() > MAX_CONCERN_LINES {
            let rest = lines.split_off(MAX_CONCERN_LINES - 1);
            let rest: Vec<&str> = rest.iter().map(|line| line.trim_start()).collect();
            lines.push(screen.cut(&format!("    {}", rest.join(" "))));
        }
        lines.join("\n")
    };
    let in_full = if is_cut { format!("; in full: {COMMAND}") } else { String::new() };
    SummaryList {
        heading: style.bad(&format!("an operator must act{in_full}")),
        rows: status.concerns.iter().map(row).collect(),
        total: status.concerns.len(),
        command: COMMAND,
    }
}

fn set_by_operators(status: &Status, screen: Screen) -> SummaryList {
    let lines = overrides::lines(&status.overrides).into_iter().take(MAX_OVERRIDES);
    SummaryList {
        heading: overrides::heading(status.overrides.len()),
        rows: lines.map(|line| screen.cut(&format!("  {line}"))).collect(),
        total: status.overrides.len(),
        command: overrides::COMMAND,
    }
}

fn services(status: &Status, screen: Screen) -> SummaryList {
    let row = |service: &DistressedService| {
        screen.cut(&format!("  {}: answered with {}", service.subject(), service.plight))
    };
    SummaryList {
        heading: "names and types without a usable member".to_owned(),
        rows: status.distressed.iter().map(row).collect(),
        total: status.distressed_count,
        command: "portolan status services --failing",
    }
}

fn datacenters(status: &Status, screen: Screen) -> SummaryList {
    // The list of overrides has the others.
    let is_out =
        |datacenter: &&DatacenterStatus| datacenter.state != "active" && !is_overridden(datacenter);
    let row = |datacenter: &DatacenterStatus| {
        let reason =
            datacenter.reason.as_ref().map(|reason| format!(" {reason:?}")).unwrap_or_default();
        let until =
            datacenter.until.map(|until| format!(", until {}", end_text(until, datacenter)));
        let effect = match (datacenter.still_answered_count, &datacenter.drain) {
            (0, Some(drain)) => {
                format!(
                    ", effective for {}",
                    format_duration((status.now - drain.effective).max(0))
                )
            }
            (0, None) => String::new(),
            (count, _) => {
                format!(", {} still answered", names_and_types(count))
            }
        };
        let (name, state, until) = (&datacenter.name, &datacenter.state, until.unwrap_or_default());
        screen.cut(&format!("  {name}: {state}{reason}{until}{effect}"))
    };
    let rows: Vec<String> = status.datacenters.iter().filter(is_out).map(row).collect();
    SummaryList {
        heading: "datacenters that are not active".to_owned(),
        total: rows.len(),
        rows,
        command: overrides::COMMAND,
    }
}

fn targets(status: &Status, screen: Screen) -> SummaryList {
    let row = |target: &TargetStatus| {
        let since =
            target.since.map(|since| format!(" for {}", format_duration(status.now - since)));
        let (since, last) = (since.unwrap_or_default(), last_probe(target));
        let TargetStatus { monitor, target, verdict, .. } = target;
        screen.cut(&format!("  {monitor} {target}: {verdict}{since}, {last}"))
    };
    let failing = status.targets.iter().filter(|target| target.is_failing());
    let rows: Vec<String> = failing.map(row).collect();
    SummaryList {
        heading: "targets that fail".to_owned(),
        total: rows.len(),
        rows,
        command: "portolan status targets --failing",
    }
}

fn aliases(status: &Status, screen: Screen) -> SummaryList {
    let row = |(name, error): (&String, &String)| screen.cut(&format!("  {name}: {error}"));
    let failing =
        status.aliases.iter().filter_map(|alias| Some((&alias.name, alias.error.as_ref()?)));
    let rows: Vec<String> = failing.map(row).collect();
    SummaryList {
        heading: "aliases that cannot be resolved again".to_owned(),
        total: rows.len(),
        rows,
        command: "portolan status --failing",
    }
}

fn ramps(status: &Status, screen: Screen) -> SummaryList {
    let row = |ramp: &RampStatus| screen.cut(&format!("  {}", steering::ramp_line(ramp)));
    SummaryList {
        heading: "in progress".to_owned(),
        rows: status.ramps.iter().map(row).collect(),
        total: status.ramps.len(),
        command: "portolan status --json",
    }
}
