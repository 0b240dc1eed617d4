//! Reads `[load.NAME]`: where a downstream balancer reports its load, and how the report is read.

use std::{num::NonZeroU64, path::Path, time::Duration};

use crate::{
    config::{
        place::Placed,
        problems::Problems,
        reader::{TableReader, TableSubject, ValueReader},
        values,
    },
    load::{HaproxySource, LoadKind, LoadSource},
};

mod metrics;
mod page;
mod url;

use page::PageKeys;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// The load of balancers does not change faster than this, and some generate their page for each
/// poll.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// The default age at which a report is stale, in intervals.
const STALE_INTERVALS: u32 = 3;
const MAX_CONNECTIONS: i64 = 1_000_000_000_000;

const KINDS: [&str; 6] = ["haproxy", "nginx", "envoy", "prometheus", "json", "orca"];

/// Reads a load source. `directory` is that of the file, where relative paths start.
pub(super) fn read(
    name: Placed<&str>,
    mut table: TableReader<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Placed<LoadSource>> {
    let source_name = values::table_name(name, "load", problems);
    let kind = single_kind(&mut table, problems);
    let interval = table.value("interval").map(|item| duration(item, MIN_INTERVAL, problems));
    let timeout =
        table.value("timeout").map(|item| duration(item, Duration::from_millis(1), problems));
    let stale_after = table.value("stale-after").map(|item| duration(item, MIN_INTERVAL, problems));
    let limit = table.value("limit").map(|item| limit(item, problems));
    let scaling = table.value("scale-by-servers");
    let written = scaling.and_then(|item| item.boolean(problems));
    let mut keys = PageKeys::take(&mut table);
    let kind = kind.and_then(|item| load_kind(item, &mut keys, directory, problems));
    if let Some(kind) = &kind {
        keys.check_used(kind, table.subject, problems);
        if let Some(item) = scaling.filter(|_| written == Some(true) && !reports_servers(kind)) {
            problems
                .error(item.place, format!("{} has scale-by-servers = true, but its reports do not contain servers", table.subject))
                .help("haproxy and envoy report them; prometheus and json if servers-up and servers-total are written");
        }
    }
    let (subject, place) = (table.subject, table.place);
    table.finish(problems);
    let interval = match interval {
        None => Placed::new(DEFAULT_INTERVAL, place),
        Some(written) => written?,
    };
    let timeout = timeout.map_or(Some(None), |written| written.map(Some))?;
    let stale_after = stale_after.map_or(Some(None), |written| written.map(Some))?;
    check_times(subject, interval.value, timeout, stale_after, problems);
    let source = LoadSource {
        name: source_name?.value,
        kind: kind?,
        interval: interval.value,
        timeout: timeout.map_or(DEFAULT_TIMEOUT.min(interval.value / 2), |written| written.value),
        stale_after: stale_after.map_or(interval.value * STALE_INTERVALS, |written| written.value),
        scales_by_servers: written.unwrap_or(true),
        limit: limit.map_or(Some(None), |limit| limit.map(Some))?,
    };
    Some(Placed::new(source, place))
}

fn duration(
    item: ValueReader<'_>,
    min: Duration,
    problems: &mut Problems,
) -> Option<Placed<Duration>> {
    values::duration(item, min, MAX_INTERVAL, problems)
}

fn limit(item: ValueReader<'_>, problems: &mut Problems) -> Option<NonZeroU64> {
    let limit = item.integer(
        1,
        MAX_CONNECTIONS,
        "it counts the connections that the balancer can take",
        problems,
    )?;
    u64::try_from(limit.value).ok().and_then(NonZeroU64::new)
}

fn check_times(
    subject: TableSubject<'_>,
    interval: Duration,
    timeout: Option<Placed<Duration>>,
    stale_after: Option<Placed<Duration>>,
    problems: &mut Problems,
) {
    let shown = values::shown_duration;
    if let Some(timeout) = timeout.filter(|timeout| timeout.value >= interval) {
        let (timeout, place) = (shown(timeout.value), timeout.place);
        let interval = shown(interval);
        problems
            .error(place, format!("{subject} has timeout {timeout}, which is not shorter than its interval {interval}"))
            .help("one poll must end before the next begins: shorten `timeout` or lengthen `interval`");
    }
    if let Some(stale_after) = stale_after.filter(|stale_after| stale_after.value <= interval) {
        let (after, place) = (shown(stale_after.value), stale_after.place);
        let interval = shown(interval);
        problems
            .error(place, format!("{subject} has stale-after {after}, which is not longer than its interval {interval}"))
            .help("a report must stay valid until the next one arrives: lengthen `stale-after`, or omit it for three intervals");
    }
}

/// The one kind of page that a load source must name.
fn single_kind<'t>(
    table: &mut TableReader<'t>,
    problems: &mut Problems,
) -> Option<ValueReader<'t>> {
    let kinds: Vec<_> = KINDS.iter().filter_map(|kind| table.value(kind)).collect();
    match kinds[..] {
        [] => {
            problems
                .error(table.place, format!("{} does not say what to read", table.subject))
                .help(format!(
                    "add one of {}: nginx = {{ url = \"http://192.0.2.1/stub_status\" }}",
                    KINDS.join(", ")
                ));
            None
        }
        [item] => Some(item),
        [first, second, ..] => {
            problems
                .error(
                    second.place,
                    format!("{} has both `{}` and `{}`", table.subject, first.key, second.key),
                )
                .help("a load source has one kind: make two of it");
            None
        }
    }
}

