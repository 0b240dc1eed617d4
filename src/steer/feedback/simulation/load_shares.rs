//! The whole loop under a clock that only the test moves: resolvers that keep an answer for its
//! TTL, balancers that report late.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use super::*;
use crate::{
    geo::Databases,
    load::{LoadKind, LoadPage, LoadSource, PageHost},
    steer::{
        AnswerCount, Compiler, Conditions, Endpoint, EndpointId, EndpointTarget, Family,
        LoadMeasure, LoadPolicy, LoadSourceId, Member, MinUp, OnAllDown, Policy, Pool, RampTimes,
        Regulation, Service, ServingState, Spread, Surveys, ZoneId,
    },
};

const TTL_SECS: u64 = 30;
const INTERVAL_SECS: u64 = 5;
/// A report tells of the load so long ago.
const LAG_SECS: usize = 5;

/// Two datacenters behind one name.
struct LoadSimulation {
    feedback: Feedback,
    compiler: Arc<Compiler>,
    conditions: Conditions,
    surveys: Surveys,
    now: u64,
    random: fastrand::Rng,
    /// Of each resolver: its clients' part of the demand, where they go, and until when that is
    /// kept.
    resolvers: Vec<(f64, usize, u64)>,
    capacities: [f64; 2],
    /// Load that no answer steers.
    unsteered_load: [f64; 2],
    demand: f64,
    loads: Vec<[f64; 2]>,
    /// The first one's share of answers, second by second.
    shares: Vec<f64>,
    is_reporting: bool,
}

/// A balancer that reports its connections.
pub(super) fn load_source() -> LoadSource {
    let page = LoadPage {
        tls: false,
        host: PageHost::Name("lb.example.com".into()),
        port: 80,
        path: "/".into(),
        headers: Vec::new(),
        verify: true,
        authorities: None,
    };
    LoadSource {
        name: "lb".into(),
        kind: LoadKind::Nginx(page),
        interval: Duration::from_secs(INTERVAL_SECS),
        timeout: Duration::from_secs(2),
        stale_after: Duration::from_secs(3 * INTERVAL_SECS),
        scales_by_servers: true,
        limit: NonZeroU64::new(1),
    }
}

fn topology(policy: LoadPolicy, capacity: Option<crate::steer::Capacity>) -> Arc<Topology> {
    let endpoint = |at: u8| Endpoint {
        name: format!("lb{at}").into(),
        target: EndpointTarget::Addresses(vec![[192, 0, 2, at].into()]),
        datacenters: Vec::new(),
        monitor: None,
        state: ServingState::Active,
        force: None,
        load: Some(LoadSourceId(u32::from(at))),
        ramp_times: RampTimes::default(),
    };
    let pool =
        |name: &str, policy: Policy, members: Vec<MemberKind>, regulation: Regulation| Pool {
            name: name.into(),
            policy,
            spread: Spread::Query,
            answers: AnswerCount::Count(std::num::NonZeroU32::MIN),
            min_up: MinUp::Members(std::num::NonZeroU32::MIN),
            families: Default::default(),
            members: members.into_iter().map(|kind| Member { kind, weight: 1, bias: 0 }).collect(),
            regulation,
        };
    let of = |at: u32| MemberKind::Endpoint(EndpointId(at));
    let spills = capacity.is_some();
    let first = pool(
        "first",
        Policy::Weighted,
        vec![of(0)],
        Regulation { capacity, ..Regulation::default() },
    );
    let second = pool("second", Policy::Weighted, vec![of(1)], Regulation::default());
    let policy = if spills { Policy::Failover } else { Policy::Load(policy) };
    let top = pool(
        "top",
        policy,
        vec![MemberKind::Pool(PoolId(0)), MemberKind::Pool(PoolId(1))],
        Regulation::default(),
    );
    let service = Service {
        name: "www.example.com".parse().unwrap(),
        zone: ZoneId(0),
        kind: Default::default(),
        pool: PoolId(2),
        ttl_secs: TTL_SECS as u32,
        on_all_down: OnAllDown::All,
        ipv6: true,
        client_subnet: true,
    };
    let sources = ["lb0", "lb1"].map(|name| LoadSource { name: name.into(), ..load_source() });
    let pools = vec![first, second, top];
    Arc::new(
        Topology::new(vec![], vec![], vec![endpoint(0), endpoint(1)], pools, vec![service])
            .with_load_sources(sources.into()),
    )
}

