//! Health status over time: after edits of monitors, for new members, after restarts, and at a
//! first start.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    ports::free_port,
};

pub const W: &str = "w.example.org";

/// A web server that answers or stays silent, as the test sets it, and counts the probes that it
/// receives.
pub struct Target {
    pub answers: Arc<AtomicBool>,
    seen: Arc<AtomicUsize>,
}

impl Target {
    pub fn at(address: Ipv4Addr, port: u16, answers: bool) -> Self {
        let listener = TcpListener::bind((address, port)).unwrap();
        let target = Self { answers: Arc::new(AtomicBool::new(answers)), seen: Arc::default() };
        let (answers, seen) = (Arc::clone(&target.answers), Arc::clone(&target.seen));
        // The thread ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                seen.fetch_add(1, SeqCst);
                let answers = answers.load(SeqCst);
                std::thread::spawn(move || serve(stream, answers));
            }
        });
        target
    }

    pub fn seen(&self) -> usize {
        self.seen.load(SeqCst)
    }
}

fn serve(mut stream: TcpStream, answers: bool) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    if answers {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    } else {
        // Read until the probe closes the connection.
        let _ = stream.read(&mut request);
    }
}

/// A zone with the service `w`, which fails over along `members` (address, monitor); `monitors`
/// holds the monitor tables.
pub fn zone(monitors: &str, members: &[(&str, &str)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(address, monitor)| {
            fill(
                r#"{ addresses = ["$address"], monitor = "$monitor" }"#,
                &[("$address", address), ("$monitor", monitor)],
            )
        })
        .collect();
    let members = members.join(", ");
    format!(
        r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
{monitors}
[service."{W}"]
policy = "failover"
members = [{members}]
"#
    )
}

fn monitor(name: &str, check: &str) -> String {
    format!(
        r#"[monitor.{name}]
{check}
interval = "1500ms"
timeout = "1s"
"#
    )
}

pub const FILE: &str = "zones/example.org.toml";

#[test]
fn an_edited_monitor_keeps_the_status_of_its_targets() {
    let (dead, good) = (Ipv4Addr::new(127, 0, 61, 1), Ipv4Addr::new(127, 0, 61, 2));
    let ports = [free_port(), free_port()];
    let deads = ports.map(|port| Target::at(dead, port, false));
    let _goods = ports.map(|port| Target::at(good, port, true));
    let (dead, good) = (dead.to_string(), good.to_string());
    let with =
        |name: &str, check: &str| zone(&monitor(name, check), &[(&dead, name), (&good, name)]);
    let http = |port: u16| fill("http = { port = $port }", &[("$port", &port)]);
    let site = ServerDirectory::new(&[(FILE, &with("m", &http(ports[0])))]);
    let server = site.serve();
    server.until_answers(W, &[&good], WAIT_TIMEOUT);
    let edits = [
        (with("m", &http(ports[0])).replace("1500ms", "1600ms"), "its interval"),
        (with("n", &http(ports[0])), "its name"),
        (with("n", &http(ports[1])), "its port"),
        (with("n", &http(ports[1]).replace(" }", ", path = \"/x\" }")), "its path"),
        (with("o", &http(ports[0])), "its name and its port"),
    ];
    for (reload, (edited, what)) in (1..).zip(edits) {
        let seen: usize = deads.iter().map(Target::seen).sum();
        site.write(FILE, &edited);
        // Wait until the dead member was probed twice under the new check, so that one whole probe
        // is over.
        server.until(
            &format!("the first outcome after an edit of {what}"),
            WAIT_TIMEOUT,
            |server| {
                assert_eq!(server.addresses(W), [good.as_str()], "{what}");
                let is_loaded = server.status().configuration.reloads == reload;
                is_loaded && deads.iter().map(Target::seen).sum::<usize>() >= seen + 2
            },
        );
    }
}