fn load_kind(
    item: ValueReader<'_>,
    keys: &mut PageKeys<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<LoadKind> {
    let kind = match item.key {
        "haproxy" => "`haproxy` of load",
        "nginx" => "`nginx` of load",
        "envoy" => "`envoy` of load",
        "prometheus" => "`prometheus` of load",
        "json" => "`json` of load",
        _ => "`orca` of load",
    };
    let mut table = item.table(TableSubject { kind, name: item.subject.name }, problems)?;
    let found = match item.key {
        "haproxy" => haproxy(&mut table, keys, directory, problems).map(LoadKind::Haproxy),
        "nginx" => {
            let help = "write nginx = { url = \"http://192.0.2.1/stub_status\" }";
            keys.page(&mut table, help, directory, problems).map(|page| LoadKind::Nginx(page.value))
        }
        "envoy" => envoy(&mut table, keys, directory, problems),
        "prometheus" => {
            let help = "write prometheus = { url = \"http://192.0.2.1:9100/metrics\", connections = \"my_connections\" }";
            let page = keys.page(&mut table, help, directory, problems);
            let mapping = metrics::selectors(&mut table, problems);
            page.zip(mapping)
                .map(|(page, mapping)| LoadKind::Prometheus { page: page.value, mapping })
        }
        "json" => {
            let help =
                "write json = { url = \"http://192.0.2.1/status\", connections = \"/active\" }";
            let page = keys.page(&mut table, help, directory, problems);
            let mapping = metrics::pointers(&mut table, problems);
            page.zip(mapping).map(|(page, mapping)| LoadKind::Json { page: page.value, mapping })
        }
        _ => Some(LoadKind::Orca),
    };
    table.finish(problems);
    found
}

fn haproxy(
    table: &mut TableReader<'_>,
    keys: &mut PageKeys<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<HaproxySource> {
    let help = "write haproxy = { url = \"http://192.0.2.1:8404/stats;csv\" } or { socket = \"/run/haproxy/admin.sock\" }";
    let socket = table.value("socket");
    if let (Some(item), true) = (socket, table.has("url")) {
        table.value("url");
        problems.error(item.place, format!("{} has both `url` and `socket`", table.subject)).help(
            "keep one: the socket reports more, agents included; the url reaches other hosts",
        );
        return None;
    }
    if let Some(item) = socket {
        let path = item.text(problems)?;
        let proxy = name(table, "proxy", problems)?;
        if path.value.is_empty() {
            problems
                .error(path.place, format!("{} has an empty `socket`", table.subject))
                .help(help);
            return None;
        }
        return Some(HaproxySource::Socket { path: directory.join(path.value).into(), proxy });
    }
    let page = keys.page(table, help, directory, problems);
    let proxy = name(table, "proxy", problems)?;
    let page = page?;
    if !page.value.path.contains("csv") {
        problems
            .warning(page.place, format!("{} has a url that does not end in ;csv", table.subject))
            .help("without it HAProxy sends a page for people, which is not read: \"http://192.0.2.1:8404/stats;csv\"");
    }
    Some(HaproxySource::Page { page: page.value, proxy })
}

fn envoy(
    table: &mut TableReader<'_>,
    keys: &mut PageKeys<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<LoadKind> {
    let help = "write envoy = { url = \"http://192.0.2.1:9901/stats?format=prometheus\", cluster = \"web\" }";
    let page = keys.page(table, help, directory, problems);
    if !table.has("cluster") {
        problems.error(table.place, format!("{} has no `cluster`", table.subject)).help(help);
    }
    let cluster = name(table, "cluster", problems)?;
    let (page, cluster) = (page?, cluster?);
    if !page.value.path.contains("prometheus") {
        problems
            .warning(
                page.place,
                format!("{} has a url that does not ask for the Prometheus format", table.subject),
            )
            .help("nothing else is read: \"http://192.0.2.1:9901/stats?format=prometheus\"");
    }
    Some(LoadKind::Envoy { page: page.value, cluster })
}

/// Reads a name from the balancer's configuration. `None` after a mistake.
fn name(
    table: &mut TableReader<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Option<Box<str>>> {
    let Some(item) = table.value(key) else { return Some(None) };
    let text = item.text(problems)?;
    if text.value.is_empty() {
        problems
            .error(text.place, format!("{} has an empty `{key}`", table.subject))
            .help("write the name as the balancer's configuration has it");
        return None;
    }
    Some(Some(text.value.into()))
}

/// Whether reports of this kind contain the number of servers.
fn reports_servers(kind: &LoadKind) -> bool {
    match kind {
        LoadKind::Haproxy(_) | LoadKind::Envoy { .. } => true,
        LoadKind::Nginx(_) | LoadKind::Orca => false,
        LoadKind::Prometheus { mapping, .. } => mapping.servers.is_some(),
        LoadKind::Json { mapping, .. } => mapping.servers.is_some(),
    }
}

#[cfg(test)]
mod tests;
