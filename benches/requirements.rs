//! The proof of 200 assertions over a city database: 20 datacenters, 60 services, failures of up to
//! two datacenters.
//!
//! `cargo bench --bench requirements`. The database is the one of 4.1 million networks, of the
//! directory that `PORTOLAN_SHARED` names; without it there is nothing to measure.

#![expect(clippy::print_stdout, reason = "the benchmark prints what it measured")]

use std::{fmt::Write as _, time::Instant};

use portolan::steer::verify;

#[path = "support/city.rs"]
mod city;

const DATACENTERS: [(&str, &str, f64, f64); 20] = [
    ("fra", "eu", 50.11, 8.68),
    ("ams", "eu", 52.37, 4.90),
    ("mad", "eu", 40.42, -3.70),
    ("waw", "eu", 52.23, 21.01),
    ("lhr", "uk", 51.51, -0.13),
    ("man", "uk", 53.48, -2.24),
    ("iad", "us", 38.95, -77.45),
    ("ord", "us", 41.88, -87.63),
    ("sjc", "us", 37.37, -121.92),
    ("dfw", "us", 32.78, -96.80),
    ("yyz", "ca", 43.65, -79.38),
    ("gru", "sa", -23.55, -46.63),
    ("scl", "sa", -33.45, -70.67),
    ("sin", "ap", 1.35, 103.82),
    ("nrt", "ap", 35.68, 139.69),
    ("hkg", "ap", 22.32, 114.17),
    ("bom", "ap", 19.08, 72.88),
    ("syd", "oc", -33.87, 151.21),
    ("jnb", "af", -26.20, 28.05),
    ("los", "af", 6.52, 3.38),
];

const COUNTRIES: [&str; 40] = [
    "DE", "FR", "ES", "IT", "PL", "NL", "BE", "AT", "SE", "FI", "GB", "IE", "US", "CA", "MX", "BR",
    "AR", "CL", "CO", "PE", "JP", "KR", "CN", "IN", "SG", "TH", "VN", "ID", "MY", "PH", "AU", "NZ",
    "ZA", "NG", "KE", "EG", "MA", "TR", "IL", "UA",
];

const ZONE: &str = "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
                    [monitor.m]\ntcp = { port = 80 }\n";

/// 40 services that answer the nearest of 20 datacenters, with biases of their own, and 20 that
/// keep Europeans in the EU; then 200 assertions about them, which all hold.
fn tables() -> String {
    let mut text = ZONE.to_owned();
    let mut line = |line: String| writeln!(text, "{line}").expect("memory");
    for (number, (name, region, latitude, longitude)) in DATACENTERS.into_iter().enumerate() {
        line(format!(
            "[datacenter.{name}]\nregion = \"{region}\"\nlocation = {{ latitude = {latitude:?}, longitude = {longitude:?} }}"
        ));
        let hosts: Vec<String> = (1..=3)
            .map(|host| {
                format!(
                    "{{ addresses = [\"10.{number}.0.{host}\", \"2001:db8:{number}::{host}\"] }}"
                )
            })
            .collect();
        line(format!(
            "[pool.{name}-hosts]\ndatacenter = \"{name}\"\nmonitor = \"m\"\nmembers = [{}]",
            hosts.join(", ")
        ));
    }
    let nearest = |bias: usize, is_kept: &dyn Fn(&str) -> bool| {
        let members = DATACENTERS.iter().enumerate().filter(|(_, site)| is_kept(site.1));
        let member = |(number, (name, ..)): (usize, &(&str, &str, f64, f64))| {
            format!("{{ pool = \"{name}-hosts\", bias = {} }}", (number * bias) % 20)
        };
        members.map(member).collect::<Vec<_>>().join(", ")
    };
    line(format!(
        "[pool.eu-nearest]\npolicy = \"nearest\"\nmembers = [{}]",
        nearest(0, &|region| region == "eu")
    ));
    for service in 0..40 {
        line(format!(
            "[service.\"s{service}.near.x.example\"]\npolicy = \"nearest\"\nmembers = [{}]",
            nearest(service, &|_| true)
        ));
    }
    for service in 0..20 {
        line(format!(
            "[service.\"s{service}.data.x.example\"]\npolicy = \"geo\"\ndefault = [\"world-{service}\"]\n\
             rules = [{{ continent = [\"EU\"], members = [\"eu-nearest\"], strict = true }}]\n\
             [pool.world-{service}]\npolicy = \"nearest\"\nmembers = [{}]",
            nearest(service, &|_| true)
        ));
    }
    let all = DATACENTERS.map(|site| format!("\"{}\"", site.0)).join(", ");
    let mut assertion = |services: &str, clients: &str, only: &str, under: &str| {
        line(format!(
            "[[assert]]\nname = \"a\"\nservices = [\"{services}\"]\nclients = {clients}\nonly = [{only}]\nunder = \"{under}\""
        ));
    };
    for country in COUNTRIES {
        let clients = format!("{{ country = [\"{country}\"] }}");
        for (number, under) in ["now", "any-one-down", "any-two-down"].into_iter().enumerate() {
            assertion(&format!("s{number}.near.x.example"), &clients, &all, under);
        }
        assertion("*.x.example", &clients, &all, "any-one-down");
    }
    for service in 0..20 {
        let name = format!("s{service}.data.x.example");
        assertion(&name, "{ continent = [\"EU\"] }", "\"eu\"", "any-two-down");
        assertion(&name, "{ all = true }", &all, "any-two-down");
    }
    text
}

fn main() {
    let Some(databases) = city::databases() else { return };
    let config = city::load(tables());
    let list = &config.requirements.list;
    let started = Instant::now();
    let violations = verify(&config.topology, &databases, list, 0);
    let elapsed = started.elapsed();
    assert!(violations.is_empty(), "{:?}", config.requirements.lines(&violations));
    println!(
        "{} assertions about {} services: {:.2} s",
        list.assertions.len(),
        config.topology.services.len(),
        elapsed.as_secs_f64()
    );
}
