//! A full member under a clock that only the test moves: caches keep answers for a TTL; reports are
//! late and noisy, and may be capped at the limit.

use std::{collections::VecDeque, time::Duration};

use super::{
    balance::{Balance, BalanceTiming, MemberReport},
    measured_load::MeasuredLoad,
};
use crate::steer::model::{LoadMeasure, LoadPolicy};

const INTERVAL_SECS: u64 = 5;
/// A report tells of the load so long before it is read.
const LAG_SECS: usize = 5;

/// What a pool has to cope with.
#[derive(Debug, Clone)]
struct PoolScenario {
    by: LoadMeasure,
    weights: Vec<u16>,
    capacities: Vec<f64>,
    /// Load that no answer steers.
    unsteered_loads: Vec<f64>,
    demand: f64,
    /// Reports end at the capacity.
    ends_at_limit: bool,
}

impl PoolScenario {
    /// Two members, by the processor's load, of which the first is to have 52 % of the clients
    /// while all is well.
    fn healthy() -> Self {
        Self {
            by: LoadMeasure::Gauge("cpu".into()),
            weights: vec![13, 12],
            capacities: vec![500.0, 1500.0],
            unsteered_loads: vec![0.0, 0.0],
            demand: 500.0,
            ends_at_limit: true,
        }
    }
}

struct ReliefSimulation {
    region: PoolScenario,
    balance: Balance,
    ttl_secs: u64,
    /// Reports are wrong by so much, and so is what a few large resolvers make of shares, once per
    /// TTL.
    noise: f64,
    skew: Vec<f64>,
    random: fastrand::Rng,
    now: u64,
    /// The shares of the last TTL, second by second, and their sum.
    answered: VecDeque<Vec<f64>>,
    loads: Vec<Vec<f64>>,
    /// The first one's share, second by second.
    shares: Vec<f64>,
    /// The newest reports: loads as parts of the capacity, and when they were read.
    read: Option<(Vec<f64>, u64)>,
    is_urgent: bool,
}

impl ReliefSimulation {
    fn new(region: PoolScenario, ttl_secs: u64, noise: f64) -> Self {
        let policy = LoadPolicy { measure: region.by.clone(), soft: 0.7, hard: 0.9 };
        let balance = Balance::new(policy, region.weights.clone());
        let answered = (0..ttl_secs).map(|_| balance.shares().to_vec()).collect();
        Self {
            skew: vec![1.0; region.weights.len()],
            region,
            balance,
            ttl_secs,
            noise,
            random: fastrand::Rng::with_seed(7),
            now: 0,
            answered,
            loads: Vec::new(),
            shares: Vec::new(),
            read: None,
            is_urgent: false,
        }
    }

    /// Seconds between two looks while all is well.
    fn period(&self) -> u64 {
        self.ttl_secs.max(2 * INTERVAL_SECS)
    }

    fn noise_factor(&mut self) -> f64 {
        1.0 + self.noise * (2.0 * self.random.f64() - 1.0)
    }

    /// As the wheel has them: in steps of 1/1024.
    fn steered_shares(&self) -> Vec<f64> {
        let weights = self.balance.weights();
        let weights = weights
            .unwrap_or_else(|| self.region.weights.iter().map(|&weight| weight.into()).collect());
        let sum: u32 = weights.iter().sum();
        weights.iter().map(|&weight| f64::from(weight) / f64::from(sum)).collect()
    }

