//! BIND: a view for each datacenter, matched by `geoip continent`. It decides by the source address
//! alone, and has no weights.

use std::{fmt::Write, os::unix::fs::symlink};

use super::{PeerDirectory, PeerServer, WorkloadSupport};
use crate::{
    BenchResult,
    workload::Workload,
    zone::{self, DATACENTERS, GEO, LARGE, STEERED, STEERED_TTL},
};

pub(super) fn server() -> PeerServer {
    PeerServer {
        label: "bind".into(),
        kind: "bind",
        program: "named".into(),
        version: &["-v"],
        packages: "bind9",
        prepare,
        support: |workload| match workload {
            Workload::Static | Workload::Many => WorkloadSupport::Whole,
            Workload::Geo | Workload::Mixed => WorkloadSupport::SourceAddress,
            Workload::Weighted => WorkloadSupport::Cannot,
        },
    }
}

fn prepare(directory: &PeerDirectory) -> BenchResult<Vec<String>> {
    let mut text = format!(
        "options {{\n  directory \"{directory}\";\n  listen-on port {port} {{ {address}; }};\n  listen-on-v6 {{ none; }};\n  \
         recursion no;\n  minimal-responses yes;\n  querylog no;\n  notify no;\n  dnssec-validation no;\n  \
         allow-transfer {{ none; }};\n  empty-zones-enable no;\n  pid-file \"named.pid\";\n  session-keyfile none;\n  \
         geoip-directory \"{directory}\";\n}};\ncontrols {{ }};\n",
        directory = directory.path(""),
        port = directory.address.port(),
        address = directory.address.ip(),
    );
    // The first matching view is used, so the default view is last. The large zone is loaded once
    // for all views.
    let (default, others) = (&DATACENTERS[0], &DATACENTERS[1..]);
    for place in others.iter().chain([default]) {
        let clients = match place.name == default.name {
            true => "any; ".to_owned(),
            false => place
                .continents
                .iter()
                .map(|continent| format!("geoip continent {continent}; "))
                .collect(),
        };
        let large = match place.name == others[0].name {
            true => format!("type primary; file \"{LARGE}.zone\";"),
            false => format!("in-view {};", others[0].name),
        };
        let _ = write!(
            text,
            "view {name} {{\n  match-clients {{ {clients}}};\n  zone {STEERED} {{ type primary; file \"{name}.zone\"; }};\n  \
             zone {LARGE} {{ {large} }};\n}};\n",
            name = place.name,
        );
        let steered = format!(
            "{GEO}. {STEERED_TTL} A {}\n{GEO}. {STEERED_TTL} AAAA {}\n",
            place.ipv4, place.ipv6
        );
        directory
            .write(&format!("{}.zone", place.name), &(zone::master_file(STEERED) + &steered))?;
    }
    directory.write("named.conf", &text)?;
    directory.write(&format!("{LARGE}.zone"), &zone::master_file(LARGE))?;
    // BIND finds databases only by MaxMind's file names.
    symlink(&directory.database, directory.directory.join("GeoLite2-Country.mmdb"))?;
    Ok(["-f", "-n", "1", "-U", "1", "-c", &directory.path("named.conf")]
        .map(str::to_owned)
        .to_vec())
}
