//! The relief of a full member: caches keep answers for a TTL; reports are late and noisy, and may
//! be capped at the limit.

use std::{collections::VecDeque, time::Duration};

use crate::steer::{
    feedback::{
        balance::{Balance, BalanceTiming, MemberReport},
        measured_load::MeasuredLoad,
    },
    model::{LoadMeasure, LoadPolicy},
};

const INTERVAL_SECS: u64 = 5;
/// The age of the load that a report shows when it is read, in seconds.
const LAG_SECS: usize = 5;

/// A pool and the load on it. Lists are in the order of the members.
#[derive(Debug, Clone)]
struct PoolScenario {
    measure: LoadMeasure,
    weights: Vec<u16>,
    capacities: Vec<f64>,
    /// Load that does not come through DNS.
    unsteered_loads: Vec<f64>,
    /// The load of all clients that come through DNS.
    demand: f64,
    /// Whether reports are capped at the capacity.
    is_capped: bool,
}

impl PoolScenario {
    /// Two members by CPU load. The first should have 52 % of the clients while neither is full.
    fn healthy() -> Self {
        Self {
            measure: LoadMeasure::Gauge("cpu".into()),
            weights: vec![13, 12],
            capacities: vec![500.0, 1500.0],
            unsteered_loads: vec![0.0, 0.0],
            demand: 500.0,
            is_capped: true,
        }
    }
}

/// The reports of all members.
struct SimulatedReport {
    /// Loads as fractions of the capacity.
    levels: Vec<f64>,
    read_at_secs: u64,
}

struct ReliefSimulation {
    scenario: PoolScenario,
    balance: Balance,
    ttl_secs: u64,
    /// The largest relative error of reports, and of `skew`.
    noise: f64,
    /// By member: the factor by which a few large resolvers distort its share, drawn once per TTL.
    skew: Vec<f64>,
    random: fastrand::Rng,
    now: u64,
    /// The shares of the last TTL, second by second.
    answered: VecDeque<Vec<f64>>,
    loads: Vec<Vec<f64>>,
    /// The first member's share, second by second.
    shares: Vec<f64>,
    newest_report: Option<SimulatedReport>,
    is_urgent: bool,
}

impl ReliefSimulation {
    fn new(scenario: PoolScenario, ttl_secs: u64, noise: f64) -> Self {
        let policy = LoadPolicy { measure: scenario.measure.clone(), soft: 0.7, hard: 0.9 };
        let balance = Balance::new(policy, scenario.weights.clone());
        let answered = (0..ttl_secs).map(|_| balance.shares().to_vec()).collect();
        Self {
            skew: vec![1.0; scenario.weights.len()],
            scenario,
            balance,
            ttl_secs,
            noise,
            random: fastrand::Rng::with_seed(7),
            now: 0,
            answered,
            loads: Vec::new(),
            shares: Vec::new(),
            newest_report: None,
            is_urgent: false,
        }
    }

    /// Seconds between two steps while no member is full.
    fn period_secs(&self) -> u64 {
        self.ttl_secs.max(2 * INTERVAL_SECS)
    }

    fn noise_factor(&mut self) -> f64 {
        1.0 + self.noise * (2.0 * self.random.f64() - 1.0)
    }