    fn run(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now += 1;
            let shares = self.steered_shares();
            self.shares.push(shares[0]);
            self.answered.push_back(shares);
            self.answered.pop_front();
            if self.now.is_multiple_of(self.ttl_secs) {
                self.skew = (0..self.skew.len()).map(|_| self.noise_factor()).collect();
            }
            let load = |at: usize| {
                let clients: f64 = self.answered.iter().map(|shares| shares[at]).sum::<f64>()
                    / self.ttl_secs as f64;
                self.region.unsteered_loads[at] + self.region.demand * clients * self.skew[at]
            };
            self.loads.push((0..self.skew.len()).map(load).collect());
            if self.now.is_multiple_of(INTERVAL_SECS) {
                self.report();
            }
            self.update_balance();
        }
    }

    fn report(&mut self) {
        let told = self.loads[self.loads.len().saturating_sub(1 + LAG_SECS)].clone();
        let parts = told.iter().zip(self.region.capacities.clone()).map(|(load, capacity)| {
            let part = load / capacity * self.noise_factor();
            if self.region.ends_at_limit { part.min(1.0) } else { part }
        });
        let parts: Vec<f64> = parts.collect();
        let full = if self.region.by == LoadMeasure::Connections { 0.98 } else { 0.9 };
        self.is_urgent |= parts.iter().any(|part| *part >= full);
        self.read = Some((parts, self.now));
    }

    fn update_balance(&mut self) {
        let (due, now) = (self.balance.due(), Duration::from_secs(self.now));
        let due = if self.is_urgent { due.min(self.balance.urgent_due()) } else { due };
        let Some((parts, read)) = self.read.as_ref().filter(|_| due <= now) else { return };
        let known = |(part, capacity): (&f64, &f64)| {
            let connections = Some(part * capacity);
            let measured = MeasuredLoad {
                connections,
                limit: Some(*capacity),
                capacity_left: 1.0,
                gauge: Some(*part),
                response_time: None,
            };
            Some(MemberReport { measured, load_at: Duration::from_secs(read - INTERVAL_SECS) })
        };
        let known: Vec<_> = parts.iter().zip(&self.region.capacities).map(known).collect();
        let pace = BalanceTiming {
            period: Duration::from_secs(self.period()),
            urgent_period: Duration::from_secs((self.ttl_secs / 32).max(2 * INTERVAL_SECS)),
            ttl: Duration::from_secs(self.ttl_secs),
            stale_after: Duration::from_secs(3 * INTERVAL_SECS),
        };
        self.is_urgent = false;
        self.balance.update(&known, &vec![true; known.len()], &pace, now);
    }
}

/// What became of the first member's share after something happened.
struct StepResponse {
    initial_share: f64,
    final_share: f64,
    /// The farthest that it went beyond its rest.
    overshoot: f64,
    /// Periods until it stayed within five points of its rest, but for the lag of reports.
    settling_periods: f64,
    /// Between the least and the greatest share once it has come to rest.
    swing: f64,
}

fn step_response(mut world: ReliefSimulation, happens: impl Fn(&mut PoolScenario)) -> StepResponse {
    world.run(20 * world.period());
    let from = world.shares[world.shares.len() - 1];
    happens(&mut world.region);
    let (began, period) = (world.shares.len(), world.period() as usize);
    world.run(100 * world.period());
    let (after, late) = (&world.shares[began..], &world.shares[began + 60 * period..]);
    let rest = late.iter().sum::<f64>() / late.len() as f64;
    let beyond = |share: &f64| if rest < from { rest - share } else { share - rest };
    let outside =
        after.iter().rposition(|share| (share - rest).abs() > 0.05).map_or(0, |at| at + 1);
    let lag = 2 * INTERVAL_SECS as usize + LAG_SECS;
    let (low, high) = late
        .iter()
        .fold((1.0_f64, 0.0_f64), |(low, high), share| (low.min(*share), high.max(*share)));
    StepResponse {
        initial_share: from,
        final_share: rest,
        overshoot: after[..10 * period].iter().map(beyond).fold(0.0, f64::max),
        settling_periods: outside.saturating_sub(lag) as f64 / period as f64,
        swing: high - low,
    }
}

