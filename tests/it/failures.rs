//! Failover with real balancers that stop and start again.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::{
    balancers::{Balancer, BalancerContent, are_installed},
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    ports::free_port,
    query::TestQuery,
};

/// The time within which answers follow a failure: interval x fall + timeout + 1 s, with the values
/// of [`MONITOR`].
const MOVES_WITHIN: Duration = Duration::from_millis(500 * 2 + 400 + 1000);
/// Timing and thresholds of the monitors here.
pub const MONITOR: &str = r#"interval = "500ms"
timeout = "400ms"
rise = 2
fall = 2
"#;

/// A zone whose service `www` fails over along `addresses`; `check` is the monitor of all of them.
pub fn site(check: &str, addresses: &[&str]) -> ServerDirectory {
    let members: String = addresses
        .iter()
        .map(|address| fill("  { addresses = [\"$address\"] },\n", &[("$address", address)]))
        .collect();
    let zone = fill(
        r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[monitor.web]
$check
$timing
[service."www.example.org"]
policy = "failover"
monitor = "web"
members = [
$members]
[service."all.example.org"]
policy = "all"
monitor = "web"
members = [
$members]
"#,
        &[("$check", &check), ("$timing", &MONITOR), ("$members", &members)],
    );
    ServerDirectory::new(&[("zones/example.org.toml", &zone)])
}

fn http(port: u16) -> String {
    fill(r#"http = { path = "/healthz", port = $port, body = "ok" }"#, &[("$port", &port)])
}

pub const WWW: &str = "www.example.org";

#[test]
fn when_an_nginx_stops_its_clients_move_and_return_when_it_starts() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.11.1", "127.0.11.2"]);
    let first = Balancer::nginx(addresses[0], port, BalancerContent::Health);
    let _second = Balancer::nginx(addresses[1], port, BalancerContent::Health);
    let site = site(&http(port), &addresses);
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [addresses[0]]);
    drop(first);
    server.until_answers(WWW, &addresses[1..], MOVES_WITHIN);
    server.stays("the member that is down is not answered", MOVES_WITHIN / 2, |server| {
        server.addresses(WWW) == addresses[1..]
    });
    assert_eq!(server.metric("portolan_target_up", "127.0.11.1"), 0.0);
    let _first = Balancer::nginx(addresses[0], port, BalancerContent::Health);
    server.until_answers(WWW, &addresses[..1], MOVES_WITHIN);
}

#[test]
fn a_503_from_haproxy_without_a_backend_moves_clients() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.12.1", "127.0.12.2"]);
    let first = Balancer::haproxy(addresses[0], port, true);
    let _second = Balancer::nginx(addresses[1], port, BalancerContent::Health);
    let site = site(&http(port), &addresses);
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [addresses[0]]);
    drop(first);
    let first = Balancer::haproxy(addresses[0], port, false);
    server.until_answers(WWW, &addresses[1..], MOVES_WITHIN);
    let last = server
        .status()
        .targets
        .into_iter()
        .find(|target| target.target == addresses[0])
        .unwrap()
        .last;
    assert!(last.as_ref().is_some_and(|last| last.contains("503")), "{last:?}");
    drop(first);
    let _first = Balancer::haproxy(addresses[0], port, true);
    server.until_answers(WWW, &addresses[..1], MOVES_WITHIN);
}

#[test]
fn when_all_targets_are_down_the_service_fails_open() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.13.1", "127.0.13.2"]);
    let balancers =
        addresses.map(|address| Balancer::nginx(address, port, BalancerContent::Health));
    let site = site(&http(port), &addresses);
    let server = site.serve();
    drop(balancers);
    server.until("both are down", WAIT_TIMEOUT, |server| {
        server.verdicts().iter().all(|(_, verdict)| verdict == "down")
    });
    server.until("both are answered", WAIT_TIMEOUT, |server| {
        server.addresses("all.example.org").len() == 2
    });
    assert_eq!(server.addresses(WWW), [addresses[0]]);
    let status = server.status();
    assert_eq!(
        status.distressed.first().map(|service| service.rtype.as_str()),
        Some("A"),
        "{:?}",
        status.distressed
    );
}

#[test]
fn when_most_targets_fail_at_once_their_status_is_first_kept() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.14.1", "127.0.14.2", "127.0.14.3", "127.0.14.4"]);
    let mut balancers: Vec<_> = addresses
        .iter()
        .map(|address| Balancer::nginx(address, port, BalancerContent::Health))
        .collect();
    let site = site(&http(port), &addresses);
    let server = site.serve();
    assert_eq!(server.addresses("all.example.org").len(), 4);
    balancers.truncate(1);
    // Three of four targets fail together. During `interval` x `fall` a doubt keeps every health
    // status; then the failures are accepted.
    server.until("a doubt is in effect", WAIT_TIMEOUT, |server| {
        server.status().checker.doubt == "suspecting"
    });
    assert_eq!(server.addresses("all.example.org").len(), 4);
    assert_eq!(server.status().checker.freezes, 1);
    server.until_answers("all.example.org", &addresses[..1], WAIT_TIMEOUT);
    assert_eq!(server.status().checker.doubt, "convinced");
    balancers.extend(
        addresses[1..]
            .iter()
            .map(|address| Balancer::nginx(address, port, BalancerContent::Health)),
    );
    server.until("all are back", WAIT_TIMEOUT, |server| {
        server.addresses("all.example.org").len() == 4
    });
}

