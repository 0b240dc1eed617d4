//! Clients stay where they are, trickle to the standby, and spill over.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{PACE, Regions, WWW, asked, assert_asked, pool, site, told};
use crate::{
    balancers::{Balancer, are_installed, free_port},
    harness::{LONG, Server},
};

/// Stops the primary until its clients have moved, and brings it back: until it is up.
fn fail_over(regions: &mut Regions, server: &Server) {
    regions.haproxy = None;
    server.until_answers(WWW, &[regions.iad], LONG);
    regions.start_haproxy();
    server.until("the primary is up", LONG, |server| server.verdicts()[0].1 == "up");
}

#[test]
fn after_a_manual_failover_clients_stay_until_an_operator_gives_them_back() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.38.1", "127.0.38.2"]);
    let site = regions.site("policy = \"failover\"\nfailback = \"manual\"\n", &regions.members("", ""));
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [regions.fra]);
    fail_over(&mut regions, &server);
    server.until("the holder is told", LONG, |server| pool(server, WWW).holder.as_deref() == Some(regions.iad));
    let text = told(&site, &server, &["status"]);
    assert!(text.contains(&format!("clients stay with {}", regions.iad)), "{text}");
    server.until_logged("failover pool stays with this member until failback");
    server.stays("clients stay", Duration::from_millis(500), |server| server.addresses(WWW) == [regions.iad]);
    assert!(server.terminate().0.success());
    let server = site.serve();
    server.stays("clients stay after a restart", Duration::from_millis(500), |server| {
        server.addresses(WWW) == [regions.iad]
    });
    let said = told(&site, &server, &["failback", WWW]);
    assert!(said.contains("go back"), "{said}");
    server.until_answers(WWW, &[regions.fra], LONG);
    assert_eq!(pool(&server, WWW).holder, None);
    assert!(told(&site, &server, &["failback", WWW]).contains("no member holds"));
}

/// How many clients have returned after failback.
fn returned(server: &Server) -> Option<f64> {
    server.status().ramps.iter().find(|ramp| ramp.kind == "failback").map(|ramp| ramp.at)
}

#[test]
fn after_a_failback_clients_return_bit_by_bit_over_the_slow_start() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.45.1", "127.0.45.2"]);
    let keys = "policy = \"failover\"\nfailback = \"manual\"\nslow-start = \"6s\"\n";
    let site = regions.site(keys, &regions.members("", ""));
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [regions.fra]);
    fail_over(&mut regions, &server);
    server.until("its own slow start is over", LONG, |server| server.status().ramps.is_empty());
    server.stays("clients stay", Duration::from_millis(300), |server| asked(server, regions.fra) == 0.0);
    told(&site, &server, &["failback", WWW]);
    server.until_logged("clients began to return after failback");
    let first = asked(&server, regions.fra);
    assert!(first < 0.6, "{first} of the clients returned at once");
    let text = told(&site, &server, &["status"]);
    assert!(text.contains(&format!("clients return to {} of pool {WWW}: its share is ", regions.fra)), "{text}");
    let text = told(&site, &server, &["explain", WWW, "--client", "192.0.2.1"]);
    assert!(text.contains("return after failback: takes ") && text.contains("takes what"), "{text}");
    let mut seen = Vec::new();
    server.until("a third has returned", LONG, |server| {
        seen.extend(returned(server));
        returned(server).is_none_or(|at| at > 0.35)
    });
    assert!(server.terminate().0.success());

    let server = site.serve();
    let after = returned(&server).expect("the return goes on after a restart");
    assert!(after > 0.3, "{after} after {seen:?}");
    server.until("all have returned", LONG, |server| {
        seen.extend(returned(server));
        returned(server).is_none()
    });
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    assert!(seen.iter().filter(|at| (0.05..0.95).contains(*at)).count() >= 5, "{seen:?}");
    server.until_logged("all clients returned after failback");
    assert_asked(&server, regions.fra, 1.0);
}