#[test]
fn a_new_member_is_answered_only_after_members_known_to_be_healthy() {
    let (new, good) = (Ipv4Addr::new(127, 0, 62, 1), Ipv4Addr::new(127, 0, 62, 2));
    let port = free_port();
    let (new_target, _good) = (Target::at(new, port, false), Target::at(good, port, true));
    let (new, good) = (new.to_string(), good.to_string());
    let monitors = monitor("m", &fill("http = { port = $port }", &[("$port", &port)]));
    let site = ServerDirectory::new(&[(FILE, &zone(&monitors, &[(&good, "m")]))]);
    let server = site.serve();
    server.until("the only member is up", WAIT_TIMEOUT, |server| {
        server.verdicts().iter().all(|(_, verdict)| verdict == "up")
    });
    site.write(FILE, &zone(&monitors, &[(&new, "m"), (&good, "m")]));
    server.until("the new member has a status", WAIT_TIMEOUT, |server| {
        assert_eq!(server.addresses(W), [good.as_str()]);
        server.verdicts().iter().any(|(target, verdict)| target.contains(&new) && verdict == "down")
    });
    new_target.answers.store(true, SeqCst);
    server.until_answers(W, &[&new], WAIT_TIMEOUT);
}

#[test]
fn after_a_restart_a_member_is_removed_only_after_fall_failures() {
    let (first, second) = (Ipv4Addr::new(127, 0, 63, 1), Ipv4Addr::new(127, 0, 63, 2));
    let port = free_port();
    let (target, _second) = (Target::at(first, port, true), Target::at(second, port, true));
    let (first, second) = (first.to_string(), second.to_string());
    let monitors = monitor("m", &fill("http = { port = $port }\nfall = 3", &[("$port", &port)]));
    let site = ServerDirectory::new(&[(FILE, &zone(&monitors, &[(&first, "m"), (&second, "m")]))]);
    let server = site.serve();
    server.until("both are up", WAIT_TIMEOUT, |server| {
        server.verdicts().iter().all(|(_, verdict)| verdict == "up")
    });
    assert!(server.terminate().0.success());
    target.answers.store(false, SeqCst);
    let seen = target.seen();
    let server = site.serve();
    assert_eq!(server.addresses(W), [first.as_str()], "saved status is served at once");
    server.until_answers(W, &[&second], WAIT_TIMEOUT);
    assert!(target.seen() >= seen + 3, "{} probes", target.seen() - seen);
}

#[test]
fn a_first_start_waits_at_most_one_timeout_for_the_first_round_and_reports_it() {
    let (dead, good) = (Ipv4Addr::new(127, 0, 64, 1), Ipv4Addr::new(127, 0, 64, 2));
    let port = free_port();
    let _targets = (Target::at(dead, port, false), Target::at(good, port, true));
    let (dead, good) = (dead.to_string(), good.to_string());
    let monitors = fill(
        r#"[monitor.m]
http = { port = $port }
interval = "30s"
timeout = "2s"
"#,
        &[("$port", &port)],
    );
    let site = ServerDirectory::new(&[(FILE, &zone(&monitors, &[(&dead, "m"), (&good, "m")]))]);
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    site.write(
        "portolan.toml",
        &format!(
            r#"[server]
admin = "{admin}"
threads = 1
"#
        ),
    );
    std::thread::scope(|scope| {
        let start = Instant::now();
        let serving = scope.spawn(|| site.serve());
        let mut reply = String::new();
        while !reply.contains("503") {
            assert!(start.elapsed() < WAIT_TIMEOUT, "503 was never returned: {reply}");
            reply = readyz(admin);
        }
        assert!(reply.contains("waiting for the first round of health checks, "), "{reply}");
        let server: Server = serving.join().unwrap();
        assert_eq!(server.addresses(W), [good.as_str()], "the first answer depends on probes");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(readyz(admin).contains("200 OK"));
        assert!(server.terminate().0.success());
        let server = site.serve();
        assert!(
            !server.log().contains("waiting for the first round"),
            "with saved status the server starts at once"
        );
    });
}

/// The whole reply of `/readyz`; empty while nothing listens on the address.
fn readyz(admin: std::net::SocketAddr) -> String {
    let Ok(mut stream) = TcpStream::connect(admin) else { return String::new() };
    let _ =
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut reply = String::new();
    let _ = stream.read_to_string(&mut reply);
    reply
}