    /// The shares as the wheel applies them, in steps of 1/1024.
    fn steered_shares(&self) -> Vec<f64> {
        let weights = self.balance.weights();
        let weights = weights
            .unwrap_or_else(|| self.scenario.weights.iter().map(|&weight| weight.into()).collect());
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
            let load = |member: usize| {
                let clients: f64 = self.answered.iter().map(|shares| shares[member]).sum::<f64>()
                    / self.ttl_secs as f64;
                self.scenario.unsteered_loads[member]
                    + self.scenario.demand * clients * self.skew[member]
            };
            self.loads.push((0..self.skew.len()).map(load).collect());
            if self.now.is_multiple_of(INTERVAL_SECS) {
                self.report();
            }
            self.update_balance();
        }
    }

    fn report(&mut self) {
        let reported = self.loads[self.loads.len().saturating_sub(1 + LAG_SECS)].clone();
        let levels =
            reported.iter().zip(self.scenario.capacities.clone()).map(|(load, capacity)| {
                let level = load / capacity * self.noise_factor();
                if self.scenario.is_capped { level.min(1.0) } else { level }
            });
        let levels: Vec<f64> = levels.collect();
        let full = if self.scenario.measure == LoadMeasure::Connections { 0.98 } else { 0.9 };
        self.is_urgent |= levels.iter().any(|level| *level >= full);
        self.newest_report = Some(SimulatedReport { levels, read_at_secs: self.now });
    }

    fn update_balance(&mut self) {
        let (due, now) = (self.balance.due(), Duration::from_secs(self.now));
        let due = if self.is_urgent { due.min(self.balance.urgent_due()) } else { due };
        let Some(report) = self.newest_report.as_ref().filter(|_| due <= now) else { return };
        let load_at = Duration::from_secs(report.read_at_secs - INTERVAL_SECS);
        let member_report = |(level, capacity): (&f64, &f64)| {
            let connections = Some(level * capacity);
            let measured = MeasuredLoad {
                connections,
                limit: Some(*capacity),
                capacity_left: 1.0,
                gauge: Some(*level),
                response_time: None,
            };
            Some(MemberReport { measured, load_at })
        };
        let reports: Vec<_> =
            report.levels.iter().zip(&self.scenario.capacities).map(member_report).collect();
        let timing = BalanceTiming {
            period: Duration::from_secs(self.period_secs()),
            urgent_period: Duration::from_secs((self.ttl_secs / 32).max(2 * INTERVAL_SECS)),
            ttl: Duration::from_secs(self.ttl_secs),
            stale_after: Duration::from_secs(3 * INTERVAL_SECS),
        };
        self.is_urgent = false;
        self.balance.update(&reports, &vec![true; reports.len()], &timing, now);
    }
}

/// The first member's share after a change of the scenario.
#[derive(Debug)]
struct StepResponse {
    initial_share: f64,
    final_share: f64,
    /// How far it went beyond its final value.
    overshoot: f64,
    /// Periods until it stayed within five points of its final value, without the lag of reports.
    settling_periods: f64,
    /// The range of its values after it has settled.
    swing: f64,
}

fn step_response(
    mut simulation: ReliefSimulation,
    change: impl Fn(&mut PoolScenario),
) -> StepResponse {
    simulation.run(20 * simulation.period_secs());
    let initial = simulation.shares[simulation.shares.len() - 1];
    change(&mut simulation.scenario);
    let (start, period) = (simulation.shares.len(), simulation.period_secs() as usize);
    simulation.run(100 * simulation.period_secs());
    let (after, late) = (&simulation.shares[start..], &simulation.shares[start + 60 * period..]);
    let settled = late.iter().sum::<f64>() / late.len() as f64;
    let beyond = |share: &f64| if settled < initial { settled - share } else { share - settled };
    let outside =
        after.iter().rposition(|share| (share - settled).abs() > 0.05).map_or(0, |last| last + 1);
    let lag = 2 * INTERVAL_SECS as usize + LAG_SECS;
    let (low, high) = late
        .iter()
        .fold((1.0_f64, 0.0_f64), |(low, high), share| (low.min(*share), high.max(*share)));
    StepResponse {
        initial_share: initial,
        final_share: settled,
        overshoot: after[..10 * period].iter().map(beyond).fold(0.0, f64::max),
        settling_periods: outside.saturating_sub(lag) as f64 / period as f64,
        swing: high - low,
    }
}

struct ReliefCase {
    scenario: PoolScenario,
    change: fn(&mut PoolScenario),
    /// The maximum number of periods until the first member's share stays within five points of its
    /// final value.
    max_periods: f64,
    why: &'static str,
}

fn case(
    scenario: PoolScenario,
    change: fn(&mut PoolScenario),
    max_periods: f64,
    why: &'static str,
) -> ReliefCase {
    ReliefCase { scenario, change, max_periods, why }
}

