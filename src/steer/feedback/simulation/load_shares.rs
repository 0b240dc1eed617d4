//! The shares of a pool of two datacenters, by load or by failover with a capacity.

use std::{sync::Arc, time::Duration};

use super::topology::{endpoint, load_source, pool, service};
use crate::{
    geo::{Area, Databases},
    load::LoadReport,
    steer::{
        Capacity, Compiler, Conditions, EndpointId, Family, FeedId, LoadLevel, LoadMeasure,
        LoadPolicy, MemberKind, Policy, Pool, PoolId, Regulation, Surveys, Topology,
        feedback::{FeedReading, Feedback, WeightFallback},
    },
};

const TTL_SECS: u64 = 30;
const INTERVAL_SECS: u64 = 5;
/// The age of the load that a report shows, in seconds.
const LAG_SECS: usize = 5;

/// Two datacenters that answer for one name.
struct LoadSimulation {
    feedback: Feedback,
    compiler: Arc<Compiler>,
    conditions: Conditions,
    surveys: Surveys,
    now: u64,
    random: fastrand::Rng,
    resolvers: Vec<SimulatedResolver>,
    /// The maximum number of connections of each datacenter.
    capacities: [f64; 2],
    /// Connections that do not come through DNS.
    unsteered_load: [f64; 2],
    /// The connections of all clients that come through DNS.
    demand: f64,
    /// The connections of each datacenter, second by second.
    loads: Vec<[f64; 2]>,
    /// The first datacenter's share of answers, second by second.
    shares: Vec<f64>,
    is_reporting: bool,
}

struct SimulatedResolver {
    /// The share of the demand that its clients make up.
    client_share: f64,
    /// The datacenter that its cached answer names.
    datacenter: usize,
    /// The time at which the cached answer expires, in seconds.
    cached_until: u64,
}

/// A pool of two members: by load, or by failover if the first has a capacity.
fn topology(policy: LoadPolicy, capacity: Option<Capacity>) -> Arc<Topology> {
    let endpoint_pool = |name: &str, number: u32| {
        pool(name, Policy::Weighted, &[(MemberKind::Endpoint(EndpointId(number)), 1)])
    };
    let policy = if capacity.is_some() { Policy::Failover } else { Policy::Load(policy) };
    let first = Pool {
        regulation: Regulation { capacity, ..Regulation::default() },
        ..endpoint_pool("first", 0)
    };
    let members = [0, 1].map(|number| (MemberKind::Pool(PoolId(number)), 1));
    let pools = vec![first, endpoint_pool("second", 1), pool("top", policy, &members)];
    let sources = [0, 1].map(|number| load_source(format!("lb{number}"), INTERVAL_SECS));
    let services = vec![service(PoolId(2), TTL_SECS)];
    Arc::new(
        Topology::new(vec![], vec![], vec![endpoint(0), endpoint(1)], pools, services)
            .with_load_sources(sources.into()),
    )
}

