//! The regions, the files, both servers, and commands for both.

use serde_json::Value;

use crate::{
    balancers::{Balancer, BalancerContent, start_holding_server},
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    ports::free_port,
};

pub(super) const PLACES: &str = "zones/datacenters.toml";
pub(super) const ZONE: &str = "zones/example.org.toml";
pub(super) const COLLEAGUE: &str = "zones/colleague.toml";

/// HAProxy with a limit of connections; its server holds each request until the client closes.
const HAPROXY: &str = "global
  maxconn 500
defaults
  mode http
  option abortonclose
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend statistics
  bind $address:$statistics
  stats enable
  stats uri /stats
frontend web
  bind $address:$port
  http-request return status 200 content-type text/plain string ok if { path /healthz }
  default_backend be
backend be
  server s1 127.0.0.1:$server maxconn 100
";

/// The datacenters, the load source of each balancer, and the monitor of both.
const PLACES_TEXT: &str = r#"[datacenter.fra]
region = "eu"
location = { latitude = 50.11, longitude = 8.68 }
[datacenter.iad]
region = "us"
location = { latitude = 38.95, longitude = -77.45 }
[datacenter.nrt]
region = "asia"
location = { latitude = 35.77, longitude = 140.39 }
[load.haproxy]
haproxy = { url = "http://$fra:$statistics/stats;csv", proxy = "be" }
$timing
[load.nginx]
nginx = { url = "http://{address}:$port/stub_status" }
limit = 100
$timing
[monitor.web]
http = { path = "/healthz", port = $port, body = "ok" }
rise = 1
fall = 2
$timing
"#;

/// The interval and timeout of every monitor and load source here.
const CHECK_TIMING: &str = "interval = \"400ms\"\ntimeout = \"390ms\"\n";

/// Services with every way to choose a member. A member is named after its datacenter; the member
/// `six` has an IPv6 address alone.
const ZONE_TEXT: &str = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[pool.web-fra]
spread = "client"
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web", weight = 3 },
  { name = "six", datacenter = "fra", addresses = ["2001:db8:1::6"] },
]
[pool.web-iad]
spread = "client"
members = [
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web" },
  { name = "iad6", datacenter = "iad", addresses = ["2001:db8:2::6"] },
]
[pool.web-nrt]
spread = "client"
members = [{ name = "nrt", datacenter = "nrt", addresses = ["192.0.2.3", "2001:db8:3::1"] }]
[pool.shares]
spread = "client"
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web", weight = 5 },
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web", weight = 3 },
  { name = "nrt", datacenter = "nrt", addresses = ["192.0.2.3"], weight = 2 },
]
[service."geo.example.org"]
ttl = $ttl
policy = "geo"
spread = "client"
rules = [
  { country = ["DE"], members = ["web-fra", "web-iad"] },
  { country = ["US"], members = ["web-iad", "web-fra"] },
]
default = ["web-nrt", "web-fra"]
[service."near.example.org"]
ttl = $ttl
policy = "nearest"
spread = "client"
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web" },
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web" },
  { name = "nrt", datacenter = "nrt", addresses = ["192.0.2.3"] },
]
[service."shares.example.org"]
ttl = $ttl
pool = "shares"
[service."random.example.org"]
ttl = $ttl
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web" },
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web", weight = 9 },
]
[service."load.example.org"]
ttl = $ttl
policy = "load"
spread = "client"
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web", load = "haproxy" },
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web", load = "nginx" },
]
[service."first.example.org"]
ttl = $ttl
policy = "failover"
spread = "client"
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web" },
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web" },
  { name = "nrt", datacenter = "nrt", addresses = ["192.0.2.3"], state = "standby" },
]
[service."two.example.org"]
ttl = $ttl
spread = "client"
answers = 2
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web", weight = 2 },
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web" },
  { name = "nrt", datacenter = "nrt", addresses = ["192.0.2.3"] },
]
[service."shop.example.org"]
ttl = $ttl
type = "HTTPS"
alpn = ["h2"]
members = [
  { name = "fra", datacenter = "fra", addresses = ["$fra"], monitor = "web", weight = 2 },
  { name = "six", datacenter = "fra", addresses = ["2001:db8:1::6"] },
  { name = "nrt", datacenter = "nrt", addresses = ["192.0.2.3", "2001:db8:3::1"] },
]
[service."six.example.org"]
ttl = $ttl
spread = "client"
members = [
  { name = "six", datacenter = "fra", addresses = ["2001:db8:1::6"] },
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web" },
  { name = "nrt6", datacenter = "nrt", addresses = ["2001:db8:3::6"] },
]
[service."cdn.example.org"]
ttl = $ttl
spread = "client"
members = [
  { name = "fra", datacenter = "fra", cname = "fra.cdn.example.net" },
  { name = "iad", datacenter = "iad", cname = "iad.cdn.example.net", weight = 2 },
]
[service."_sip._tcp.example.org"]
ttl = $ttl
type = "SRV"
spread = "client"
members = [
  { name = "fra", datacenter = "fra", target = "fra.sip.example.net", port = 5060 },
  { name = "iad", datacenter = "iad", target = "iad.sip.example.net", port = 5060 },
]
[service."apart.example.org"]
ttl = $ttl
spread = "client"
members = [
  { name = "iad", datacenter = "iad", addresses = ["$iad"], monitor = "web" },
  { name = "nrt", datacenter = "nrt", addresses = ["192.0.2.3"] },
]
"#;

