//! How long it takes to make the wheels of 1,000 pools anew when load reports shift all of their shares, and what one look at
//! all of their reports costs.
//!
//! `cargo bench --bench steering`

use std::{fmt::Write as _, fs, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portolan::{
    config::{Config, Locations, Sources},
    geo::Databases,
    load::LoadReport,
    steer::{Compilation, Compiled, Compiler, Conditions, FeedId, Feedback, PoolId, Reading, Surveys, Topology},
};

const POOLS: usize = 1_000;

/// A service over a `load` pool of three endpoints, a thousand times.
fn topology(spread: &str) -> Arc<Topology> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut text = String::from(
        "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
         [load.lb]\nnginx = { url = \"http://{address}/stub_status\" }\nlimit = 1000\n",
    );
    for pool in 0..POOLS {
        let (high, low) = (pool / 250, pool % 250 + 1);
        writeln!(text, "[service.\"s{pool}.x.example\"]\npolicy = \"load\"\nspread = \"{spread}\"").expect("memory");
        writeln!(
            text,
            "members = [{}]",
            (0..3)
                .map(|site| format!("{{ addresses = [\"10.{site}.{high}.{low}\"], load = \"lb\" }}"))
                .collect::<Vec<_>>()
                .join(", ")
        )
        .expect("memory");
    }
    fs::write(directory.path().join("x.toml"), text).expect("a file");
    let locations = Locations { zones: Some(directory.path().to_owned()), ..Locations::default() };
    let (config, _) = Config::load(&Sources::read(&locations)).expect("a good configuration");
    Arc::new(config.topology)
}

struct World {
    topology: Arc<Topology>,
    compiler: Arc<Compiler>,
    surveys: Surveys,
    conditions: Conditions,
    compiled: Compiled,
}

impl World {
    fn new(spread: &str) -> Self {
        let topology = topology(spread);
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &Databases::default(), &mut surveys);
        let conditions = Conditions::unknown(&topology, 0);
        let mut compilation = Compilation::new(Arc::clone(&compiler), Arc::new(conditions.clone()));
        compilation.run(&mut surveys, &mut || false);
        let compiled = compilation.compiled().expect("all charts");
        Self { topology, compiler, surveys, conditions, compiled }
    }

    fn follow(&mut self) {
        let conditions = Arc::new(self.conditions.clone());
        let mut compilation = Compilation::after(&self.compiled, Arc::clone(&self.compiler), conditions);
        compilation.run(&mut self.surveys, &mut || false);
        self.compiled = compilation.compiled().expect("all charts");
    }

    /// Shares that no pool had before.
    fn shift(&mut self, round: u32) {
        let pools: Vec<PoolId> = (0..self.topology.pools.len() as u32).map(PoolId).collect();
        for id in &pools {
            let first = 100 + (id.0 * 7 + round * 13) % 500;
            let second = (1024 - first) / 2;
            self.conditions.steering.weights.insert(*id, [first, second, 1024 - first - second].as_slice().into());
        }
    }
}

fn recompile(criterion: &mut Criterion) {
    for spread in ["query", "client"] {
        let mut world = World::new(spread);
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
    let mut world = World::new("query");
    let mut feedback = Feedback::default();
    world.conditions.steering = feedback.adopt(&world.topology);
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
                    let report =
                        LoadReport { connections: Some(connections), limit: Some(1000.0), ..LoadReport::default() };
                    feedback.note(FeedId(feed), Reading { report, at: now }, &world.conditions);
                }
                feedback.follow(&world.compiler, &mut world.conditions, false, now)
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, recompile, follow);
criterion_main!(benches);
