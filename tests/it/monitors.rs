//! Kinds of monitor end to end: combined monitors, DNS, programs, certificates.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    balancers::{Balancer, BalancerContent, are_installed},
    failures::{Authority, MONITOR, WWW, site},
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    ports::free_port,
};

/// The status of a target under a monitor.
fn verdict(server: &Server, monitor: &str, target: &str) -> Option<String> {
    let targets = server.status().targets;
    targets
        .into_iter()
        .find(|status| status.monitor == monitor && status.target == target)
        .map(|status| status.verdict)
}

#[test]
fn a_combined_monitor_follows_its_parts_and_is_listed_with_them() {
    if !are_installed(&["nginx", "haproxy"]) {
        return;
    }
    let (page, port, addresses) = (free_port(), free_port(), ["127.0.20.1", "127.0.20.2"]);
    let _pages = addresses.map(|address| Balancer::nginx(address, page, BalancerContent::Health));
    let first = Balancer::haproxy(addresses[0], port, true);
    let _second = Balancer::haproxy(addresses[1], port, true);
    let check = fill(
        r#"combine = { all = ["page", "either"] }
[monitor.either]
combine = { at-least = 1, of = ["port", "gone"] }
[monitor.page]
http = { path = "/healthz", port = $page }
$timing
[monitor.gone]
tcp = { port = 1 }
$timing
[monitor.port]
tcp = { port = $port }
"#,
        &[("$page", &page), ("$port", &port), ("$timing", &MONITOR)],
    );
    let site = site(&check, &addresses);
    let server = site.serve();
    server.until_answers(WWW, &addresses[..1], WAIT_TIMEOUT);
    assert_eq!(verdict(&server, "web", addresses[0]).as_deref(), Some("up"));
    let last = |server: &Server| {
        let targets = server.status().targets;
        targets
            .into_iter()
            .find(|status| status.monitor == "web")
            .and_then(|status| status.last)
            .unwrap_or_default()
    };
    assert_eq!(last(&server), "ok; 2 of 2 parts are up or unknown");
    assert_eq!(verdict(&server, "gone", addresses[0]).as_deref(), Some("down"));
    drop(first);
    server.until_answers(WWW, &addresses[1..], WAIT_TIMEOUT);
    for (monitor, expected) in
        [("port", "down"), ("page", "up"), ("either", "down"), ("web", "down")]
    {
        assert_eq!(verdict(&server, monitor, addresses[0]).as_deref(), Some(expected), "{monitor}");
    }
    assert_eq!(last(&server), "1 of 2 parts are up or unknown, want 2");
    server.until_logged("combined from its parts");
    assert_eq!(server.metric("portolan_target_up", "monitor=\"web\",target=\"127.0.20.1\""), 0.0);
    let _first = Balancer::haproxy(addresses[0], port, true);
    server.until_answers(WWW, &addresses[..1], WAIT_TIMEOUT);
}

#[test]
fn a_dns_monitor_queries_a_name_server_over_udp_and_tcp() {
    let asked = ServerDirectory::new(&[(
        "zones/static.example.zone",
        "$TTL 60
@ SOA ns1.example.net. h.example.net. 1 1 1 1 1
@ NS ns1.example.net.
www A 192.0.2.1
www A 192.0.2.2
@ MX 10 Mail
",
    )]);
    let asked = asked.serve();
    let port = asked.address.port();
    for (keys, expected) in [
        ("name = \"www.static.example\", answer = [\"192.0.2.2\"]", "up"),
        (
            "name = \"www.static.example\", answer = [\"192.0.2.2\", \"192.0.2.1\"], tcp = true",
            "up",
        ),
        ("name = \"static.example\", type = \"MX\", answer = [\"10 mail.STATIC.example.\"]", "up"),
        ("name = \"static.example\", type = \"SOA\"", "up"),
        ("name = \"www.static.example\", answer = [\"192.0.2.9\"]", "down"),
        ("name = \"none.static.example\"", "down"),
        ("name = \"none.static.example\", rcode = \"NXDOMAIN\"", "up"),
        ("name = \"www.elsewhere.example\", rcode = \"REFUSED\"", "up"),
    ] {
        let check = fill("dns = { port = $port, $keys }", &[("$port", &port), ("$keys", &keys)]);
        let site = site(&check, &["127.0.0.1"]);
        let server = site.serve();
        server.until("both have a status", WAIT_TIMEOUT, |server| {
            verdict(server, "web", "127.0.0.1").as_deref() == Some(expected)
        });
    }
}

