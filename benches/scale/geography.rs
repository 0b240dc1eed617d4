//! Steering by distance: one service with 10, 25 and 50 datacenters; and 10, 50 and 200 services
//! with 50 datacenters, each with its own geography.

use std::{fmt::Write, fs, io, net::Ipv4Addr, path::Path};

use super::{Case, measure, peers::Peer, process::ExpectedAnswer};

/// The address of the first datacenter, which a client on loopback gets because it has no location.
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The database in this repository.
pub(crate) fn small_database() -> String {
    format!("{}/geoip/world-country.mmdb", env!("CARGO_MANIFEST_DIR"))
}

fn database() -> String {
    std::env::var("PORTOLAN_BENCH_MMDB").unwrap_or_else(|_| {
        println!("PORTOLAN_BENCH_MMDB names no large database: this is the small one");
        small_database()
    })
}

/// One service with a growing number of datacenters.
pub(crate) fn datacenters() -> io::Result<()> {
    run("datacenters", [10, 25, 50], |datacenters| (datacenters, 1))
}

/// A growing number of services, each with its own geography.
pub(crate) fn geographies() -> io::Result<()> {
    run("geographies", [10, 50, 200], |geographies| (50, geographies))
}

fn run(what: &str, sizes: [usize; 3], of_size: fn(usize) -> (usize, usize)) -> io::Result<()> {
    let database = &database();
    for peer in [Peer::Portolan, Peer::Gdnsd { is_replaced: true }] {
        let writers = sizes.map(|size| {
            let (datacenters, geographies) = of_size(size);
            move |directory: &Path| write(directory, peer, database, datacenters, geographies)
        });
        let cases: Vec<_> = sizes
            .iter()
            .zip(&writers)
            .map(|(&size, write)| {
                let first = ExpectedAnswer { name: "w0.x.example".into(), address: FIRST };
                Case { size, write, first, edit: None }
            })
            .collect();
        measure(peer, what, &cases)?;
    }
    println!("\nKnot: its geoip module knows countries and cities by name, not distances; skipped");
    Ok(())
}

/// A location, spread over the inhabited latitudes by the golden ratio.
fn place(datacenter: usize) -> (f64, f64) {
    let turn = (datacenter as f64 * 0.618_033_988_75).fract();
    (60.0 - 100.0 * (datacenter as f64 * 0.381_966).fract(), 360.0 * turn - 180.0)
}

fn address(datacenter: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST) + datacenter as u32)
}

/// The datacenters of a geography: all of them, or ten if there are several geographies.
fn members(geography: usize, datacenters: usize, geographies: usize) -> Vec<usize> {
    if geographies == 1 {
        return (0..datacenters).collect();
    }
    // The first datacenter is in every geography, so that every service has the same first answer.
    // Different steps make the sets differ.
    let step = 1 + geography % 7;
    std::iter::once(0)
        .chain((0..9).map(|index| 1 + (geography / 7 * 3 + index * step) % (datacenters - 1)))
        .fold(Vec::new(), |mut list, member| {
            if !list.contains(&member) {
                list.push(member);
            }
            list
        })
}

fn write(
    directory: &Path,
    peer: Peer,
    database: &str,
    datacenters: usize,
    geographies: usize,
) -> io::Result<()> {
    let zones = directory.join("zones");
    fs::create_dir_all(&zones)?;
    match peer {
        Peer::Gdnsd { .. } => {
            let plugins =
                gdnsd_plugins(database, datacenters, geographies).map_err(io::Error::other)?;
            fs::write(directory.join("plugins"), plugins)?;
            let mut zone = String::from(
                "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 900 1209600 60\n@ NS ns1.example.com.\n",
            );
            for geography in 0..geographies {
                writeln!(zone, "w{geography} 30 DYNA geoip!w{geography}")
                    .map_err(io::Error::other)?;
            }
            fs::write(zones.join("x.example"), zone)
        }
        _ => {
            fs::write(
                directory.join("geoip.toml"),
                format!("[geoip]\ndatabases = [\"{database}\"]\n"),
            )?;
            fs::write(
                zones.join("all.toml"),
                tables(datacenters, geographies).map_err(io::Error::other)?,
            )
        }
    }
}

fn tables(datacenters: usize, geographies: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n",
    );
    for datacenter in 0..datacenters {
        let (latitude, longitude) = place(datacenter);
        writeln!(
            text,
            "[datacenter.d{datacenter}]\nlocation = {{ latitude = {latitude:.4}, longitude = {longitude:.4} }}"
        )?;
    }
    for geography in 0..geographies {
        writeln!(text, "[service.\"w{geography}.x.example\"]\npolicy = \"nearest\"\nmembers = [")?;
        for member in members(geography, datacenters, geographies) {
            writeln!(
                text,
                "  {{ datacenter = \"d{member}\", addresses = [\"{}\"] }},",
                address(member)
            )?;
        }
        text.push_str("]\n");
    }
    Ok(text)
}

fn gdnsd_plugins(
    database: &str,
    datacenters: usize,
    geographies: usize,
) -> Result<String, std::fmt::Error> {
    let mut text = String::from("plugins => { geoip => {\nmaps => {\n");
    for geography in 0..geographies {
        let members = members(geography, datacenters, geographies);
        let names: Vec<_> = members.iter().map(|member| format!("d{member}")).collect();
        write!(
            text,
            "m{geography} => {{ geoip2_db => {database}, datacenters => [{}], auto_dc_coords => {{",
            names.join(", ")
        )?;
        for member in members {
            let (latitude, longitude) = place(member);
            write!(text, " d{member} => [{latitude:.4}, {longitude:.4}],")?;
        }
        text.push_str(" } }\n");
    }
    text.push_str("}\nresources => {\n");
    for geography in 0..geographies {
        write!(text, "w{geography} => {{ map => m{geography}, service_types => up, dcmap => {{")?;
        for member in members(geography, datacenters, geographies) {
            write!(text, " d{member} => {},", address(member))?;
        }
        text.push_str(" } }\n");
    }
    text.push_str("} } }\n");
    Ok(text)
}