/// Something that happens to a region, the most periods until the first member's share is within
/// five points of its rest, and why.
type ReliefCase = (PoolScenario, fn(&mut PoolScenario), f64, &'static str);

fn cases() -> Vec<ReliefCase> {
    let usual = PoolScenario::healthy;
    let three = PoolScenario {
        weights: vec![1; 3],
        capacities: vec![300.0; 3],
        unsteered_loads: vec![0.0; 3],
        demand: 400.0,
        ..usual()
    };

    let twenty = PoolScenario {
        weights: vec![1; 20],
        capacities: vec![50.0; 20],
        unsteered_loads: vec![0.0; 20],
        ..usual()
    };
    vec![
        (
            usual(),
            |it| it.capacities[0] = 60.0,
            3.0,
            "a processor that is never idle tells nothing of what waits",
        ),
        (usual(), |it| it.capacities[0] = 200.0, 3.0, "the same, with less to lose"),
        (
            PoolScenario { ends_at_limit: false, ..usual() },
            |it| it.capacities[0] = 80.0,
            3.0,
            "a gauge that tells all",
        ),
        (
            PoolScenario { ends_at_limit: false, ..usual() },
            |it| it.capacities[0] = 260.0,
            3.0,
            "rest just below hard",
        ),
        (
            usual(),
            |it| (it.capacities, it.unsteered_loads) = (vec![1e9; 2], vec![0.95e9, 0.3e9]),
            5.0,
            "no load follows",
        ),
        (
            usual(),
            |it| (it.capacities, it.unsteered_loads) = (vec![1e9; 2], vec![1e9, 0.3e9]),
            6.0,
            "none follows, at the limit",
        ),
        (
            usual(),
            |it| (it.unsteered_loads[0], it.demand) = (400.0, 400.0),
            6.0,
            "a half of the load follows",
        ),
        (usual(), |it| it.demand = 3000.0, 0.0, "all are full: no member can take anything"),
        (
            PoolScenario { by: LoadMeasure::Connections, ..usual() },
            |it| it.capacities[0] = 60.0,
            3.0,
            "connections at the limit",
        ),
        (
            PoolScenario { by: LoadMeasure::Connections, ..usual() },
            |it| it.demand = 2500.0,
            3.0,
            "all at their limits",
        ),
        (three.clone(), |it| it.capacities[0] = 80.0, 3.0, "one of three"),
        (three, |it| it.capacities = vec![80.0, 80.0, 600.0], 3.0, "two of three"),
        (
            twenty,
            |it| it.capacities[0] = 10.0,
            3.0,
            "one of twenty: five points are all of its share",
        ),
    ]
}

#[test]
fn a_full_member_is_relieved_in_time_without_overshoot_or_swing() {
    for ttl_secs in [5, 30, 300] {
        for noise in [0.0, 0.05] {
            for (region, happens, most_periods, why) in cases() {
                let StepResponse {
                    initial_share: from,
                    final_share: rest,
                    overshoot,
                    settling_periods: periods,
                    swing,
                } = step_response(ReliefSimulation::new(region, ttl_secs, noise), happens);
                let what = format!("{why}: TTL {ttl_secs}, noise {noise}: {from:.3} to {rest:.3}");
                assert!(overshoot <= 0.05, "{what}: overshoot {overshoot:.3}");
                assert!(periods <= most_periods, "{what}: {periods:.1} periods");
                assert!(swing <= 0.04, "{what}: a swing of {swing:.3}");
            }
        }
    }
}

#[test]
fn who_was_full_gets_its_clients_back_step_by_step() {
    for ttl_secs in [5, 30, 300] {
        let region = PoolScenario { capacities: vec![60.0, 1500.0], ..PoolScenario::healthy() };
        let StepResponse {
            initial_share: from,
            final_share: rest,
            overshoot,
            settling_periods: periods,
            swing,
        } = step_response(ReliefSimulation::new(region, ttl_secs, 0.05), |it| {
            it.capacities[0] = 1500.0
        });
        let what = format!(
            "TTL {ttl_secs}: {from:.3} to {rest:.3}, beyond {overshoot:.3}, {periods:.1} periods, {swing:.3}"
        );
        assert!(from < 0.15 && (rest - 0.52).abs() < 0.02, "{what}");
        assert!(overshoot <= 0.05 && periods <= 10.0 && swing <= 0.04, "{what}");
    }
}

#[test]
fn members_that_are_nearly_full_alike_take_nothing_from_each_other() {
    for demand in [1700.0, 1800.0, 1900.0] {
        let region = PoolScenario { capacities: vec![1000.0; 2], ..PoolScenario::healthy() };
        let mut world = ReliefSimulation::new(region, 30, 0.05);
        world.region.demand = demand;
        world.run(3000);
        let (low, high) = world
            .shares
            .iter()
            .fold((1.0_f64, 0.0_f64), |(a, b), share| (a.min(*share), b.max(*share)));
        assert!(low > 0.45 && high < 0.55, "{demand}: from {low} to {high}");
    }
}
