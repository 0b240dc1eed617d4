//! The target of a redirect, if it is of the same origin as the request (RFC 9110 section 10.2.2,
//! RFC 3986 section 5).

use std::fmt::Write;

/// The origin of a request. A redirect may name either port of it, because a server behind a port
/// mapping may know only one.
#[derive(Debug, Clone, Copy)]
pub(super) struct HttpOrigin<'o> {
    /// The scheme of the URL: `http` or `https`.
    pub(super) scheme: &'o str,
    /// The Host header, which may name a port.
    pub(super) host: &'o str,
    /// The port of the connection.
    pub(super) port: u16,
}

/// The request target that `location` means in a reply to a request for `path`; `None` if it has
/// another origin or is no URL.
pub(super) fn redirect_target(
    location: &str,
    origin: HttpOrigin<'_>,
    path: &str,
) -> Option<Box<str>> {
    let location = location.split('#').next().unwrap_or_default();
    let target = match location.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            let rest = scheme.eq_ignore_ascii_case(origin.scheme).then_some(rest)?;
            origin.same_origin_target(rest)?
        }
        _ => match location.strip_prefix("//") {
            Some(rest) => origin.same_origin_target(rest)?,
            None => resolve_reference(location, path),
        },
    };
    percent_encoded(&target)
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
}

impl HttpOrigin<'_> {
    /// The request target after the authority of `rest`, if that authority is this origin.
    fn same_origin_target(self, rest: &str) -> Option<String> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = self.host_and_port(authority)?;
        let (own_host, own_port) = self.host_and_port(self.host)?;
        if !host.eq_ignore_ascii_case(own_host) || (port != own_port && port != self.port) {
            return None;
        }
        Some(if target.starts_with('/') {
            remove_dot_segments(target)
        } else {
            format!("/{target}")
        })
    }

    /// The host of an authority, and its port or the default port of the scheme.
    fn host_and_port(self, authority: &str) -> Option<(&str, u16)> {
        let default_port = if self.scheme == "https" { 443 } else { 80 };
        match authority.rsplit_once(':') {
            Some((host, "")) => Some((host, default_port)),
            // The last colon of an IPv6 address is inside its brackets.
            Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok()?)),
            _ => Some((authority, default_port)),
        }
    }
}

/// Resolves a reference without an authority against the request target `base` (RFC 3986 section
/// 5.2.2).
fn resolve_reference(reference: &str, base: &str) -> String {
    let path = base.split('?').next().unwrap_or_default();
    match reference.as_bytes().first() {
        None => base.to_owned(),
        Some(b'/') => remove_dot_segments(reference),
        Some(b'?') => format!("{path}{reference}"),
        Some(_) => {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            remove_dot_segments(&format!("{directory}/{reference}"))
        }
    }
}

/// Applies the segments `.` and `..` of a target's path (RFC 3986 section 5.2.4).
fn remove_dot_segments(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut is_directory = false;
    for segment in path.split('/').skip(1) {
        is_directory = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => _ = kept.pop(),
            other => kept.push(other),
        }
    }
    if is_directory {
        kept.push("");
    }
    format!("/{}{query}", kept.join("/"))
}

/// Percent-encodes blanks and octets beyond ASCII, as clients do for servers that omit it; `None`
/// if the target contains a control character.
fn percent_encoded(target: &str) -> Option<Box<str>> {
    let mut encoded = String::with_capacity(target.len());
    for octet in target.bytes() {
        match octet {
            b' ' | 0x80.. => write!(encoded, "%{octet:02X}").ok()?,
            _ if octet.is_ascii_graphic() => encoded.push(char::from(octet)),
            _ => return None,
        }
    }
    Some(encoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: HttpOrigin<'_> = HttpOrigin { scheme: "http", host: "www.example.com", port: 80 };

    #[test]
    fn a_redirect_is_followed_only_within_its_origin() {
        for (location, target, why) in [
            ("/ready", Some("/ready"), "a path"),
            ("/ready?x=1#part", Some("/ready?x=1"), "without its fragment"),
            ("ready", Some("/health/ready"), "relative to the directory of what was asked"),
            ("./ready", Some("/health/ready"), "the same directory, written"),
            ("../ready", Some("/ready"), "the directory above"),
            ("../../../ready/.", Some("/ready/"), "never above the root"),
            ("/a/../b?x=/../y", Some("/b?x=/../y"), "a query is not a path"),
            ("", Some("/health/check?q"), "the same target"),
            ("?full", Some("/health/check?full"), "another query"),
            ("http://www.example.com/ready", Some("/ready"), "the same origin in full"),
            ("HTTP://WWW.Example.com:80", Some("/"), "in other letters, with the port written"),
            ("http://www.example.com?x", Some("/?x"), "no path"),
            ("//www.example.com/ready", Some("/ready"), "without a scheme"),
            ("https://www.example.com/ready", None, "another scheme"),
            ("http://www.example.com:8080/", None, "another port"),
            ("http://169.254.169.254/latest/meta-data/", None, "the metadata of a cloud"),
            ("http://127.0.0.1/", None, "loopback"),
            ("//localhost/", None, "loopback without a scheme"),
            ("http://www.example.com@evil.example/", None, "a user that looks like a host"),
            ("http://evil.example@www.example.com/", None, "a user"),
            ("http://www.example.com:/", Some("/"), "an empty port is the scheme's"),
            ("http://www.example.com:99999/", None, "no port"),
            ("/a b", Some("/a%20b"), "a blank is encoded"),
            ("/b\u{fc}ro", Some("/b%C3%BCro"), "and so is what is not ASCII"),
            ("/a\r\nX: y", None, "more than a line"),
            ("file:///etc/passwd", None, "a file"),
        ] {
            assert_eq!(
                redirect_target(location, PLAIN, "/health/check?q").as_deref(),
                target,
                "{why}: {location}"
            );
        }
        let address = HttpOrigin { scheme: "https", host: "[2001:db8::1]:8443", port: 8443 };
        assert_eq!(
            redirect_target("https://[2001:db8::1]:8443/x", address, "/").as_deref(),
            Some("/x")
        );
        assert_eq!(redirect_target("https://[2001:db8::1]/x", address, "/"), None);
        let address = HttpOrigin { host: "[2001:db8::1]", port: 443, ..address };
        assert_eq!(redirect_target("https://[2001:db8::1]/x", address, "/").as_deref(), Some("/x"));
    }

    #[test]
    fn a_redirect_may_name_the_port_of_the_connection_or_of_the_host_header() {
        let behind = HttpOrigin { port: 8080, ..PLAIN };
        for (location, is_followed, why) in [
            ("http://www.example.com:8080/x", true, "the port of the connection"),
            ("http://www.example.com/x", true, "the port of the Host header"),
            ("http://www.example.com:80/x", true, "the same, written"),
            ("http://www.example.com:8081/x", false, "neither"),
            ("http://other.example:8080/x", false, "another host"),
        ] {
            assert_eq!(redirect_target(location, behind, "/").is_some(), is_followed, "{why}");
        }
    }
}
