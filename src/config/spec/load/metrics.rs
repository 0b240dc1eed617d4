//! Reads which numbers of a page make the report, for `prometheus` and `json`.

use std::{fmt, str::FromStr};

use crate::{
    config::{
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
    },
    load::{JsonPointer, ReportMapping, Selector, ShareUnit, TimeUnit},
};

const MAX_GAUGES: usize = 32;

/// Reads selectors of series. Times are in seconds by default, the convention of Prometheus.
pub(super) fn selectors(
    table: &mut TableReader<'_>,
    problems: &mut Problems,
) -> Option<ReportMapping<Selector>> {
    read(
        table,
        MetricSyntax {
            noun: "selector",
            gauges_subject: "`gauges` of prometheus of load",
            default_time_unit: TimeUnit::Seconds,
        },
        problems,
    )
}

/// Reads pointers into a document. Times are in milliseconds by default.
pub(super) fn pointers(
    table: &mut TableReader<'_>,
    problems: &mut Problems,
) -> Option<ReportMapping<JsonPointer>> {
    read(
        table,
        MetricSyntax {
            noun: "pointer",
            gauges_subject: "`gauges` of json of load",
            default_time_unit: TimeUnit::Milliseconds,
        },
        problems,
    )
}

/// The differences between selectors and pointers.
#[derive(Clone, Copy)]
struct MetricSyntax {
    noun: &'static str,
    gauges_subject: &'static str,
    default_time_unit: TimeUnit,
}

fn read<P>(
    table: &mut TableReader<'_>,
    syntax: MetricSyntax,
    problems: &mut Problems,
) -> Option<ReportMapping<P>>
where
    P: FromStr<Err: fmt::Display>,
{
    let mut is_valid = true;
    let mut metric = |table: &mut TableReader<'_>, key, problems: &mut Problems| {
        let item = table.value(key)?;
        let read = parse(item, key, syntax, problems);
        is_valid &= read.is_some();
        read
    };
    let connections = metric(table, "connections", problems);
    let limit = metric(table, "limit", problems);
    let cpu = metric(table, "cpu", problems);
    let response_time = metric(table, "response-time", problems);
    let up = metric(table, "servers-up", problems);
    let total = metric(table, "servers-total", problems);
    let gauges = match table.value("gauges") {
        None => Vec::new(),
        Some(item) => gauges(item, syntax, problems)?,
    };
    let cpu_unit = unit(table, "cpu-unit", "cpu", &SHARE_UNITS, problems)?;
    let response_time_unit =
        unit(table, "response-time-unit", "response-time", &TIME_UNITS, problems)?;
    for (key, other) in [("servers-up", "servers-total"), ("servers-total", "servers-up")] {
        if table.has(key) && !table.has(other) {
            problems
                .error(table.place, format!("{} has `{key}` without `{other}`", table.subject))
                .help("only both together show the share of the servers that are up");
            return None;
        }
    }
    if !is_valid {
        return None;
    }
    let mapping = ReportMapping {
        connections,
        limit,
        cpu,
        response_time,
        servers: up.zip(total),
        gauges,
        cpu_unit: cpu_unit.unwrap_or(ShareUnit::Share),
        response_time_unit: response_time_unit.unwrap_or(syntax.default_time_unit),
    };
    if mapping.selectors().next().is_none() {
        problems.error(table.place, format!("{} does not say which numbers to read", table.subject)).help(
            "add one of connections, limit, cpu, response-time, servers-up with servers-total, gauges = { NAME = ... }",
        );
        return None;
    }
    Some(mapping)
}

const SHARE_UNITS: [(&str, ShareUnit); 2] =
    [("share", ShareUnit::Share), ("percent", ShareUnit::Percent)];
const TIME_UNITS: [(&str, TimeUnit); 2] =
    [("s", TimeUnit::Seconds), ("ms", TimeUnit::Milliseconds)];

/// Reads the unit of the key `measured_key`, which must be written, too. `None` after a mistake.
fn unit<T: Copy>(
    table: &mut TableReader<'_>,
    key: &'static str,
    measured_key: &str,
    words: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<Option<T>> {
    let Some(item) = table.value(key) else { return Some(None) };
    if !table.has(measured_key) {
        problems
            .error(item.place, format!("{} has `{key}`, but no `{measured_key}`", table.subject))
            .help(format!("it is the unit of `{measured_key}`: add that, or omit it"));
        return None;
    }
    item.keyword(words, problems).map(Some)
}

fn gauges<P>(
    item: ValueReader<'_>,
    syntax: MetricSyntax,
    problems: &mut Problems,
) -> Option<Vec<(Box<str>, P)>>
where
    P: FromStr<Err: fmt::Display>,
{
    let table = item
        .table(TableSubject { kind: syntax.gauges_subject, name: item.subject.name }, problems)?;
    let mut gauges = Vec::new();
    for (name, item) in table.entries() {
        let is_name = !name.value.is_empty() && name.value.len() <= 64;
        if !is_name
            || !name.value.bytes().all(|octet| octet.is_ascii_graphic())
            || name.value == "cpu"
        {
            problems
                .error(
                    name.place,
                    format!(
                        "{} has {}, which is not a valid gauge name",
                        item.subject,
                        Quoted(name.value)
                    ),
                )
                .help("names are up to 64 letters, digits and hyphens; `cpu` has a key of its own");
            return None;
        }
        gauges.push((name.value.into(), parse(item, name.value, syntax, problems)?));
    }
    if gauges.len() > MAX_GAUGES {
        problems
            .error(
                item.place,
                format!(
                    "{} has {} gauges; the maximum is {MAX_GAUGES}",
                    item.subject,
                    gauges.len()
                ),
            )
            .help("keep only gauges that pools use");
        return None;
    }
    Some(gauges)
}

fn parse<P>(
    item: ValueReader<'_>,
    key: &str,
    syntax: MetricSyntax,
    problems: &mut Problems,
) -> Option<P>
where
    P: FromStr<Err: fmt::Display>,
{
    let text = item.text(problems)?;
    match text.value.parse() {
        Ok(place) => Some(place),
        Err(error) => {
            let message = format!(
                "{} has {key} {}, which is not a {}",
                item.subject,
                Quoted(text.value),
                syntax.noun
            );
            problems.error(text.place, message).help(format!("{error}"));
            None
        }
    }
}
