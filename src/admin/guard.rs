//! The guard: refuses requests that a web page of another site could send.
//!
//! A browser on the operator's machine reaches the loopback address, and so does every page that
//! the operator opens in it. Two checks keep such pages out:
//!
//! - DNS rebinding: the page's name is made to resolve to this address, so that the browser treats
//!   this server as the page's origin. The `Host` header then holds that name. A name is not
//!   accepted, since an attacker can point it anywhere; an address or `localhost` is, since these
//!   cannot be rebound. So are the names in `hosts` of `[admin]`: the operator controls where these
//!   lead.
//! - Cross-site requests: a form or a script of another origin may send a POST without a preflight
//!   if its content type is one that forms have. For `application/json`, the browser sends a CORS
//!   preflight first, which this server never grants.
//!
//! At an address that is not a loopback one, documents may be read under any name; changes always
//! need an address, `localhost` or such a name. Prometheus and load balancers that monitor the
//! server may use any name; under a name, which an attacker may have pointed here, `/readyz`
//! returns readiness and nothing else.
//!
//! Before these checks, the Host header is checked for validity (RFC 9112 section 3.2), since they
//! depend on it.

use std::net::IpAddr;

use axum::http::{
    Method, Request, StatusCode, Version,
    header::{CONTENT_TYPE, HOST},
    uri::Authority,
};

use super::error::ApiError;

/// Paths that may be read under any name.
const MONITORING_PATHS: [&str; 3] = ["/healthz", "/metrics", "/readyz"];

/// What a request names as its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostKind {
    /// An address, `localhost`, a name in `hosts` or no host: a web page of another site cannot
    /// send that.
    Own,
    /// Any other name, which may be that of another site's page.
    Foreign,
}

/// Checks a request that arrived at the address `local`, and returns what it names as its host.
/// `own_names` are the names that the operator accepts.
///
/// # Errors
/// The reply to a request that is refused.
pub(super) fn check_request<B>(
    request: &Request<B>,
    local: IpAddr,
    own_names: &[Box<str>],
) -> Result<HostKind, ApiError> {
    check_host(request)?;
    let host_kind =
        if has_own_host(request, own_names) { HostKind::Own } else { HostKind::Foreign };
    let is_change = is_change(request.method());
    let is_private =
        local.to_canonical().is_loopback() && !MONITORING_PATHS.contains(&request.uri().path());
    if (is_change || is_private) && host_kind == HostKind::Foreign {
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the Host header must be an address, localhost or a name in `hosts` of [admin], so that no web page can \
             reach this server under its own name (DNS rebinding)",
        ));
    }
    if is_change && !is_json(request) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a change needs the header Content-Type: application/json, which web pages of other sites cannot send",
        ));
    }
    Ok(host_kind)
}

/// Checks that there is exactly one valid Host header (RFC 9112 section 3.2); a request of HTTP/1.0
/// may have none.
fn check_host<B>(request: &Request<B>) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let why = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => {
            "an HTTP/1.1 request needs a Host header"
        }
        (Some(_), Some(_)) => "more than one Host header",
        (Some(host), None) if !host.to_str().is_ok_and(is_host) => {
            "the Host header is not HOST or HOST:PORT"
        }
        _ => return Ok(()),
    };
    Err(ApiError::new(StatusCode::BAD_REQUEST, format!("{why} (RFC 9112 section 3.2)")))
}