#[test]
fn a_ca_file_that_breaks_later_stops_its_monitor_and_no_other_edit() {
    let certificate = || {
        rcgen::generate_simple_self_signed(vec!["www.example.org".to_owned()]).unwrap().cert.pem()
    };
    let zone = zone(&monitor("m", "https = { port = 1, ca = \"ca.pem\" }"), &[("127.0.65.1", "m")]);
    let site = ServerDirectory::new(&[(FILE, &zone), ("zones/ca.pem", &certificate())]);
    let server = site.serve();
    site.write("zones/ca.pem", "no certificate\n");
    site.write(FILE, &zone.replace("127.0.65.1", "127.0.65.2"));
    server.until_answers(W, &["127.0.65.2"], WAIT_TIMEOUT);
    let faults = server.status().monitor_faults;
    assert!(faults.len() == 1 && faults[0].error.contains("ca.pem"), "{faults:?}");
    assert!(
        server.http("/readyz").1.contains("monitor \\\"m\\\" gives no results"),
        "{}",
        server.http("/readyz").1
    );
    let (code, out, output) = site.run(&["check", "--config", "portolan.toml"]);
    let output = out + &output;
    assert_ne!(code, 0, "a configuration that cannot work from the start is refused");
    assert!(output.contains("holds no certificate"), "{output}");
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert_eq!(server.addresses(W), ["127.0.65.2"], "a start goes on from the last good set");
    assert!(
        server.http("/readyz").1.contains("monitor \\\"m\\\" gives no results"),
        "{}",
        server.http("/readyz").1
    );
    site.write("zones/ca.pem", &certificate());
    server.until("the monitor works again", WAIT_TIMEOUT, |server| {
        server.status().monitor_faults.is_empty()
    });
}

#[test]
fn missing_ca_certificates_are_reported_once_with_the_remedy() {
    let monitors = monitor("m", "https = { port = 1 }") + &monitor("n", "https = { port = 2 }");
    let site = ServerDirectory::new(&[(
        FILE,
        &zone(&monitors, &[("127.0.65.1", "m"), ("127.0.65.2", "n")]),
    )]);
    let mut command =
        site.command(&["serve", "--config", "portolan.toml", "--listen", "127.0.0.1:0"]);
    command.env("SSL_CERT_FILE", site.path("none.pem")).env("SSL_CERT_DIR", site.path("none"));
    let server = Server::start(command).unwrap();
    server.until("the faults", WAIT_TIMEOUT, |server| server.status().monitor_faults.len() == 2);
    let readiness = server.http("/readyz").1;
    assert!(readiness.contains("monitors \\\"m\\\", \\\"n\\\" give no results"), "{readiness}");
    assert!(!server.log().contains("monitor gives no results"), "{}", server.log());
    assert_eq!(
        server.log().matches("no TLS target can be verified").count(),
        1,
        "{}",
        server.log()
    );
    assert!(server.log().contains("install the package `ca-certificates`"), "{}", server.log());
    assert_eq!(
        server.addresses(W),
        ["127.0.65.1"],
        "missing certificates on this host take no target down"
    );
}

#[test]
fn commands_reach_a_server_over_plain_http_on_a_host_without_ca_certificates() {
    let site = ServerDirectory::new(&[(
        FILE,
        &zone(&monitor("m", "tcp = { port = 1 }"), &[("127.0.66.1", "m")]),
    )]);
    let server = site.serve();
    let run = |url: &str| {
        let mut command = site.command(&["status", "--server", url]);
        command.env("SSL_CERT_FILE", site.path("none.pem")).env("SSL_CERT_DIR", site.path("none"));
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let address = server.admin.unwrap();
    let (is_success, output) = run(&format!("http://{address}"));
    assert!(is_success && output.contains("127.0.66.1"), "{output}");
    let (is_success, output) = run(&format!("https://{address}"));
    assert!(!is_success && output.contains("this host has no CA certificates"), "{output}");
    assert!(output.contains("install the package `ca-certificates`"), "{output}");
}
