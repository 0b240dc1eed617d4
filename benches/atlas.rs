//! Opening a GeoIP database, surveying it for ten datacenters, folding the ranking to the nearest,
//! and locating addresses.
//!
//! The database is the one of 4.1 million networks, if `PORTOLAN_SHARED` has it, else a smaller one
//! that is generated here. The first line of output names it.

use std::{hint::black_box, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portolan::geo::{Coordinates, Database, Databases, Division, Grid, Location};

const DATACENTERS: [(f64, f64); 10] = [
    (50.11, 8.68),
    (38.95, -77.45),
    (37.37, -121.92),
    (1.35, 103.82),
    (35.68, 139.69),
    (-33.87, 151.21),
    (-23.55, -46.63),
    (19.08, 72.88),
    (-26.20, 28.05),
    (51.51, -0.13),
];

/// The datacenters in order of their distance from a location, as a `nearest` pool ranks them.
fn ranking(location: &Location) -> [u8; 10] {
    let mut order: [u8; 10] = std::array::from_fn(|index| index as u8);
    if let Some(here) = location.coordinates {
        let distance = DATACENTERS.map(|(latitude, longitude)| {
            Coordinates::new(latitude, longitude).map_or(f64::MAX, |there| here.distance_km(there))
        });
        order.sort_by(|&a, &b| distance[usize::from(a)].total_cmp(&distance[usize::from(b)]));
    }
    order
}

fn divide(grid: &Grid) -> (Division, Vec<[u8; 10]>) {
    grid.divide(&[], |location, _| ranking(location))
}

fn sample() -> Option<Vec<u8>> {
    let shared = std::env::var_os("PORTOLAN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    std::fs::read(shared.join("geoip/bench-city.mmdb")).ok()
}

/// 300,000 networks of /20 to /24, each at one of 300 locations.
fn synthetic() -> Vec<u8> {
    use mmdb_writer::{Value, Writer};
    let mut writer =
        Writer::builder("Synthetic-City").description(&[("en", "written by a benchmark")]).build();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..300_000 {
        let point = Value::map([
            ("latitude", Value::from(f64::from(random.i32(-60..70)))),
            ("longitude", Value::from(f64::from(random.i32(-9..9)) * 20.0)),
        ]);
        let network =
            ipnet::Ipv4Net::new_assert(random.u32(1 << 24..0xdfff_ffff).into(), random.u8(20..=24))
                .trunc();
        writer
            .insert_value(network, Value::map([("location", point)]))
            .expect("any network may be written");
    }
    writer.to_bytes().expect("the writer writes what it was given")
}

#[expect(clippy::print_stdout, reason = "the benchmark says what it measured on")]
fn atlas(c: &mut Criterion) {
    let found = sample();
    let bytes = found.unwrap_or_else(synthetic);
    let database = Arc::new(Database::open("bench", bytes.clone()).expect("a sound database"));
    let databases = Databases::new(vec![database.clone()]);
    let survey = || {
        let grid = Grid::new(&databases, Vec::new());
        let (division, rankings) = divide(&grid);
        (grid, division, rankings)
    };
    let (grid, division, rankings) = survey();
    let atlas = grid.atlas(&division);
    let nearest: Vec<u32> = rankings.iter().map(|ranking| u32::from(ranking[0])).collect();
    let folded = grid.fold(&division, &nearest);
    println!(
        "{} networks, {:.1} MB kept; atlas: {} areas, {} runs, {:.1} MB; folded: {} runs, {:.1} MB",
        database.network_count(),
        database.memory_bytes() as f64 / 1e6,
        atlas.area_count(),
        atlas.run_count(),
        atlas.memory_bytes() as f64 / 1e6,
        folded.run_count(),
        folded.memory_bytes() as f64 / 1e6,
    );

    let mut group = c.benchmark_group("atlas");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("open", |b| {
        b.iter_batched(
            || bytes.clone(),
            |bytes| Database::open("bench", bytes),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("survey", |b| b.iter(survey));
    group.bench_function("fold", |b| b.iter(|| grid.fold(&division, black_box(&nearest))));
    group.finish();

    let mut random = fastrand::Rng::with_seed(7);
    let anywhere: Vec<IpAddr> =
        (0..1 << 20).map(|_| IpAddr::V4(random.u32(1 << 24..0xdfff_ffff).into())).collect();
    let ipv6: Vec<IpAddr> =
        (0..1 << 20).map(|_| IpAddr::V6((0x2a00 << 112 | random.u128(..) >> 12).into())).collect();
    for (name, atlas, addresses) in [
        ("locate/random", &atlas, &anywhere[..]),
        ("locate/warm", &atlas, &anywhere[..1024]),
        ("locate/folded random", &folded, &anywhere[..]),
        ("locate/folded warm", &folded, &anywhere[..1024]),
        ("locate/ipv6 random", &atlas, &ipv6[..]),
    ] {
        let mut next = addresses.iter().cycle();
        c.bench_function(name, |b| b.iter(|| next.next().map(|&ip| atlas.locate(&black_box(ip)))));
    }
}

criterion_group!(benches, atlas);
criterion_main!(benches);
