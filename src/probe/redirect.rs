//! Redirects: where one leads, as long as it stays with the origin that was asked (RFC 6454, RFC 3986 section 5).

/// The request target that `location` means in a reply to `path` of `scheme`://`host`; `None` where it is of another origin,
/// or of none.
pub(super) fn redirected(location: &str, scheme: &str, host: &str, path: &str) -> Option<Box<str>> {
    let location = location.split('#').next().unwrap_or_default();
    let target = match location.split_once("://") {
        Some((other, rest)) if is_scheme(other) => {
            let rest = other.eq_ignore_ascii_case(scheme).then_some(rest)?;
            of_origin(rest, scheme, host)?
        }
        _ => match location.strip_prefix("//") {
            Some(rest) => of_origin(rest, scheme, host)?,
            None => beside(location, path),
        },
    };
    target.bytes().all(|octet| octet.is_ascii_graphic()).then(|| target.into())
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
}

/// What follows the authority of `rest`, if that is `host`.
fn of_origin(rest: &str, scheme: &str, host: &str) -> Option<String> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if !whole(authority, scheme).eq_ignore_ascii_case(&whole(host, scheme)) {
        return None;
    }
    Some(if target.starts_with('/') { target.to_owned() } else { format!("/{target}") })
}

/// An authority with its port.
fn whole(authority: &str, scheme: &str) -> String {
    let is_number = |port: &str| port.bytes().all(|octet| octet.is_ascii_digit());
    let own = if scheme == "https" { 443 } else { 80 };
    match authority.rsplit_once(':') {
        Some((host, "")) => format!("{host}:{own}"),
        Some((_, port)) if is_number(port) => authority.to_owned(),
        _ => format!("{authority}:{own}"),
    }
}

/// A reference without an authority, against the path it was found at.
fn beside(reference: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    match reference.as_bytes().first() {
        None => path.to_owned(),
        Some(b'/') => reference.to_owned(),
        Some(b'?') => format!("{path}{reference}"),
        Some(_) => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_with_the_origin_or_leads_nowhere() {
        let host = "www.example.com";
        for (location, target, why) in [
            ("/ready", Some("/ready"), "a path"),
            ("/ready?x=1#part", Some("/ready?x=1"), "without its fragment"),
            ("ready", Some("/health/ready"), "beside what was asked"),
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
            ("/a b", None, "no request target"),
            ("/a\r\nX: y", None, "more than a line"),
            ("file:///etc/passwd", None, "a file"),
        ] {
            assert_eq!(redirected(location, "http", host, "/health/check?q").as_deref(), target, "{why}: {location}");
        }
        let of_address = redirected("https://[2001:db8::1]:8443/x", "https", "[2001:db8::1]:8443", "/");
        assert_eq!(of_address.as_deref(), Some("/x"));
        assert_eq!(redirected("https://[2001:db8::1]/x", "https", "[2001:db8::1]", "/").as_deref(), Some("/x"));
    }
}
