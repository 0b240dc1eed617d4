//! Reads `http` and `https` of a monitor: the request, and what its reply must contain.

use std::path::Path;

use hyper::header::{HeaderName, HeaderValue};

use super::{
    common_keys::{self, HostUse},
    credentials::Credential,
};
use crate::{
    config::{
        problems::Problems,
        quoted::Quoted,
        reader::{TableSubject, ValueReader},
    },
    health::{HttpCheck, HttpVersion, StatusRange},
};

/// The maximum size of a request's body, in octets.
const MAX_BODY_OCTETS: usize = 64 * 1024;
/// The maximum number of redirects; browsers follow as many.
const MAX_REDIRECTS: i64 = 20;
/// Headers that control how the request is sent, which the HTTP client decides.
const RESERVED_HEADERS: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn check(
    item: ValueReader<'_>,
    directory: &Path,
    credentials: &mut Vec<Credential>,
    problems: &mut Problems,
) -> Option<HttpCheck> {
    let is_https = item.key == "https";
    let kind = if is_https { "`https` of monitor" } else { "`http` of monitor" };
    let mut table = item.table(TableSubject { kind, name: item.subject.name }, problems)?;
    let default = HttpCheck::default();
    let path = table.value("path").map_or(Some("/".into()), |item| path(item, problems));
    let is_tls = is_https || table.optional("tls", problems, ValueReader::boolean).unwrap_or(false);
    let port = common_keys::port_or(&mut table, if is_tls { 443 } else { 80 }, problems);
    let host = common_keys::host(&mut table, HostUse::for_http(is_tls), problems);
    let method = table.value("method").map_or(Some(default.method), |item| method(item, problems));
    let headers = table.value("headers").map_or(Some(Vec::new()), |item| headers(item, problems));
    let request_body = table.value("request-body");
    let body_to_send = request_body.map(|item| read_request_body(item, problems));
    let versions = [("1.1", HttpVersion::One), ("2", HttpVersion::Two)];
    let version = table
        .value("version")
        .map_or(Some(default.version), |item| item.keyword(&versions, problems));
    let redirects = table.value("redirects").map_or(Some(0), |item| redirects(item, problems));
    let status =
        table.value("status").map_or(Some(default.status), |item| statuses(item, problems));
    let (body_item, regex_item) = (table.value("body"), table.value("body-regex"));
    let body = body_item.map(|item| body(item, problems));
    let body_regex = regex_item.map(|item| read_body_regex(item, problems));
    let tls_help = "write `https` instead of `http`, or add tls = true";
    let tls = common_keys::tls_if(is_tls, &mut table, tls_help, directory, credentials, problems);
    let proxy_protocol = common_keys::proxy_protocol(&mut table, problems);
    if let (Some("HEAD"), Some(searched)) = (method.as_deref(), body_item.or(regex_item)) {
        problems
            .error(
                searched.place,
                format!("{} requires something in a body, but asks with HEAD", table.subject),
            )
            .help("a reply to HEAD has no body (RFC 9110 section 9.3.2): ask with GET");
    }
    if let (Some("GET" | "HEAD"), Some(sent)) = (method.as_deref(), request_body) {
        problems
            .error(
                sent.place,
                format!("{} has a `request-body`, but asks with GET or HEAD", table.subject),
            )
            .help("add method = \"POST\", or omit `request-body`");
    }
    table.finish(problems);
    Some(HttpCheck {
        method: method?,
        path: path?,
        port: port?,
        host: host?,
        headers: headers?,
        request_body: valid_or_absent(body_to_send)?,
        version: version?,
        redirects: redirects?,
        status: status?,
        required_text: valid_or_absent(body)?,
        required_pattern: valid_or_absent(body_regex)?,
        tls: tls?,
        proxy_protocol: proxy_protocol?,
    })
}

/// The value of an optional key; `None` where it is written and has errors.
fn valid_or_absent<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| value.map(Some))
}

