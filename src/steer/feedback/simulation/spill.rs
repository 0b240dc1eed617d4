//! Spill under a clock that only the test moves: regions of several sizes, resolvers that keep an
//! answer for its TTL, balancers that report late.

use std::{sync::Arc, time::Duration};

use mmdb_writer::{Value, Writer};

use super::super::{FeedReading, Feedback, SavedFeedback, simulation};
use crate::{
    geo::{Coordinates, Database, Databases},
    health::{HealthStatus, Verdict},
    load::{LoadReport, LoadSource},
    steer::{
        AnswerCount, Capacity, Compiler, Conditions, Datacenter, DatacenterId, Endpoint,
        EndpointId, EndpointTarget, Family, FeedId, GeoRule, LoadLevel, LoadMeasure, LoadSourceId,
        Member, MemberKind, MinUp, MonitorId, OnAllDown, Policy, Pool, PoolId, RampTimes,
        Regulation, Service, ServingState, Spread, Surveys, Topology, ZoneId,
    },
};

/// Clients come from so many networks, which lie along the equator.
const NETWORKS: usize = 60;
/// Of all of 100: where the excess is to go on, and where it is too much.
const TARGET: f64 = 0.5;
const MAX: f64 = 0.7;
const RESOLVERS: usize = 10_000;
/// The connections that each region takes at most.
const CAPACITIES: [f64; 5] = [1000.0, 1000.0, 1500.0, 800.0, 1200.0];

/// How the regions are arranged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ParentPolicy {
    Failover,
    Weighted,
    Nearest,
    Geo,
    /// A failover of pools, of which the first is a failover itself and the second is weighted.
    Nested,
}

const PARENT_POLICIES: [ParentPolicy; 5] = [
    ParentPolicy::Failover,
    ParentPolicy::Weighted,
    ParentPolicy::Nearest,
    ParentPolicy::Geo,
    ParentPolicy::Nested,
];

/// How fast answers and reports are.
#[derive(Debug, Clone, Copy)]
pub(super) struct SimulationTiming {
    pub(super) ttl: u64,
    /// Between two reports, and how old each is.
    pub(super) interval: u64,
}

impl SimulationTiming {
    /// Between two looks at the loads.
    fn period(self) -> u64 {
        self.ttl + 2 * self.interval
    }
}

struct SpillSimulation {
    regions: usize,
    times: SimulationTiming,
    feedback: Feedback,
    compiler: Arc<Compiler>,
    conditions: Conditions,
    surveys: Surveys,
    now: u64,
    random: fastrand::Rng,
    resolvers: Vec<SimulatedResolver>,
    demand: f64,
    /// A region that reports this instead of its load.
    false_report: Option<(usize, f64)>,
    /// Second by second: each region's load, and its share of the answers.
    loads: Vec<Vec<f64>>,
    shares: Vec<Vec<f64>>,
    /// Of each network: the share of its answers that each region has.
    by_network: Vec<Vec<f64>>,
}

/// Of a resolver: its clients' part of the demand, where they are, where they go, and until when
/// that is kept.
struct SimulatedResolver {
    client_share: f64,
    network: usize,
    region: usize,
    cached_until: u64,
}

fn source(at: usize, times: SimulationTiming) -> LoadSource {
    LoadSource {
        name: format!("lb{at}").into(),
        interval: Duration::from_secs(times.interval),
        stale_after: Duration::from_secs(3 * times.interval),
        ..simulation::load_source()
    }
}

fn address(network: usize) -> String {
    format!("{}.{}.0.0", 20 + network / 4, network % 4 * 64)
}

/// The networks, from west to east.
fn equator() -> Databases {
    let mut writer =
        Writer::builder("Equator-City").description(&[("en", "written by a test")]).build();
    for at in 0..NETWORKS {
        let longitude = at as f64 * 120.0 / NETWORKS as f64;
        let place = [("latitude", Value::from(0.0)), ("longitude", Value::from(longitude))];
        let network: ipnet::IpNet = format!("{}/10", address(at)).parse().unwrap();
        writer.insert_value(network, Value::map([("location", Value::map(place))])).unwrap();
    }
    Databases::new(vec![Arc::new(Database::open("equator", writer.to_bytes().unwrap()).unwrap())])
}

