//! Failover pools: manual and delayed failback, trickle, and spill of excess clients.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::site::{
    CHECK_TIMING, Regions, WWW, answer_share, assert_answer_share, pool, run_command, site,
};
use crate::{
    balancers::{Balancer, are_installed, start_holding_server},
    harness::{Server, WAIT_TIMEOUT, fill},
    ports::free_port,
};

/// HAProxy for HTTP with one server, which has a limit of 100 connections.
const CONNECTION_LIMIT_HAPROXY: &str = "global
  maxconn 500
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend statistics
  bind $address:$statistics
  stats enable
  stats uri /stats
frontend web
  bind $address:$port
  http-request return status 200 if { path /healthz }
  default_backend be
backend be
  server s1 127.0.0.1:$server maxconn 100
";

/// The same for TCP.
const TCP_HAPROXY: &str = "global
  maxconn 500
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend statistics
  mode http
  bind $address:$statistics
  stats enable
  stats uri /stats
frontend web
  bind $address:$port
  default_backend be
backend be
  server s1 127.0.0.1:$server maxconn 100
";

/// Stops the primary until its clients have moved; then starts it again and waits until it is up.
fn fail_over(regions: &mut Regions, server: &Server) {
    regions.haproxy = None;
    server.until_answers(WWW, &[regions.iad], WAIT_TIMEOUT);
    regions.start_haproxy();
    server.until("the primary is up", WAIT_TIMEOUT, |server| server.verdicts()[0].1 == "up");
}

#[test]
fn with_manual_failback_clients_stay_until_an_operator_moves_them_back() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.38.1", "127.0.38.2"]);
    let site =
        regions.site("policy = \"failover\"\nfailback = \"manual\"\n", &regions.members("", ""));
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [regions.fra]);
    fail_over(&mut regions, &server);
    server.until("the holder is reported", WAIT_TIMEOUT, |server| {
        pool(server, WWW).holder.as_deref() == Some(regions.iad)
    });
    let text = run_command(&site, &server, &["status"]);
    assert!(text.contains(&format!("clients stay with {}", regions.iad)), "{text}");
    server.until_logged("failover pool stays with this member until failback");
    server.stays("clients stay", Duration::from_millis(500), |server| {
        server.addresses(WWW) == [regions.iad]
    });
    assert!(server.terminate().0.success());
    let server = site.serve();
    server.stays("clients stay after a restart", Duration::from_millis(500), |server| {
        server.addresses(WWW) == [regions.iad]
    });
    let output = run_command(&site, &server, &["failback", WWW]);
    assert!(output.contains("clients return to the first usable member"), "{output}");
    server.until_answers(WWW, &[regions.fra], WAIT_TIMEOUT);
    assert_eq!(pool(&server, WWW).holder, None);
    assert!(
        run_command(&site, &server, &["failback", WWW]).contains("no clients wait for a failback")
    );
}

/// The fraction of clients that have returned after failback, while a return is in progress.
fn returned(server: &Server) -> Option<f64> {
    server.status().ramps.iter().find(|ramp| ramp.kind == "failback").map(|ramp| ramp.at)
}

#[test]
fn after_a_failback_clients_return_gradually_over_the_slow_start() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.45.1", "127.0.45.2"]);
    let keys = r#"policy = "failover"
failback = "manual"
slow-start = "6s"
"#;
    let site = regions.site(keys, &regions.members("", ""));
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [regions.fra]);
    fail_over(&mut regions, &server);
    server.until("the slow start of the member is over", WAIT_TIMEOUT, |server| {
        server.status().ramps.is_empty()
    });
    server.stays("clients stay", Duration::from_millis(300), |server| {
        answer_share(server, regions.fra) == 0.0
    });
    run_command(&site, &server, &["failback", WWW]);
    server.until_logged("clients began to return after failback");
    let first = answer_share(&server, regions.fra);
    assert!(first < 0.6, "{first} of the clients returned at once");
    let text = run_command(&site, &server, &["status"]);
    assert!(
        text.contains(&format!("clients return to {} of pool {WWW}: ", regions.fra))
            && text.contains("% already moved, and 100% "),
        "{text}"
    );
    let text = run_command(&site, &server, &["explain", WWW, "--client", "192.0.2.1"]);
    assert!(
        text.contains("return after failback: receives ") && text.contains("does not accept"),
        "{text}"
    );
    let mut seen = Vec::new();
    server.until("a third has returned", WAIT_TIMEOUT, |server| {
        seen.extend(returned(server));
        returned(server).is_none_or(|fraction| fraction > 0.35)
    });
    assert!(server.terminate().0.success());

    let server = site.serve();
    let after = returned(&server).expect("the return goes on after a restart");
    assert!(after > 0.3, "{after} after {seen:?}");
    server.until("all have returned", WAIT_TIMEOUT, |server| {
        seen.extend(returned(server));
        returned(server).is_none()
    });
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    assert!(
        seen.iter().filter(|fraction| (0.05..0.95).contains(*fraction)).count() >= 5,
        "{seen:?}"
    );
    server.until_logged("all clients returned after failback");
    assert_answer_share(&server, regions.fra, 1.0);
}

