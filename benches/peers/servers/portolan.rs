//! portolan: a `geo` pool and a `weighted` one; the plain names in master files.

use std::{fmt::Write, path::PathBuf};

use super::{PeerDirectory, PeerServer, WorkloadSupport};
use crate::{
    BenchResult,
    zone::{self, DATACENTERS, GEO, LARGE, MEMBERS, STEERED, STEERED_TTL, WEIGHTED},
};

pub(super) fn server(label: String, program: PathBuf) -> PeerServer {
    PeerServer {
        label,
        kind: "portolan",
        program,
        version: &["--version"],
        packages: "none: cargo builds it",
        prepare,
        support: |_| WorkloadSupport::Whole,
    }
}

fn prepare(directory: &PeerDirectory) -> BenchResult<Vec<String>> {
    let server = format!(
        "[server]\nlisten = [\"{}\"]\nthreads = 1\nadmin = false\nstate = \"state\"\n[geoip]\ndatabases = [\"{}\"]\n",
        directory.address,
        directory.database.display(),
    );
    directory.write("portolan.toml", &server)?;
    directory.write("zones/steered.toml", &steered())?;
    directory.write(&format!("zones/{STEERED}.zone"), &zone::master_file(STEERED))?;
    directory.write(&format!("zones/{LARGE}.zone"), &zone::master_file(LARGE))?;
    Ok(["serve", "--config", "portolan.toml"].map(str::to_owned).to_vec())
}

fn steered() -> String {
    let mut text = format!("[zone.\"{STEERED}\"]\nrecords = \"{STEERED}.zone\"\n\n");
    let (mut rules, mut pools) = (String::new(), String::new());
    for place in &DATACENTERS {
        let _ = writeln!(
            pools,
            "[pool.{}]\nmembers = [{{ addresses = [\"{}\", \"{}\"] }}]",
            place.name, place.ipv4, place.ipv6
        );
        let _ = writeln!(
            rules,
            "  {{ continent = {:?}, members = [\"{}\"] }},",
            place.continents, place.name
        );
    }
    let _ = writeln!(
        text,
        "{pools}\n[pool.geo]\npolicy = \"geo\"\nrules = [\n{rules}]\ndefault = [\"{}\"]\n\n\
         [service.\"{GEO}\"]\npool = \"geo\"\nttl = {STEERED_TTL}\n\n\
         [service.\"{WEIGHTED}\"]\nttl = {STEERED_TTL}\nmembers = [",
        DATACENTERS[0].name
    );
    for (address, weight) in MEMBERS {
        let _ = writeln!(text, "  {{ addresses = [\"{address}\"], weight = {weight} }},");
    }
    text + "]\n"
}