#[test]
fn a_tcp_monitor_needs_only_a_connection() {
    if !are_installed(&["haproxy"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.15.1", "127.0.15.2"]);
    let first = Balancer::haproxy(addresses[0], port, false);
    let _second = Balancer::haproxy(addresses[1], port, false);
    let check = fill("tcp = { port = $port }", &[("$port", &port)]);
    let site = site(&check, &addresses);
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [addresses[0]]);
    drop(first);
    server.until_answers(WWW, &addresses[1..], MOVES_WITHIN);
}

#[test]
fn balancers_that_require_a_proxy_header_are_up_only_with_one() {
    if !are_installed(&["nginx", "haproxy"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.18.1", "127.0.18.2", "127.0.18.3"]);
    let _nginx = Balancer::nginx(addresses[0], port, BalancerContent::BehindProxy);
    let _haproxy = Balancer::haproxy_bound(addresses[1], port, true, "accept-proxy");
    let _plain = Balancer::haproxy(addresses[2], port, true);
    for (key, verdicts) in [
        ("proxy-protocol = \"v1\"", ["up", "up", "down"]),
        ("proxy-protocol = \"v2\"", ["up", "up", "down"]),
        ("redirects = 0", ["down", "down", "up"]),
    ] {
        let check = fill(
            r#"http = { path = "/healthz", port = $port, body-regex = '^ok$', $key }"#,
            &[("$port", &port), ("$key", &key)],
        );
        let site = site(&check, &addresses);
        let server = site.serve();
        let statuses = |server: &Server| {
            server.verdicts().into_iter().map(|(_, verdict)| verdict).collect::<Vec<_>>()
        };
        server.until("each target has its status", WAIT_TIMEOUT, |server| {
            statuses(server) == verdicts
        });
    }
}

#[test]
fn a_balancer_of_http2_without_tls_is_probed_by_http2() {
    if !are_installed(&["haproxy"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.19.1", "127.0.19.2"]);
    let _second = Balancer::haproxy_bound(addresses[0], port, true, "proto h2");
    let _first = Balancer::haproxy_bound(addresses[1], port, true, "proto h1");
    let check = fill(
        r#"http = { path = "/healthz", port = $port, body = "ok", version = "2" }"#,
        &[("$port", &port)],
    );
    let site = site(&check, &addresses);
    let server = site.serve();
    server.until_answers(WWW, &addresses[..1], WAIT_TIMEOUT);
    let verdicts: Vec<_> = server.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, ["up", "down"], "{:?}", server.status().targets);
}

#[test]
fn an_https_monitor_rejects_expired_and_foreign_certificates() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let authority = Authority::new();
    let (port, addresses) = (free_port(), ["127.0.16.1", "127.0.16.2", "127.0.16.3", "127.0.16.4"]);
    let certificates = [
        authority.sign("www.example.org", 2000),
        authority.sign("mail.example.org", 4000),
        Authority::new().sign("www.example.org", 4000),
        authority.sign("www.example.org", 4000),
    ];
    let _balancers: Vec<_> = addresses
        .iter()
        .zip(&certificates)
        .map(|(address, (certificate, key))| {
            Balancer::nginx(address, port, BalancerContent::Tls { certificate, key })
        })
        .collect();
    let check = fill(
        r#"https = { path = "/healthz", port = $port, host = "www.example.org", ca = "ca.pem" }"#,
        &[("$port", &port)],
    );
    let site = site(&check, &addresses);
    site.write("zones/ca.pem", &authority.certificate);
    let server = site.serve();
    // Only the valid certificate passes. The others are expired, for another name, or by another
    // authority.
    server.until_answers(WWW, &addresses[3..], WAIT_TIMEOUT);
    let verdicts: Vec<_> = server.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, ["down", "down", "down", "up"], "{:?}", server.status().targets);
}

#[test]
fn while_a_member_fails_the_ttl_falls_to_the_time_of_the_expected_failover() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.17.1", "127.0.17.2"]);
    let first = Balancer::nginx(addresses[0], port, BalancerContent::Health);
    let _second = Balancer::nginx(addresses[1], port, BalancerContent::Health);
    let site = site(&http(port), &addresses);
    site.edit(
        "zones/example.org.toml",
        MONITOR,
        r#"interval = "2s"
timeout = "1s"
fall = 3
"#,
    );
    let server = site.serve();
    let ask = |server: &Server| server.ask(&TestQuery::new(WWW, "A"));
    assert_eq!(ask(&server).ttl(), 30);
    drop(first);
    server.until("the TTL is lowered", WAIT_TIMEOUT, |server| ask(server).ttl() < 30);
    let reply = ask(&server);
    assert_eq!(reply.answers(), [addresses[0]], "the member is not down yet");
    assert!((1..=6).contains(&reply.ttl()), "{}", reply.ttl());
    server.until_answers(WWW, &addresses[1..], WAIT_TIMEOUT);
    assert_eq!(ask(&server).ttl(), 30);
}

/// A certificate authority for the certificates of a test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    /// A certificate for `name` that expires at the start of year `until`, and its key, in PEM.
    pub fn sign(&self, name: &str, until: i32) -> (String, String) {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(1999, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[test]
fn a_datacenter_disabled_until_a_time_is_probed_from_that_time() {
    let since_1970 =
        std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let until = jiff::Timestamp::from_second(since_1970.as_secs() as i64 + 3).unwrap();
    let zone = fill(
        r#"[datacenter.fra]
state = "disabled"
until = $until
[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[monitor.web]
tcp = { port = $port }
$timing
[service."www.example.org"]
monitor = "web"
members = [{ datacenter = "fra", addresses = ["127.0.11.9"] }]
"#,
        &[("$until", &until), ("$port", &free_port()), ("$timing", &MONITOR)],
    );
    let site = ServerDirectory::new(&[("zones/example.org.toml", &zone)]);
    let server = site.serve();
    assert_eq!(server.verdicts(), [("127.0.11.9".to_owned(), "unknown".to_owned())]);
    server.until("it is probed, and down", WAIT_TIMEOUT, |server| server.verdicts()[0].1 == "down");
}
