//! Reads tables whose headers have dots in names without quotes: `[service.www.example.com]` for
//! `[service."www.example.com"]`.
//!
//! TOML reads each dot as a table in a table. The table that was meant is read all the same, so
//! that the missing quotes are the only error.

use crate::config::{
    place::Placed,
    problems::Problems,
    reader::{TableSubject, ValueReader},
};

/// The keys of each kind of table that are tables themselves, and so may be part of a header.
fn table_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "datacenter" => &["location"],
        "zone" => &["dnssec", "transfer", "primary", "update"],
        "delegate" => &["glue"],
        "monitor" => &["http", "https", "tcp", "tls", "grpc", "dns", "icmp", "exec", "combine"],
        "load" => &["haproxy", "nginx", "envoy", "prometheus", "json", "orca"],
        _ => &["capacity", "on-all-down"],
    }
}

/// The keys whose lists may be written as headers in double brackets.
const LISTS: [&str; 3] = ["members", "rules", "default"];

/// A header with the keys that were written after the name, in double brackets if the last key is
/// a list.
fn with_rest(header: String, rest: Option<&str>) -> String {
    match rest.filter(|rest| !rest.is_empty()) {
        Some(rest) if LISTS.iter().any(|list| rest.ends_with(list)) => {
            format!("[{}{rest}]]", header.trim_end_matches(']'))
        }
        Some(rest) => format!("{}{rest}]", header.trim_end_matches(']')),
        None => header,
    }
}

/// The part of the header after a key: `.members` of `[[service.www.members]]`.
fn after_in_header<'t>(text: &'t str, key: &Placed<&str>) -> Option<&'t str> {
    let after = text.get(key.place.span()?.end..)?;
    Some(after[..after.find(']')?].trim())
}

/// The header of a table with this name, as it must be written.
pub(in crate::config) fn table_header(kind: &str, name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(is_bare) {
        format!("[{kind}.{name}]")
    } else {
        format!("[{kind}.\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// The header of a sample table of this kind.
pub(super) fn sample_header(kind: &str) -> String {
    match kind {
        "zone" => table_header(kind, "example.com"),
        "service" => table_header(kind, "www.example.com"),
        "delegate" => table_header(kind, "eu.example.com"),
        _ => table_header(kind, "NAME"),
    }
}

/// Calls `read` with the table, or with the tables that were meant if the dots of their names are
/// outside of quotes.
pub(super) fn read_dotted_names(
    kind: &'static str,
    name: Placed<&str>,
    item: ValueReader<'_>,
    text: &str,
    problems: &mut Problems,
    read: &mut dyn for<'n> FnMut(Placed<&'n str>, ValueReader<'n>, &mut Problems),
) {
    let Some(table) = item.table(TableSubject { kind, name: "" }, problems) else { return };
    let is_part_of_name = |key: &Placed<&str>, item: &ValueReader<'_>| {
        let is_key = table_keys(kind).contains(&key.value)
            || LISTS.contains(&key.value) && after_in_header(text, key).is_some_and(str::is_empty);
        item.is_table() && is_in_header(text, key) && !is_key
    };
    let mut has_own_keys = false;
    let mut parts = Vec::new();
    for (key, item) in table.entries() {
        if is_part_of_name(&key, &item) { parts.push((key, item)) } else { has_own_keys = true }
    }
    // A misspelt key that is a table looks the same: if the table has keys of its own, it is a key.
    if has_own_keys || parts.is_empty() {
        return read(name, item, problems);
    }
    for (key, item) in parts {
        let whole = Placed::new(format!("{}.{}", name.value, key.value), name.place);
        let is_leaf = item
            .table(TableSubject { kind, name: "" }, problems)
            .is_none_or(|table| !table.entries().any(|(key, item)| is_part_of_name(&key, &item)));
        if is_leaf {
            problems
                .error(
                    key.place,
                    format!("the name of this {kind} holds dots and is not in quotes"),
                )
                .help(format!(
                    "write {}",
                    with_rest(table_header(kind, &whole.value), after_in_header(text, &key))
                ));
        }
        read_dotted_names(kind, Placed::new(&whole.value, key.place), item, text, problems, read);
    }
}

/// Whether a key is part of the header of a table, after a dot.
fn is_in_header(text: &str, key: &Placed<&str>) -> bool {
    let Some(before) = key.place.span().and_then(|span| text.get(..span.start)) else {
        return false;
    };
    let line = &before[before.rfind('\n').map_or(0, |line_feed| line_feed + 1)..];
    line.trim_start().starts_with('[') && line.trim_end().ends_with('.')
}
