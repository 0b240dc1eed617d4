//! Reads `[monitor.NAME]`: what to probe and how often.

use std::{num::NonZeroU8, path::Path, time::Duration};

use crate::{
    config::{
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
        values,
    },
    health::{Check, Monitor, TcpCheck},
};

mod combine;
mod common_keys;
pub(in crate::config) mod credentials;
mod dns;
mod exec;
mod grpc;
mod http;
mod tls;

use credentials::Credential;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter intervals find no failure sooner: a probe takes longer itself.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// The kinds of monitors.
const KINDS: [&str; 9] = ["http", "https", "tcp", "tls", "grpc", "dns", "icmp", "exec", "combine"];

/// The monitors and files to which a monitor refers.
#[derive(Debug, Default)]
pub(super) struct MonitorReferences {
    /// The monitors that a combined monitor names.
    pub(super) parts: Vec<Placed<Box<str>>>,
    /// The certificates and keys that it needs for TLS.
    pub(super) credentials: Vec<Credential>,
}

/// Reads a monitor. `directory` is that of the file, where relative paths start. What the monitor
/// refers to is added to `references`.
pub(super) fn read(
    name: Placed<&str>,
    mut table: TableReader<'_>,
    directory: &Path,
    references: &mut MonitorReferences,
    problems: &mut Problems,
) -> Option<Placed<Monitor>> {
    let name = values::table_name(name, "monitor", problems);
    let check = check(&mut table, directory, references, problems);
    if table.has("combine") {
        combine::refuse_times(&mut table, problems);
    }
    let interval = table
        .value("interval")
        .map(|item| values::duration(item, MIN_INTERVAL, MAX_INTERVAL, problems));
    let timeout = table
        .value("timeout")
        .map(|item| values::duration(item, Duration::from_millis(1), MAX_INTERVAL, problems));
    let rise = threshold(&mut table, "rise", 2, problems);
    let fall = threshold(&mut table, "fall", 3, problems);
    let (subject, place) = (table.subject, table.place);
    table.finish(problems);
    let written_interval = interval.flatten();
    let interval_or_default = written_interval.map_or(DEFAULT_INTERVAL, |written| written.value);
    let timeout = match timeout {
        None => DEFAULT_TIMEOUT.min(interval_or_default / 2),
        Some(written) => {
            let written = written?;
            if written.value >= interval_or_default {
                let shown = values::shown_duration;
                problems
                    .error(
                        written.place,
                        format!(
                            "{subject} has timeout {}, which is not shorter than its interval {}",
                            shown(written.value),
                            shown(interval_or_default)
                        ),
                    )
                    .help("one probe must end before the next begins: shorten `timeout` or lengthen `interval`");
            }
            written.value
        }
    };
    if interval.is_some() && written_interval.is_none() {
        return None;
    }
    let (name, check) = (name?, check?);
    let monitor = Monitor {
        name: name.value,
        check,
        interval: interval_or_default,
        timeout,
        rise: rise?,
        fall: fall?,
    };
    Some(Placed::new(monitor, place))
}

fn threshold(
    table: &mut TableReader<'_>,
    key: &'static str,
    default: u8,
    problems: &mut Problems,
) -> Option<NonZeroU8> {
    let Some(item) = table.value(key) else { return NonZeroU8::new(default) };
    let count = item.integer(1, 255, "it counts probes in a row", problems)?;
    u8::try_from(count.value).ok().and_then(NonZeroU8::new)
}

/// Reads the one kind that a monitor must name.
fn check(
    table: &mut TableReader<'_>,
    directory: &Path,
    references: &mut MonitorReferences,
    problems: &mut Problems,
) -> Option<Check> {
    let MonitorReferences { parts, credentials } = references;
    let kinds: Vec<_> = KINDS.iter().filter_map(|kind| table.value(kind)).collect();
    match kinds[..] {
        [] => {
            problems
                .error(table.place, format!("{} does not say what to probe", table.subject))
                .help(format!(
                    "add http = {{ path = \"/healthz\" }} or another of {}",
                    KINDS.join(", ")
                ));
            None
        }
        [item] => match item.key {
            "tcp" => tcp_check(item, problems).map(Check::Tcp),
            "tls" => tls::check(item, directory, credentials, problems).map(Check::Tls),
            "grpc" => grpc::check(item, directory, credentials, problems).map(Check::Grpc),
            "dns" => dns::check(item, problems).map(Check::Dns),
            "icmp" => icmp_check(item, problems),
            "exec" => exec::check(item, directory, problems).map(Check::Exec),
            "combine" => combine::check(item, parts, problems).map(Check::Combine),
            _ => http::check(item, directory, credentials, problems).map(Check::Http),
        },
        [first, second, ..] => {
            problems
                .error(
                    second.place,
                    format!("{} has both `{}` and `{}`", table.subject, first.key, second.key),
                )
                .help("a monitor has one kind: make two monitors of it");
            None
        }
    }
}

fn tcp_check(item: ValueReader<'_>, problems: &mut Problems) -> Option<TcpCheck> {
    let mut table =
        item.table(TableSubject { kind: "`tcp` of monitor", name: item.subject.name }, problems)?;
    let port = table
        .required("port", "write tcp = { port = 443 }", problems)
        .and_then(|item| common_keys::port(item, problems));
    table.finish(problems);
    Some(TcpCheck { port: port? })
}

/// Reads `icmp = {}`, which has no keys.
fn icmp_check(item: ValueReader<'_>, problems: &mut Problems) -> Option<Check> {
    let table =
        item.table(TableSubject { kind: "`icmp` of monitor", name: item.subject.name }, problems)?;
    if let Some((key, _)) = table.entries().next() {
        problems
            .error(
                key.place,
                format!("{} has no key {}: it takes no keys", table.subject, Quoted(key.value)),
            )
            .help("an echo has no settings: write icmp = {}");
    }
    Some(Check::Icmp)
}
