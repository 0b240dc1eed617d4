//! Regions with balancers of their own behind one service: a real HAProxy with real servers behind
//! it is one, a real nginx the other. What happens to them moves clients, and what an operator says
//! does.
//!
//! | file | what it proves |
//! |---|---|
//! | `load` | shares follow what balancers report |
//! | `ramps` | clients come back slowly and leave slowly |
//! | `failover` | clients stay, trickle and spill |

mod failover;
mod load;
mod ramps;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use portolan::control::PoolStatus;

use crate::{
    balancers::{Balancer, BalancerContent},
    harness::{Server, ServerDirectory},
    ports::free_port,
};

const WWW: &str = "www.example.org";
const ZONE: &str = "zones/example.org.toml";
/// As often as anything here is probed and polled.
const CHECK_TIMING: &str = "interval = \"200ms\"\ntimeout = \"190ms\"\n";
/// As many connections each server behind HAProxy takes, and as many servers there are.
const SERVER_CONNECTIONS: usize = 30;
const SERVERS: usize = 4;
/// As many questions make a share that is right within three points.
const QUESTIONS: usize = 4000;

/// Two regions at addresses and a port of their own: `fra` with HAProxy and four servers, `iad`
/// with nginx.
struct Regions {
    fra: &'static str,
    iad: &'static str,
    port: u16,
    statistics: u16,
    /// Where the servers are, and those that run.
    origins: [u16; SERVERS],
    servers: Vec<Option<Balancer>>,
    haproxy: Option<Balancer>,
    nginx: Option<Balancer>,
}

impl Regions {
    fn start([fra, iad]: [&'static str; 2]) -> Self {
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

    fn start_haproxy(&mut self) {
        let (fra, port, statistics) = (self.fra, self.port, self.statistics);
        let servers: String = self
            .origins
            .iter()
            .enumerate()
            .map(|(at, origin)| format!("  server s{} {fra}:{origin} check\n", at + 1))
            .collect();
        let configuration = format!(
            "global\n  maxconn 500\n  stats socket {{directory}}/admin.sock mode 600 level admin\n\
             defaults\n  mode http\n  retries 0\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n\
             frontend statistics\n  bind {fra}:{statistics}\n  stats enable\n  stats uri /stats\n\
             frontend web\n  bind {fra}:{port}\n  default_backend be\n\
             backend be\n  default-server inter 100ms fastinter 100ms downinter 100ms fall 1 rise 1 maxconn {SERVER_CONNECTIONS}\n{servers}"
        );
        self.haproxy = Some(Balancer::haproxy_with(&configuration, fra, port));
    }

    /// Kills a server behind HAProxy.
    fn kill(&mut self, server: usize) {
        self.servers[server - 1] = None;
    }

    fn revive(&mut self, server: usize) {
        self.servers[server - 1] =
            Some(Balancer::nginx(self.fra, self.origins[server - 1], BalancerContent::Health));
    }

    /// What an operator types at HAProxy's socket.
    fn command(&self, line: &str) {
        let path = self.haproxy.as_ref().map(|haproxy| haproxy.path("admin.sock"));
        let mut stream = UnixStream::connect(path.unwrap()).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert_eq!(said.trim(), "", "{line}");
    }

    /// Where both are, with what each says of its load, and a monitor for both.
    fn places(&self) -> String {
        let (fra, port, statistics, most) =
            (self.fra, self.port, self.statistics, SERVER_CONNECTIONS * SERVERS);
        format!(
            "# Our regions.\n[datacenter.fra]   # Frankfurt\n[datacenter.iad]\n\
             [load.haproxy]\nhaproxy = {{ url = \"http://{fra}:{statistics}/stats;csv\", proxy = \"be\" }}\n\
             stale-after = \"2s\"\n{CHECK_TIMING}\
             [load.nginx]\nnginx = {{ url = \"http://{{address}}:{port}/stub_status\" }}\nlimit = {most}\nstale-after = \"2s\"\n{CHECK_TIMING}\
             [monitor.web]\nhttp = {{ path = \"/healthz\", port = {port}, body = \"ok\" }}\nrise = 2\nfall = 2\n{CHECK_TIMING}"
        )
    }

    /// Both in one pool, each with these keys.
    fn members(&self, fra: &str, iad: &str) -> String {
        format!(
            "members = [\n  {{ datacenter = \"fra\", addresses = [\"{}\"]{fra} }},\n  \
             {{ datacenter = \"iad\", addresses = [\"{}\"]{iad} }},\n]\n",
            self.fra, self.iad
        )
    }

    /// A site whose `www` chooses between both with these keys.
    fn site(&self, keys: &str, members: &str) -> ServerDirectory {
        site(&self.places(), &format!("monitor = \"web\"\n{keys}{members}"))
    }

    /// With `policy = "load"`, and each telling its load.
    fn loaded_site(&self) -> ServerDirectory {
        let members = self.members(", load = \"haproxy\"", ", load = \"nginx\"");
        self.site("policy = \"load\"\n", &members)
    }
}

/// A site with these tables and a `www` with these keys.
fn site(tables: &str, www: &str) -> ServerDirectory {
    let zone = format!(
        "{tables}[zone.\"example.org\"]\nnameservers = [\"ns1.example.net\"]\nhostmaster = \"h@example.org\"\n\
         [service.\"{WWW}\"]\nttl = 1\n{www}"
    );
    ServerDirectory::new(&[(ZONE, &zone)])
}

/// The share of the answers to [`QUESTIONS`] questions that name `address`.
fn answer_share(server: &Server, address: &str) -> f64 {
    let named = (0..QUESTIONS).filter(|_| server.addresses(WWW) == [address]).count();
    named as f64 / QUESTIONS as f64
}

/// Asserts a share of answers, within three points.
fn assert_asked(server: &Server, address: &str, wanted: f64) {
    let share = answer_share(server, address);
    assert!((share - wanted).abs() < 0.03, "{address} has {share}, not {wanted}\n{}", server.log());
}

/// What the server says of a pool.
fn pool(server: &Server, name: &str) -> PoolStatus {
    let pools = server.status().pools;
    let found = pools.iter().find(|pool| pool.name == name);
    found.unwrap_or_else(|| panic!("no pool {name} among {pools:?}")).clone()
}

/// The first member's share of `www`, by the server's own word.
fn first_share(server: &Server) -> f64 {
    pool(server, WWW).shares[0].1
}

/// The output of `portolan ARGUMENTS` for this server; the command must succeed.
fn run_command(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> String {
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, err) = site.run(&[arguments, &["--server", &url]].concat());
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}
