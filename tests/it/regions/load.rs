//! `load` pools: shares follow the load reports of balancers.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::site::{
    CHECK_TIMING, Regions, WWW, answer_share, assert_answer_share, first_share, pool, run_command,
    site,
};
use crate::{
    balancers::{Balancer, BalancerContent, are_installed},
    harness::{Server, WAIT_TIMEOUT, fill},
    ports::free_port,
};

/// The share of the first region when half of its servers are down.
const HALVED: f64 = 1.0 / 3.0;

/// The tolerance of a stable share.
const BAND: f64 = 0.05;

fn until_share(server: &Server, what: &str, expected: f64) {
    // A share and the share of answers move while they are measured; wait until both match.
    server.until(what, WAIT_TIMEOUT, |server| {
        (first_share(server) - expected).abs() < BAND
            && (answer_share(server, &pool(server, WWW).shares[0].0) - expected).abs() < BAND + 0.03
    });
}

#[test]
fn servers_killed_behind_haproxy_shrink_its_share_until_they_return() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.31.1", "127.0.31.2"]);
    let site = regions.loaded_site();
    let server = site.serve();
    server.until("both report", WAIT_TIMEOUT, |server| {
        server.status().loads.iter().all(|load| load.age_secs.is_some())
    });
    assert_answer_share(&server, regions.fra, 0.5);
    regions.kill(1);
    regions.kill(2);
    until_share(&server, "half of the servers have half of the share", HALVED);
    let load = server.status().loads.into_iter().find(|load| load.load == "haproxy").unwrap();
    assert_eq!((load.servers, load.capacity_left), (Some((2, 4)), Some(0.5)));
    assert_eq!(server.verdicts()[0].1, "up", "a load report does not change health status");
    let text = run_command(&site, &server, &["status"]);
    assert!(text.contains("2 of 4 servers up, 50% of the capacity left"), "{text}");
    regions.revive(1);
    regions.revive(2);
    until_share(&server, "all is as before", 0.5);
}

#[test]
fn load_feedback_moves_no_more_than_a_safety_rule_allows() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.37.1", "127.0.37.2"]);
    let site = regions.loaded_site();
    site.write("zones/safety.toml", "[safety]\nmax-moved = { share = \"5%\", within = \"1h\" }\n");
    let server = site.serve();
    server.until("both report", WAIT_TIMEOUT, |server| {
        server.status().loads.iter().all(|load| load.age_secs.is_some())
    });
    assert_answer_share(&server, regions.fra, 0.5);
    regions.kill(1);
    regions.kill(2);
    server.until("feedback is held", WAIT_TIMEOUT, |server| {
        !server.status().safety.held_feedback.is_empty()
    });
    server.until("it has gone as far as it may", WAIT_TIMEOUT, |server| {
        server.status().safety.moved_percent.is_some_and(|moved| moved > 4.0)
    });
    let safety = server.status().safety;
    assert!(safety.moved_percent.unwrap() <= 5.0, "{safety:?}");
    assert_eq!(safety.held_feedback[0].rule, "max-moved");
    assert_answer_share(&server, regions.fra, 0.455);
    let concerns = server.status().concerns;
    let is_alarm = |text: &str| text.starts_with("load feedback is held by safety rule max-moved");
    assert!(concerns.iter().any(|one| is_alarm(&one.text)), "{concerns:?}");
    // Without the rule, feedback goes on.
    site.write("zones/safety.toml", "[safety]\n");
    until_share(&server, "half of the servers have half of the share", HALVED);
    assert!(server.status().safety.held_feedback.is_empty());
}

#[test]
fn a_server_drained_in_haproxy_no_longer_counts() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let regions = Regions::start(["127.0.32.1", "127.0.32.2"]);
    let site = regions.loaded_site();
    let server = site.serve();
    for name in ["s1", "s2"] {
        regions.command(&format!("set server be/{name} state drain"));
    }
    until_share(&server, "the drained have no share", HALVED);
    for name in ["s1", "s2"] {
        regions.command(&format!("set server be/{name} state ready"));
    }
    until_share(&server, "all is as before", 0.5);
}

#[test]
fn a_region_that_becomes_slower_gets_a_smaller_share() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let (addresses, port) = (["127.0.33.1", "127.0.33.2"], free_port());
    let (quick, slow) = (slowed(60), slowed(60));
    let configuration = fill(
        r"defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind $address:$port
  default_backend be
backend be
  server s1 127.0.0.1:$server
",
        &[("$address", &addresses[1]), ("$port", &port), ("$server", &quick.0)],
    );
    let _nginx = Balancer::nginx(addresses[0], port, BalancerContent::Proxied(slow.0));
    let _haproxy = Balancer::haproxy_with(&configuration, addresses[1], port);
    let monitor = fill(
        r#"[monitor.web]
http = { path = "/healthz", port = $port, body = "ok" }
$timing
"#,
        &[("$port", &port), ("$timing", &CHECK_TIMING)],
    );
    let members = addresses
        .map(|address| fill(r#"{ addresses = ["$address"] }"#, &[("$address", &address)]))
        .join(", ");
    let www = fill(
        r#"policy = "load"
by = "response-time"
monitor = "web"
members = [$members]
"#,
        &[("$members", &members)],
    );
    let site = site(&monitor, &www);
    let server = site.serve();
    // A busy machine delays the first replies of either region.
    until_share(&server, "both are as quick", 0.5);
    slow.1.store(170, Relaxed);
    server.until("the slow region has a smaller share", WAIT_TIMEOUT, |server| {
        first_share(server) < 0.4
    });
    assert!(answer_share(&server, addresses[0]) < 0.43);
    assert!(server.verdicts().iter().all(|(_, verdict)| verdict == "up"), "slow is not down");
    slow.1.store(60, Relaxed);
    server.until("the region regains its share", WAIT_TIMEOUT, |server| first_share(server) > 0.44);
}

/// A server that answers after a delay; returns its port and the delay in milliseconds.
fn slowed(ms: u64) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, delay) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(ms)));
    let now = Arc::clone(&delay);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let delay = Duration::from_millis(now.load(Relaxed));
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                // The client sends nothing more, so the read timeout is the delay.
                let _ = stream.set_read_timeout(Some(delay));
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
                );
            });
        }
    });
    (port, delay)
}

#[test]
fn without_reports_the_configured_weights_apply() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.34.1", "127.0.34.2"]);
    regions.kill(1);
    regions.kill(2);
    let site = regions.loaded_site();
    let server = site.serve();
    until_share(&server, "half of the servers have half of the share", HALVED);
    regions.command("disable frontend statistics");
    server.until_logged("no load report");
    server.until_logged("pool uses its configured weights");
    let status = server.status();
    let load = status.loads.iter().find(|load| load.load == "haproxy").unwrap();
    assert!(load.is_stale && load.error.is_some(), "{load:?}");
    let why = pool(&server, WWW).fallback.unwrap();
    assert!(why.contains(regions.fra), "{why}");
    until_share(&server, "the configured weights rule", 0.5);
    let text = run_command(&site, &server, &["status"]);
    assert!(
        text.contains("report expired") && text.contains("configured weights are used: "),
        "{text}"
    );
    assert_eq!(server.verdicts()[0].1, "up", "only its statistics are gone");
    regions.command("enable frontend statistics");
    server.until_logged("pool uses load reports again");
    server.until("reports count again", WAIT_TIMEOUT, |server| first_share(server) < 0.42);
    assert_eq!(pool(&server, WWW).fallback, None);
}
