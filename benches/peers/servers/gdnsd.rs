//! gdnsd: `plugin_geoip` with a map of continents, `plugin_weighted`.

use std::fmt::Write;

use super::{PeerDirectory, PeerServer, WorkloadSupport};
use crate::{
    BenchResult,
    zone::{self, DATACENTERS, GEO, LARGE, MEMBERS, STEERED, STEERED_TTL, WEIGHTED},
};

pub(super) fn server() -> PeerServer {
    PeerServer {
        label: "gdnsd".into(),
        kind: "gdnsd",
        program: "gdnsd".into(),
        // gdnsd has no version option; it prints its version with the usage error.
        version: &["-h"],
        packages: "gdnsd",
        prepare,
        support: |_| WorkloadSupport::Whole,
    }
}

fn prepare(directory: &PeerDirectory) -> BenchResult<Vec<String>> {
    let options = format!(
        "options => {{\n  listen => {}\n  udp_threads => 1\n  tcp_threads => 1\n  run_dir => \"{}\"\n  state_dir => \"{}\"\n}}\n",
        directory.address,
        directory.path("run"),
        directory.path("state"),
    );
    directory.write("config", &(options + &plugins(directory)))?;
    let steered = format!(
        "{GEO}. {STEERED_TTL} DYNA geoip!geo\n{WEIGHTED}. {STEERED_TTL} DYNA weighted!weighted\n"
    );
    directory.write(&format!("zones/{STEERED}"), &(zone::master_file(STEERED) + &steered))?;
    directory.write(&format!("zones/{LARGE}"), &zone::master_file(LARGE))?;
    std::fs::create_dir_all(directory.path("run"))?;
    std::fs::create_dir_all(directory.path("state"))?;
    Ok(["-c", &directory.path(""), "start"].map(str::to_owned).to_vec())
}

fn plugins(directory: &PeerDirectory) -> String {
    let (mut map, mut addresses, mut names) = (String::new(), String::new(), String::new());
    for place in &DATACENTERS {
        for continent in place.continents {
            let _ = write!(map, "{continent} => [ {} ], ", place.name);
        }
        let _ = write!(names, "{}, ", place.name);
        let _ = writeln!(
            addresses,
            "        {} => {{ addrs_v4 => {}, addrs_v6 => \"{}\" }}",
            place.name, place.ipv4, place.ipv6
        );
    }
    let members: String = (1..)
        .zip(MEMBERS)
        .map(|(number, (address, weight))| format!("      m{number} => [ {address}, {weight} ]\n"))
        .collect();
    // Without a check, `service_types => up` is required; else gdnsd treats every datacenter as
    // unmonitored.
    format!(
        "plugins => {{\n  geoip => {{\n    maps => {{\n      world => {{\n        geoip2_db => \"{}\"\n        \
         datacenters => [ {names} ]\n        map => {{ {map} default => [ {} ] }}\n      }}\n    }}\n    \
         resources => {{\n      geo => {{\n        map => world\n        service_types => up\n        \
         dcmap => {{\n{addresses}        }}\n      }}\n    }}\n  }}\n  \
         weighted => {{\n    weighted => {{\n      service_types => up\n{members}    }}\n  }}\n}}\n",
        directory.database.display(),
        DATACENTERS[0].name
    )
}