fn pool(name: &str, policy: Policy, members: &[(MemberKind, u16)]) -> Pool {
    Pool {
        name: name.into(),
        policy,
        spread: Spread::Query,
        answers: AnswerCount::Count(std::num::NonZeroU32::MIN),
        min_up: MinUp::Members(std::num::NonZeroU32::MIN),
        families: Default::default(),
        members: members.iter().map(|&(kind, weight)| Member { kind, weight, bias: 0 }).collect(),
        regulation: Regulation::default(),
    }
}

pub(super) fn topology(parent: ParentPolicy, regions: usize, times: SimulationTiming) -> Topology {
    let datacenter = |at: usize| Datacenter {
        name: format!("dc{at}").into(),
        location: Coordinates::new(0.0, (at as f64 + 0.5) * 120.0 / regions as f64).ok(),
        ..Datacenter::default()
    };
    let endpoint = |at: usize| Endpoint {
        name: format!("lb{at}").into(),
        target: EndpointTarget::Addresses(vec![[192, 0, 2, at as u8].into()]),
        datacenters: vec![DatacenterId(at as u32)],
        monitor: Some(MonitorId(0)),
        state: ServingState::Active,
        force: None,
        load: Some(LoadSourceId(at as u32)),
        ramp_times: RampTimes::default(),
    };
    let capacity = Capacity {
        measure: LoadMeasure::Connections,
        target: LoadLevel::Share(TARGET),
        max: LoadLevel::Share(MAX),
    };
    let region = |at: usize| Pool {
        regulation: Regulation { capacity: Some(capacity.clone()), ..Regulation::default() },
        ..pool(
            &format!("region{at}"),
            Policy::Weighted,
            &[(MemberKind::Endpoint(EndpointId(at as u32)), 1)],
        )
    };
    let mut pools: Vec<Pool> = (0..regions).map(region).collect();
    let member = |at: usize| (MemberKind::Pool(PoolId(at as u32)), CAPACITIES[at] as u16);
    let members: Vec<_> = (0..regions).map(member).collect();
    // A third of the networks prefers each of the first regions, and has the others behind it in
    // turn.
    let rule = |first: usize| GeoRule {
        subnets: (first..NETWORKS)
            .step_by(regions)
            .map(|network| format!("{}/10", address(network)).parse().unwrap())
            .collect(),
        members: (0..regions).map(|behind| ((first + behind) % regions) as u32).collect(),
        ..GeoRule::default()
    };
    pools.push(match parent {
        ParentPolicy::Failover => pool("top", Policy::Failover, &members),
        ParentPolicy::Weighted => pool("top", Policy::Weighted, &members),
        ParentPolicy::Nearest => pool("top", Policy::Nearest { tie: None }, &members),
        ParentPolicy::Geo => pool(
            "top",
            Policy::Geo { rules: (0..regions).map(rule).collect(), default: vec![0] },
            &members,
        ),
        ParentPolicy::Nested => pool("inner", Policy::Failover, &members[..2]),
    });
    if parent == ParentPolicy::Nested {
        pools.push(pool("outer", Policy::Weighted, &members[2..]));
        let inner = [regions, regions + 1].map(|at| (MemberKind::Pool(PoolId(at as u32)), 1));
        pools.push(pool("top", Policy::Failover, &inner[..if regions > 2 { 2 } else { 1 }]));
    }
    let service = Service {
        name: "www.example.com".parse().unwrap(),
        zone: ZoneId(0),
        kind: Default::default(),
        pool: PoolId(pools.len() as u32 - 1),
        ttl_secs: times.ttl as u32,
        on_all_down: OnAllDown::All,
        ipv6: true,
        client_subnet: true,
    };
    let (datacenters, endpoints) = ((0..regions).map(datacenter), (0..regions).map(endpoint));
    let loads: Vec<LoadSource> = (0..regions).map(|at| source(at, times)).collect();
    let monitors = vec![crate::steer::tests::monitor()];
    Topology::new(datacenters.collect(), monitors, endpoints.collect(), pools, vec![service])
        .with_load_sources(loads)
}

