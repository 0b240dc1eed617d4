//! Attacks on what health checks, drains and other clients share with the server: file descriptors
//! and processor time.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    query::{REPLY_TIMEOUT, TestQuery},
};

const WWW: &str = "www.example.org";
/// The bound on a status change. The expected time, the interval times `fall` plus the timeout, is
/// only 1.4 s.
const STATUS_TIMEOUT: Duration = Duration::from_secs(20);

/// A server with HTTPS and a failover pool of two targets; the first is answered while it is
/// healthy.
fn site(targets: &[TcpListener; 2]) -> ServerDirectory {
    let [first, second] = targets.each_ref().map(|target| target.local_addr().unwrap());
    let zone = fill(
        r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[datacenter.fra]
[datacenter.ams]
[monitor.tcp]
tcp = { port = $port }
interval = "500ms"
timeout = "400ms"
fall = 2
[pool.web]
policy = "failover"
monitor = "tcp"
members = [
  { addresses = ["$first"], datacenter = "fra" },
  { addresses = ["$second"], datacenter = "ams" },
]
[service."www.example.org"]
pool = "web"
ttl = 5
"#,
        &[("$port", &first.port()), ("$first", &first.ip()), ("$second", &second.ip())],
    );
    ServerDirectory::new(&[
        ("zones/example.org.toml", &zone),
        (
            "portolan.toml",
            r#"[server]
admin = "127.0.0.1:0"
https = { listen = ["127.0.0.1:0"], certificate = "cert.pem", key = "key.pem" }
"#,
        ),
    ])
}

/// Two listeners with the same port on two addresses. The kernel completes the handshakes, so no
/// thread accepts.
fn targets() -> [TcpListener; 2] {
    let first = TcpListener::bind("127.0.71.1:0").unwrap();
    let port = first.local_addr().unwrap().port();
    [first, TcpListener::bind(("127.0.71.2", port)).unwrap()]
}

/// Writes a certificate with an ECDSA key, and the key.
fn certificate(site: &ServerDirectory) {
    let made = rcgen::generate_simple_self_signed(vec!["ns1.example.net".to_owned()]).unwrap();
    site.write("cert.pem", &made.cert.pem());
    site.write("key.pem", &made.signing_key.serialize_pem());
}

/// A thread that opens connections one after the other until this value is dropped, and keeps the
/// newest of them open.
struct Flood {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Flood {
    /// Sends `first` on each connection, keeps at most `held` of them open, and waits for `pause`
    /// between two.
    fn start(address: SocketAddr, first: Vec<u8>, held: usize, pause: Duration) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut connections = std::collections::VecDeque::new();
            // Dropping the sender ends the loop.
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                if let Ok(mut connection) =
                    TcpStream::connect_timeout(&address, Duration::from_millis(100))
                {
                    let _ = connection.write_all(&first);
                    connections.push_back(connection);
                }
                if connections.len() > held {
                    connections.pop_front();
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop = None;
        let _ = self.thread.take().unwrap().join();
    }
}

fn healthz(server: &Server) -> String {
    let mut stream = TcpStream::connect_timeout(&server.admin.unwrap(), REPLY_TIMEOUT).unwrap();
    stream.set_read_timeout(Some(REPLY_TIMEOUT)).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    let _ = stream.read_to_string(&mut page);
    page.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn client_connections_leave_descriptors_for_health_checks_the_admin_api_and_drains() {
    let targets = targets();
    let site = site(&targets);
    certificate(&site);
    let mut command = Command::new("prlimit");
    command.args([
        "--nofile=400:400",
        env!("CARGO_BIN_EXE_portolan"),
        "serve",
        "--config",
        "portolan.toml",
    ]);
    command.args(["--listen", "127.0.0.1:0"]).current_dir(site.path("."));
    let server = Server::start(command).unwrap();
    server.until_answers(WWW, &["127.0.71.1"], WAIT_TIMEOUT);
    let _flood = Flood::start(server.https.unwrap(), Vec::new(), 600, Duration::from_millis(1));
    server.until("connections are evicted", WAIT_TIMEOUT, |server| {
        server.metric("portolan_connections_total", "transport=\"https\",event=\"evicted\"") > 0.0
    });
    assert!(server.descriptors() <= 400 - 64, "{}", server.descriptors());
    assert_eq!(healthz(&server), "HTTP/1.1 200 OK");
    let mut over_tcp = TestQuery::new(WWW, "A");
    over_tcp.tcp = true;
    assert_eq!(server.ask(&over_tcp).answers(), ["127.0.71.1"]);
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, error) = site.run(&["drain", "ams", "--server", &url]);
    assert_eq!(code, 0, "{out}{error}");
    let (code, out, error) = site.run(&["undrain", "ams", "--server", &url]);
    assert_eq!(code, 0, "{out}{error}");
    let [dead, _alive] = targets;
    drop(dead);
    server.until_answers(WWW, &["127.0.71.2"], STATUS_TIMEOUT);
    assert_eq!(
        server.metric("portolan_connections_total", "transport=\"https\",event=\"accept-failed\""),
        0.0
    );
}

/// A recorded ClientHello whose key share the server accepts, so that the server signs a reply to
/// each copy.
fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), "ns1.example.net".try_into().unwrap())
            .unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn client_handshakes_delay_no_health_status_and_no_answer() {
    let targets = targets();
    let site = site(&targets);
    // With RSA-4096, each ClientHello costs about 5 ms of CPU.
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:4096",
            "-nodes",
            "-days",
            "9",
            "-subj",
            "/CN=ns1.example.net",
        ])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(site.path("."))
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: openssl is not installed");
        return;
    }
    let server = site.serve();
    server.until_answers(WWW, &["127.0.71.1"], WAIT_TIMEOUT);
    // Two floods send more ClientHellos than the cores can sign.
    let flood = || Flood::start(server.https.unwrap(), hello(), 200, Duration::from_millis(1));
    let _floods = [flood(), flood()];
    server.until("500 connections were opened", WAIT_TIMEOUT, |server| {
        server.metric("portolan_connections_total", "transport=\"https\",event=\"opened\"") > 500.0
    });
    let [dead, _alive] = targets;
    drop(dead);
    let started = Instant::now();
    server.until_answers(WWW, &["127.0.71.2"], STATUS_TIMEOUT);
    println!("a verdict after {:?}", started.elapsed());
}
