//! `[monitor.NAME]`: what to probe and how often.

use std::{num::NonZeroU8, path::Path, time::Duration};

use crate::{
    config::{
        diagnostics::Quoted,
        place::At,
        problems::Problems,
        reader::{Item, Subject, TableReader},
        values,
    },
    health::{Check, HttpCheck, Monitor, StatusRange, TcpCheck},
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// Probing more often than this helps nobody.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// The kinds that CONFIG names for later versions.
const LATER: [&str; 5] = ["tls", "grpc", "dns", "icmp", "exec"];

/// Reads a monitor. `directory` is that of the file, for paths in it.
pub(super) fn read(
    name: At<&str>,
    mut table: TableReader<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<At<Monitor>> {
    let at_name = values::name(name, "monitor", problems);
    let check = check(&mut table, directory, problems);
    let interval =
        table.item("interval").map(|item| values::duration(item, SHORTEST_INTERVAL, LONGEST_INTERVAL, problems));
    let timeout =
        table.item("timeout").map(|item| values::duration(item, Duration::from_millis(1), LONGEST_INTERVAL, problems));
    let rise = threshold(&mut table, "rise", 2, problems);
    let fall = threshold(&mut table, "fall", 3, problems);
    let (subject, place) = (table.subject, table.place);
    table.finish(problems);
    let written_interval = interval.flatten();
    let interval_or_default = written_interval.map_or(DEFAULT_INTERVAL, |at| at.value);
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
    let (at_name, check) = (at_name?, check?);
    let monitor =
        Monitor { name: at_name.value, check, interval: interval_or_default, timeout, rise: rise?, fall: fall? };
    Some(At::new(monitor, place))
}

fn threshold(
    table: &mut TableReader<'_>,
    key: &'static str,
    default: u8,
    problems: &mut Problems,
) -> Option<NonZeroU8> {
    let Some(item) = table.item(key) else { return NonZeroU8::new(default) };
    let count = item.integer(1, 255, "it counts probes in a row", problems)?;
    u8::try_from(count.value).ok().and_then(NonZeroU8::new)
}

/// The one kind that a monitor must name.
fn check(table: &mut TableReader<'_>, directory: &Path, problems: &mut Problems) -> Option<Check> {
    let http = table.item("http");
    let https = table.item("https");
    let tcp = table.item("tcp");
    let later: Vec<_> = LATER.iter().filter_map(|kind| table.item(kind)).collect();
    for item in &later {
        problems
            .error(item.place, format!("this version has no monitors of kind `{}` yet", item.key))
            .help("the kinds are http, https and tcp");
    }
    let kinds: Vec<_> = [http, https, tcp].into_iter().flatten().collect();
    match kinds[..] {
        [] if later.is_empty() => {
            problems
                .error(table.place, format!("{} does not say what to probe", table.subject))
                .help("add one of http = { path = \"/healthz\" }, https = { ... }, tcp = { port = 443 }");
            None
        }
        [] => None,
        [item] if item.key == "tcp" => tcp_check(item, problems).map(Check::Tcp),
        [item] => http_check(item, directory, problems).map(Check::Http),
        [first, second, ..] => {
            problems
                .error(second.place, format!("{} has both `{}` and `{}`", table.subject, first.key, second.key))
                .help("a monitor has one kind: make two monitors of it");
            None
        }
    }
}

fn tcp_check(item: Item<'_>, problems: &mut Problems) -> Option<TcpCheck> {
    let mut table = item.table(Subject { kind: "`tcp` of monitor", name: item.subject.name }, problems)?;
    let port = table.required("port", "write tcp = { port = 443 }", problems).and_then(|item| port(item, problems));
    table.finish(problems);
    Some(TcpCheck { port: port? })
}

fn port(item: Item<'_>, problems: &mut Problems) -> Option<u16> {
    let port = item.integer(1, 65535, "it is a TCP port", problems)?;
    u16::try_from(port.value).ok()
}

fn http_check(item: Item<'_>, directory: &Path, problems: &mut Problems) -> Option<HttpCheck> {
    let is_https = item.key == "https";
    let kind = if is_https { "`https` of monitor" } else { "`http` of monitor" };
    let mut table = item.table(Subject { kind, name: item.subject.name }, problems)?;
    let path = table.item("path").map_or(Some("/".into()), |item| http_path(item, problems));
    let tls = match is_https {
        true => true,
        false => table.optional("tls", problems, Item::boolean).unwrap_or(false),
    };
    let port = table.item("port").map_or(Some(if tls { 443 } else { 80 }), |item| port(item, problems));
    let host = table.item("host").map(|item| host(item, problems));
    let status =
        table.item("status").map_or(Some(vec![StatusRange { first: 200, last: 299 }]), |item| statuses(item, problems));
    let body = table.item("body").map(|item| body(item, problems));
    let verify = table.optional("verify", problems, Item::boolean).unwrap_or(true);
    let ca = table.item("ca");
    let authorities = ca.and_then(|item| item.text(problems)).map(|text| directory.join(text.value).into());
    if let (Some(ca), false) = (ca, tls) {
        problems
            .error(ca.place, format!("{} has `ca`, but does not speak TLS", table.subject))
            .help("write `https` instead of `http`, or add tls = true");
    }
    table.finish(problems);
    let (host, body) = (host.map_or(Some(None), |h| h.map(Some))?, body.map_or(Some(None), |b| b.map(Some))?);
    Some(HttpCheck { path: path?, port: port?, host, status: status?, body, tls, verify, authorities })
}

fn http_path(item: Item<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    if text.value.starts_with('/') && text.value.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Some(text.value.into());
    }
    problems
        .error(text.place, format!("{} has path {}", item.subject, Quoted(text.value)))
        .help("a path starts with a slash; other than letters, digits and punctuation are percent-encoded");
    None
}

fn host(item: Item<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !text.value.is_empty() && text.value.len() <= 255 && text.value.bytes().all(is_host) {
        return Some(text.value.into());
    }
    problems
        .error(text.place, format!("{} has host {}, which is no host name", item.subject, Quoted(text.value)))
        .help("write the name that the Host header and SNI are to carry: \"www.example.com\"");
    None
}

fn body(item: Item<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    if !text.value.is_empty() {
        return Some(text.value.into());
    }
    problems
        .error(text.place, format!("{} has an empty `body`, which every reply holds", item.subject))
        .help("write the text that the reply must hold, or leave `body` away");
    None
}

/// `["200-299", "404"]` or `[200, 404]`.
fn statuses(item: Item<'_>, problems: &mut Problems) -> Option<Vec<StatusRange>> {
    let items = item.list("status codes", problems)?;
    if items.is_empty() {
        problems
            .error(item.place, format!("{} lets no status pass", item.subject))
            .help("write the codes that pass: [\"200-299\"]");
        return None;
    }
    items.into_iter().map(|item| status(item, problems)).collect()
}

fn status(item: Item<'_>, problems: &mut Problems) -> Option<StatusRange> {
    if !item.is_text() {
        let code = item.integer(100, 599, "it is an HTTP status code", problems)?;
        let code = u16::try_from(code.value).ok()?;
        return Some(StatusRange { first: code, last: code });
    }
    let text = item.text(problems)?;
    let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
    let (first, last) = text.value.split_once('-').unwrap_or((text.value, text.value));
    match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => Some(StatusRange { first, last }),
        _ => {
            problems
                .error(text.place, format!("{} has status {}", item.subject, Quoted(text.value)))
                .help("write a code or a range of codes from 100 to 599: \"200-299\"");
            None
        }
    }
}
