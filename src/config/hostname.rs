//! Reads domain names of tables: absolute, with letters of any language (RFC 5890). Names that are
//! probably mistakes are reported.
//!
//! DNS itself allows any octet in a label. A character that no host name has is a warning, unless a
//! backslash in front of it shows that it is meant; a space and a control character are errors.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{a_labels::to_a_labels, place::Placed, problems::Problems, quoted::Quoted};
use crate::dns::Name;

/// Reads an absolute domain name that a table defines, with or without its final dot.
pub(super) fn defined_name(
    text: Placed<&str>,
    what: &str,
    problems: &mut Problems,
) -> Option<Placed<Name>> {
    read(text, what, problems)
}

/// Reads a name that a record leads to. An address in its place is a warning.
pub(super) fn referenced_name(
    text: Placed<&str>,
    what: &str,
    problems: &mut Problems,
) -> Option<Placed<Name>> {
    let name = read(text, what, problems)?;
    if text.value.trim_end_matches('.').parse::<IpAddr>().is_ok() {
        let help = match what {
            "nameserver" => {
                "write the server's name, and an A or AAAA record of that name in the zone that holds it"
            }
            "cname" | "alias" => "write addresses = [...] in its place",
            _ => "write a name that has the address",
        };
        problems
            .warning(
                text.place,
                format!(
                    "{what} {} is an address where DNS requires a name: no client can follow it",
                    Quoted(text.value)
                ),
            )
            .help(help);
    }
    Some(name)
}

fn read(text: Placed<&str>, what: &str, problems: &mut Problems) -> Option<Placed<Name>> {
    if text.value == "@" {
        problems
            .error(
                text.place,
                format!("{what} \"@\" is not a name: it stands for the zone in master files only"),
            )
            .help("write the whole name, such as \"ns1.example.com\"");
        return None;
    }
    if let Some(fault) = forbidden_character(text.value) {
        problems.error(text.place, format!("{what} {} holds {fault}", Quoted(text.value))).help(
            "names are made of letters, digits, hyphens and dots; write \\\\032 where a space is part of the name",
        );
        return None;
    }
    let ascii = a_labels_or_report(text, what, problems)?;
    let name: Name = match ascii.parse() {
        Ok(name) => name,
        Err(error) => {
            problems
                .error(text.place, format!("{what} {} is not a domain name", Quoted(text.value)))
                .help(format!("{error}"));
            return None;
        }
    };
    warn_of_characters(text, what, problems)?;
    Some(Placed::new(name, text.place))
}

/// A character that no name can have.
fn forbidden_character(text: &str) -> Option<&'static str> {
    match text.chars().find(|c| c.is_whitespace() || c.is_control())? {
        c if c.is_control() => Some("a control character"),
        _ => Some("a space"),
    }
}

/// The name with its letters outside of ASCII as A-labels (RFC 5890, UTS 46), the form in which
/// resolvers ask for it.
fn a_labels_or_report<'t>(
    text: Placed<&'t str>,
    what: &str,
    problems: &mut Problems,
) -> Option<Cow<'t, str>> {
    let ascii = to_a_labels(text.value);
    if ascii.is_none() {
        problems
            .error(
                text.place,
                format!(
                    "{what} {} holds characters that no internationalised name has",
                    Quoted(text.value)
                ),
            )
            .help("write the name as registered, or its A-labels: xn--...");
    }
    ascii
}

