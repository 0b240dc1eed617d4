//! PowerDNS with its geoip backend alone: all names in YAML, services by `%cn`. Its caches are as
//! they are by default; weighted answers and those for a client subnet stay right with them.

use std::fmt::Write;

use super::{PeerDirectory, PeerServer, WorkloadSupport};
use crate::{
    BenchResult,
    zone::{
        self, DATACENTERS, GEO, Host, LARGE, MEMBERS, NAMESERVER, NAMESERVER_ADDRESS, SOA, STEERED,
        STEERED_TTL, TTL, WEIGHTED,
    },
};

pub(super) fn server() -> PeerServer {
    PeerServer {
        label: "powerdns".into(),
        kind: "powerdns",
        program: "pdns_server".into(),
        version: &["--version"],
        packages: "pdns-server, pdns-backend-geoip",
        prepare,
        support: |_| WorkloadSupport::Whole,
    }
}

fn prepare(directory: &PeerDirectory) -> BenchResult<Vec<String>> {
    let run_path = directory.path("");
    directory.write(
        "pdns.conf",
        &format!(
            "launch=geoip\ngeoip-zones-file={zones}\ngeoip-database-files=mmdb:{database}\nedns-subnet-processing=yes\n\
             local-address={address}\nlocal-port={port}\nsocket-dir={run_path}\nreceiver-threads=1\n\
             distributor-threads=1\nreuseport=yes\ndaemon=no\nguardian=no\nloglevel=3\nsecurity-poll-suffix=\n",
            zones = directory.path("zones.yaml"),
            database = directory.database.display(),
            address = directory.address.ip(),
            port = directory.address.port(),
        ),
    )?;
    directory.write("zones.yaml", &format!("domains:\n{}{}", steered(), plain(LARGE)))?;
    Ok(vec![format!("--config-dir={run_path}")])
}

/// A zone with its plain names.
fn plain(zone: &'static str) -> String {
    let mut text = format!(
        "- domain: {zone}\n  ttl: {TTL}\n  records:\n    {zone}:\n    - soa: {}\n    - ns: {NAMESERVER}\n",
        SOA.replace(". ", " ")
    );
    for Host { name, ipv4, ipv6 } in zone::hosts(zone) {
        let _ = writeln!(text, "    {name}:\n    - a: {ipv4}\n    - aaaa: \"{ipv6}\"");
    }
    text
}

/// The zone that steers: a name for each continent, and a service that expands to one of them.
fn steered() -> String {
    let mut text = plain(STEERED) + &format!("    {NAMESERVER}:\n    - a: {NAMESERVER_ADDRESS}\n");
    let mut place = |prefix: &str, index: usize| {
        let place = &DATACENTERS[index];
        let _ = writeln!(
            text,
            "    {prefix}.{GEO}:\n    - a: {{ content: {}, ttl: {STEERED_TTL} }}\n    - aaaa: {{ content: \"{}\", ttl: {STEERED_TTL} }}",
            place.ipv4, place.ipv6
        );
    };
    place("default", 0);
    for (index, datacenter) in DATACENTERS.iter().enumerate() {
        for continent in datacenter.continents {
            place(&continent.to_lowercase(), index);
        }
    }
    let _ = writeln!(text, "    {WEIGHTED}:");
    for (address, weight) in MEMBERS {
        let _ = writeln!(
            text,
            "    - a: {{ content: {address}, weight: {weight}, ttl: {STEERED_TTL} }}"
        );
    }
    text + &format!("  services:\n    {GEO}: [ '%cn.{GEO}', 'default.{GEO}' ]\n")
}
