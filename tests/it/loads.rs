//! Load reports of real balancers: from the configuration of a load source through the poller to
//! the report.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    num::NonZeroUsize,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use portolan::{
    config::{Config, SourceOptions, Sources},
    load::{LoadReport, ServerCount},
    probe::{PollKey, PollReport, Poller, SchedulerLimits},
};
use tokio::sync::mpsc;

use crate::{
    balancers::{Balancer, BalancerContent, are_installed},
    harness::{WAIT_TIMEOUT, fill},
    ports::free_port,
};

/// The poll reports of one load source, in order.
struct PollWatcher {
    _poller: Poller,
    inbox: mpsc::Receiver<PollReport>,
}

impl PollWatcher {
    /// Polls the load source that `load` configures, for the balancer at `address`.
    async fn start(load: &str, address: &str) -> Self {
        let text = format!(
            r#"[load.it]
{load}
interval = "200ms"
timeout = "190ms"
"#
        );
        let sources = Sources::from_texts(&SourceOptions::default(), [("zones/x.toml", &*text)]);
        let (config, _) = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        let (readings, inbox) = mpsc::channel(16);
        let poller = Poller::start(
            SchedulerLimits { in_flight: NonZeroUsize::MIN, extra_descriptors: 0 },
            Instant::now(),
            readings,
        );
        let source = Arc::new(config.topology.load_sources[0].clone());
        poller.set_keys(vec![PollKey::new(source, address.parse().unwrap())]).await;
        Self { _poller: poller, inbox }
    }

    /// Waits for a report for which `is_so` is true.
    async fn until(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&LoadReport) -> bool,
    ) -> LoadReport {
        let mut last = None;
        let found = tokio::time::timeout(WAIT_TIMEOUT, async {
            loop {
                let reading = self.inbox.recv().await.expect("the poller runs");
                match reading.result {
                    Ok(report) if is_so(&report) => return report,
                    other => last = Some(other),
                }
            }
        });
        found.await.unwrap_or_else(|_| {
            panic!(
                "timeout after {WAIT_TIMEOUT:?} while waiting: {what}; the last result: {last:?}"
            )
        })
    }
}

/// A HAProxy agent: sends the percentage of the server's weight to each connection. Returns its
/// port and that percentage.
fn start_agent(address: &str) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let (port, percent) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(100)));
    let reported = Arc::clone(&percent);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = writeln!(stream, "up {}%", reported.load(Relaxed));
        }
    });
    (port, percent)
}

/// A server that accepts connections and never answers; returns its port.
fn start_silent_server(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let _held: Vec<TcpStream> = listener.incoming().flatten().collect();
    });
    port
}

/// The configuration of HAProxy, with four servers.
const HAPROXY: &str = "global
  maxconn 500
  stats socket {directory}/admin.sock mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend statistics
  bind $address:$statistics
  http-request use-service prometheus-exporter if { path /metrics }
  stats enable
  stats uri /stats
frontend web
  bind $address:$service
  maxconn 200
  default_backend www
backend www
  default-server inter 100ms fastinter 100ms downinter 100ms fall 1 rise 1 weight 100 maxconn 30
  server plain $address:$server check
  server agent $address:$server check agent-check agent-inter 100ms agent-port $agent
  server gone $address:1 check
  server kept $address:$server disabled
";

/// HAProxy with four servers: one up, one with an agent, one down, one in maintenance. Statistics
/// and service have their own ports.
struct HaproxyRegion {
    balancer: Balancer,
    address: &'static str,
    statistics: u16,
    service: u16,
    percent: Arc<AtomicU32>,
}

impl HaproxyRegion {
    fn start(address: &'static str) -> Self {
        let (statistics, service, server) =
            (free_port(), free_port(), start_silent_server(address));
        let (agent, percent) = start_agent(address);
        let configuration = fill(
            HAPROXY,
            &[
                ("$address", &address),
                ("$statistics", &statistics),
                ("$service", &service),
                ("$server", &server),
                ("$agent", &agent),
            ],
        );
        let balancer = Balancer::haproxy_with(&configuration, address, statistics);
        Self { balancer, address, statistics, service, percent }
    }

    fn csv(&self) -> String {
        fill(
            r#"haproxy = { url = "http://{address}:$port/stats;csv", proxy = "www" }"#,
            &[("$port", &self.statistics)],
        )
    }

    fn socket(&self) -> String {
        fill(
            r#"haproxy = { socket = "$path", proxy = "www" }"#,
            &[("$path", &self.balancer.path("admin.sock").display())],
        )
    }

