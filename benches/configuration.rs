//! The time and memory to load a large configuration: 100,000 services with three pools each
//! (900,000 lines of TOML), and 12,700 small zones.
//!
//! `cargo bench --bench configuration`

#[path = "support/usage.rs"]
mod usage;

use std::{
    fmt::Write as _,
    fs,
    process::id,
    time::{Duration, Instant},
};

use portolan::config::{Config, SourceOptions, Sources};
use usage::{cpu_times, memory_kib};

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    services(&directory.path().join("services"), 100_000);
    zones(&directory.path().join("zones"), 12_700);
    for name in ["services", "zones"] {
        measure(
            name,
            &SourceOptions { zones: Some(directory.path().join(name)), ..SourceOptions::default() },
        );
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark's figures")]
fn measure(name: &str, locations: &SourceOptions) {
    let cpu_secs = || cpu_times(id()).expect("this process").iter().sum::<Duration>().as_secs_f64();
    let (start, cpu) = (Instant::now(), cpu_secs());
    let sources = Sources::read(locations);
    let read = start.elapsed();
    let octets: usize = sources.files().iter().map(|file| file.octets().len()).sum();
    let loaded = Config::load(&sources);
    let (all, cpu) = (start.elapsed(), cpu_secs() - cpu);
    match loaded {
        Ok((config, warnings)) => println!(
            "{name}: {} files, {} MB; read {read:.2?}, all {all:.2?}, CPU {cpu:.2} s; {} zones, {} services, {} pools, {} warnings; peak {} MB",
            sources.files().len(),
            octets >> 20,
            config.zones.len(),
            config.topology.services.len(),
            config.topology.pools.len(),
            warnings.count(),
            memory_kib(id(), "VmHWM:").expect("this process") >> 10,
        ),
        Err(errors) => println!("{name}: {errors}"),
    }
}

fn services(directory: &std::path::Path, count: usize) {
    fs::create_dir_all(directory).expect("a directory");
    let mut text = String::from(
        "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n",
    );
    text.push_str("[monitor.web]\nhttp = { path = \"/\" }\n");
    for (index, datacenter) in ["fra", "iad"].into_iter().enumerate() {
        writeln!(
            text,
            "[datacenter.{datacenter}]\nlocation = {{ latitude = {index}, longitude = 8 }}"
        )
        .expect("memory");
    }
    fs::write(directory.join("base.toml"), &text).expect("a file");
    for part in 0..10 {
        text.clear();
        for service in part * count / 10..(part + 1) * count / 10 {
            let (high, low) = (service / 250, service % 250 + 1);
            for (site, datacenter) in ["fra", "iad"].into_iter().enumerate() {
                writeln!(text, "[pool.w{service}-{datacenter}]\ndatacenter = \"{datacenter}\"\nmonitor = \"web\"")
                    .expect("memory");
                writeln!(
                    text,
                    "members = [{{ addresses = [\"10.{site}.{}.{low}\"] }}]",
                    high % 250
                )
                .expect("memory");
            }
            writeln!(
                text,
                "[pool.w{service}]\npolicy = \"nearest\"\nmembers = [\"w{service}-fra\", \"w{service}-iad\"]"
            )
            .expect("memory");
            writeln!(text, "[service.\"w{service}.x.example\"]\npool = \"w{service}\"\nttl = 30")
                .expect("memory");
        }
        fs::write(directory.join(format!("part{part}.toml")), &text).expect("a file");
    }
}

fn zones(directory: &std::path::Path, count: usize) {
    fs::create_dir_all(directory).expect("a directory");
    let text = "$TTL 300\n@ IN SOA ns1.example.com. h.example.com. 1 3600 900 1209600 60\n@ IN NS ns1.example.com.\n\
                @ IN A 192.0.2.1\nwww IN CNAME @\nmail IN MX 10 mail.example.com.\n";
    for zone in 0..count {
        fs::write(directory.join(format!("z{zone}.example.zone")), text).expect("a file");
    }
}
