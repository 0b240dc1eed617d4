//! A small configuration for tests: three datacenters, three countries, services of several
//! policies.

use std::{num::NonZeroU32, sync::Arc};

use mmdb_writer::{Value, Writer};

use super::{plan::PlanSide, snapshot_context::SnapshotContext};
use crate::{
    dns::{Name, Rtype},
    geo::{Coordinates, Database, Databases},
    health::{Check, HealthStatus, Monitor, TcpCheck, Verdict},
    snapshot::Snapshot,
    steer::{
        Adjustments, AnswerCount, CompiledCharts, Compiler, Conditions, Datacenter, DatacenterId,
        Endpoint, EndpointId, EndpointTarget, GeoRule, Member, MemberKind, MinUp, MonitorId,
        OnAllDown, Policy, Pool, PoolId, ProbeTarget, RampTimes, RecordKind, Regulation, Service,
        ServiceId, ServingState, Spread, Surveys, Topology, ZoneId,
    },
    zone::{Record, ZoneBuilder, Zones},
};

/// The parts of a fixture, which tests change before they build it.
pub(super) struct FixtureBuilder {
    pub(super) datacenters: Vec<Datacenter>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) pools: Vec<Pool>,
    pub(super) services: Vec<Service>,
    /// The health statuses of addresses; other addresses are unknown.
    pub(super) health_statuses: Vec<(&'static str, HealthStatus)>,
    pub(super) databases: Databases,
    /// The effects of ramps and feedback.
    pub(super) adjustments: Adjustments,
}

/// A snapshot, and what it was compiled from.
pub(super) struct Fixture {
    snapshot: Snapshot,
    compiled: CompiledCharts,
    databases: Databases,
    conditions: Conditions,
}

impl Fixture {
    pub(super) fn context(&self) -> SnapshotContext<'_> {
        SnapshotContext {
            snapshot: &self.snapshot,
            databases: &self.databases,
            conditions: &self.conditions,
        }
    }

    /// The fixture as one side of a plan.
    pub(super) fn plan_side(&self) -> PlanSide<'_> {
        PlanSide { compiled: &self.compiled, databases: &self.databases }
    }
}

pub(super) const UP: HealthStatus =
    HealthStatus { verdict: Verdict::Up, flips_in_secs: None, is_pending: false, is_held: false };
pub(super) const DOWN: HealthStatus =
    HealthStatus { verdict: Verdict::Down, flips_in_secs: None, is_pending: false, is_held: false };

impl FixtureBuilder {
    /// `www` (nearest of two pools), `geo` (by country), `api` (failover with a standby), `sticky`
    /// (by client), `moved` (a CNAME).
    pub(super) fn new() -> Self {
        let mut draft = Self {
            datacenters: vec![
                datacenter("fra", 50.11, 8.68),
                datacenter("iad", 38.95, -77.45),
                datacenter("nrt", 35.77, 140.39),
            ],
            endpoints: Vec::new(),
            pools: Vec::new(),
            services: Vec::new(),
            health_statuses: Vec::new(),
            databases: databases(),
            adjustments: Adjustments::default(),
        };
        let lb1 = draft.endpoint("lb1", &["192.0.2.11", "2001:db8::11"], 0);
        let lb2 = draft.endpoint("lb2", &["192.0.2.12"], 0);
        let web_fra = draft.pool("web-fra", Policy::Weighted, &[(lb1, 3, 0), (lb2, 1, 0)]);
        let iad = draft.endpoint("192.0.2.21", &["192.0.2.21", "2001:db8::21"], 1);
        let web_iad = draft.pool("web-iad", Policy::Weighted, &[(iad, 1, 0)]);
        let web =
            draft.pool("web", Policy::Nearest { tie: None }, &[(web_fra, 1, 0), (web_iad, 1, 25)]);
        let by_country = Policy::Geo {
            rules: vec![
                GeoRule { countries: vec!["JP".into()], members: vec![1, 0], ..GeoRule::default() },
                GeoRule {
                    subnets: vec!["10.9.0.0/16".parse().unwrap()],
                    members: vec![1],
                    ..GeoRule::default()
                },
            ],
            default: vec![0],
        };
        let by_country = draft.pool("by-country", by_country, &[(web_fra, 1, 0), (web_iad, 1, 0)]);
        let first = draft.endpoint("api-1", &["192.0.2.31"], 0);
        let second = draft.endpoint("api-2", &["192.0.2.32"], 1);
        let spare = draft.endpoint("api-3", &["192.0.2.33"], 2);
        let api = draft.pool(
            "api.gslb.example.com",
            Policy::Failover,
            &[(first, 1, 0), (second, 1, 0), (spare, 0, 0)],
        );
        let equals: Vec<_> = (0..4)
            .map(|i| draft.endpoint(&format!("s{i}"), &[&format!("192.0.2.4{i}")], i % 2))
            .collect();
        let equals: Vec<_> = equals.into_iter().map(|member| (member, 1, 0)).collect();
        let sticky = draft.pool("sticky", Policy::Weighted, &equals);
        draft.pools[id(sticky)].spread = Spread::Client;
        let cdn = draft.cname("cdn", "www.gslb.example.com");
        let moved = draft.pool("moved.gslb.example.com", Policy::Weighted, &[(cdn, 1, 0)]);
        for (name, pool) in
            [("www", web), ("geo", by_country), ("api", api), ("sticky", sticky), ("moved", moved)]
        {
            draft.service(name, pool);
        }
        draft
    }