impl SpillSimulation {
    /// Six of ten clients are in the first third of the networks, and a few resolvers have most of
    /// them.
    fn new(
        parent: ParentPolicy,
        regions: usize,
        times: SimulationTiming,
        resolvers: usize,
    ) -> Self {
        let topology = Arc::new(topology(parent, regions, times));
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &equator(), &mut surveys);
        let mut conditions = Conditions::unprobed(&topology, 0);
        let up =
            HealthStatus { verdict: Verdict::Up, flips_in_secs: None, ..HealthStatus::default() };
        conditions.standings.fill(up);
        let mut feedback = Feedback::default();
        feedback.apply_topology(&topology);
        let mut random = fastrand::Rng::with_seed(11);
        let weight = |at: usize| 1.0 / (at as f64 + resolvers as f64 / 3.0);
        let all: f64 = (0..resolvers).map(weight).sum();
        let mut resolver = |at: usize| {
            let is_crowded = random.f64() < 0.6;
            let network = random.usize(0..if is_crowded { NETWORKS / 3 } else { NETWORKS });
            SimulatedResolver {
                client_share: weight(at) / all,
                network,
                region: 0,
                cached_until: random.u64(0..times.ttl),
            }
        };
        let resolvers = (0..resolvers).map(&mut resolver).collect();
        let mut world = Self {
            regions,
            times,
            feedback,
            compiler,
            conditions,
            surveys,
            now: 0,
            random,
            resolvers,
            demand: 0.0,
            false_report: None,
            loads: Vec::new(),
            shares: Vec::new(),
            by_network: Vec::new(),
        };
        world.compile();
        world
    }

    fn compile(&mut self) {
        let charts = self.compiler.compile(&self.conditions, &mut self.surveys).charts();
        let atlas = charts[0].atlas(Family::V4);
        self.by_network = (0..NETWORKS)
            .map(|network| {
                let client = address(network).parse().unwrap();
                let area = atlas.map_or(crate::geo::Area(0), |atlas| atlas.locate(&client).area);
                let mut shares = vec![0.0; self.regions];
                for (share, answer) in charts[0].shares(Family::V4, area) {
                    let octets = answer.rdata.texts()[0]
                        .rsplit_once('.')
                        .unwrap()
                        .1
                        .parse::<usize>()
                        .unwrap();
                    shares[octets] += share;
                }
                shares
            })
            .collect();
    }

    /// The share of all clients that each region is answered to.
    fn answered(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.regions];
        for resolver in &self.resolvers {
            let own = &self.by_network[resolver.network];
            shares
                .iter_mut()
                .zip(own)
                .for_each(|(share, own)| *share += resolver.client_share * own);
        }
        shares
    }

    fn set_up(&mut self, region: usize, is_up: bool) {
        let verdict = if is_up { Verdict::Up } else { Verdict::Down };
        self.conditions.standings[region] =
            HealthStatus { verdict, flips_in_secs: None, ..HealthStatus::default() };
        self.compile();
    }

    fn run(&mut self, periods: u64) {
        let mut answered = self.answered();
        for _ in 0..periods * self.times.period() {
            self.now += 1;
            let now = Duration::from_secs(self.now);
            for resolver in
                self.resolvers.iter_mut().filter(|resolver| resolver.cached_until <= self.now)
            {
                let mut left = self.random.f64();
                let shares = &self.by_network[resolver.network];
                let drawn = shares.iter().position(|share| {
                    left -= share;
                    left < 0.0
                });
                (resolver.region, resolver.cached_until) =
                    (drawn.unwrap_or(resolver.region), self.now + self.times.ttl);
            }
            let mut load = vec![0.0; self.regions];
            self.resolvers
                .iter()
                .for_each(|resolver| load[resolver.region] += resolver.client_share * self.demand);
            self.loads.push(load);
            if self.now.is_multiple_of(self.times.interval) {
                self.report(now);
            }
            if self.feedback.next_due(now).is_some_and(|due| due <= now)
                && !self
                    .feedback
                    .update(&self.compiler, &mut self.conditions, false, now)
                    .is_empty()
            {
                self.compile();
                answered = self.answered();
            }
            self.shares.push(answered.clone());
        }
    }

    fn report(&mut self, at: Duration) {
        let told = &self.loads[self.loads.len().saturating_sub(1 + self.times.interval as usize)];
        for (region, &load) in told.iter().enumerate() {
            let load = self
                .false_report
                .filter(|(liar, _)| *liar == region)
                .map_or(load, |(_, told)| told);
            let limit = Some(CAPACITIES[region]);
            let report = LoadReport { connections: Some(load), limit, ..LoadReport::default() };
            self.feedback.record_report(
                FeedId(region as u32),
                FeedReading { report, read_at: at },
                &self.conditions,
            );
        }
    }

    /// The shares of the answers of the last so many periods.
    fn recent_shares(&self, periods: u64) -> &[Vec<f64>] {
        &self.shares[self.shares.len() - (periods * self.times.period()) as usize..]
    }

    /// How full a region is where it has this share of the demand, of 1.
    fn level(&self, region: usize, share: f64) -> f64 {
        share * self.demand / CAPACITIES[region]
    }
}

