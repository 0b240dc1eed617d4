//! Load reports of real balancers, as a configuration names them and the poller reads them.

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
    harness::WAIT_TIMEOUT,
    ports::free_port,
};

/// What the sources of a configuration say, one after the other.
struct PollWatcher {
    _poller: Poller,
    inbox: mpsc::Receiver<PollReport>,
}

impl PollWatcher {
    /// Polls the one source of this text, attached to `address`.
    async fn start(load: &str, address: &str) -> Self {
        let text = format!("[load.it]\n{load}\ninterval = \"200ms\"\ntimeout = \"190ms\"\n");
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

    /// Waits for a report of which `is_so` holds.
    async fn until(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&LoadReport) -> bool,
    ) -> LoadReport {
        let mut last = None;
        let found = tokio::time::timeout(WAIT_TIMEOUT, async {
            loop {
                let reading = self.inbox.recv().await.expect("the poller lives");
                match reading.result {
                    Ok(report) if is_so(&report) => return report,
                    other => last = Some(other),
                }
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("not within {WAIT_TIMEOUT:?}: {what}; the last: {last:?}"))
    }
}

/// The agent of a server: tells each connection this percentage of its weight.
fn agent(address: &str) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let (port, percent) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(100)));
    let said = Arc::clone(&percent);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = writeln!(stream, "up {}%", said.load(Relaxed));
        }
    });
    (port, percent)
}

/// A server that takes connections and never answers.
fn mute(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let _held: Vec<TcpStream> = listener.incoming().flatten().collect();
    });
    port
}

/// HAProxy with four servers: up, with an agent, down, in maintenance; its statistics on one port,
/// its service on another.
struct HaproxyRegion {
    balancer: Balancer,
    address: &'static str,
    statistics: u16,
    service: u16,
    percent: Arc<AtomicU32>,
}

impl HaproxyRegion {
    fn start(address: &'static str) -> Self {
        let (statistics, service, server) = (free_port(), free_port(), mute(address));
        let (agent, percent) = agent(address);
        let configuration = format!(
            "global\n  maxconn 500\n  stats socket {{directory}}/admin.sock mode 600 level admin\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n\
             frontend statistics\n  bind {address}:{statistics}\n\
             \x20 http-request use-service prometheus-exporter if {{ path /metrics }}\n  stats enable\n  stats uri /stats\n\
             frontend web\n  bind {address}:{service}\n  maxconn 200\n  default_backend www\n\
             backend www\n  default-server inter 100ms fastinter 100ms downinter 100ms fall 1 rise 1 weight 100 maxconn 30\n\
             \x20 server plain {address}:{server} check\n\
             \x20 server agent {address}:{server} check agent-check agent-inter 100ms agent-port {agent}\n\
             \x20 server gone {address}:1 check\n  server kept {address}:{server} disabled\n"
        );
        let balancer = Balancer::haproxy_with(&configuration, address, statistics);
        Self { balancer, address, statistics, service, percent }
    }

    fn csv(&self) -> String {
        format!(
            "haproxy = {{ url = \"http://{{address}}:{}/stats;csv\", proxy = \"www\" }}",
            self.statistics
        )
    }

    fn socket(&self) -> String {
        format!(
            "haproxy = {{ socket = \"{}\", proxy = \"www\" }}",
            self.balancer.path("admin.sock").display()
        )
    }

    fn metrics(&self, keys: &str) -> String {
        format!(
            "prometheus = {{ url = \"http://{{address}}:{}/metrics\", {keys} }}",
            self.statistics
        )
    }

    /// What an operator types at the socket.
    fn command(&self, line: &str) {
        let mut stream = UnixStream::connect(self.balancer.path("admin.sock")).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert_eq!(said.trim(), "", "{line}");
    }

    /// Requests that wait for their answer while these streams live.
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
async fn haproxy_tells_its_load_over_http_and_over_its_socket() {
    if !are_installed(&["haproxy"]) {
        return;
    }
    let region = HaproxyRegion::start("127.0.12.1");
    let mut watches = [
        PollWatcher::start(&region.csv(), region.address).await,
        PollWatcher::start(&region.socket(), region.address).await,
    ];
    for watch in &mut watches {
        let whole = watch
            .until("half of the weights serve", |report| report.capacity_share == Some(0.5))
            .await;
        assert_eq!(
            (whole.servers, whole.limit),
            (servers(2, 4), Some(120.0)),
            "one is down, one in maintenance"
        );
        assert_eq!(whole.connections, Some(0.0));
    }
    region.percent.store(50, Relaxed);
    for watch in &mut watches {
        let report = watch
            .until("the agent halves its weight", |report| report.capacity_share == Some(0.375))
            .await;
        assert_eq!(report.servers, servers(2, 4));
    }
    let requests = region.requests(5);
    for watch in &mut watches {
        watch.until("five sessions", |report| report.connections == Some(5.0)).await;
    }
    drop(requests);
    region.command("set server www/plain state drain");
    for watch in &mut watches {
        let report = watch.until("one is drained", |report| report.servers == servers(1, 4)).await;
        assert_eq!(report.capacity_share, Some(0.125));
    }
    region.percent.store(0, Relaxed);
    for watch in &mut watches {
        let report =
            watch.until("the agent wants nothing", |report| report.servers == servers(0, 4)).await;
        assert_eq!(report.capacity_share, Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxys_own_prometheus_page_is_read_by_selectors() {
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
    let mut watch = PollWatcher::start(&region.metrics(keys), region.address).await;
    let _requests = region.requests(3);
    let is_settled =
        |report: &LoadReport| report.connections == Some(3.0) && report.servers == servers(2, 4);
    let report = watch.until("three sessions on two servers", is_settled).await;
    assert_eq!(report.limit, Some(200.0));
    assert_eq!(report.gauges.get("queue"), Some(&0.0));
    assert_eq!(report.response_time, Some(Duration::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_tells_its_connections() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let (address, port) = ("127.0.12.3", free_port());
    let _nginx = Balancer::nginx(address, port, BalancerContent::Health);
    let load =
        format!("nginx = {{ url = \"http://{{address}}:{port}/stub_status\" }}\nlimit = 512");
    let mut watch = PollWatcher::start(&load, address).await;
    let report = watch.until("our own poll alone", |report| report.connections == Some(1.0)).await;
    assert_eq!(report.limit, Some(512.0));
    let held: Vec<_> = (0..4).map(|_| TcpStream::connect((address, port)).unwrap()).collect();
    watch.until("four more connections", |report| report.connections == Some(5.0)).await;
    drop(held);
    watch.until("they are gone", |report| report.connections == Some(1.0)).await;
}