impl LoadSimulation {
    fn new(policy: LoadPolicy, capacity: Option<Capacity>, capacities: [f64; 2]) -> Self {
        let topology = topology(policy, capacity);
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &Databases::default(), &mut surveys);
        let conditions = Conditions::unprobed(&topology, 0);
        let mut feedback = Feedback::default();
        feedback.apply_topology(&topology);
        let mut random = fastrand::Rng::with_seed(11);
        // A few resolvers have most of the clients.
        let weights: Vec<f64> = (0..3000).map(|rank| 1.0 / f64::from(rank + 40)).collect();
        let sum: f64 = weights.iter().sum();
        let resolver = |weight: &f64| SimulatedResolver {
            client_share: weight / sum,
            datacenter: 0,
            cached_until: random.u64(0..TTL_SECS),
        };
        let resolvers = weights.iter().map(resolver).collect();
        Self {
            feedback,
            compiler,
            conditions,
            surveys,
            now: 0,
            random,
            resolvers,
            capacities,
            unsteered_load: [0.0; 2],
            demand: 0.0,
            loads: Vec::new(),
            shares: Vec::new(),
            is_reporting: true,
        }
    }

    /// The first datacenter's share of answers by the compiled chart.
    fn share(&mut self) -> f64 {
        let charts = self.compiler.compile(&self.conditions, &mut self.surveys).charts();
        let shares = charts[0].shares(Family::V4, Area(0));
        shares
            .iter()
            .filter(|(_, answer)| answer.rdata.texts() == ["192.0.2.0"])
            .map(|(share, _)| share)
            .sum()
    }

    fn run(&mut self, secs: u64) {
        let mut share = self.share();
        for _ in 0..secs {
            self.now += 1;
            let now = Duration::from_secs(self.now);
            for resolver in &mut self.resolvers {
                if resolver.cached_until <= self.now {
                    resolver.datacenter = usize::from(self.random.f64() >= share);
                    resolver.cached_until = self.now + TTL_SECS;
                }
            }
            let mut load = self.unsteered_load;
            for resolver in &self.resolvers {
                load[resolver.datacenter] += resolver.client_share * self.demand;
            }
            self.loads.push(load);
            if self.is_reporting && self.now.is_multiple_of(INTERVAL_SECS) {
                let reported = self.loads[self.loads.len().saturating_sub(1 + LAG_SECS)];
                for ((load, capacity), feed) in
                    reported.into_iter().zip(self.capacities).zip((0..).map(FeedId))
                {
                    let report = LoadReport {
                        connections: Some(load),
                        limit: Some(capacity),
                        gauges: [("cpu".into(), load / capacity)].into(),
                        ..LoadReport::default()
                    };
                    self.feedback.record_report(
                        feed,
                        FeedReading { report, read_at: now },
                        &self.conditions,
                    );
                }
            }
            if self.feedback.next_due(now).is_some_and(|due| due <= now)
                && !self
                    .feedback
                    .update(&self.compiler, &mut self.conditions, false, now)
                    .is_empty()
            {
                share = self.share();
            }
            self.shares.push(share);
        }
    }

    /// The shares of the last `ttls` TTLs.
    fn recent_shares(&self, ttls: u64) -> &[f64] {
        &self.shares[self.shares.len() - (ttls * TTL_SECS) as usize..]
    }
}

fn policy_by(measure: LoadMeasure) -> LoadPolicy {
    LoadPolicy { measure, soft: 0.5, hard: 1.0 }
}

/// Asserts that the first datacenter's share settles at `expected` within ten TTLs, overshoots by
/// at most five points, and afterwards stays within a range of four points.
fn assert_settles(simulation: &mut LoadSimulation, expected: f64, tolerance: f64, what: &str) {
    let from = simulation.shares.last().copied().unwrap_or(0.5);
    simulation.run(10 * TTL_SECS);
    let beyond = |share: &f64| if expected > from { share - expected } else { expected - share };
    let overshoot = simulation.recent_shares(10).iter().map(beyond).fold(0.0, f64::max);
    assert!(overshoot <= 0.05, "{what}: overshoot {overshoot}");
    let settled = simulation.shares.last().copied().unwrap();
    assert!(
        (settled - expected).abs() <= tolerance,
        "{what}: {settled} after ten TTLs, not {expected}"
    );
    simulation.run(40 * TTL_SECS);
    let low = simulation.recent_shares(40).iter().copied().fold(1.0, f64::min);
    let high = simulation.recent_shares(40).iter().copied().fold(0.0, f64::max);
    assert!(high - low <= 0.04, "{what}: between {low} and {high} afterwards");
}

#[test]
fn a_demand_step_settles_without_oscillation() {
    for (what, policy) in [
        ("connections", policy_by(LoadMeasure::Connections)),
        ("cpu", policy_by(LoadMeasure::Gauge("cpu".into()))),
    ] {
        // Capacities of 700 and 300 with equal weights: nearly idle at first, then at 60 to 95 % of
        // both capacities together.
        for demand in [600.0, 800.0, 950.0] {
            let mut simulation = LoadSimulation::new(policy.clone(), None, [700.0, 300.0]);
            simulation.demand = 10.0;
            simulation.run(10 * TTL_SECS);
            simulation.demand = demand;
            let expected = if what == "cpu" { equilibrium_share(demand) } else { 0.7 };
            assert_settles(&mut simulation, expected, 0.05, &format!("{what} at {demand}"));
        }
    }
}

/// The first datacenter's share at equilibrium by a gauge with a soft level of 0.5 and a hard level
/// of 1: shares in proportion to the remaining capacity.
fn equilibrium_share(demand: f64) -> f64 {
    let remaining = |share: f64, capacity: f64| {
        1.0 - ((share * demand / capacity - 0.5) / 0.5).clamp(0.0, 1.0) * 0.98
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let share = f64::midpoint(low, high);
        let (a, b) = (remaining(share, 700.0), remaining(1.0 - share, 300.0));
        if share < a / (a + b) { low = share } else { high = share }
    }
    low
}