fn path(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    if text.value.starts_with('/') && text.value.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
    {
        return Some(text.value.into());
    }
    problems
        .error(text.place, format!("{} has path {}", item.subject, Quoted(text.value)))
        .help("a path starts with a slash; characters other than letters, digits and punctuation are percent-encoded");
    None
}

fn body(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    if !text.value.is_empty() {
        return Some(text.value.into());
    }
    problems
        .error(text.place, format!("{} has an empty `body`, which every reply holds", item.subject))
        .help("write the text that the reply must hold, or omit `body`");
    None
}

/// Reads the expected status codes: `["200-299", "404"]` or `[200, 404]`.
fn statuses(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<StatusRange>> {
    let items = item.list("status codes", problems)?;
    if items.is_empty() {
        problems
            .error(item.place, format!("{} accepts no status code", item.subject))
            .help("write the codes to accept: [\"200-299\"]");
        return None;
    }
    items.into_iter().map(|item| status(item, problems)).collect()
}

fn status(item: ValueReader<'_>, problems: &mut Problems) -> Option<StatusRange> {
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

fn method(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let methods =
        ["GET", "HEAD", "POST", "PUT", "OPTIONS", "PATCH", "DELETE"].map(|method| (method, method));
    item.keyword(&methods, problems).map(Into::into)
}

/// Reads the table of headers to send: `{ X-Probe = "1" }`.
fn headers(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<(Box<str>, Box<str>)>> {
    let subject = TableSubject { kind: "`headers` of monitor", name: item.subject.name };
    let table = item.table(subject, problems)?;
    let mut headers = Vec::new();
    for (name, value) in table.entries() {
        let Some(text) = value.with_subject(item.subject).with_key("headers").text(problems) else {
            continue;
        };
        let lower = name.value.to_ascii_lowercase();
        if RESERVED_HEADERS.contains(&&*lower) {
            let help = match &*lower {
                "host" => "write host = \"www.example.com\" beside `headers`",
                _ => "omit it: the probe says itself how its request is sent",
            };
            problems.error(name.place, format!("{subject} has {}", Quoted(name.value))).help(help);
        } else if HeaderName::from_bytes(lower.as_bytes()).is_err() {
            problems
                .error(
                    name.place,
                    format!("{subject} has {}, which is not a header name", Quoted(name.value)),
                )
                .help("a name is of letters, digits and hyphens: X-Probe");
        } else if HeaderValue::from_str(text.value).is_err() {
            problems
                .error(
                    text.place,
                    format!(
                        "{subject} gives {} a value that no header can have",
                        Quoted(name.value)
                    ),
                )
                .help("a value is of letters, digits, punctuation and spaces, on one line");
        }
        headers.push((lower.into(), text.value.into()));
    }
    Some(headers)
}

fn read_request_body(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    if text.value.len() <= MAX_BODY_OCTETS {
        return Some(text.value.into());
    }
    problems
        .error(
            text.place,
            format!("{} has a `request-body` of {} octets", item.subject, text.value.len()),
        )
        .help(format!("the maximum is {MAX_BODY_OCTETS}"));
    None
}

fn redirects(item: ValueReader<'_>, problems: &mut Problems) -> Option<u8> {
    let count =
        item.integer(0, MAX_REDIRECTS, "it counts redirects that are followed", problems)?;
    u8::try_from(count.value).ok()
}

fn read_body_regex(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    let max_octets = HttpCheck::MAX_PATTERN_OCTETS;
    let built = regex::bytes::RegexBuilder::new(text.value)
        .size_limit(max_octets)
        .dfa_size_limit(max_octets)
        .build();
    let Err(error) = built else { return Some(text.value.into()) };
    // The error has several lines, of which the last says what is wrong.
    let error = error.to_string();
    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    problems
        .error(text.place, format!("{} has a `body-regex` that is not valid: {reason}", item.subject))
        .help("write a regular expression as https://docs.rs/regex has them, in single quotes: 'ready: (yes|true)'");
    None
}