impl LoadSimulation {
    fn new(
        policy: LoadPolicy,
        capacity: Option<crate::steer::Capacity>,
        capacities: [f64; 2],
    ) -> Self {
        let topology = topology(policy, capacity);
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &Databases::default(), &mut surveys);
        let conditions = Conditions::unprobed(&topology, 0);
        let mut feedback = Feedback::default();
        feedback.apply_topology(&topology);
        let mut random = fastrand::Rng::with_seed(11);
        // A few resolvers have most of the clients.
        let weights: Vec<f64> = (0..3000).map(|at| 1.0 / f64::from(at + 40)).collect();
        let all: f64 = weights.iter().sum();
        let resolvers =
            weights.iter().map(|weight| (weight / all, 0, random.u64(0..TTL_SECS))).collect();
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

    /// The first one's share of answers as the compiled service has it.
    fn share(&mut self) -> f64 {
        let charts = self.compiler.compile(&self.conditions, &mut self.surveys).charts();
        let shares = charts[0].shares(Family::V4, crate::geo::Area(0));
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
            for (_, at, until) in &mut self.resolvers {
                if *until <= self.now {
                    *at = usize::from(self.random.f64() >= share);
                    *until = self.now + TTL_SECS;
                }
            }
            let mut load = self.unsteered_load;
            self.resolvers.iter().for_each(|(part, at, _)| load[*at] += part * self.demand);
            self.loads.push(load);
            if self.is_reporting && self.now.is_multiple_of(INTERVAL_SECS) {
                let told = self.loads[self.loads.len().saturating_sub(1 + LAG_SECS)];
                for ((load, capacity), feed) in
                    told.into_iter().zip(self.capacities).zip((0..).map(FeedId))
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

    /// The shares of the last so many TTLs.
    fn recent_shares(&self, ttls: u64) -> &[f64] {
        &self.shares[self.shares.len() - (ttls * TTL_SECS) as usize..]
    }
}

fn policy_by(by: LoadMeasure) -> LoadPolicy {
    LoadPolicy { measure: by, soft: 0.5, hard: 1.0 }
}

/// Settled within ten TTLs of a step, at most five points beyond, and no more than two points
/// around afterwards.
fn assert_settles(world: &mut LoadSimulation, wanted: f64, tolerance: f64, what: &str) {
    let from = world.shares.last().copied().unwrap_or(0.5);
    world.run(10 * TTL_SECS);
    let beyond = |share: &f64| if wanted > from { share - wanted } else { wanted - share };
    let overshoot = world.recent_shares(10).iter().map(beyond).fold(0.0, f64::max);
    assert!(overshoot <= 0.05, "{what}: overshoot {overshoot}");
    let settled = world.shares.last().copied().unwrap();
    assert!(
        (settled - wanted).abs() <= tolerance,
        "{what}: {settled} after ten TTLs, not {wanted}"
    );
    world.run(40 * TTL_SECS);
    let low = world.recent_shares(40).iter().copied().fold(1.0, f64::min);
    let high = world.recent_shares(40).iter().copied().fold(0.0, f64::max);
    assert!(high - low <= 0.04, "{what}: between {low} and {high} afterwards");
}

#[test]
fn a_demand_step_settles_without_oscillation() {
    for (what, policy) in [
        ("connections", policy_by(LoadMeasure::Connections)),
        ("cpu", policy_by(LoadMeasure::Gauge("cpu".into()))),
    ] {
        // Capacities of 700 and 300, with equal weights: idle by weight, then at 60 to 95 % of all
        // there is.
        for demand in [600.0, 800.0, 950.0] {
            let mut world = LoadSimulation::new(policy.clone(), None, [700.0, 300.0]);
            world.demand = 10.0;
            world.run(10 * TTL_SECS);
            world.demand = demand;
            let wanted = if what == "cpu" { equilibrium_share(demand) } else { 0.7 };
            assert_settles(&mut world, wanted, 0.05, &format!("{what} at {demand}"));
        }
    }
}

/// Where a gauge with a soft mark of 0.5 and a hard one of 1 comes to rest: shares in proportion to
/// what it leaves.
fn equilibrium_share(demand: f64) -> f64 {
    let left = |share: f64, capacity: f64| {
        1.0 - ((share * demand / capacity - 0.5) / 0.5).clamp(0.0, 1.0) * 0.98
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let share = f64::midpoint(low, high);
        let (a, b) = (left(share, 700.0), left(1.0 - share, 300.0));
        if share < a / (a + b) { low = share } else { high = share }
    }
    low
}

#[test]
fn load_that_no_answer_steers_is_steered_around() {
    let mut world =
        LoadSimulation::new(policy_by(LoadMeasure::Connections), None, [1000.0, 1000.0]);
    world.demand = 600.0;
    world.run(20 * TTL_SECS);
    // Four tenths more of the first one's capacity are taken by others: 70 to 30 where shares stay
    // as they are.
    world.unsteered_load = [400.0, 0.0];
    assert_settles(&mut world, 600.0 / 1600.0, 0.05, "load of others");
}

#[test]
fn stale_reports_fall_back_to_the_configured_weights() {
    let mut world = LoadSimulation::new(policy_by(LoadMeasure::Connections), None, [800.0, 200.0]);
    world.demand = 800.0;
    world.run(40 * TTL_SECS);
    assert!(world.shares.last().copied().unwrap() > 0.75);
    world.is_reporting = false;
    world.run(10 * TTL_SECS);
    let settled = world.shares.last().copied().unwrap();
    assert!((settled - 0.5).abs() < 0.01, "{settled}");
    assert_eq!(
        world.feedback.report(Duration::from_secs(world.now)).pools[0].fallback,
        Some(WeightFallback::NoReport(0))
    );
    assert_eq!(
        world.feedback.next_due(Duration::from_secs(world.now)),
        None,
        "nothing is under way"
    );
}

#[test]
fn the_excess_over_a_pools_target_goes_to_the_next_choice() {
    let capacity = crate::steer::Capacity {
        measure: LoadMeasure::Connections,
        target: crate::steer::LoadLevel::Share(0.8),
        max: crate::steer::LoadLevel::Share(0.95),
    };
    let mut world =
        LoadSimulation::new(policy_by(LoadMeasure::Connections), Some(capacity), [500.0, 5000.0]);
    world.demand = 300.0;
    world.run(10 * TTL_SECS);
    assert!(
        world.recent_shares(9).iter().all(|share| *share == 1.0),
        "below the target it keeps all"
    );
    world.demand = 800.0;
    assert_settles(&mut world, 0.5, 0.05, "the excess");
    world.demand = 300.0;
    world.run(20 * TTL_SECS);
    assert_eq!(world.shares.last(), Some(&1.0), "what went comes back");
}

#[test]
fn reports_that_never_change_are_followed_to_the_shares_that_they_name() {
    for (first, second) in [(80.0, 20.0), (50.0, 0.0), (95.0, 95.0), (10.0, 90.0)] {
        let mut world =
            LoadSimulation::new(policy_by(LoadMeasure::Connections), None, [100.0, 100.0]);
        world.unsteered_load = [first, second];
        world.run(60 * TTL_SECS);
        let (settled, wanted) =
            (world.shares.last().unwrap(), (100.0 - first) / (200.0 - first - second));
        assert!(
            (settled - wanted).abs() <= 0.05,
            "{first} and {second} of 100: {settled}, not {wanted}"
        );
    }
}

#[test]
fn a_full_member_does_not_wait_until_caches_have_followed_each_step() {
    let mut world =
        LoadSimulation::new(policy_by(LoadMeasure::Gauge("cpu".into())), None, [1000.0, 1000.0]);
    world.demand = 800.0;
    world.run(20 * TTL_SECS);
    world.capacities = [150.0, 1000.0];
    let began = world.shares.len();
    world.run(60 * TTL_SECS);
    let settled =
        world.recent_shares(20).iter().sum::<f64>() / world.recent_shares(20).len() as f64;
    let in_time = began + (3 * TTL_SECS + 2 * INTERVAL_SECS) as usize + LAG_SECS;
    for (at, share) in world.shares.iter().enumerate().skip(in_time) {
        assert!((share - settled).abs() <= 0.05, "{share} after {} s, not {settled}", at - began);
    }
    assert!(world.shares[began..].iter().all(|share| settled - share <= 0.05), "no overshoot");
}