#[test]
fn shares_make_room_for_load_that_does_not_come_through_dns() {
    let mut simulation =
        LoadSimulation::new(policy_by(LoadMeasure::Connections), None, [1000.0, 1000.0]);
    simulation.demand = 600.0;
    simulation.run(20 * TTL_SECS);
    // Four tenths of the first datacenter's capacity are taken by other load.
    simulation.unsteered_load = [400.0, 0.0];
    assert_settles(&mut simulation, 600.0 / 1600.0, 0.05, "unsteered load");
}

#[test]
fn stale_reports_fall_back_to_the_configured_weights() {
    let mut simulation =
        LoadSimulation::new(policy_by(LoadMeasure::Connections), None, [800.0, 200.0]);
    simulation.demand = 800.0;
    simulation.run(40 * TTL_SECS);
    assert!(simulation.shares.last().copied().unwrap() > 0.75);
    simulation.is_reporting = false;
    simulation.run(10 * TTL_SECS);
    let settled = simulation.shares.last().copied().unwrap();
    assert!((settled - 0.5).abs() < 0.01, "{settled}");
    assert_eq!(
        simulation.feedback.report(Duration::from_secs(simulation.now)).pools[0].fallback,
        Some(WeightFallback::NoReport(0))
    );
    assert_eq!(
        simulation.feedback.next_due(Duration::from_secs(simulation.now)),
        None,
        "nothing is in progress"
    );
}

#[test]
fn a_pool_spills_its_excess_to_the_next_choice() {
    let capacity = Capacity {
        measure: LoadMeasure::Connections,
        target: LoadLevel::Share(0.8),
        max: LoadLevel::Share(0.95),
    };
    let mut simulation =
        LoadSimulation::new(policy_by(LoadMeasure::Connections), Some(capacity), [500.0, 5000.0]);
    simulation.demand = 300.0;
    simulation.run(10 * TTL_SECS);
    assert!(
        simulation.recent_shares(9).iter().all(|share| *share == 1.0),
        "below the target it keeps all"
    );
    simulation.demand = 800.0;
    assert_settles(&mut simulation, 0.5, 0.05, "the excess");
    simulation.demand = 300.0;
    simulation.run(20 * TTL_SECS);
    assert_eq!(simulation.shares.last(), Some(&1.0), "spilled clients return");
}

#[test]
fn constant_reports_lead_to_shares_by_remaining_capacity() {
    for (first, second) in [(80.0, 20.0), (50.0, 0.0), (95.0, 95.0), (10.0, 90.0)] {
        let mut simulation =
            LoadSimulation::new(policy_by(LoadMeasure::Connections), None, [100.0, 100.0]);
        simulation.unsteered_load = [first, second];
        simulation.run(60 * TTL_SECS);
        let (settled, expected) =
            (simulation.shares.last().unwrap(), (100.0 - first) / (200.0 - first - second));
        assert!(
            (settled - expected).abs() <= 0.05,
            "{first} and {second} of 100: {settled}, not {expected}"
        );
    }
}

#[test]
fn a_full_member_does_not_wait_until_caches_have_followed_each_step() {
    let mut simulation =
        LoadSimulation::new(policy_by(LoadMeasure::Gauge("cpu".into())), None, [1000.0, 1000.0]);
    simulation.demand = 800.0;
    simulation.run(20 * TTL_SECS);
    simulation.capacities = [150.0, 1000.0];
    let start = simulation.shares.len();
    simulation.run(60 * TTL_SECS);
    let settled = simulation.recent_shares(20).iter().sum::<f64>()
        / simulation.recent_shares(20).len() as f64;
    let deadline = start + (3 * TTL_SECS + 2 * INTERVAL_SECS) as usize + LAG_SECS;
    for (second, share) in simulation.shares.iter().enumerate().skip(deadline) {
        assert!(
            (share - settled).abs() <= 0.05,
            "{share} after {} s, not {settled}",
            second - start
        );
    }
    assert!(simulation.shares[start..].iter().all(|share| settled - share <= 0.05), "no overshoot");
}