    fn endpoint(&mut self, name: &str, addresses: &[&str], datacenter: usize) -> MemberKind {
        let target = EndpointTarget::Addresses(
            addresses.iter().map(|address| address.parse().unwrap()).collect(),
        );
        self.push_endpoint(name, target, vec![DatacenterId(datacenter as u32)])
    }

    fn cname(&mut self, name: &str, target: &str) -> MemberKind {
        self.push_endpoint(name, EndpointTarget::Cname(target.parse().unwrap()), Vec::new())
    }

    fn push_endpoint(
        &mut self,
        name: &str,
        target: EndpointTarget,
        datacenters: Vec<DatacenterId>,
    ) -> MemberKind {
        let monitor = matches!(target, EndpointTarget::Addresses(_)).then_some(MonitorId(0));
        self.endpoints.push(Endpoint {
            name: name.into(),
            target,
            datacenters,
            monitor,
            state: ServingState::Active,
            force: None,
            load: None,
            ramp_times: RampTimes::default(),
        });
        MemberKind::Endpoint(EndpointId(self.endpoints.len() as u32 - 1))
    }

    fn pool(
        &mut self,
        name: &str,
        policy: Policy,
        members: &[(MemberKind, u16, i8)],
    ) -> MemberKind {
        self.pools.push(Pool {
            name: name.into(),
            policy,
            spread: Spread::Query,
            answers: AnswerCount::Count(NonZeroU32::MIN),
            min_up: MinUp::Members(NonZeroU32::MIN),
            families: Default::default(),
            members: members
                .iter()
                .map(|&(kind, weight, bias)| Member { kind, weight, bias })
                .collect(),
            regulation: Regulation::default(),
        });
        MemberKind::Pool(PoolId(self.pools.len() as u32 - 1))
    }

    fn service(&mut self, name: &str, pool: MemberKind) {
        let MemberKind::Pool(pool) = pool else { unreachable!("services have pools") };
        self.services.push(Service {
            name: format!("{name}.gslb.example.com").parse().unwrap(),
            kind: RecordKind::default(),
            zone: ZoneId(0),
            pool,
            ttl_secs: 30,
            on_all_down: OnAllDown::All,
            ipv6: true,
            client_subnet: true,
        });
    }

    /// The pool with this name.
    pub(super) fn pool_named(&mut self, name: &str) -> &mut Pool {
        self.pools.iter_mut().find(|pool| &*pool.name == name).unwrap()
    }

    /// The id of the pool with this name.
    pub(super) fn pool_id(&self, name: &str) -> PoolId {
        let index = self.pools.iter().position(|pool| &*pool.name == name).unwrap();
        PoolId(index as u32)
    }

    pub(super) fn set_health(&mut self, address: &'static str, status: HealthStatus) {
        self.health_statuses.push((address, status));
    }

    pub(super) fn build(self) -> Fixture {
        self.build_under(|_, _| {})
    }