#[test]
fn after_a_time_that_a_member_must_prove_itself_clients_go_back() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.39.1", "127.0.39.2"]);
    let site = regions.site("policy = \"failover\"\nfailback = \"after 2s\"\n", &regions.members("", ""));
    let server = site.serve();
    fail_over(&mut regions, &server);
    assert_eq!(server.addresses(WWW), [regions.iad]);
    server.until("the holder is told", LONG, |server| pool(server, WWW).holder.is_some());
    // Whoever restarts does not know for how long: the time begins anew.
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert_eq!(server.addresses(WWW), [regions.iad]);
    let waited = server.until_answers(WWW, &[regions.fra], LONG);
    assert!(waited > Duration::from_millis(1000), "{waited:?}");
    assert_eq!(pool(&server, WWW).holder, None);
}

#[test]
fn a_trickle_keeps_a_tenth_on_the_standby() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.40.1", "127.0.40.2"]);
    let site = regions.site("policy = \"failover\"\ntrickle = \"10%\"\n", &regions.members("", ""));
    let server = site.serve();
    assert_asked(&server, regions.fra, 0.9);
    assert_asked(&server, regions.iad, 0.1);
    regions.haproxy = None;
    server.until("the standby has all", LONG, |server| asked(server, regions.iad) == 1.0);
}

#[test]
fn connections_above_a_target_send_the_excess_on_until_they_close() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let (addresses, port, statistics) = (["127.0.41.1", "127.0.41.2"], free_port(), free_port());
    let mute = Mute::start();
    let configuration = format!(
        "global\n  maxconn 500\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n  timeout server 60s\n\
         frontend statistics\n  bind {0}:{statistics}\n  stats enable\n  stats uri /stats\n\
         frontend web\n  bind {0}:{port}\n  http-request return status 200 if {{ path /healthz }}\n  default_backend be\n\
         backend be\n  server s1 127.0.0.1:{1} maxconn 100\n",
        addresses[0], mute.port
    );
    let _haproxy = Balancer::haproxy_with(&configuration, addresses[0], port);
    let _other = Balancer::haproxy(addresses[1], port, true);
    let tables = format!(
        "[load.haproxy]\nhaproxy = {{ url = \"http://{}:{statistics}/stats;csv\", proxy = \"be\" }}\n{PACE}\
         [monitor.web]\nhttp = {{ path = \"/healthz\", port = {port} }}\n{PACE}\
         [pool.fra]\nload = \"haproxy\"\nmonitor = \"web\"\ncapacity = {{ target = \"40%\", max = \"60%\" }}\n\
         members = [{{ addresses = [\"{0}\"] }}]\n[pool.iad]\nmonitor = \"web\"\nmembers = [{{ addresses = [\"{1}\"] }}]\n",
        addresses[0], addresses[1]
    );
    let site = site(&tables, "policy = \"failover\"\nmembers = [\"fra\", \"iad\"]\n");
    let server = site.serve();
    server.until("it reports", LONG, |server| pool(server, "fra").level.is_some());
    assert_asked(&server, addresses[0], 1.0);
    let open = |_| {
        let mut stream = TcpStream::connect((addresses[0], port)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream
    };
    let held: Vec<TcpStream> = (0..80).map(open).collect();
    server.until("some are sent on", LONG, |server| pool(server, "fra").keep.is_some_and(|keep| keep < 0.75));
    let share = asked(&server, addresses[0]);
    assert!((0.4..0.78).contains(&share), "{share}");
    let text = told(&site, &server, &["status"]);
    assert!(text.contains("to the next choice, load 80 of 40 wanted"), "{text}");
    drop(held);
    mute.hang_up();
    server.until("it keeps all again", LONG, |server| pool(server, "fra").keep == Some(1.0));
    assert_asked(&server, addresses[0], 1.0);
    let log = server.log();
    assert!(
        log.contains("excess clients go to the next choice") && log.contains("pool keeps all of its clients again"),
        "{log}"
    );
}

/// A server that takes connections and never answers.
struct Mute {
    port: u16,
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Mute {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, held) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let sink: Arc<Mutex<Vec<TcpStream>>> = Arc::clone(&held);
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| sink.lock().unwrap().push(stream)));
        Self { port, held }
    }

    fn hang_up(&self) {
        self.held.lock().unwrap().clear();
    }
}
