//! Services of three pools each, which answer the nearer of two datacenters: 1,000, 10,000 and
//! 100,000, in one file. For gdnsd each is a resource of its geoip plugin with one map by
//! continent, because by distance the plugin accepts City databases only. Nothing is probed: that
//! has its own benchmarks.

use std::{fmt::Write, fs, io, net::Ipv4Addr, path::Path};

use super::{Case, Edit, measure, peers::Peer, process::ExpectedAnswer};

const EDITED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

pub(crate) fn run() -> io::Result<()> {
    let sizes = [1_000, 10_000, 100_000];
    for peer in [Peer::Portolan, Peer::Gdnsd { is_replaced: true }] {
        let writers: Vec<_> = sizes
            .iter()
            .map(|&size| move |directory: &Path| write(directory, peer, size))
            .collect();
        let cases: Vec<_> =
            sizes.iter().zip(&writers).map(|(&size, write)| case(peer, size, write)).collect();
        measure(peer, "services", &cases)?;
    }
    println!("\nKnot: its geoip module has lists by name, no pools; skipped");
    Ok(())
}

fn case<'c>(peer: Peer, size: usize, write: &'c dyn Fn(&Path) -> io::Result<()>) -> Case<'c> {
    let middle = size / 2;
    let name = format!("w{middle}.x.example");
    // A client on loopback has no location and gets the first datacenter.
    let (old, new) = match peer {
        Peer::Gdnsd { .. } => {
            (format!("fra => {} ", address(0, middle)), format!("fra => {EDITED} "))
        }
        _ => (format!("\"{}\"", address(0, middle)), format!("\"{EDITED}\"")),
    };
    let file = if peer == Peer::Portolan { "zones/services.toml" } else { "plugins" };
    Case {
        size,
        write,
        first: ExpectedAnswer { name: name.clone(), address: address(0, middle) },
        edit: Some(Edit { file, old, new, then: ExpectedAnswer { name, address: EDITED } }),
    }
}

fn address(site: usize, service: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + ((site as u32) << 20) + service as u32)
}

fn write(directory: &Path, peer: Peer, count: usize) -> io::Result<()> {
    let zones = directory.join("zones");
    fs::create_dir_all(&zones)?;
    let database = super::geography::small_database();
    match peer {
        Peer::Gdnsd { .. } => {
            fs::write(
                directory.join("plugins"),
                gdnsd_plugins(count, &database).map_err(io::Error::other)?,
            )?;
            fs::write(zones.join("x.example"), gdnsd_zone(count).map_err(io::Error::other)?)
        }
        _ => {
            fs::write(
                directory.join("geoip.toml"),
                format!("[geoip]\ndatabases = [\"{database}\"]\n"),
            )?;
            fs::write(zones.join("services.toml"), tables(count).map_err(io::Error::other)?)
        }
    }
}

fn tables(count: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
         [datacenter.fra]\nlocation = { latitude = 50.11, longitude = 8.68 }\n\
         [datacenter.iad]\nlocation = { latitude = 38.95, longitude = -77.45 }\n",
    );
    for service in 0..count {
        for (site, datacenter) in ["fra", "iad"].into_iter().enumerate() {
            writeln!(text, "[pool.w{service}-{datacenter}]\ndatacenter = \"{datacenter}\"")?;
            writeln!(text, "members = [{{ addresses = [\"{}\"] }}]", address(site, service))?;
        }
        writeln!(
            text,
            "[pool.w{service}]\npolicy = \"nearest\"\nmembers = [\"w{service}-fra\", \"w{service}-iad\"]"
        )?;
        writeln!(text, "[service.\"w{service}.x.example\"]\npool = \"w{service}\"\nttl = 30")?;
    }
    Ok(text)
}

fn gdnsd_plugins(count: usize, database: &str) -> Result<String, std::fmt::Error> {
    let mut text = format!(
        "plugins => {{ geoip => {{\nmaps => {{ m => {{ geoip2_db => {database}, datacenters => [fra, iad], \
         map => {{ NA => [iad, fra], SA => [iad, fra], default => [fra, iad] }} }} }}\nresources => {{\n"
    );
    for service in 0..count {
        let (fra, iad) = (address(0, service), address(1, service));
        writeln!(
            text,
            "w{service} => {{ map => m, service_types => up, dcmap => {{ fra => {fra} , iad => {iad} }} }}"
        )?;
    }
    text.push_str("} } }\n");
    Ok(text)
}

fn gdnsd_zone(count: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 900 1209600 60\n@ NS ns1.example.com.\n",
    );
    for service in 0..count {
        writeln!(text, "w{service} 30 DYNA geoip!w{service}")?;
    }
    Ok(text)
}
