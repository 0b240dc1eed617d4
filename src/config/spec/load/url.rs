//! Parses the URL of a page: scheme, host, port, path. `{address}` in it stands for the address of
//! the endpoint to which the source is attached.

use std::net::IpAddr;

use crate::load::PageHost;

const ADDRESS_PLACEHOLDER: &str = "{address}";

/// The parts of a URL.
#[derive(Debug, PartialEq)]
pub(super) struct Url {
    pub(super) tls: bool,
    pub(super) host: PageHost,
    pub(super) port: u16,
    pub(super) path: Box<str>,
}

/// Parses a URL.
///
/// # Errors
/// The help for the mistake: what to write.
pub(super) fn parse(text: &str) -> Result<Url, &'static str> {
    let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => {
            return Err(
                "a url starts with http:// or https://: \"http://192.0.2.1:8404/stats;csv\"",
            );
        }
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(
            "name and password go into basic-auth = { user = \"...\", password = \"...\" }",
        );
    }
    let (host, port) = split_port(authority)?;
    let port = match port {
        None => Some(if tls { 443 } else { 80 }),
        Some(digits) => digits.parse().ok().filter(|port| *port > 0),
    };
    Ok(Url {
        tls,
        host: read_host(host)?,
        port: port.ok_or("a port is a number from 1 to 65535")?,
        path: read_path(path)?,
    })
}

/// Splits host and port. A host in brackets may contain colons.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let after_host = authority.find(']').map_or(0, |end| end + 1);
    match authority.split_at(after_host) {
        (host, "") if !host.is_empty() => Ok((host, None)),
        (host, rest) => match (rest.split_once(':'), host.is_empty()) {
            (Some((_, port)), _) if port.contains(':') => {
                Err("an IPv6 address is written in brackets: http://[2001:db8::1]:8404/")
            }
            (Some((name, port)), true) => Ok((name, Some(port))),
            (Some(("", port)), false) => Ok((host, Some(port))),
            (None, true) => Ok((rest, None)),
            (_, false) => Err("after the brackets comes a colon and the port"),
        },
    }
}

fn read_host(text: &str) -> Result<PageHost, &'static str> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let is_name_octet = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    match (bare.unwrap_or(text), bare.is_some()) {
        (ADDRESS_PLACEHOLDER, _) => Ok(PageHost::Attached),
        (inner, true) => match inner.parse() {
            Ok(address) => Ok(PageHost::Address(IpAddr::V6(address))),
            Err(_) => Err("only an IPv6 address is written in brackets"),
        },
        (text, false) => match text.parse() {
            Ok(address) => Ok(PageHost::Address(IpAddr::V4(address))),
            Err(_) if !text.is_empty() && text.len() <= 253 && text.bytes().all(is_name_octet) => {
                Ok(PageHost::Name(text.into()))
            }
            Err(_) if text.contains('{') => {
                Err("only {address} can be in braces: http://{address}:8404/stats;csv")
            }
            Err(_) => {
                Err("after the slashes comes a host name or an address: http://192.0.2.1:8404/")
            }
        },
    }
}

fn read_path(text: &str) -> Result<Box<str>, &'static str> {
    if text.contains('#') {
        return Err("what follows a # is not sent to a server: omit it, or write it as %23");
    }
    let plain = text.replace(ADDRESS_PLACEHOLDER, "");
    if plain.contains(['{', '}']) {
        return Err("only {address} can be in braces; other braces are written %7B and %7D");
    }
    let path = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    let is_target = plain.bytes().all(|octet| octet.is_ascii_graphic());
    if !is_target || path.replace(ADDRESS_PLACEHOLDER, "::1").parse::<hyper::Uri>().is_err() {
        return Err(
            "in a path, characters other than letters, digits and punctuation are percent-encoded",
        );
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_scheme_host_port_and_path() {
        let address = |text: &str| PageHost::Address(text.parse().unwrap());
        for (text, tls, host, port, path) in [
            ("http://10.0.0.5:8404/stats;csv", false, address("10.0.0.5"), 8404, "/stats;csv"),
            ("https://lb.example", true, PageHost::Name("lb.example".into()), 443, "/"),
            ("http://[2001:db8::1]/x?y=z", false, address("2001:db8::1"), 80, "/x?y=z"),
            ("http://[2001:db8::1]:81", false, address("2001:db8::1"), 81, "/"),
            (
                "http://{address}:9901/stats?format=prometheus",
                false,
                PageHost::Attached,
                9901,
                "/stats?format=prometheus",
            ),
            ("http://[{address}]?a", false, PageHost::Attached, 80, "/?a"),
            (
                "http://m.example/of/{address}",
                false,
                PageHost::Name("m.example".into()),
                80,
                "/of/{address}",
            ),
        ] {
            assert_eq!(parse(text), Ok(Url { tls, host, port, path: path.into() }), "{text}");
        }
    }

    #[test]
    fn the_error_of_an_invalid_url_says_what_to_write() {
        for (text, help) in [
            ("10.0.0.5:8404/stats", "http:// or https://"),
            ("ftp://x/", "http:// or https://"),
            ("http:///x", "host name or an address"),
            ("http://a b/", "host name or an address"),
            ("http://user:secret@x/", "basic-auth"),
            ("http://x:0/", "1 to 65535"),
            ("http://x:http/", "1 to 65535"),
            ("http://x:/", "1 to 65535"),
            ("http://2001:db8::1/", "brackets"),
            ("http://[x]/", "brackets"),
            ("http://[::1]x/", "brackets"),
            ("http://{adress}/", "{address}"),
            ("http://x/{adress}", "{address}"),
            ("http://x/#y", "#"),
            ("http://x/a b", "percent-encoded"),
            ("http://x/ä", "percent-encoded"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(help), "{text}: {error}");
        }
    }
}
