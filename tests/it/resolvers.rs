//! Real resolvers with a client-subnet cache in front of the server: an answer cached for one
//! subnet must be right for every client that the resolver serves from it.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
    ports::free_port,
    programs::find_program,
    query::{Deadline, TestQuery},
};

/// Unbound with its client-subnet cache, which forwards the subnet of every client. It is killed
/// when dropped.
struct Unbound {
    address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl Unbound {
    /// Starts Unbound as a resolver for the zone of `server`; `None`, with a message, if it is not
    /// installed.
    fn start_for(server: &Server) -> Option<Self> {
        let Some(program) = find_program("unbound") else {
            println!("skipped: unbound not installed (apt-get install unbound)");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let path = directory.path().join("unbound.conf");
        fs::write(&path, configuration(address, server.address)).unwrap();
        let mut command = Command::new(program);
        command.arg("-d").arg("-c").arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
        let mut unbound = Self { address, child: command.spawn().unwrap(), _directory: directory };
        let deadline = Deadline::after(WAIT_TIMEOUT);
        while TestQuery::new("localhost", "A").recursive().send(address).is_err() {
            let ended = unbound.child.try_wait().unwrap();
            assert!(ended.is_none(), "unbound ended: {ended:?}");
            assert!(deadline.tick(), "unbound does not answer");
        }
        Some(unbound)
    }

    /// The addresses that a client of this network gets.
    fn addresses(&self, name: &str, network: &str) -> Vec<String> {
        let query = TestQuery::new(name, "A").recursive().subnet(network);
        let reply = query
            .send(self.address)
            .unwrap_or_else(|error| panic!("{name} for {network}: {error}"));
        assert_eq!(reply.rcode(), "NOERROR", "{name} for {network}");
        reply.answers()
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(address: SocketAddr, server: SocketAddr) -> String {
    format!(
        r#"server:
  interface: {ip}@{port}
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  num-threads: 1
  do-not-query-localhost: no
  local-zone: "test." nodefault
  module-config: "subnetcache iterator"
  send-client-subnet: 127.0.0.0/8
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 32
  max-client-subnet-ipv6: 128
remote-control:
  control-enable: no
stub-zone:
  name: lb.test
  stub-addr: {to}@{to_port}
"#,
        ip = address.ip(),
        port = address.port(),
        to = server.ip(),
        to_port = server.port(),
    )
}

const ZONE: &str = r#"
[zone."lb.test"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"

[pool.eu]
members = [{ addresses = ["192.0.2.1"] }]
[pool.us]
members = [{ addresses = ["192.0.2.2"] }]
[pool.office]
members = [{ addresses = ["192.0.2.3"] }]

# Clients without a place get nothing here, and the office's elsewhere.
[service."some.lb.test"]
policy = "geo"
rules = [{ country = ["DE"], members = ["eu"] }, { country = ["US"], members = ["us"] }]
default = []

[service."all.lb.test"]
policy = "geo"
rules = [{ country = ["DE"], members = ["eu"] }, { country = ["US"], members = ["us"] }]
default = ["office"]
"#;

/// Special-purpose networks (RFC 6890), which are in no public database. A resolver sends them as
/// the subnet of clients behind address translation.
const SPECIAL: [&str; 7] = [
    "10.1.2.0/24",
    "100.64.7.0/24",
    "192.168.1.0/24",
    "203.0.113.0/24",
    "172.16.0.0/12",
    "fd00:1::/48",
    "2001:db8::/32",
];

#[test]
fn an_answer_cached_for_a_special_network_is_not_served_to_public_clients() {
    let site = ServerDirectory::new(&[("zones/lb.test.toml", ZONE)]);
    let server = site.serve();
    let Some(unbound) = Unbound::start_for(&server) else { return };
    for network in SPECIAL {
        assert_eq!(unbound.addresses("some.lb.test", network), [""; 0], "{network}");
        assert_eq!(unbound.addresses("all.lb.test", network), ["192.0.2.3"], "{network}");
    }
    for (network, address) in
        [("80.1.2.0/24", "192.0.2.1"), ("8.1.2.0/24", "192.0.2.2"), ("2a00:1::/48", "192.0.2.1")]
    {
        for name in ["some.lb.test", "all.lb.test"] {
            assert_eq!(unbound.addresses(name, network), [address], "{name} for {network}");
        }
    }
    for network in SPECIAL {
        assert_eq!(
            unbound.addresses("all.lb.test", network),
            ["192.0.2.3"],
            "{network}, from the cache"
        );
    }
}