/// Whether a text is a host, with or without a port, or empty (RFC 9110 section 7.2).
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return text.is_empty() };
    let host = authority.host();
    match text.strip_prefix(host) {
        Some("") => !host.is_empty(),
        Some(rest) => !host.is_empty() && rest.strip_prefix(':').is_some_and(is_port),
        // The host is preceded by user information.
        None => false,
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.bytes().all(|octet| octet.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether a request of this method may change anything.
pub(super) fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Whether every host that a request names is an address, `localhost` or one of `own_names`. Also
/// holds for a request without a host, which no browser sends.
fn has_own_host<B>(request: &Request<B>, own_names: &[Box<str>]) -> bool {
    let headers =
        request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let mut hosts = request.uri().authority().map(Authority::as_str).into_iter().chain(headers);
    hosts.all(|host| is_own(host, own_names))
}

fn is_own(host: &str, own_names: &[Box<str>]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    let is_address = bare.parse::<IpAddr>().is_ok();
    let is_loopback_name = host == "localhost" || host.ends_with(".localhost");
    is_address || is_loopback_name || own_names.iter().any(|name| **name == *host)
}

fn is_json<B>(request: &Request<B>) -> bool {
    let Some(value) = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1";

    #[test]
    fn only_an_address_or_localhost_names_this_server() {
        for (host, is_ours, why) in [
            ("127.0.0.1:8053", true, "an address"),
            ("192.0.2.7", true, "any address: it cannot be rebound"),
            ("[::1]:8053", true, "IPv6"),
            ("LocalHost:8053", true, "case does not matter"),
            ("localhost.:8053", true, "absolute"),
            ("portolan.localhost", true, "RFC 6761: always loopback"),
            ("attacker.example:8053", false, "a name"),
            ("127.0.0.1.attacker.example", false, "a name that begins like an address"),
            ("localhost.attacker.example", false, "a name that begins like localhost"),
            ("notlocalhost", false, "a name that ends like localhost"),
            ("attacker.example@127.0.0.1", true, "user information is not the host"),
            ("127.0.0.1@attacker.example", false, "nor the other way round"),
            ("", false, "nothing"),
            ("a b", false, "not a host"),
        ] {
            assert_eq!(is_own(host, &[]), is_ours, "{host}: {why}");
        }
    }

    #[test]
    fn a_name_that_the_operator_lists_is_accepted_and_no_other_one() {
        let own: [Box<str>; 1] = ["gslb1.example.com".into()];
        for (method, host, expected, why) in [
            ("GET", "gslb1.example.com", Some(HostKind::Own), "as written"),
            ("POST", "gslb1.example.com", Some(HostKind::Own), "changes as well"),
            ("GET", "GSLB1.Example.com.:8053", Some(HostKind::Own), "case, final dot and port"),
            ("GET", "gslb2.example.com", None, "another name"),
            ("GET", "x.gslb1.example.com", None, "a name below it"),
            ("GET", "example.com", None, "a name above it"),
        ] {
            let request = Request::builder().method(method).uri("/api/v1/status");
            let request = request.header(HOST, host).header(CONTENT_TYPE, "application/json");
            let local = LOOPBACK.parse().unwrap();
            let accepted = check_request(&request.body(()).unwrap(), local, &own).ok();
            assert_eq!(accepted, expected, "{host}: {why}");
        }
    }

    #[test]
    fn a_request_without_one_valid_host_is_refused_before_anything_else() {
        for (version, hosts, expected, why) in [
            (Version::HTTP_11, &["127.0.0.1:8053"][..], None, "an address"),
            (Version::HTTP_11, &["[::1]:8053"], None, "IPv6"),
            (Version::HTTP_11, &["localhost:"], None, "an empty port is the default one"),
            (Version::HTTP_11, &[], Some(400), "none"),
            (Version::HTTP_10, &[], None, "HTTP/1.0 has none"),
            (Version::HTTP_11, &["localhost", "localhost"], Some(400), "two"),
            (Version::HTTP_10, &["localhost", "attacker.example"], Some(400), "two, of HTTP/1.0"),
            (Version::HTTP_11, &["a b"], Some(400), "a space"),
            (Version::HTTP_11, &["localhost/x"], Some(400), "a path"),
            (Version::HTTP_11, &["attacker.example@127.0.0.1"], Some(400), "user information"),
            (Version::HTTP_11, &["localhost:80a"], Some(400), "no port"),
            (Version::HTTP_11, &["localhost:65536"], Some(400), "a port that there is not"),
            (Version::HTTP_11, &[":8053"], Some(400), "a port alone"),
            (
                Version::HTTP_11,
                &[""],
                Some(421),
                "an empty host, which is valid and names no address",
            ),
        ] {
            let mut request = Request::builder().version(version).uri("/api/v1/status");
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let refused =
                check_request(&request.body(()).unwrap(), LOOPBACK.parse().unwrap(), &[]).err();
            assert_eq!(refused.map(|fault| fault.status().as_u16()), expected, "{why}");
        }
    }

    #[test]
    fn what_a_page_of_another_site_could_send_is_refused() {
        let json = Some("application/json; charset=utf-8");
        for (method, local, host, content_type, expected, why) in [
            ("GET", LOOPBACK, "localhost", None, None, "an operator's browser"),
            ("GET", LOOPBACK, "attacker.example", None, Some(421), "rebinding"),
            ("GET", "192.0.2.7", "dns1.example.com:8053", None, None, "opened to a network"),
            (
                "POST",
                "192.0.2.7",
                "dns1.example.com:8053",
                json,
                Some(421),
                "a change under a name",
            ),
            ("POST", LOOPBACK, "127.0.0.1:8053", json, None, "portolan drain"),
            (
                "POST",
                LOOPBACK,
                "127.0.0.1:8053",
                Some("text/plain"),
                Some(415),
                "a form of another origin",
            ),
            ("POST", LOOPBACK, "127.0.0.1:8053", None, Some(415), "a request without a type"),
            ("DELETE", LOOPBACK, "attacker.example", None, Some(421), "any other method"),
        ] {
            let mut request =
                Request::builder().method(method).uri("/api/v1/reload").header(HOST, host);
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            let refused =
                check_request(&request.body(()).unwrap(), local.parse().unwrap(), &[]).err();
            assert_eq!(refused.map(|fault| fault.status().as_u16()), expected, "{why}");
        }
    }

    #[test]
    fn prometheus_reads_under_any_name() {
        for (method, path, is_read) in [
            ("GET", "/metrics", true),
            ("HEAD", "/healthz", true),
            ("GET", "/readyz", true),
            ("POST", "/metrics", false),
            ("GET", "/api/v1/status", false),
            ("GET", "/metrics/../api/v1/status", false),
        ] {
            let request =
                Request::builder().method(method).uri(path).header(HOST, "dns1.example.com:8053");
            let outcome = check_request(&request.body(()).unwrap(), LOOPBACK.parse().unwrap(), &[]);
            assert_eq!(outcome.is_ok(), is_read, "{method} {path}");
        }
    }
}