#[test]
fn clients_return_after_the_member_was_up_for_the_configured_time() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.39.1", "127.0.39.2"]);
    let site =
        regions.site("policy = \"failover\"\nfailback = \"after 2s\"\n", &regions.members("", ""));
    let server = site.serve();
    fail_over(&mut regions, &server);
    assert_eq!(server.addresses(WWW), [regions.iad]);
    server
        .until("the holder is reported", WAIT_TIMEOUT, |server| pool(server, WWW).holder.is_some());
    // After a restart the server does not know for how long the member was up: the time starts
    // again.
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [regions.iad]);
    let waited = server.until_answers(WWW, &[regions.fra], WAIT_TIMEOUT);
    assert!(waited > Duration::from_millis(1000), "{waited:?}");
    assert_eq!(pool(&server, WWW).holder, None);
}

#[test]
fn a_trickle_sends_a_tenth_to_the_standby() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.40.1", "127.0.40.2"]);
    let site = regions.site("policy = \"failover\"\ntrickle = \"10%\"\n", &regions.members("", ""));
    let server = site.serve();
    assert_answer_share(&server, regions.fra, 0.9);
    assert_answer_share(&server, regions.iad, 0.1);
    regions.haproxy = None;
    server.until("the standby has all", WAIT_TIMEOUT, |server| {
        answer_share(server, regions.iad) == 1.0
    });
}

/// Two pools, of which the first gives clients away above 40 % of its limit of connections.
const SPILL_TABLES: &str = r#"[load.haproxy]
haproxy = { url = "http://$first:$statistics/stats;csv", proxy = "be" }
$timing
[monitor.web]
http = { path = "/healthz", port = $port }
$timing
[pool.fra]
load = "haproxy"
monitor = "web"
capacity = { target = "40%", max = "60%" }
members = [{ addresses = ["$first"] }]
[pool.iad]
monitor = "web"
members = [{ addresses = ["$second"] }]
"#;

#[test]
fn connections_above_the_target_spill_until_they_close() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let (addresses, port, statistics) = (["127.0.41.1", "127.0.41.2"], free_port(), free_port());
    let mute = SilentServer::start();
    let configuration = fill(
        CONNECTION_LIMIT_HAPROXY,
        &[
            ("$address", &addresses[0]),
            ("$statistics", &statistics),
            ("$port", &port),
            ("$server", &mute.port),
        ],
    );
    let _haproxy = Balancer::haproxy_with(&configuration, addresses[0], port);
    let _other = Balancer::haproxy(addresses[1], port, true);
    let tables = fill(
        SPILL_TABLES,
        &[
            ("$first", &addresses[0]),
            ("$second", &addresses[1]),
            ("$statistics", &statistics),
            ("$port", &port),
            ("$timing", &CHECK_TIMING),
        ],
    );
    let site = site(&tables, "policy = \"failover\"\nmembers = [\"fra\", \"iad\"]\n");
    let server = site.serve();
    server
        .until("the first load report", WAIT_TIMEOUT, |server| pool(server, "fra").level.is_some());
    assert_answer_share(&server, addresses[0], 1.0);
    let open = |_| {
        let mut stream = TcpStream::connect((addresses[0], port)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream
    };
    let held: Vec<TcpStream> = (0..80).map(open).collect();
    server.until("some clients are sent to the next choice", WAIT_TIMEOUT, |server| {
        pool(server, "fra").keep.is_some_and(|keep| keep < 0.75)
    });
    let share = answer_share(&server, addresses[0]);
    assert!((0.4..0.78).contains(&share), "{share}");
    let text = run_command(&site, &server, &["status"]);
    assert!(text.contains("to the next choice, load 80, target 40"), "{text}");
    drop(held);
    mute.hang_up();
    server.until("the pool keeps all of its clients again", WAIT_TIMEOUT, |server| {
        pool(server, "fra").keep == Some(1.0)
    });
    assert_answer_share(&server, addresses[0], 1.0);
    let log = server.log();
    assert!(
        log.contains("excess clients go to the next choice")
            && log.contains("pool keeps all of its clients again"),
        "{log}"
    );
}

