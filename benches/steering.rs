//! The cost of wheels: pools compiled from nothing, after a change of health status and after load
//! reports; their memory; and one pass over the reports of 1,000 pools.
//!
//! `cargo bench --bench steering`

#![expect(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one counts and hands on"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fmt::Write as _,
    fs,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portolan::{
    config::{Config, SourceOptions, Sources},
    geo::Databases,
    health::{HealthStatus, Verdict},
    load::LoadReport,
    steer::{
        Compilation, CompiledCharts, Compiler, Conditions, FeedId, FeedReading, Feedback, PoolId,
        ProbeId, Surveys, Topology, WheelCache,
    },
};

const POOLS: usize = 1_000;

/// The system's allocator with a count of the octets in use.
struct Counting;

static OCTETS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed unchanged to the system's allocator; counting changes one atomic and
// does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        OCTETS.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller fulfils the contract of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        OCTETS.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ZONE: &str = "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
                    [monitor.m]\ntcp = { port = 80 }\n[load.lb]\nnginx = { url = \"http://{address}/stub_status\" }\n\
                    limit = 1000\n";

/// The topology that these tables configure.
fn topology(tables: &str) -> Arc<Topology> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("x.toml"), format!("{ZONE}{tables}")).expect("a file");
    let locations =
        SourceOptions { zones: Some(directory.path().to_owned()), ..SourceOptions::default() };
    let (config, _) = Config::load(&Sources::read(&locations)).expect("a good configuration");
    config.topology
}

/// A thousand services, each with a pool with these keys and its own members.
fn services(keys: &str, members: impl Fn(usize) -> Vec<String>) -> String {
    let mut tables = String::new();
    for pool in 0..POOLS {
        let members = members(pool).join(", ");
        writeln!(tables, "[service.\"s{pool}.x.example\"]\n{keys}\nmembers = [{members}]")
            .expect("memory");
    }
    tables
}

/// A member with one of 65,536 addresses of a site, and additional keys.
fn member(site: usize, host: usize, keys: &str) -> String {
    format!("{{ addresses = [\"10.{site}.{}.{}\"]{keys} }}", host / 250, host % 250 + 1)
}

/// One service with a pool with these keys and `count` members, whose weights are 1, 2 and 3.
fn large(keys: &str, count: usize) -> String {
    let members: Vec<String> =
        (0..count).map(|host| member(0, host, &format!(", weight = {}", host % 3 + 1))).collect();
    format!("[service.\"s.x.example\"]\n{keys}\nmembers = [{}]", members.join(", "))
}

struct CompiledFixture {
    topology: Arc<Topology>,
    compiler: Arc<Compiler>,
    surveys: Surveys,
    wheels: WheelCache,
    conditions: Conditions,
    compiled: CompiledCharts,
}

impl CompiledFixture {
    fn new(topology: Arc<Topology>) -> Self {
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &Databases::default(), &mut surveys);
        let conditions = Conditions::unprobed(&topology, 0);
        let mut wheels = WheelCache::default();
        let compilation = Compilation::new(Arc::clone(&compiler), Arc::new(conditions.clone()));
        let compiled = compilation.finish(&mut surveys, &mut wheels);
        Self { topology, compiler, surveys, wheels, conditions, compiled }
    }

    fn follow(&mut self) {
        let conditions = Arc::new(self.conditions.clone());
        let compilation =
            Compilation::after(&self.compiled, Arc::clone(&self.compiler), conditions);
        self.compiled = compilation.finish(&mut self.surveys, &mut self.wheels);
    }

    /// Gives every pool shares that it has not had before.
    fn shift(&mut self, round: u32) {
        let pools: Vec<PoolId> = (0..self.topology.pools.len() as u32).map(PoolId).collect();
        for id in &pools {
            let first = 100 + (id.0 * 7 + round * 13) % 500;
            let second = (1024 - first) / 2;
            self.conditions
                .adjustments
                .weights
                .insert(*id, [first, second, 1024 - first - second].as_slice().into());
        }
    }

    /// Switches the health status of the next endpoint between up and down.
    fn flap(&mut self, round: usize) {
        let probe = ProbeId((round % self.topology.probes.len()) as u32);
        let standing = &mut self.conditions.health_statuses[probe.index()];
        let verdict = if standing.verdict == Verdict::Down { Verdict::Up } else { Verdict::Down };
        *standing = HealthStatus { verdict, flips_in_secs: None, ..HealthStatus::default() };
    }
}