/// Warns of a URL, of a port and of characters that no host name has. `None` where a path or port
/// puts the name outside of every zone.
fn warn_of_characters(text: Placed<&str>, what: &str, problems: &mut Problems) -> Option<()> {
    const UNUSED: &str = "no client asks for that name";
    if let Some((_, rest)) = text.value.split_once("://") {
        let host = host_of(rest);
        let message = format!("{what} {} is a URL: {UNUSED}", Quoted(text.value));
        let is_name = host.len() == rest.trim_end_matches('/').len();
        let diagnostic = if is_name {
            problems.warning(text.place, message)
        } else {
            problems.error(text.place, message)
        };
        diagnostic.help(format!("write the host name alone: \"{host}\""));
        return is_name.then_some(());
    }
    let is_plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.*/\\".contains(c);
    let is_address = text.value.trim_end_matches('.').parse::<IpAddr>().is_ok();
    let foreign = text.value.chars().find(|c| !is_plain(*c));
    if let (Some(foreign), false, false) = (foreign, is_address, text.value.contains('\\')) {
        let host = text.value.split(foreign).next().unwrap_or_default();
        let is_port = foreign == ':'
            && text.value[host.len() + 1..].bytes().all(|byte| byte.is_ascii_digit());
        // The port comes after the zone's name, so that the defined name is in no zone.
        if is_port && what.starts_with("the ") {
            problems
                .error(
                    text.place,
                    format!("{what} {} has a port: DNS holds host names only", Quoted(text.value)),
                )
                .help(format!("omit the port: \"{host}\""));
            return None;
        }
        let help = match is_port {
            true => format!("omit the port: \"{host}\""),
            false => format!(
                "names of hosts have letters, digits and hyphens; write \\\\{foreign} where it is meant"
            ),
        };
        problems
            .warning(
                text.place,
                format!("{what} {} holds \"{foreign}\": {UNUSED}", Quoted(text.value)),
            )
            .help(help);
    }
    Some(())
}

/// The host of a URL without its scheme: without user information and port.
fn host_of(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default()
}

/// The address that was written in place of a name: in a master file `192.0.2.1` is the name
/// `192.0.2.1.example.com`.
pub(super) fn as_address(name: &Name, apex: &Name) -> Option<IpAddr> {
    let text = |labels: &[&[u8]]| {
        labels.iter().map(|label| String::from_utf8_lossy(label)).collect::<Vec<_>>().join(".")
    };
    let labels: Vec<&[u8]> = name.labels().collect();
    let relative_labels = match name.is_at_or_below(apex) && !apex.is_root() {
        true => &labels[..labels.len() - apex.label_count()],
        false => &labels[..],
    };
    match relative_labels.len() {
        1 => text(relative_labels).parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        // Only in a reverse zone are four numbers a name like any other.
        4 if !apex.to_string().ends_with("in-addr.arpa") => {
            text(relative_labels).parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        }
        _ => None,
    }
}

/// Something in a name that no host name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UrlOrPort {
    /// A URL: the host in it, as a master file writes it.
    Url(String),
    /// A port number after the name.
    Port(u16),
}

/// Finds a URL or a port in a name of a zone: `http://www` and `www:80` are names of one label.
pub(super) fn url_or_port(name: &Name, apex: &Name) -> Option<UrlOrPort> {
    if !name.as_wire().contains(&b':') {
        return None;
    }
    let relative_count = match name.is_at_or_below(apex) {
        true => name.label_count() - apex.label_count(),
        false => name.label_count(),
    };
    let labels: Vec<_> = name.labels().take(relative_count).map(String::from_utf8_lossy).collect();
    if let Some((_, rest)) = labels.join(".").split_once("://") {
        let host = host_of(rest);
        let is_relative = !host.contains('.') && relative_count < name.label_count();
        return Some(UrlOrPort::Url(if is_relative {
            format!("{host}.{apex}.")
        } else {
            format!("{host}.")
        }));
    }
    let port = |label: &str| {
        let (host, port) = label.split_once(':')?;
        port.parse()
            .ok()
            .filter(|_| !host.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit()))
    };
    labels.iter().find_map(|label| port(label)).map(UrlOrPort::Port)
}

/// Whether a name has only characters of host names.
pub(super) fn has_hostname_characters(name: &Name) -> bool {
    let is_plain =
        |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'*');
    name.labels().all(|label| label.iter().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_a_name_that_the_zone_completed() {
        let apex: Name = "example.com".parse().unwrap();
        for (name, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1.example.com", Some("192.0.2.1")),
            ("2001:db8::1.example.com", Some("2001:db8::1")),
            ("192.0.2.example.com", None),
            ("192.0.2.256.example.com", None),
            ("www.example.com", None),
            ("example.com", None),
        ] {
            let expected: Option<IpAddr> = expected.map(|address| address.parse().unwrap());
            assert_eq!(as_address(&name.parse().unwrap(), &apex), expected, "{name}");
        }
        let reverse: Name = "2.0.192.in-addr.arpa".parse().unwrap();
        assert_eq!(as_address(&"1.2.0.192.2.0.192.in-addr.arpa".parse().unwrap(), &reverse), None);
    }
}