fn mean(shares: &[Vec<f64>], region: usize) -> f64 {
    shares.iter().map(|shares| shares[region]).sum::<f64>() / shares.len() as f64
}

/// What a world may be wrong by: in shares of all clients, and for levels in shares of the highest
/// level or of what a region takes.
#[derive(Debug, Clone, Copy)]
struct Tolerances {
    overshoot: f64,
    swing: f64,
    uneven: f64,
}

impl Tolerances {
    /// The order in which the clients of a `nearest` pool leave is that of addresses, not of
    /// clients, and in a row of five regions each learns late of what those before it give.
    fn for_parent(parent: ParentPolicy, regions: usize) -> Self {
        if regions > 3 || parent == ParentPolicy::Nearest {
            Self { overshoot: 0.14, swing: 0.07, uneven: 0.08 }
        } else {
            Self { overshoot: 0.05, swing: 0.04, uneven: 0.05 }
        }
    }
}

/// What is wrong ten periods after a change, if anything, among these regions.
fn violations(
    world: &mut SpillSimulation,
    up: &[usize],
    evenly: bool,
    bounds: Tolerances,
) -> Vec<String> {
    world.run(10);
    let way = world.recent_shares(10).to_vec();
    // What a loss or a return does by itself, before any step, is no overshoot.
    let before = way.first().cloned().unwrap_or_default();
    world.run(30);
    let rest = world.recent_shares(30).to_vec();
    let mut faults = Vec::new();
    let rests: Vec<f64> = (0..world.regions).map(|region| mean(&rest, region)).collect();
    let levels: Vec<f64> = up.iter().map(|&region| world.level(region, rests[region])).collect();
    let (least, most) = (
        levels.iter().copied().fold(f64::MAX, f64::min),
        levels.iter().copied().fold(0.0, f64::max),
    );
    let excess = (most - TARGET).min(most - least);
    if evenly && excess > bounds.uneven * most.max(1.0) {
        faults.push(format!("uneven: {levels:.2?}"));
    }
    if most > MAX + 0.02 && least < TARGET - 0.02 {
        faults.push(format!("above its max beside one with room: {levels:.2?}"));
    }
    for &region in up {
        let of = |shares: &[Vec<f64>]| -> Vec<f64> {
            shares.iter().map(|shares| shares[region]).collect()
        };
        let least = of(&rest).into_iter().fold(1.0, f64::min);
        let most = of(&rest).into_iter().fold(0.0, f64::max);
        if most - least > bounds.swing {
            faults.push(format!("region {region} swings by {:.3}", most - least));
        }
        let settled = way.last().unwrap()[region];
        if (settled - rests[region]).abs() > bounds.swing.max(0.05) {
            faults.push(format!(
                "region {region} not settled: {settled:.3}, later {:.3}",
                rests[region]
            ));
        }
        let start = before.get(region).copied().unwrap_or_default();
        for shares in &way {
            let beyond = if rests[region] > start {
                shares[region] - rests[region]
            } else {
                rests[region] - shares[region]
            };
            // What passes through on its way to the next choice is no overshoot while somebody
            // before is fuller still.
            let fullest = |region: usize| world.level(region, shares[region]);
            let is_fullest = up.iter().all(|&other| fullest(other) <= fullest(region) + 1e-9);
            let counts = if rests[region] > start { is_fullest } else { true };
            if counts && beyond > bounds.overshoot {
                faults.push(format!(
                    "region {region} overshoots by {beyond:.3}, from {start:.3} to {:.3}",
                    rests[region]
                ));
                break;
            }
        }
    }
    faults
}