#[expect(clippy::print_stdout, reason = "Criterion knows times alone")]
fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    let of_four = |site: usize| {
        move |pool: usize| (0..4).map(|at| member(at + site, pool, "")).collect::<Vec<_>>()
    };
    for (name, tables) in [
        ("1,000 client pools of 4, equal", services("spread = \"client\"", |_| of_four(0)(7))),
        ("1,000 client pools of 4, different", services("spread = \"client\"", of_four(0))),
        ("client, 1 of 1,000", large("spread = \"client\"", 1_000)),
        ("3 of 500", large("answers = 3", 500)),
        ("5 of 1,000", large("answers = 5", 1_000)),
        ("client, 5 of 1,000", large("spread = \"client\"\nanswers = 5", 1_000)),
        ("all of 5,000", large("answers = \"all\"", 5_000)),
    ] {
        let topology = topology(&tables);
        let before = OCTETS.load(Relaxed);
        let world = black_box(CompiledFixture::new(Arc::clone(&topology)));
        println!("compile/{name}: {} KiB", OCTETS.load(Relaxed).saturating_sub(before) / 1024);
        drop(world);
        group.bench_function(name, |bencher| {
            bencher.iter(|| CompiledFixture::new(Arc::clone(&topology)))
        });
    }
    group.finish();
}

fn flap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one verdict");
    group.sample_size(10);
    for (name, keys) in [("query", "answers = 3"), ("client", "answers = 3\nspread = \"client\"")] {
        let mut round = 0;
        group.bench_function(format!("{name}, 3 of 500"), |bencher| {
            let mut world =
                CompiledFixture::new(topology(&large(&format!("monitor = \"m\"\n{keys}"), 500)));
            bencher.iter(|| {
                round += 1;
                world.flap(round);
                world.follow();
            });
        });
    }
    group.finish();
}

/// A thousand services, each with a `load` pool of three endpoints.
fn load_pools(spread: &str) -> Arc<Topology> {
    let members = |pool| (0..3).map(|site| member(site, pool, ", load = \"lb\"")).collect();
    topology(&services(&format!("policy = \"load\"\nspread = \"{spread}\""), members))
}

fn recompile(criterion: &mut Criterion) {
    for spread in ["query", "client"] {
        let mut world = CompiledFixture::new(load_pools(spread));
        let mut round = 0;
        let mut group = criterion.benchmark_group("wheels of 1,000 pools");
        group.sample_size(10);
        group.bench_function(spread, |bencher| {
            bencher.iter(|| {
                round += 1;
                world.shift(round);
                world.follow();
            });
        });
        group.finish();
    }
}

fn follow(criterion: &mut Criterion) {
    let mut world = CompiledFixture::new(load_pools("query"));
    let mut feedback = Feedback::default();
    world.conditions.adjustments = feedback.apply_topology(&world.topology);
    let feeds = world.topology.feeds.list.len() as u32;
    let mut now = Duration::from_secs(1);
    criterion.bench_function("reports of 1,000 pools, one look", |bencher| {
        bencher.iter_batched(
            || {
                now += Duration::from_secs(60);
                now
            },
            |now| {
                for feed in 0..feeds {
                    let connections = f64::from((feed * 37 + now.as_secs() as u32 * 11) % 900);
                    let report = LoadReport {
                        connections: Some(connections),
                        limit: Some(1000.0),
                        ..LoadReport::default()
                    };
                    feedback.record_report(
                        FeedId(feed),
                        FeedReading { report, read_at: now },
                        &world.conditions,
                    );
                }
                feedback.update(&world.compiler, &mut world.conditions, false, now)
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, compile, flap, recompile, follow);
criterion_main!(benches);
