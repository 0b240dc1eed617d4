//! Spill between regions settles evenly, without overshoot or swing.

use std::time::Duration;

use super::regions::{
    CAPACITIES, FalseReport, MAX, ParentPolicy, SimulationTiming, SpillSimulation, TARGET,
};
use crate::steer::{PoolId, feedback::SavedFeedback};

const RESOLVERS: usize = 10_000;

const PARENT_POLICIES: [ParentPolicy; 5] = [
    ParentPolicy::Failover,
    ParentPolicy::Weighted,
    ParentPolicy::Nearest,
    ParentPolicy::Geo,
    ParentPolicy::Nested,
];

/// The mean share of a region.
fn mean(shares: &[Vec<f64>], region: usize) -> f64 {
    shares.iter().map(|shares| shares[region]).sum::<f64>() / shares.len() as f64
}

/// The largest errors that a simulation may show.
#[derive(Debug, Clone, Copy)]
struct Tolerances {
    /// How far a share may go beyond its final value, as a share of all clients.
    overshoot: f64,
    /// The range of a share after it has settled, as a share of all clients.
    swing: f64,
    /// The difference between the levels of two regions, as a fraction of the highest level or of
    /// the capacity.
    uneven: f64,
}

impl Tolerances {
    /// The tolerances are wider in two cases. The clients of a `nearest` pool leave address block
    /// by address block, and some blocks have more clients than others. In a chain of more than
    /// three regions, each region sees the spill of those before it late.
    fn for_parent(parent: ParentPolicy, regions: usize) -> Self {
        if regions > 3 || parent == ParentPolicy::Nearest {
            Self { overshoot: 0.14, swing: 0.07, uneven: 0.08 }
        } else {
            Self { overshoot: 0.05, swing: 0.04, uneven: 0.05 }
        }
    }
}

/// The violations of `bounds` in the regions that are up, from ten periods after a change on.
fn violations(
    simulation: &mut SpillSimulation,
    up: &[usize],
    checks_levels: bool,
    bounds: Tolerances,
) -> Vec<String> {
    simulation.run(10);
    let response = simulation.recent_shares(10).to_vec();
    // The immediate effect of a loss or a return, before any step, is no overshoot.
    let before = response.first().cloned().unwrap_or_default();
    simulation.run(30);
    let late = simulation.recent_shares(30).to_vec();
    let mut found = Vec::new();
    let settled: Vec<f64> = (0..simulation.regions).map(|region| mean(&late, region)).collect();
    let levels: Vec<f64> =
        up.iter().map(|&region| simulation.level(region, settled[region])).collect();
    let (lowest, highest) = (
        levels.iter().copied().fold(f64::MAX, f64::min),
        levels.iter().copied().fold(0.0, f64::max),
    );
    let excess = (highest - TARGET).min(highest - lowest);
    if checks_levels && excess > bounds.uneven * highest.max(1.0) {
        found.push(format!("uneven: {levels:.2?}"));
    }
    if highest > MAX + 0.02 && lowest < TARGET - 0.02 {
        found.push(format!("above its max beside one with room: {levels:.2?}"));
    }
    for &region in up {
        let late_shares = || late.iter().map(|shares| shares[region]);
        let lowest = late_shares().fold(1.0, f64::min);
        let highest = late_shares().fold(0.0, f64::max);
        if highest - lowest > bounds.swing {
            found.push(format!("region {region} swings by {:.3}", highest - lowest));
        }
        let after_ten = response.last().unwrap()[region];
        if (after_ten - settled[region]).abs() > bounds.swing.max(0.05) {
            found.push(format!(
                "region {region} not settled: {after_ten:.3}, later {:.3}",
                settled[region]
            ));
        }
        let start = before.get(region).copied().unwrap_or_default();
        for shares in &response {
            let beyond = if settled[region] > start {
                shares[region] - settled[region]
            } else {
                settled[region] - shares[region]
            };
            // Clients that pass through to the next choice are no overshoot while a region before
            // it is fuller still.
            let level = |region: usize| simulation.level(region, shares[region]);
            let is_fullest = up.iter().all(|&other| level(other) <= level(region) + 1e-9);
            let counts = if settled[region] > start { is_fullest } else { true };
            if counts && beyond > bounds.overshoot {
                found.push(format!(
                    "region {region} overshoots by {beyond:.3}, from {start:.3} to {:.3}",
                    settled[region]
                ));
                break;
            }
        }
    }
    found
}