/// Clients behind caches. Each keeps one connection open to the address of its last answer.
struct CachedClients {
    port: u16,
    connections: Vec<Option<(String, TcpStream)>>,
}

impl CachedClients {
    fn new(count: usize, port: u16) -> Self {
        Self { port, connections: (0..count).map(|_| None).collect() }
    }

    /// Queries once for each cache, and moves its connection if the answer has changed.
    fn ask(&mut self, server: &Server) {
        for connection in &mut self.connections {
            let address = server.addresses(WWW).remove(0);
            if connection.as_ref().is_none_or(|(connected, _)| *connected != address) {
                *connection = None;
                let mut stream = TcpStream::connect((address.as_str(), self.port)).unwrap();
                write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                *connection = Some((address, stream));
            }
        }
    }

    fn at(&self, address: &str) -> usize {
        self.connections.iter().flatten().filter(|(connected, _)| connected == address).count()
    }
}

/// A HAProxy whose backend has a limit of 100 connections, and which reports the open ones.
fn start_holding_haproxy(address: &str, port: u16, statistics: u16) -> Balancer {
    let configuration = fill(
        TCP_HAPROXY,
        &[
            ("$address", &address),
            ("$statistics", &statistics),
            ("$port", &port),
            ("$server", &start_holding_server()),
        ],
    );
    Balancer::haproxy_with(&configuration, address, port)
}

/// Asserts that of `demand` connections the first region has about `expected`, where each region
/// has a target of 50 and a maximum of 70.
fn assert_spills_evenly(addresses: [&str; 2], demand: usize, expected: f64) {
    let (port, statistics) = (free_port(), free_port());
    let _haproxies = addresses.map(|address| start_holding_haproxy(address, port, statistics));
    let region = |name: &str, address: &str| {
        fill(
            r#"[load.$name]
haproxy = { url = "http://$address:$statistics/stats;csv", proxy = "be" }
$timing
[pool.$name]
load = "$name"
capacity = { target = "50%", max = "70%" }
members = [{ addresses = ["$address"] }]
"#,
            &[
                ("$name", &name),
                ("$address", &address),
                ("$statistics", &statistics),
                ("$timing", &CHECK_TIMING),
            ],
        )
    };
    // There is no monitor: on a busy machine its timeouts would move clients as well.
    let tables = [region("fra", addresses[0]), region("iad", addresses[1])].concat();
    let site = site(&tables, "policy = \"failover\"\nmembers = [\"fra\", \"iad\"]\n");
    let server = site.serve();
    let mut caches = CachedClients::new(demand, port);
    let level = |server: &Server, name: &str| pool(server, name).level;
    server.until("both report", WAIT_TIMEOUT, |server| {
        level(server, "fra").is_some() && level(server, "iad").is_some()
    });
    // The levels of the first region, one for each change. The newest eight cover about four
    // seconds.
    let mut levels: Vec<f64> = Vec::new();
    let mut last = None;
    server.until(
        &format!("of {demand} the first choice has {expected}"),
        WAIT_TIMEOUT * 2,
        |server| {
            caches.ask(server);
            let found = (level(server, "fra"), level(server, "iad"));
            if last.replace(found) != Some(found) {
                levels.extend(found.0);
            }
            let newest = &levels[levels.len().saturating_sub(8)..];
            let mean = newest.iter().sum::<f64>() / newest.len().max(1) as f64;
            newest.len() == 8
                && (mean - expected).abs() < 5.0
                && (caches.at(addresses[0]) as f64 - expected).abs() < 18.0
        },
    );
}

#[test]
fn two_full_regions_share_the_excess_evenly() {
    if are_installed(&["haproxy"]) {
        assert_spills_evenly(["127.0.42.1", "127.0.42.2"], 120, 60.0);
    }
}

#[test]
fn two_overloaded_regions_are_equally_overloaded() {
    if are_installed(&["haproxy"]) {
        assert_spills_evenly(["127.0.43.1", "127.0.43.2"], 160, 80.0);
    }
}

#[test]
fn beside_an_empty_region_a_full_one_keeps_its_target() {
    if are_installed(&["haproxy"]) {
        assert_spills_evenly(["127.0.44.1", "127.0.44.2"], 80, 50.0);
    }
}

/// A server that accepts connections and never answers.
struct SilentServer {
    port: u16,
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl SilentServer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, held) =
            (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let sink: Arc<Mutex<Vec<TcpStream>>> = Arc::clone(&held);
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| sink.lock().unwrap().push(stream))
        });
        Self { port, held }
    }

    fn hang_up(&self) {
        self.held.lock().unwrap().clear();
    }
}