#[test]
fn a_program_decides_the_status_and_ends_with_the_server() {
    let site = site("exec = { argv = [\"check\", \"{address}\"] }", &["127.0.0.2", "127.0.0.3"]);
    let pid = site.path("pid");
    let script = format!(
        "#!/bin/sh
[ $1 = 127.0.0.2 ] && exit 0
sleep 600 &
echo $! >{0}.new; mv {0}.new {0}
wait
",
        pid.display()
    );
    let slow = "timeout = \"400ms\"\n";
    site.edit("zones/example.org.toml", slow, "timeout = \"490ms\"\n");
    site.edit("zones/example.org.toml", "\"check\"", "\"./check\"");
    site.write("zones/check", &script);
    fs::set_permissions(site.path("zones/check"), fs::Permissions::from_mode(0o755)).unwrap();
    let server = site.serve();
    server.until_answers("all.example.org", &["127.0.0.2"], WAIT_TIMEOUT);
    server.until("it runs", WAIT_TIMEOUT, |_| pid.exists());
    let (status, log) = server.terminate();
    assert!(status.success(), "{log}");
    let sleeper = fs::read_to_string(pid).unwrap();
    let cmdline =
        fs::read(Path::new("/proc").join(sleeper.trim()).join("cmdline")).unwrap_or_default();
    assert!(!cmdline.starts_with(b"sleep\x00600"), "what the program started outlives it");
}

#[test]
fn a_certificate_that_expires_soon_is_reported_and_may_count_as_up() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let authority = Authority::new();
    let (port, addresses) = (free_port(), ["127.0.21.1", "127.0.21.2"]);
    let year = jiff::Timestamp::now().strftime("%Y").to_string().parse::<i32>().unwrap();
    let soon = authority.sign("www.example.org", year + 1);
    let late = authority.sign("www.example.org", year + 9);
    let _first = Balancer::nginx(
        addresses[0],
        port,
        BalancerContent::Tls { certificate: &soon.0, key: &soon.1 },
    );
    let _second = Balancer::nginx(
        addresses[1],
        port,
        BalancerContent::Tls { certificate: &late.0, key: &late.1 },
    );
    for (then, verdicts) in [("warn", ["up", "up"]), ("fail", ["down", "up"])] {
        let check = fill(
            r#"tls = { port = $port, host = "www.example.org", ca = "ca.pem", expires-within = "400d", on-expiry = "$then" }"#,
            &[("$port", &port), ("$then", &then)],
        );
        let site = site(&check, &addresses);
        site.write("zones/ca.pem", &authority.certificate);
        let server = site.serve();
        server.until("both have a status", WAIT_TIMEOUT, |server| {
            addresses.map(|address| verdict(server, "web", address).unwrap_or_default()) == verdicts
        });
        let last = server.status().targets.into_iter().find(|status| status.target == addresses[0]);
        let last = last.and_then(|status| status.last).unwrap_or_default();
        assert!(last.contains("certificate expires in "), "{last}");
        assert_eq!(last.starts_with("ok; "), then == "warn", "{last}");
        if then == "warn" {
            server.until_logged("certificate expires in ");
        }
    }
}

#[test]
fn a_program_that_disappears_later_stops_its_monitor() {
    let site = site("exec = { argv = [\"./check\", \"{address}\"] }", &["127.0.0.2", "127.0.0.3"]);
    let write = || {
        site.write("zones/check", "#!/bin/sh\n[ $1 = 127.0.0.2 ]\n");
        fs::set_permissions(site.path("zones/check"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    write();
    let server = site.serve();
    server.until_answers("all.example.org", &["127.0.0.2"], WAIT_TIMEOUT);
    fs::remove_file(site.path("zones/check")).unwrap();
    server.until("the fault is reported", WAIT_TIMEOUT, |server| {
        !server.status().monitor_faults.is_empty()
    });
    let (faults, readiness) = (server.status().monitor_faults, server.http("/readyz").1);
    assert!(faults.len() == 1 && faults[0].error.contains("cannot run"), "{faults:?}");
    assert!(readiness.contains("gives no results"), "{readiness}");
    let started = server.metric("portolan_probes_started_total", "");
    server.until("more probes than `fall`", WAIT_TIMEOUT, |server| {
        assert_eq!(verdict(server, "web", "127.0.0.2").as_deref(), Some("up"));
        server.metric("portolan_probes_started_total", "") > started + 8.0
    });
    write();
    server.until("the monitor works again", WAIT_TIMEOUT, |server| {
        server.status().monitor_faults.is_empty()
    });
    assert_eq!(server.addresses("all.example.org"), ["127.0.0.2"]);
}

#[test]
fn a_ca_file_that_is_replaced_is_read_again_without_a_reload() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (old, new) = (Authority::new(), Authority::new());
    let (port, address) = (free_port(), "127.0.22.1");
    let (certificate, key) = new.sign("www.example.org", 2100);
    let _balancer = Balancer::nginx(
        address,
        port,
        BalancerContent::Tls { certificate: &certificate, key: &key },
    );
    let check = fill(
        r#"tls = { port = $port, host = "www.example.org", ca = "ca.pem" }"#,
        &[("$port", &port)],
    );
    let site = site(&check, &[address]);
    site.write("zones/ca.pem", &old.certificate);
    let server = site.serve();
    server.until("it is down", WAIT_TIMEOUT, |server| {
        verdict(server, "web", address).as_deref() == Some("down")
    });
    site.replace("zones/ca.pem", &new.certificate);
    server.until("it is up", WAIT_TIMEOUT, |server| {
        verdict(server, "web", address).as_deref() == Some("up")
    });
    assert_eq!(
        server.status().configuration.reloads,
        0,
        "a certificate is no file of the configuration"
    );
}
