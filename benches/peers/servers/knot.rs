//! Knot DNS: `mod-geoip` twice, as `geodb` and as `weighted`. Records in the zone answer clients
//! without a location.

use std::fmt::Write;

use super::{PeerDirectory, PeerServer, WorkloadSupport};
use crate::{
    BenchResult,
    zone::{self, DATACENTERS, GEO, LARGE, MEMBERS, STEERED, STEERED_TTL, WEIGHTED},
};

pub(super) fn server() -> PeerServer {
    PeerServer {
        label: "knot".into(),
        kind: "knot",
        program: "knotd".into(),
        version: &["--version"],
        packages: "knot, knot-module-geoip",
        prepare,
        support: |_| WorkloadSupport::Whole,
    }
}

fn prepare(directory: &PeerDirectory) -> BenchResult<Vec<String>> {
    let address = format!("{}@{}", directory.address.ip(), directory.address.port());
    let run_path = directory.path("");
    directory.write(
        "knot.conf",
        &format!(
            "server:\n    listen: {address}\n    rundir: {run_path}\n    udp-workers: 1\n    tcp-workers: 1\n    \
             background-workers: 1\n    edns-client-subnet: on\n\
             log:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: {run_path}\n\
             mod-geoip:\n  \
             - id: geo\n    config-file: {geo}\n    ttl: {STEERED_TTL}\n    mode: geodb\n    geodb-file: {database}\n    \
             geodb-key: [ continent/code ]\n  \
             - id: weighted\n    config-file: {weighted}\n    ttl: {STEERED_TTL}\n    mode: weighted\n\
             template:\n  - id: default\n    storage: {run_path}\n    journal-content: none\n    zonefile-load: whole\n    \
             semantic-checks: off\n\
             zone:\n  - domain: {LARGE}\n  - domain: {STEERED}\n    module: [ mod-geoip/geo, mod-geoip/weighted ]\n",
            geo = directory.path("geo.conf"),
            weighted = directory.path("weighted.conf"),
            database = directory.database.display(),
        ),
    )?;
    directory.write("geo.conf", &geo())?;
    directory.write("weighted.conf", &weighted())?;
    let first = &DATACENTERS[0];
    let steered = format!(
        "{GEO}. {STEERED_TTL} A {}\n{GEO}. {STEERED_TTL} AAAA {}\n{WEIGHTED}. {STEERED_TTL} A {}\n",
        first.ipv4, first.ipv6, MEMBERS[0].0
    );
    directory.write(&format!("{STEERED}.zone"), &(zone::master_file(STEERED) + &steered))?;
    directory.write(&format!("{LARGE}.zone"), &zone::master_file(LARGE))?;
    Ok(vec!["-c".into(), directory.path("knot.conf")])
}

fn geo() -> String {
    let mut text = format!("{GEO}:\n");
    for place in &DATACENTERS {
        for continent in place.continents {
            // The semicolon ends the only field of the key; without it the line has another
            // meaning.
            let _ = writeln!(
                text,
                "  - geo: \"{continent};\"\n    A: {}\n    AAAA: {}",
                place.ipv4, place.ipv6
            );
        }
    }
    text
}

fn weighted() -> String {
    let mut text = format!("{WEIGHTED}:\n");
    for (address, weight) in MEMBERS {
        let _ = writeln!(text, "  - weight: {weight}\n    A: {address}");
    }
    text
}