/// What happens to a world.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Disturbance {
    /// Demand grows by two thirds.
    DemandIncrease,
    /// The last region fails.
    Loss,
    /// It comes back.
    Return,
    /// It reports a load just below its max, whatever it has.
    FalseReport,
}

const DISTURBANCES: [Disturbance; 4] =
    [Disturbance::DemandIncrease, Disturbance::Loss, Disturbance::Return, Disturbance::FalseReport];

/// What is wrong after a change where demand is so many percent of what all regions take, if
/// anything.
fn violations_after(
    parent: ParentPolicy,
    regions: usize,
    times: SimulationTiming,
    percent: f64,
    change: Disturbance,
) -> Vec<String> {
    let mut world = SpillSimulation::new(parent, regions, times, RESOLVERS);
    let demand = CAPACITIES[..regions].iter().sum::<f64>() * percent / 100.0;
    let last = regions - 1;
    world.demand = demand;
    let mut up: Vec<usize> = (0..regions).collect();
    match change {
        Disturbance::DemandIncrease => {
            world.demand = demand * 0.6;
            world.run(15);
            world.demand = demand;
        }
        Disturbance::Loss => {
            world.run(20);
            world.set_up(last, false);
            up.pop();
        }
        Disturbance::Return => {
            world.run(15);
            world.set_up(last, false);
            world.run(15);
            world.set_up(last, true);
        }
        Disturbance::FalseReport => {
            world.run(15);
            world.false_report = Some((last, 0.65 * CAPACITIES[last]));
            up.pop();
        }
    }
    violations(
        &mut world,
        &up,
        change != Disturbance::FalseReport,
        Tolerances::for_parent(parent, regions),
    )
}

/// A claim of the simulation: these worlds, and what happens to them.
struct SimulationCase<'a> {
    regions: &'a [usize],
    times: SimulationTiming,
    percents: &'a [f64],
    changes: &'a [Disturbance],
}

impl SimulationCase<'_> {
    fn assert(&self) {
        let mut wrong = Vec::new();
        for parent in PARENT_POLICIES {
            for &regions in self.regions {
                for &percent in self.percents {
                    for &change in self.changes {
                        let found = violations_after(parent, regions, self.times, percent, change);
                        if !found.is_empty() {
                            let found = found.join("; ");
                            wrong.push(format!(
                                "{parent:?} of {regions}, {percent} %, {change:?}: {found}"
                            ));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn excess_goes_as_far_as_there_is_room_and_then_evens_out() {
    let times = SimulationTiming { ttl: 30, interval: 5 };
    SimulationCase {
        regions: &[2, 3, 5],
        times,
        percents: &[45.0, 80.0, 120.0],
        changes: &DISTURBANCES,
    }
    .assert();
}

#[test]
fn spill_settles_with_short_lived_answers() {
    let times = SimulationTiming { ttl: 5, interval: 2 };
    SimulationCase { regions: &[2, 3], times, percents: &[60.0, 100.0], changes: &DISTURBANCES }
        .assert();
}

#[test]
fn spill_settles_with_long_lived_answers() {
    let times = SimulationTiming { ttl: 300, interval: 10 };
    SimulationCase {
        regions: &[3],
        times,
        percents: &[100.0],
        changes: &[Disturbance::DemandIncrease, Disturbance::Loss],
    }
    .assert();
}

#[test]
fn what_was_kept_before_a_restart_is_kept_until_reports_can_have_come() {
    let mut world = SpillSimulation::new(
        ParentPolicy::Failover,
        2,
        SimulationTiming { ttl: 30, interval: 5 },
        1,
    );
    let saved =
        SavedFeedback { kept_shares: vec![("region0".into(), 0.6)], ..SavedFeedback::default() };
    world.conditions.adjustments = world.feedback.restore(saved);
    let mut kept_at = |secs: u64| {
        world.feedback.update(
            &world.compiler,
            &mut world.conditions,
            false,
            Duration::from_secs(secs),
        );
        world.conditions.adjustments.kept_fractions.get(&PoolId(0)).map_or(1.0, |part| part.share())
    };
    for secs in 1..=15 {
        assert!((kept_at(secs) - 0.6).abs() < 1e-3, "after {secs} s");
    }
    let later: Vec<f64> = (16..600).map(kept_at).collect();
    assert_eq!(later.last(), Some(&1.0), "nothing was ever reported");
}