const COLLEAGUE_TEXT: &str = r#"[zone."example.info"]
nameservers = ["ns1.example.com"]
hostmaster = "h@example.info"
[service."colleague.example.info"]
members = [{ addresses = ["192.0.2.77"] }]
"#;

/// Two servers with the same files, and the balancers of two regions.
pub(super) struct Site {
    pub(super) fra: &'static str,
    pub(super) iad: &'static str,
    pub(super) port: u16,
    pub(super) nginx: Option<Balancer>,
    _haproxy: Balancer,
    pub(super) directories: [ServerDirectory; 2],
    pub(super) servers: [Server; 2],
}

impl Site {
    /// Starts the balancers on these addresses, then both servers, and waits until both have a
    /// verdict and a load report for each balancer. Every answer has this TTL in seconds.
    pub(super) fn start([fra, iad]: [&'static str; 2], ttl_secs: u32) -> Self {
        let (port, statistics) = (free_port(), free_port());
        let configuration = fill(
            HAPROXY,
            &[
                ("$address", &fra),
                ("$statistics", &statistics),
                ("$port", &port),
                ("$server", &start_holding_server()),
            ],
        );
        let haproxy = Balancer::haproxy_with(&configuration, fra, port);
        let nginx = Balancer::nginx(iad, port, BalancerContent::Health);
        let places = fill(
            PLACES_TEXT,
            &[
                ("$fra", &fra),
                ("$statistics", &statistics),
                ("$port", &port),
                ("$timing", &CHECK_TIMING),
            ],
        );
        let zone = fill(ZONE_TEXT, &[("$fra", &fra), ("$iad", &iad), ("$ttl", &ttl_secs)]);
        let files = [(PLACES, &*places), (ZONE, &*zone), (COLLEAGUE, COLLEAGUE_TEXT)];
        let directories = ["north", "south"].map(|node| {
            let directory = ServerDirectory::new(&files);
            directory.edit("portolan.toml", "\"test\"", &format!("{node:?}"));
            directory
        });
        let servers = [directories[0].serve(), directories[1].serve()];
        let site =
            Self { fra, iad, port, nginx: Some(nginx), _haproxy: haproxy, directories, servers };
        site.until_both("health and load of both balancers are known", |server| {
            let status = server.status();
            status.targets.iter().all(|target| target.verdict == "up")
                && status.loads.iter().all(|load| load.age_secs.is_some())
        });
        site
    }

    /// Stops nginx, and waits until both servers have its target down.
    pub(super) fn stop_nginx(&mut self) {
        self.nginx = None;
        self.until_verdict("down");
    }

    /// Starts nginx, and waits until both servers have its target up.
    pub(super) fn start_nginx(&mut self) {
        self.nginx = Some(Balancer::nginx(self.iad, self.port, BalancerContent::Health));
        self.until_verdict("up");
    }

    fn until_verdict(&self, verdict: &str) {
        self.until_both(&format!("{} is {verdict}", self.iad), |server| {
            let verdicts = server.verdicts();
            verdicts.iter().any(|(target, found)| target == self.iad && found == verdict)
        });
    }

    /// Waits until a condition holds for each server.
    pub(super) fn until_both(&self, what: &str, is_so: impl Fn(&Server) -> bool) {
        self.servers.iter().for_each(|server| _ = server.until(what, WAIT_TIMEOUT, &is_so));
    }

    /// `--server URL` for each server.
    pub(super) fn server_flags(&self) -> Vec<String> {
        let flags = |server: &Server| ["--server".to_owned(), url(server)];
        self.servers.iter().flat_map(flags).collect()
    }

    /// Exit code, stdout and stderr of a command for both servers.
    pub(super) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let flags = self.server_flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.directories[0].run(&[arguments, &flags].concat())
    }

    /// Runs a command that succeeds on both servers; returns the document of each.
    pub(super) fn done(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, out, err) = self.run(&[arguments, &["--json"]].concat());
        let logs = || self.servers.each_ref().map(Server::log).join("\n");
        assert_eq!(code, 0, "{arguments:?}: {out}{err}{}", logs());
        serde_json::from_str::<Value>(&out).unwrap().as_array().unwrap().clone()
    }
}

pub(super) fn url(server: &Server) -> String {
    format!("http://{}", server.admin.unwrap())
}