/// A change of a simulation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Disturbance {
    /// The demand grows by two thirds.
    DemandIncrease,
    /// The last region fails.
    Loss,
    /// The last region fails and recovers.
    Return,
    /// The last region reports a load just below its maximum, whatever its load is.
    FalseReport,
}

const DISTURBANCES: [Disturbance; 4] =
    [Disturbance::DemandIncrease, Disturbance::Loss, Disturbance::Return, Disturbance::FalseReport];

/// The violations after a change, with a demand of `percent` of the capacity of all regions.
fn violations_after(
    parent: ParentPolicy,
    regions: usize,
    timing: SimulationTiming,
    percent: f64,
    change: Disturbance,
) -> Vec<String> {
    let mut simulation = SpillSimulation::new(parent, regions, timing, RESOLVERS);
    let demand = CAPACITIES[..regions].iter().sum::<f64>() * percent / 100.0;
    let last = regions - 1;
    simulation.demand = demand;
    let mut up: Vec<usize> = (0..regions).collect();
    match change {
        Disturbance::DemandIncrease => {
            simulation.demand = demand * 0.6;
            simulation.run(15);
            simulation.demand = demand;
        }
        Disturbance::Loss => {
            simulation.run(20);
            simulation.set_up(last, false);
            up.pop();
        }
        Disturbance::Return => {
            simulation.run(15);
            simulation.set_up(last, false);
            simulation.run(15);
            simulation.set_up(last, true);
        }
        Disturbance::FalseReport => {
            simulation.run(15);
            simulation.false_report =
                Some(FalseReport { region: last, load: 0.65 * CAPACITIES[last] });
            up.pop();
        }
    }
    violations(
        &mut simulation,
        &up,
        change != Disturbance::FalseReport,
        Tolerances::for_parent(parent, regions),
    )
}

/// Simulations that must show no violation: all parent policies with each combination of these.
struct SimulationCase<'a> {
    regions: &'a [usize],
    timing: SimulationTiming,
    percents: &'a [f64],
    changes: &'a [Disturbance],
}

impl SimulationCase<'_> {
    fn assert(&self) {
        let mut failures = Vec::new();
        for parent in PARENT_POLICIES {
            for &regions in self.regions {
                for &percent in self.percents {
                    for &change in self.changes {
                        let found = violations_after(parent, regions, self.timing, percent, change);
                        if !found.is_empty() {
                            let found = found.join("; ");
                            failures.push(format!(
                                "{parent:?} of {regions}, {percent} %, {change:?}: {found}"
                            ));
                        }
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

#[test]
fn excess_spills_while_there_is_room_and_then_evens_out() {
    let timing = SimulationTiming { ttl_secs: 30, interval_secs: 5 };
    SimulationCase {
        regions: &[2, 3, 5],
        timing,
        percents: &[45.0, 80.0, 120.0],
        changes: &DISTURBANCES,
    }
    .assert();
}

#[test]
fn spill_settles_with_short_lived_answers() {
    let timing = SimulationTiming { ttl_secs: 5, interval_secs: 2 };
    SimulationCase { regions: &[2, 3], timing, percents: &[60.0, 100.0], changes: &DISTURBANCES }
        .assert();
}

#[test]
fn spill_settles_with_long_lived_answers() {
    let timing = SimulationTiming { ttl_secs: 300, interval_secs: 10 };
    SimulationCase {
        regions: &[3],
        timing,
        percents: &[100.0],
        changes: &[Disturbance::DemandIncrease, Disturbance::Loss],
    }
    .assert();
}

#[test]
fn kept_shares_of_a_previous_run_hold_until_reports_can_have_arrived() {
    let mut simulation = SpillSimulation::new(
        ParentPolicy::Failover,
        2,
        SimulationTiming { ttl_secs: 30, interval_secs: 5 },
        1,
    );
    let saved =
        SavedFeedback { kept_shares: vec![("region0".into(), 0.6)], ..SavedFeedback::default() };
    simulation.conditions.adjustments = simulation.feedback.restore(saved);
    let mut kept_at = |secs: u64| {
        simulation.feedback.update(
            &simulation.compiler,
            &mut simulation.conditions,
            false,
            Duration::from_secs(secs),
        );
        simulation
            .conditions
            .adjustments
            .kept_fractions
            .get(&PoolId(0))
            .map_or(1.0, |kept| kept.share())
    };
    for secs in 1..=15 {
        assert!((kept_at(secs) - 0.6).abs() < 1e-3, "after {secs} s");
    }
    let later: Vec<f64> = (16..600).map(kept_at).collect();
    assert_eq!(later.last(), Some(&1.0), "no report ever arrived");
}
