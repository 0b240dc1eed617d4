//! Two regions, `fra` with HAProxy and `iad` with nginx, and a server that steers between them.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use portolan::control::PoolStatus;

use crate::{
    balancers::{Balancer, BalancerContent},
    harness::{Server, ServerDirectory, fill},
    ports::free_port,
};

pub(super) const WWW: &str = "www.example.org";
pub(super) const ZONE: &str = "zones/example.org.toml";
/// The interval and timeout of every monitor and load source here.
pub(super) const CHECK_TIMING: &str = "interval = \"200ms\"\ntimeout = \"190ms\"\n";
/// The connection limit of each server behind HAProxy, and the number of servers.
const SERVER_CONNECTIONS: usize = 30;
const SERVERS: usize = 4;
/// The number of queries from which a share is measured, to within three percentage points.
const QUESTIONS: usize = 4000;

/// The configuration of HAProxy, without its servers.
const HAPROXY: &str = "global
  maxconn 500
  stats socket {directory}/admin.sock mode 600 level admin
defaults
  mode http
  retries 0
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend statistics
  bind $address:$statistics
  stats enable
  stats uri /stats
frontend web
  bind $address:$port
  default_backend be
backend be
  default-server inter 100ms fastinter 100ms downinter 100ms fall 1 rise 1 maxconn $connections
$servers";

/// Both datacenters, their load sources and their monitor.
const PLACES: &str = r#"# Our regions.
[datacenter.fra]   # Frankfurt
[datacenter.iad]
[load.haproxy]
haproxy = { url = "http://$fra:$statistics/stats;csv", proxy = "be" }
stale-after = "2s"
$timing
[load.nginx]
nginx = { url = "http://{address}:$port/stub_status" }
limit = $limit
stale-after = "2s"
$timing
[monitor.web]
http = { path = "/healthz", port = $port, body = "ok" }
rise = 2
fall = 2
$timing
"#;

/// Two regions, each with its own address, on one port: `fra` with HAProxy and four servers, `iad`
/// with nginx.
pub(super) struct Regions {
    pub(super) fra: &'static str,
    pub(super) iad: &'static str,
    pub(super) port: u16,
    pub(super) statistics: u16,
    /// The ports of the servers behind HAProxy, and the running servers.
    pub(super) origins: [u16; SERVERS],
    pub(super) servers: Vec<Option<Balancer>>,
    pub(super) haproxy: Option<Balancer>,
    pub(super) nginx: Option<Balancer>,
}

impl Regions {
    pub(super) fn start([fra, iad]: [&'static str; 2]) -> Self {
        let (port, statistics, origins) =
            (free_port(), free_port(), [(); SERVERS].map(|()| free_port()));
        let servers = Vec::new();
        let mut regions =
            Self { fra, iad, port, statistics, origins, servers, haproxy: None, nginx: None };
        regions.servers = origins
            .iter()
            .map(|&origin| Some(Balancer::nginx(fra, origin, BalancerContent::Health)))
            .collect();
        regions.start_haproxy();
        regions.nginx = Some(Balancer::nginx(iad, port, BalancerContent::Health));
        regions
    }

    pub(super) fn start_haproxy(&mut self) {
        let (fra, port, statistics) = (self.fra, self.port, self.statistics);
        let servers: String = self
            .origins
            .iter()
            .enumerate()
            .map(|(index, origin)| format!("  server s{} {fra}:{origin} check\n", index + 1))
            .collect();
        let configuration = fill(
            HAPROXY,
            &[
                ("$address", &fra),
                ("$statistics", &statistics),
                ("$port", &port),
                ("$connections", &SERVER_CONNECTIONS),
                ("$servers", &servers),
            ],
        );
        self.haproxy = Some(Balancer::haproxy_with(&configuration, fra, port));
    }

    /// Kills one server behind HAProxy, counted from 1.
    pub(super) fn kill(&mut self, server: usize) {
        self.servers[server - 1] = None;
    }

    pub(super) fn revive(&mut self, server: usize) {
        self.servers[server - 1] =
            Some(Balancer::nginx(self.fra, self.origins[server - 1], BalancerContent::Health));
    }

    /// Sends a command to HAProxy's socket, which must print nothing.
    pub(super) fn command(&self, line: &str) {
        let path = self.haproxy.as_ref().map(|haproxy| haproxy.path("admin.sock"));
        let mut stream = UnixStream::connect(path.unwrap()).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut output = String::new();
        stream.read_to_string(&mut output).unwrap();
        assert_eq!(output.trim(), "", "{line}");
    }

    /// Tables of both datacenters, their load sources, and a monitor for both.
    pub(super) fn places(&self) -> String {
        fill(
            PLACES,
            &[
                ("$fra", &self.fra),
                ("$port", &self.port),
                ("$statistics", &self.statistics),
                ("$limit", &(SERVER_CONNECTIONS * SERVERS)),
                ("$timing", &CHECK_TIMING),
            ],
        )
    }

    /// A pool's members, both regions, with additional keys for each.
    pub(super) fn members(&self, fra: &str, iad: &str) -> String {
        fill(
            r#"members = [
  { datacenter = "fra", addresses = ["$first"]$fra },
  { datacenter = "iad", addresses = ["$second"]$iad },
]
"#,
            &[("$first", &self.fra), ("$second", &self.iad), ("$fra", &fra), ("$iad", &iad)],
        )
    }

    /// A site whose service `www` chooses between both regions.
    pub(super) fn site(&self, keys: &str, members: &str) -> ServerDirectory {
        site(&self.places(), &format!("monitor = \"web\"\n{keys}{members}"))
    }

    /// A site with `policy = "load"`, where each region has its load source.
    pub(super) fn loaded_site(&self) -> ServerDirectory {
        let members = self.members(", load = \"haproxy\"", ", load = \"nginx\"");
        self.site("policy = \"load\"\n", &members)
    }
}

/// A site with these tables and a service `www` with these keys.
pub(super) fn site(tables: &str, www: &str) -> ServerDirectory {
    let zone = format!(
        r#"{tables}[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."{WWW}"]
ttl = 1
{www}"#
    );
    ServerDirectory::new(&[(ZONE, &zone)])
}

/// The fraction of the answers to [`QUESTIONS`] queries that name `address`.
pub(super) fn answer_share(server: &Server, address: &str) -> f64 {
    let named = (0..QUESTIONS).filter(|_| server.addresses(WWW) == [address]).count();
    named as f64 / QUESTIONS as f64
}

/// Asserts that fraction to within three percentage points.
pub(super) fn assert_answer_share(server: &Server, address: &str, expected: f64) {
    let share = answer_share(server, address);
    assert!(
        (share - expected).abs() < 0.03,
        "{address} has {share}, not {expected}\n{}",
        server.log()
    );
}

/// The status of a pool.
pub(super) fn pool(server: &Server, name: &str) -> PoolStatus {
    let pools = server.status().pools;
    let found = pools.iter().find(|pool| pool.name == name);
    found.unwrap_or_else(|| panic!("no pool {name} among {pools:?}")).clone()
}

/// The share of the first member of `www`, as the server reports it.
pub(super) fn first_share(server: &Server) -> f64 {
    pool(server, WWW).shares[0].1
}

/// The output of `portolan ARGUMENTS` for this server; the command must succeed.
pub(super) fn run_command(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> String {
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, err) = site.run(&[arguments, &["--server", &url]].concat());
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}
