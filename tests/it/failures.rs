//! Health end to end: real balancers stop and come back, and the answers follow.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::{
    balancers::{Balancer, BalancerContent, are_installed},
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
    ports::free_port,
    query::TestQuery,
};

/// interval x fall + timeout + 1 s, of [`MONITOR`].
const MOVES_WITHIN: Duration = Duration::from_millis(500 * 2 + 400 + 1000);
/// The rest of a monitor.
pub const MONITOR: &str = "interval = \"500ms\"\ntimeout = \"400ms\"\nrise = 2\nfall = 2\n";

/// A zone whose service `www` fails over along `addresses`, all probed by `check`.
pub fn site(check: &str, addresses: &[&str]) -> ServerDirectory {
    let members: String =
        addresses.iter().map(|address| format!("  {{ addresses = [\"{address}\"] }},\n")).collect();
    let zone = format!(
        "[zone.\"example.org\"]\nnameservers = [\"ns1.example.net\"]\nhostmaster = \"h@example.org\"\n\
         [monitor.web]\n{check}\n{MONITOR}\
         [service.\"www.example.org\"]\npolicy = \"failover\"\nmonitor = \"web\"\nmembers = [\n{members}]\n\
         [service.\"all.example.org\"]\npolicy = \"all\"\nmonitor = \"web\"\nmembers = [\n{members}]\n"
    );
    ServerDirectory::new(&[("zones/example.org.toml", &zone)])
}

fn http(port: u16) -> String {
    format!("http = {{ path = \"/healthz\", port = {port}, body = \"ok\" }}")
}

pub const WWW: &str = "www.example.org";

#[test]
fn when_an_nginx_stops_its_clients_move_on_and_come_back_with_it() {
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
    server.stays("the one that is down is not answered", MOVES_WITHIN / 2, |server| {
        server.addresses(WWW) == addresses[1..]
    });
    assert_eq!(server.metric("portolan_target_up", "127.0.11.1"), 0.0);
    let _first = Balancer::nginx(addresses[0], port, BalancerContent::Health);
    server.until_answers(WWW, &addresses[..1], MOVES_WITHIN);
}

#[test]
fn when_haproxy_has_no_backend_left_its_503_moves_clients_on() {
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
fn when_everything_is_down_the_answer_is_as_if_all_were_up() {
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
fn when_most_targets_fail_at_once_the_checker_doubts_itself_first() {
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
    // Three of four fail together: nothing is believed for interval x fall, then the world is taken
    // to be so.
    server.until("the checker doubts itself", WAIT_TIMEOUT, |server| {
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
fn a_tcp_monitor_asks_for_no_more_than_a_connection() {
    if !are_installed(&["haproxy"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.15.1", "127.0.15.2"]);
    let first = Balancer::haproxy(addresses[0], port, false);
    let _second = Balancer::haproxy(addresses[1], port, false);
    let site = site(&format!("tcp = {{ port = {port} }}"), &addresses);
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [addresses[0]]);
    drop(first);
    server.until_answers(WWW, &addresses[1..], MOVES_WITHIN);
}

#[test]
fn balancers_that_want_a_proxy_header_are_up_with_one_and_down_without() {
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
        let check =
            format!("http = {{ path = \"/healthz\", port = {port}, body-regex = '^ok$', {key} }}");
        let site = site(&check, &addresses);
        let server = site.serve();
        let judged = |server: &Server| {
            server.verdicts().into_iter().map(|(_, verdict)| verdict).collect::<Vec<_>>()
        };
        server.until("each has its verdict", WAIT_TIMEOUT, |server| judged(server) == verdicts);
    }
}

#[test]
fn a_balancer_that_speaks_http2_without_tls_is_asked_so() {
    if !are_installed(&["haproxy"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.19.1", "127.0.19.2"]);
    let _second = Balancer::haproxy_bound(addresses[0], port, true, "proto h2");
    let _first = Balancer::haproxy_bound(addresses[1], port, true, "proto h1");
    let check =
        format!("http = {{ path = \"/healthz\", port = {port}, body = \"ok\", version = \"2\" }}");
    let site = site(&check, &addresses);
    let server = site.serve();
    server.until_answers(WWW, &addresses[..1], WAIT_TIMEOUT);
    let verdicts: Vec<_> = server.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, ["up", "down"], "{:?}", server.status().targets);
}

#[test]
fn an_https_monitor_believes_no_certificate_that_is_expired_or_anothers() {
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
    let check = format!(
        "https = {{ path = \"/healthz\", port = {port}, host = \"www.example.org\", ca = \"ca.pem\" }}"
    );
    let site = site(&check, &addresses);
    site.write("zones/ca.pem", &authority.certificate);
    let server = site.serve();
    // The valid one alone is up: expired, of another name and of another authority are not.
    server.until_answers(WWW, &addresses[3..], WAIT_TIMEOUT);
    let verdicts: Vec<_> = server.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, ["down", "down", "down", "up"], "{:?}", server.status().targets);
}

#[test]
fn while_a_member_fails_the_ttl_falls_to_the_moment_of_the_verdict() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (port, addresses) = (free_port(), ["127.0.17.1", "127.0.17.2"]);
    let first = Balancer::nginx(addresses[0], port, BalancerContent::Health);
    let _second = Balancer::nginx(addresses[1], port, BalancerContent::Health);
    let site = site(&http(port), &addresses);
    site.edit("zones/example.org.toml", MONITOR, "interval = \"2s\"\ntimeout = \"1s\"\nfall = 3\n");
    let server = site.serve();
    let asked = |server: &Server| server.ask(&TestQuery::new(WWW, "A"));
    assert_eq!(asked(&server).ttl(), 30);
    drop(first);
    server.until("the TTL is lowered", WAIT_TIMEOUT, |server| asked(server).ttl() < 30);
    let reply = asked(&server);
    assert_eq!(reply.answers(), [addresses[0]], "no verdict yet");
    assert!((1..=6).contains(&reply.ttl()), "{}", reply.ttl());
    server.until_answers(WWW, &addresses[1..], WAIT_TIMEOUT);
    assert_eq!(asked(&server).ttl(), 30);
}

/// An authority that signs the certificates of a test.
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

    /// A certificate for `name` that ends with a year; and its key.
    pub fn sign(&self, name: &str, until: i32) -> (String, String) {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(1999, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[test]
fn a_datacenter_that_is_disabled_until_a_time_is_probed_again_from_then_on() {
    let since_1970 =
        std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let until = jiff::Timestamp::from_second(since_1970.as_secs() as i64 + 3).unwrap();
    let zone = format!(
        "[datacenter.fra]\nstate = \"disabled\"\nuntil = {until}\n\
         [zone.\"example.org\"]\nnameservers = [\"ns1.example.net\"]\nhostmaster = \"h@example.org\"\n\
         [monitor.web]\ntcp = {{ port = {} }}\n{MONITOR}\
         [service.\"www.example.org\"]\nmonitor = \"web\"\nmembers = [{{ datacenter = \"fra\", addresses = [\"127.0.11.9\"] }}]\n",
        free_port()
    );
    let site = ServerDirectory::new(&[("zones/example.org.toml", &zone)]);
    let server = site.serve();
    assert_eq!(server.verdicts(), [("127.0.11.9".to_owned(), "unknown".to_owned())]);
    server.until("it is probed, and down", WAIT_TIMEOUT, |server| server.verdicts()[0].1 == "down");
}
