//! Knot DNS: `mod-geoip` twice, as `geodb` and as `weighted`. Zone records of the steered names
//! answer clients of no known place.

use std::fmt::Write;

use super::{PeerDirectory, PeerServer, WorkloadSupport};
use crate::{
    BenchResult,
    zone::{self, DATACENTERS, GEO, LARGE, MEMBERS, STEERED, STEERED_TTL, WEIGHTED},
};

pub(super) fn contender() -> PeerServer {
    PeerServer {
        label: "knot".into(),
        kind: "knot",
        program: "knotd".into(),
        version: &["--version"],
        packages: "knot, knot-module-geoip",
        prepare,
        reach: |_| WorkloadSupport::Whole,
    }
}

fn prepare(ground: &PeerDirectory) -> BenchResult<Vec<String>> {
    let address = format!("{}@{}", ground.address.ip(), ground.address.port());
    let directory = ground.path("");
    ground.write(
        "knot.conf",
        &format!(
            "server:\n    listen: {address}\n    rundir: {directory}\n    udp-workers: 1\n    tcp-workers: 1\n    \
             background-workers: 1\n    edns-client-subnet: on\n\
             log:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: {directory}\n\
             mod-geoip:\n  \
             - id: geo\n    config-file: {geo}\n    ttl: {STEERED_TTL}\n    mode: geodb\n    geodb-file: {database}\n    \
             geodb-key: [ continent/code ]\n  \
             - id: weighted\n    config-file: {weighted}\n    ttl: {STEERED_TTL}\n    mode: weighted\n\
             template:\n  - id: default\n    storage: {directory}\n    journal-content: none\n    zonefile-load: whole\n    \
             semantic-checks: off\n\
             zone:\n  - domain: {LARGE}\n  - domain: {STEERED}\n    module: [ mod-geoip/geo, mod-geoip/weighted ]\n",
            geo = ground.path("geo.conf"),
            weighted = ground.path("weighted.conf"),
            database = ground.database.display(),
        ),
    )?;
    ground.write("geo.conf", &geo())?;
    ground.write("weighted.conf", &weighted())?;
    let first = &DATACENTERS[0];
    let steered = format!(
        "{GEO}. {STEERED_TTL} A {}\n{GEO}. {STEERED_TTL} AAAA {}\n{WEIGHTED}. {STEERED_TTL} A {}\n",
        first.ipv4, first.ipv6, MEMBERS[0].0
    );
    ground.write(&format!("{STEERED}.zone"), &(zone::master_file(STEERED) + &steered))?;
    ground.write(&format!("{LARGE}.zone"), &zone::master_file(LARGE))?;
    Ok(vec!["-c".into(), ground.path("knot.conf")])
}

fn geo() -> String {
    let mut text = format!("{GEO}:\n");
    for place in &DATACENTERS {
        for continent in place.continents {
            // The semicolon ends the key's one field; without it the line is read as something
            // else.
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