    /// Builds it under conditions that `change` makes of those of the fixture.
    pub(super) fn build_under(self, change: impl FnOnce(&Topology, &mut Conditions)) -> Fixture {
        let services: Vec<(Name, ZoneId, ServiceId)> = self
            .services
            .iter()
            .enumerate()
            .map(|(index, service)| (service.name.clone(), service.zone, ServiceId(index as u32)))
            .collect();
        let topology = Arc::new(Topology::new(
            self.datacenters,
            vec![monitor()],
            self.endpoints,
            self.pools,
            self.services,
        ));
        let mut conditions = Conditions::unprobed(&topology, 0);
        for (address, status) in self.health_statuses {
            let target = ProbeTarget::Address(address.parse().unwrap());
            let probe = topology.probes.iter().position(|probe| probe.target == target).unwrap();
            conditions.health_statuses[probe] = status;
        }
        if self.adjustments != Adjustments::default() {
            conditions.adjustments = self.adjustments;
        }
        change(&topology, &mut conditions);
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &self.databases, &mut surveys);
        let compiled = compiler.compile(&conditions, &mut surveys);
        let snapshot = Snapshot {
            generation: 7,
            zones: Arc::new(Zones::build(vec![Arc::new(zone())], &services)),
            charts: compiled.charts(),
            turn_counters: compiled.turn_counters(),
            topology,
            ..Snapshot::default()
        };
        Fixture { snapshot, compiled, databases: self.databases, conditions }
    }
}

fn id(member: MemberKind) -> usize {
    match member {
        MemberKind::Pool(id) => id.index(),
        MemberKind::Endpoint(id) => id.index(),
    }
}

fn datacenter(name: &str, latitude: f64, longitude: f64) -> Datacenter {
    let location = Coordinates::new(latitude, longitude).ok();
    Datacenter { name: name.into(), location, ..Datacenter::default() }
}

fn monitor() -> Monitor {
    Monitor {
        name: "tcp".into(),
        check: Check::Tcp(TcpCheck { port: 80 }),
        interval: std::time::Duration::from_secs(5),
        timeout: std::time::Duration::from_secs(2),
        rise: std::num::NonZeroU8::MIN,
        fall: std::num::NonZeroU8::MIN,
    }
}

fn zone() -> crate::zone::Zone {
    let mut builder = ZoneBuilder::new("gslb.example.com".parse().unwrap());
    let name = |text: &str| text.parse::<Name>().unwrap();
    let numbers = [7_u32, 1, 2, 3, 60].map(u32::to_be_bytes).concat();
    let soa =
        [name("ns1.example.com").as_wire(), name("hostmaster.example.com").as_wire(), &numbers]
            .concat();
    let records = [
        ("gslb.example.com", Rtype::SOA, soa),
        ("gslb.example.com", Rtype::NS, name("ns1.example.com").as_wire().to_vec()),
        ("alias.gslb.example.com", Rtype::CNAME, name("www.gslb.example.com").as_wire().to_vec()),
        ("away.gslb.example.com", Rtype::CNAME, name("www.example.net").as_wire().to_vec()),
        ("plain.gslb.example.com", Rtype::A, vec![192, 0, 2, 99]),
        ("*.wild.gslb.example.com", Rtype::A, vec![192, 0, 2, 98]),
        ("sub.gslb.example.com", Rtype::NS, name("ns.sub.example.net").as_wire().to_vec()),
    ];
    for (owner, rtype, rdata) in records {
        builder
            .add(Record { owner: name(owner), rtype, ttl_secs: 300, rdata: rdata.into() })
            .unwrap();
    }
    builder.finish().unwrap()
}

/// A database with Germany in 20/8 and 2a00::/16, the United States in 30/8 and Japan in 40/8.
pub(super) fn databases() -> Databases {
    database_of(&[
        ("20.0.0.0/8", "EU", "DE", 52.52, 13.4),
        ("2a00::/16", "EU", "DE", 52.52, 13.4),
        ("30.0.0.0/8", "NA", "US", 41.88, -87.63),
        ("40.0.0.0/8", "AS", "JP", 35.68, 139.69),
    ])
}

/// A database with networks: prefix, continent, country, latitude and longitude.
pub(super) fn database_of(networks: &[(&str, &str, &str, f64, f64)]) -> Databases {
    let mut writer =
        Writer::builder("Test-City").description(&[("en", "written by a test")]).build();
    for &(network, continent, country, latitude, longitude) in networks {
        let location = Value::map([
            ("latitude", Value::from(latitude)),
            ("longitude", Value::from(longitude)),
        ]);
        let record = Value::map([
            ("continent", Value::map([("code", Value::from(continent))])),
            ("country", Value::map([("iso_code", Value::from(country))])),
            ("location", location),
        ]);
        writer.insert_value(network.parse::<ipnet::IpNet>().unwrap(), record).unwrap();
    }
    let database = Database::open("city.mmdb", writer.to_bytes().unwrap()).unwrap();
    Databases::new(vec![Arc::new(database)])
}
