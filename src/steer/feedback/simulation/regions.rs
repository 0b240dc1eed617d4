//! Regions of several sizes that may spill to each other, and resolvers that keep answers for a
//! TTL.

use std::{sync::Arc, time::Duration};

use mmdb_writer::{Value, Writer};

use super::topology::{endpoint, load_source, pool, service};
use crate::{
    geo::{Area, Coordinates, Database, Databases},
    health::{HealthStatus, Verdict},
    load::{LoadReport, LoadSource},
    steer::{
        Capacity, Compiler, Conditions, Datacenter, DatacenterId, Endpoint, EndpointId, Family,
        FeedId, GeoRule, LoadLevel, LoadMeasure, MemberKind, MonitorId, Policy, Pool, PoolId,
        Regulation, Surveys, Topology,
        feedback::{FeedReading, Feedback},
    },
};

/// The number of networks that clients come from. They lie along the equator.
const NETWORKS: usize = 60;
/// The target of each region, as a share of its capacity.
pub(super) const TARGET: f64 = 0.5;
/// The maximum of each region, as a share of its capacity.
pub(super) const MAX: f64 = 0.7;
/// The maximum number of connections of each region.
pub(super) const CAPACITIES: [f64; 5] = [1000.0, 1000.0, 1500.0, 800.0, 1200.0];

/// The policy of the pool above the regions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::steer::feedback) enum ParentPolicy {
    Failover,
    Weighted,
    Nearest,
    Geo,
    /// A failover from a failover of two regions to a weighted pool of the others.
    Nested,
}

/// The timing of answers and reports.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer::feedback) struct SimulationTiming {
    /// The TTL of answers, in seconds.
    pub(in crate::steer::feedback) ttl_secs: u64,
    /// The time between two reports, and the age of each, in seconds.
    pub(in crate::steer::feedback) interval_secs: u64,
}

impl SimulationTiming {
    /// The time between two steps, in seconds.
    pub(super) fn period_secs(self) -> u64 {
        self.ttl_secs + 2 * self.interval_secs
    }
}

/// Regions that may spill to each other, and the resolvers of their clients.
pub(super) struct SpillSimulation {
    pub(super) regions: usize,
    timing: SimulationTiming,
    pub(super) feedback: Feedback,
    pub(super) compiler: Arc<Compiler>,
    pub(super) conditions: Conditions,
    surveys: Surveys,
    now: u64,
    random: fastrand::Rng,
    resolvers: Vec<SimulatedCache>,
    /// The connections of all clients.
    pub(super) demand: f64,
    pub(super) false_report: Option<FalseReport>,
    /// The load of each region, second by second.
    loads: Vec<Vec<f64>>,
    /// The share of the answers of each region, second by second.
    shares: Vec<Vec<f64>>,
    /// By network: the share of its answers of each region.
    shares_by_network: Vec<Vec<f64>>,
}

/// A region that reports a constant load instead of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct FalseReport {
    pub(super) region: usize,
    pub(super) load: f64,
}

struct SimulatedCache {
    /// The share of the demand that its clients make up.
    client_share: f64,
    /// The network of its clients.
    network: usize,
    /// The region that its cached answer names.
    region: usize,
    /// The time at which the cached answer expires, in seconds.
    cached_until: u64,
}

fn address(network: usize) -> String {
    format!("{}.{}.0.0", 20 + network / 4, network % 4 * 64)
}

/// A database that places the networks from west to east.
fn equator() -> Databases {
    let mut writer =
        Writer::builder("Equator-City").description(&[("en", "written by a test")]).build();
    for network in 0..NETWORKS {
        let longitude = network as f64 * 120.0 / NETWORKS as f64;
        let location = [("latitude", Value::from(0.0)), ("longitude", Value::from(longitude))];
        let prefix: ipnet::IpNet = format!("{}/10", address(network)).parse().unwrap();
        writer.insert_value(prefix, Value::map([("location", Value::map(location))])).unwrap();
    }
    Databases::new(vec![Arc::new(Database::open("equator", writer.to_bytes().unwrap()).unwrap())])
}

pub(in crate::steer::feedback) fn topology(
    parent: ParentPolicy,
    regions: usize,
    timing: SimulationTiming,
) -> Topology {
    let datacenter = |region: usize| Datacenter {
        name: format!("dc{region}").into(),
        location: Coordinates::new(0.0, (region as f64 + 0.5) * 120.0 / regions as f64).ok(),
        ..Datacenter::default()
    };
    let region_endpoint = |region: usize| Endpoint {
        datacenters: vec![DatacenterId(region as u32)],
        monitor: Some(MonitorId(0)),
        ..endpoint(region as u8)
    };
    let capacity = Capacity {
        measure: LoadMeasure::Connections,
        target: LoadLevel::Share(TARGET),
        max: LoadLevel::Share(MAX),
    };
    let region_pool = |region: usize| Pool {
        regulation: Regulation { capacity: Some(capacity.clone()), ..Regulation::default() },
        ..pool(
            &format!("region{region}"),
            Policy::Weighted,
            &[(MemberKind::Endpoint(EndpointId(region as u32)), 1)],
        )
    };
    let mut pools: Vec<Pool> = (0..regions).map(region_pool).collect();
    let member =
        |region: usize| (MemberKind::Pool(PoolId(region as u32)), CAPACITIES[region] as u16);
    let members: Vec<_> = (0..regions).map(member).collect();
    // Each region is the first choice of an equal part of the networks; the others follow in turn.
    let rule = |first: usize| GeoRule {
        subnets: (first..NETWORKS)
            .step_by(regions)
            .map(|network| format!("{}/10", address(network)).parse().unwrap())
            .collect(),
        members: (0..regions).map(|offset| ((first + offset) % regions) as u32).collect(),
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
        let inner = [regions, regions + 1].map(|pool| (MemberKind::Pool(PoolId(pool as u32)), 1));
        pools.push(pool("top", Policy::Failover, &inner[..if regions > 2 { 2 } else { 1 }]));
    }
    let service = service(PoolId(pools.len() as u32 - 1), timing.ttl_secs);
    let (datacenters, endpoints) =
        ((0..regions).map(datacenter), (0..regions).map(region_endpoint));
    let sources: Vec<LoadSource> = (0..regions)
        .map(|region| load_source(format!("lb{region}"), timing.interval_secs))
        .collect();
    let monitors = vec![crate::steer::tests::monitor()];
    Topology::new(datacenters.collect(), monitors, endpoints.collect(), pools, vec![service])
        .with_load_sources(sources)
}