fn cases() -> Vec<ReliefCase> {
    let healthy = PoolScenario::healthy;
    let uncapped = || PoolScenario { is_capped: false, ..healthy() };
    let by_connections = || PoolScenario { measure: LoadMeasure::Connections, ..healthy() };
    let three = PoolScenario {
        weights: vec![1; 3],
        capacities: vec![300.0; 3],
        unsteered_loads: vec![0.0; 3],
        demand: 400.0,
        ..healthy()
    };
    let twenty = PoolScenario {
        weights: vec![1; 20],
        capacities: vec![50.0; 20],
        unsteered_loads: vec![0.0; 20],
        ..healthy()
    };
    vec![
        case(
            healthy(),
            |it| it.capacities[0] = 60.0,
            3.0,
            "a CPU at 100 % does not show what waits",
        ),
        case(healthy(), |it| it.capacities[0] = 200.0, 3.0, "the same, with less to lose"),
        case(uncapped(), |it| it.capacities[0] = 80.0, 3.0, "a gauge that shows all of the load"),
        case(uncapped(), |it| it.capacities[0] = 260.0, 3.0, "an equilibrium just below `hard`"),
        case(
            healthy(),
            |it| (it.capacities, it.unsteered_loads) = (vec![1e9; 2], vec![0.95e9, 0.3e9]),
            5.0,
            "no load follows the share",
        ),
        case(
            healthy(),
            |it| (it.capacities, it.unsteered_loads) = (vec![1e9; 2], vec![1e9, 0.3e9]),
            6.0,
            "no load follows the share, at the limit",
        ),
        case(
            healthy(),
            |it| (it.unsteered_loads[0], it.demand) = (400.0, 400.0),
            6.0,
            "half of the load follows the share",
        ),
        case(healthy(), |it| it.demand = 3000.0, 0.0, "all are full: no member can take anything"),
        case(by_connections(), |it| it.capacities[0] = 60.0, 3.0, "connections at the limit"),
        case(by_connections(), |it| it.demand = 2500.0, 3.0, "all connections at their limits"),
        case(three.clone(), |it| it.capacities[0] = 80.0, 3.0, "one of three"),
        case(three, |it| it.capacities = vec![80.0, 80.0, 600.0], 3.0, "two of three"),
        case(twenty, |it| it.capacities[0] = 10.0, 3.0, "one of twenty: it loses its whole share"),
    ]
}

#[test]
fn a_full_member_is_relieved_in_time_without_overshoot_or_swing() {
    for ttl_secs in [5, 30, 300] {
        for noise in [0.0, 0.05] {
            for ReliefCase { scenario, change, max_periods, why } in cases() {
                let simulation = ReliefSimulation::new(scenario, ttl_secs, noise);
                let response = step_response(simulation, change);
                let what = format!("{why}: TTL {ttl_secs}, noise {noise}: {response:.3?}");
                assert!(response.overshoot <= 0.05, "{what}");
                assert!(response.settling_periods <= max_periods, "{what}");
                assert!(response.swing <= 0.04, "{what}");
            }
        }
    }
}

#[test]
fn a_member_that_is_no_longer_full_regains_its_clients_step_by_step() {
    for ttl_secs in [5, 30, 300] {
        let scenario = PoolScenario { capacities: vec![60.0, 1500.0], ..PoolScenario::healthy() };
        let simulation = ReliefSimulation::new(scenario, ttl_secs, 0.05);
        let response = step_response(simulation, |it| it.capacities[0] = 1500.0);
        let what = format!("TTL {ttl_secs}: {response:.3?}");
        assert!(response.initial_share < 0.15, "{what}");
        assert!((response.final_share - 0.52).abs() < 0.02, "{what}");
        assert!(response.overshoot <= 0.05 && response.swing <= 0.04, "{what}");
        assert!(response.settling_periods <= 10.0, "{what}");
    }
}

#[test]
fn equally_full_members_take_nothing_from_each_other() {
    for demand in [1700.0, 1800.0, 1900.0] {
        let scenario = PoolScenario { capacities: vec![1000.0; 2], ..PoolScenario::healthy() };
        let mut simulation = ReliefSimulation::new(scenario, 30, 0.05);
        simulation.scenario.demand = demand;
        simulation.run(3000);
        let low = simulation.shares.iter().copied().fold(1.0_f64, f64::min);
        let high = simulation.shares.iter().copied().fold(0.0_f64, f64::max);
        assert!(low > 0.45 && high < 0.55, "{demand}: from {low} to {high}");
    }
}