    fn metrics(&self, keys: &str) -> String {
        fill(
            r#"prometheus = { url = "http://{address}:$port/metrics", $keys }"#,
            &[("$port", &self.statistics), ("$keys", &keys)],
        )
    }

    /// Sends a command to HAProxy's socket, which must print nothing.
    fn command(&self, line: &str) {
        let mut stream = UnixStream::connect(self.balancer.path("admin.sock")).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut output = String::new();
        stream.read_to_string(&mut output).unwrap();
        assert_eq!(output.trim(), "", "{line}");
    }

    /// Opens requests that stay unanswered until the streams are dropped.
    fn requests(&self, count: usize) -> Vec<TcpStream> {
        let open = |_| {
            let mut stream = TcpStream::connect((self.address, self.service)).unwrap();
            write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        };
        (0..count).map(open).collect()
    }
}

fn servers(up: u32, total: u32) -> Option<ServerCount> {
    Some(ServerCount { up, total })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_reports_its_load_over_http_and_over_its_socket() {
    if !are_installed(&["haproxy"]) {
        return;
    }
    let region = HaproxyRegion::start("127.0.12.1");
    let mut watchers = [
        PollWatcher::start(&region.csv(), region.address).await,
        PollWatcher::start(&region.socket(), region.address).await,
    ];
    for watcher in &mut watchers {
        let report = watcher
            .until("half of the weights serve", |report| report.capacity_share == Some(0.5))
            .await;
        assert_eq!(
            (report.servers, report.limit),
            (servers(2, 4), Some(120.0)),
            "one is down, one in maintenance"
        );
        assert_eq!(report.connections, Some(0.0));
    }
    region.percent.store(50, Relaxed);
    for watcher in &mut watchers {
        let report = watcher
            .until("the agent halves its weight", |report| report.capacity_share == Some(0.375))
            .await;
        assert_eq!(report.servers, servers(2, 4));
    }
    let requests = region.requests(5);
    for watcher in &mut watchers {
        watcher.until("five sessions", |report| report.connections == Some(5.0)).await;
    }
    drop(requests);
    region.command("set server www/plain state drain");
    for watcher in &mut watchers {
        let report =
            watcher.until("one is drained", |report| report.servers == servers(1, 4)).await;
        assert_eq!(report.capacity_share, Some(0.125));
    }
    region.percent.store(0, Relaxed);
    for watcher in &mut watchers {
        let report = watcher
            .until("the agent reports 0 percent", |report| report.servers == servers(0, 4))
            .await;
        assert_eq!(report.capacity_share, Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selectors_read_the_prometheus_page_of_haproxy() {
    if !are_installed(&["haproxy"]) {
        return;
    }
    let region = HaproxyRegion::start("127.0.12.2");
    let keys = "connections = \"haproxy_backend_current_sessions{proxy=\\\"www\\\"}\", \
                limit = \"haproxy_frontend_limit_sessions{proxy=\\\"web\\\"}\", \
                servers-up = \"haproxy_server_status{proxy=\\\"www\\\", state=\\\"UP\\\"}\", \
                servers-total = \"haproxy_server_status{proxy=\\\"www\\\", state!=\\\"NOLB\\\"}\", \
                response-time = \"haproxy_backend_response_time_average_seconds{proxy=\\\"www\\\"}\", \
                gauges = { queue = \"max(haproxy_server_current_queue)\" }";
    let mut watcher = PollWatcher::start(&region.metrics(keys), region.address).await;
    let _requests = region.requests(3);
    let is_settled =
        |report: &LoadReport| report.connections == Some(3.0) && report.servers == servers(2, 4);
    let report = watcher.until("three sessions on two servers", is_settled).await;
    assert_eq!(report.limit, Some(200.0));
    assert_eq!(report.gauges.get("queue"), Some(&0.0));
    assert_eq!(report.response_time, Some(Duration::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_reports_its_connections() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (address, port) = ("127.0.12.3", free_port());
    let _nginx = Balancer::nginx(address, port, BalancerContent::Health);
    let load = fill(
        "nginx = { url = \"http://{address}:$port/stub_status\" }\nlimit = 512",
        &[("$port", &port)],
    );
    let mut watcher = PollWatcher::start(&load, address).await;
    let report = watcher
        .until("only the connection of the poll", |report| report.connections == Some(1.0))
        .await;
    assert_eq!(report.limit, Some(512.0));
    let held: Vec<_> = (0..4).map(|_| TcpStream::connect((address, port)).unwrap()).collect();
    watcher.until("four more connections", |report| report.connections == Some(5.0)).await;
    drop(held);
    watcher
        .until("the four connections are closed", |report| report.connections == Some(1.0))
        .await;
}