impl SpillSimulation {
    /// A simulation in which six of ten resolvers are in the first third of the networks, and a few
    /// resolvers have most of the clients.
    pub(super) fn new(
        parent: ParentPolicy,
        regions: usize,
        timing: SimulationTiming,
        resolvers: usize,
    ) -> Self {
        let topology = Arc::new(topology(parent, regions, timing));
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &equator(), &mut surveys);
        let mut conditions = Conditions::unprobed(&topology, 0);
        let up =
            HealthStatus { verdict: Verdict::Up, flips_in_secs: None, ..HealthStatus::default() };
        conditions.health_statuses.fill(up);
        let mut feedback = Feedback::default();
        feedback.apply_topology(&topology);
        let mut random = fastrand::Rng::with_seed(11);
        let weight = |rank: usize| 1.0 / (rank as f64 + resolvers as f64 / 3.0);
        let sum: f64 = (0..resolvers).map(weight).sum();
        let mut resolver = |rank: usize| {
            let is_crowded = random.f64() < 0.6;
            let network = random.usize(0..if is_crowded { NETWORKS / 3 } else { NETWORKS });
            SimulatedCache {
                client_share: weight(rank) / sum,
                network,
                region: 0,
                cached_until: random.u64(0..timing.ttl_secs),
            }
        };
        let resolvers = (0..resolvers).map(&mut resolver).collect();
        let mut simulation = Self {
            regions,
            timing,
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
            shares_by_network: Vec::new(),
        };
        simulation.compile();
        simulation
    }

    fn compile(&mut self) {
        let charts = self.compiler.compile(&self.conditions, &mut self.surveys).charts();
        let atlas = charts[0].atlas(Family::V4);
        self.shares_by_network = (0..NETWORKS)
            .map(|network| {
                let client = address(network).parse().unwrap();
                let area = atlas.map_or(Area(0), |atlas| atlas.locate(&client).area);
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

    /// The share of all clients that each region gets by the present answers.
    fn answered_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.regions];
        for resolver in &self.resolvers {
            let network_shares = &self.shares_by_network[resolver.network];
            for (share, network_share) in shares.iter_mut().zip(network_shares) {
                *share += resolver.client_share * network_share;
            }
        }
        shares
    }

    pub(super) fn set_up(&mut self, region: usize, is_up: bool) {
        let verdict = if is_up { Verdict::Up } else { Verdict::Down };
        self.conditions.health_statuses[region] =
            HealthStatus { verdict, flips_in_secs: None, ..HealthStatus::default() };
        self.compile();
    }

    pub(super) fn run(&mut self, periods: u64) {
        let mut answered = self.answered_shares();
        for _ in 0..periods * self.timing.period_secs() {
            self.now += 1;
            let now = Duration::from_secs(self.now);
            for resolver in
                self.resolvers.iter_mut().filter(|resolver| resolver.cached_until <= self.now)
            {
                let mut left = self.random.f64();
                let shares = &self.shares_by_network[resolver.network];
                let drawn = shares.iter().position(|share| {
                    left -= share;
                    left < 0.0
                });
                (resolver.region, resolver.cached_until) =
                    (drawn.unwrap_or(resolver.region), self.now + self.timing.ttl_secs);
            }
            let mut load = vec![0.0; self.regions];
            self.resolvers
                .iter()
                .for_each(|resolver| load[resolver.region] += resolver.client_share * self.demand);
            self.loads.push(load);
            if self.now.is_multiple_of(self.timing.interval_secs) {
                self.report(now);
            }
            if self.feedback.next_due(now).is_some_and(|due| due <= now)
                && !self
                    .feedback
                    .update(&self.compiler, &mut self.conditions, false, now)
                    .is_empty()
            {
                self.compile();
                answered = self.answered_shares();
            }
            self.shares.push(answered.clone());
        }
    }

    fn report(&mut self, now: Duration) {
        let reported =
            &self.loads[self.loads.len().saturating_sub(1 + self.timing.interval_secs as usize)];
        for (region, &load) in reported.iter().enumerate() {
            let false_report = self.false_report.filter(|report| report.region == region);
            let load = false_report.map_or(load, |report| report.load);
            let limit = Some(CAPACITIES[region]);
            let report = LoadReport { connections: Some(load), limit, ..LoadReport::default() };
            self.feedback.record_report(
                FeedId(region as u32),
                FeedReading { report, read_at: now },
                &self.conditions,
            );
        }
    }

    /// The shares of answers during the last `periods` periods.
    pub(super) fn recent_shares(&self, periods: u64) -> &[Vec<f64>] {
        &self.shares[self.shares.len() - (periods * self.timing.period_secs()) as usize..]
    }

    /// The load of a region that has this share of the demand, as a share of its capacity.
    pub(super) fn level(&self, region: usize, share: f64) -> f64 {
        share * self.demand / CAPACITIES[region]
    }
}
