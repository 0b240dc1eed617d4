//! Health checks that the process cannot make, or makes while it hardly runs: what operators see,
//! and what still works.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill, send_signal},
    health::{FILE, Target, W, zone},
    ports::free_port,
    query::Deadline,
};

/// A connection to the admin address that stays open.
struct AdminStream(TcpStream);

impl AdminStream {
    fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.admin.unwrap()).unwrap();
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
        Self(stream)
    }

    /// Requests `/readyz`; returns the HTTP status and the body.
    fn readiness(&mut self) -> (u16, String) {
        write!(self.0, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut reply = Vec::new();
        loop {
            let mut octets = [0; 4096];
            let length = self.0.read(&mut octets).unwrap();
            assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&reply));
            reply.extend(&octets[..length]);
            let text = String::from_utf8_lossy(&reply);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let announced = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            if announced.is_some_and(|octets: usize| body.len() >= octets) {
                return (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned());
            }
        }
    }
}

#[test]
fn a_server_that_cannot_open_sockets_for_health_checks_is_not_ready_and_recovers() {
    let (port, hosts) = (free_port(), [Ipv4Addr::new(127, 0, 71, 1), Ipv4Addr::new(127, 0, 71, 2)]);
    let _targets = hosts.map(|host| Target::at(host, port, true));
    let monitors = fill(
        r#"[monitor.m]
http = { port = $port }
interval = "500ms"
timeout = "400ms"
"#,
        &[("$port", &port)],
    );
    let [first, second] = hosts.map(|host| host.to_string());
    let site = ServerDirectory::new(&[(FILE, &zone(&monitors, &[(&first, "m"), (&second, "m")]))]);
    let server = site.serve();
    let mut admin = AdminStream::open(&server);
    assert_eq!(admin.readiness().0, 200);
    server.limit_descriptors(3);
    let mut readiness = (0, String::new());
    server.until("the server is not ready", WAIT_TIMEOUT, |_| {
        readiness = admin.readiness();
        readiness.0 == 503 && readiness.1.contains("2 of 2 targets")
    });
    for words in [
        "\"is-ready\":false",
        "failed targets are not detected: ",
        "(no file descriptors: 2)",
        "raise the limit of open files",
    ] {
        assert!(readiness.1.contains(words), "{words}: {}", readiness.1);
    }
    assert_eq!(server.addresses(W), [first.as_str()], "health status is kept");
    server.limit_descriptors(1024);
    server.until("the server is ready again", WAIT_TIMEOUT, |_| {
        readiness = admin.readiness();
        readiness.0 == 200 && readiness.1.contains("\"concerns\":[]")
    });
    assert!(server.metric("portolan_probes_without_result_total", "reason=\"descriptors\"") >= 4.0);
    assert_eq!(server.metric("portolan_targets_unchecked", ""), 0.0);
    server.until_logged("all endpoints are checked again");
    assert_eq!(server.log().matches("health checks give no result").count(), 1, "{}", server.log());
}

#[test]
fn a_suspended_process_takes_no_target_down_and_resumes_its_checks() {
    let (port, hosts) = (free_port(), [Ipv4Addr::new(127, 0, 72, 1), Ipv4Addr::new(127, 0, 72, 2)]);
    let targets = hosts.map(|host| Target::at(host, port, true));
    let monitors = fill(
        r#"[monitor.m]
http = { port = $port }
interval = "500ms"
timeout = "400ms"
fall = 1
"#,
        &[("$port", &port)],
    );
    let [first, second] = hosts.map(|host| host.to_string());
    let site = ServerDirectory::new(&[(FILE, &zone(&monitors, &[(&first, "m"), (&second, "m")]))]);
    let server = site.serve();
    for _ in 0..2 {
        let suspension = Deadline::after(Duration::from_secs(2));
        server.signal(libc::SIGSTOP);
        while suspension.tick() {}
        server.signal(libc::SIGCONT);
        let seen = targets.each_ref().map(Target::seen);
        server.until("three more probes of each target", WAIT_TIMEOUT, |server| {
            assert_eq!(server.addresses(W), [first.as_str()]);
            std::iter::zip(&targets, seen).all(|(target, seen)| target.seen() >= seen + 3)
        });
    }
    assert_eq!(server.http("/readyz").0, 200);
    for words in ["to=down", "health checks give no result"] {
        assert!(!server.log().contains(words), "{}", server.log());
    }
}

#[test]
fn a_hanging_target_is_removed_although_the_process_hardly_runs() {
    let (port, hosts) = (free_port(), [Ipv4Addr::new(127, 0, 73, 1), Ipv4Addr::new(127, 0, 73, 2)]);
    let [hanging, _good] = hosts.map(|host| Target::at(host, port, true));
    let monitors = fill(
        r#"[monitor.m]
http = { port = $port }
interval = "500ms"
timeout = "300ms"
fall = 2
"#,
        &[("$port", &port)],
    );
    let [first, second] = hosts.map(|host| host.to_string());
    let site = ServerDirectory::new(&[(FILE, &zone(&monitors, &[(&first, "m"), (&second, "m")]))]);
    let server = site.serve();
    server.until("both are up", WAIT_TIMEOUT, |server| {
        server.verdicts().iter().all(|(_, verdict)| verdict == "up")
    });
    let (pid, is_over) = (server.pid(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // The process is stopped most of the time, in periods longer than the delays of a busy
        // machine.
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                send_signal(pid, libc::SIGSTOP);
                let stop = Deadline::after(Duration::from_millis(250));
                while stop.tick() {}
                send_signal(pid, libc::SIGCONT);
                let run = Deadline::after(Duration::from_millis(10));
                while run.tick() {}
            }
        });
        hanging.answers.store(false, SeqCst);
        let moved = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            server.until_answers(W, &[&second], 2 * WAIT_TIMEOUT);
        }));
        is_over.store(true, SeqCst);
        assert!(moved.is_ok(), "{}", server.log());
    });
}
