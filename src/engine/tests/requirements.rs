//! Requirements against the engine: what is proved is never contradicted by a query, and each
//! counterexample is an answer that a query gets.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
};

use hickory_proto::{op::Message, rr::RData};
use proptest::prelude::*;

use super::request;
use crate::{
    dns::Rtype,
    engine::{
        Query, Transport, answer,
        fixture::{Fixture, FixtureBuilder},
    },
    health::{HealthStatus, Verdict},
    steer::{
        AnswerCount, AnswerItem, AnswerRule, Assertion, AssumedStates, ClientSet, Conditions,
        Counterexample, DatacenterId, DrawState, EndpointTarget, Expectation, ExpectedShare,
        FailureDepth, Family, FamilyCoupling, GeoRule, HealthOverride, MinUp, OnAllDown, Policy,
        PoolId, RequirementFault, RequirementId, Requirements, ServiceId, ServingState, Spread,
        Topology, Violation, answered_endpoints, verify,
    },
};

/// The services of the fixture that answer addresses.
const SERVICES: u32 = 4;
/// The services of the fixture, with the one that answers a CNAME.
const ALL_SERVICES: u32 = 5;

fn status(verdict: Verdict) -> HealthStatus {
    HealthStatus { verdict, flips_in_secs: None, is_pending: false, is_held: false }
}

/// All targets are up, but those of endpoints whose datacenters are all down.
fn set_states(topology: &Topology, conditions: &mut Conditions, assumed: &AssumedStates) {
    conditions.health_statuses.fill(status(Verdict::Up));
    for (endpoint, probes) in topology.endpoints.iter().zip(topology.endpoint_probes.iter()) {
        let datacenters = &endpoint.datacenters;
        if !datacenters.is_empty() && datacenters.iter().all(|id| assumed.down.contains(id)) {
            for probe in probes.iter().flatten() {
                conditions.health_statuses[probe.index()] = status(Verdict::Down);
            }
        }
    }
    for id in &assumed.drained {
        conditions.datacenters[id.index()] = ServingState::Draining;
    }
}

/// The fixture under assumed states.
fn under(builder: FixtureBuilder, assumed: &AssumedStates) -> Fixture {
    builder.build_under(|topology, conditions| set_states(topology, conditions, assumed))
}

fn down(ids: &[u32]) -> AssumedStates {
    AssumedStates { down: ids.iter().copied().map(DatacenterId).collect(), drained: Vec::new() }
}

/// The violations of a fixture's requirements.
fn violations(builder: FixtureBuilder, requirements: &Requirements) -> Vec<Violation> {
    let fixture = builder.build();
    let context = fixture.context();
    verify(&context.snapshot.topology, context.databases, requirements, 0)
}

fn asserted(assertion: Assertion) -> Requirements {
    Requirements { assertions: vec![assertion], ..Requirements::default() }
}

fn expected(expectation: Expectation) -> Requirements {
    Requirements { expectations: vec![expectation], ..Requirements::default() }
}

/// `www` for all clients in any of these datacenters.
fn www_only(only: &[u32], depth: FailureDepth) -> Assertion {
    Assertion {
        services: vec![ServiceId(0)],
        clients: ClientSet::All,
        only: only.iter().copied().map(DatacenterId).collect(),
        only_names: "those".into(),
        under: depth,
    }
}

/// `www` for Germans in Frankfurt.
fn germans() -> Expectation {
    Expectation {
        service: ServiceId(0),
        rtype: None,
        clients: country("DE"),
        answer: Some(AnswerRule::Only(vec![in_datacenter("fra", 0)])),
        shares: Vec::new(),
        when: AssumedStates::default(),
    }
}

fn country(code: &str) -> ClientSet {
    ClientSet::Matching(GeoRule { countries: vec![code.into()], ..GeoRule::default() })
}

fn in_datacenter(name: &str, id: u32) -> AnswerItem {
    AnswerItem::Datacenters { name: name.into(), ids: vec![DatacenterId(id)] }
}

fn counterexample(violations: &[Violation]) -> &Counterexample {
    match violations {
        [Violation { fault: RequirementFault::Counterexample(found), .. }] => found,
        other => panic!("{other:?}"),
    }
}

/// The addresses that a client may get, each drawn at least once in many queries; `None` is a
/// CNAME.
fn answers(
    fixture: &Fixture,
    service: u32,
    rtype: Rtype,
    client: IpAddr,
    queries: usize,
) -> Vec<Option<IpAddr>> {
    let snapshot = fixture.context().snapshot;
    let name = snapshot.topology.services[service as usize].name.to_string();
    let message = request(&name, rtype, &[]);
    let mut found = Vec::new();
    let mut draws = DrawState::new(7);
    draws.reserve_turns(snapshot.turn_counters);
    for _ in 0..queries {
        let mut out = vec![0; 65_535];
        let query =
            Query { message: &message, source: client, transport: Transport::Tcp, now_secs: 0 };
        let reply = answer(snapshot, &query, &mut draws, &mut out).unwrap();
        let message = Message::from_vec(&out[..reply.length]).unwrap();
        let own = message
            .answers
            .iter()
            .filter(|record| record.name.to_string().trim_end_matches('.') == name);
        found.extend(own.map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        }));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether an address is of an endpoint whose datacenters are all among `only`.
fn is_allowed(topology: &Topology, address: Option<IpAddr>, only: &[DatacenterId]) -> bool {
    let Some(address) = address else { return false };
    let has = |target: &EndpointTarget| matches!(target, EndpointTarget::Addresses(addresses) if addresses.contains(&address));
    let endpoint = topology.endpoints.iter().find(|endpoint| has(&endpoint.target)).unwrap();
    !endpoint.datacenters.is_empty() && endpoint.datacenters.iter().all(|id| only.contains(id))
}

/// A deterministic source of choices.
struct ChoiceSource(fastrand::Rng);

impl ChoiceSource {
    fn below(&mut self, count: u32) -> u32 {
        self.0.u32(..count)
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }
}

/// The fixture with other policies, weights, states and fallbacks, chosen by a seed.
fn varied(seed: u64) -> FixtureBuilder {
    let mut choices = ChoiceSource(fastrand::Rng::with_seed(seed));
    let mut builder = FixtureBuilder::new();
    for datacenter in &mut builder.datacenters {
        datacenter.state = match choices.below(10) {
            0 => ServingState::Standby,
            1 => ServingState::Draining,
            2 => ServingState::Disabled,
            _ => ServingState::Active,
        };
    }
    for endpoint in &mut builder.endpoints {
        if choices.one_in(6) && !endpoint.datacenters.is_empty() {
            endpoint.datacenters = vec![DatacenterId(choices.below(3))];
        }
        if choices.one_in(10) && !endpoint.datacenters.is_empty() {
            endpoint.datacenters = vec![DatacenterId(0), DatacenterId(2)];
        }
        if choices.one_in(10) {
            endpoint.monitor = None;
        }
        endpoint.force = match choices.below(20) {
            0 => Some(HealthOverride::Up),
            1 => Some(HealthOverride::Down),
            _ => None,
        };
        if choices.one_in(10) {
            endpoint.state = ServingState::Standby;
        }
    }
    for pool in &mut builder.pools {
        pool.spread = [Spread::Query, Spread::Client, Spread::Turn][choices.below(3) as usize];
        if choices.one_in(3) {
            pool.answers = match choices.below(3) {
                0 => AnswerCount::All,
                more => AnswerCount::Count(NonZeroU32::new(more + 1).unwrap()),
            };
        }
        if choices.one_in(5) && pool.members.len() > 1 {
            pool.min_up = MinUp::Members(NonZeroU32::new(2).unwrap());
        }
        if choices.one_in(5) {
            pool.families = FamilyCoupling::Coupled;
        }
        for member in &mut pool.members {
            member.weight = choices.below(4) as u16;
        }
        if pool.members.iter().all(|member| member.weight == 0) {
            pool.members[0].weight = 1;
        }
        match &mut pool.policy {
            Policy::Geo { rules, default } => {
                rules[0].strict = choices.one_in(2);
                if choices.one_in(3) {
                    rules[0].members.truncate(1);
                }
                if choices.one_in(3) {
                    default.clear();
                }
            }
            policy => {
                *policy = match choices.below(4) {
                    0 => Policy::Weighted,
                    1 => Policy::Failover,
                    2 => Policy::All,
                    _ => Policy::Nearest { tie: None },
                }
            }
        }
    }
    for service in &mut builder.services {
        service.on_all_down = match choices.below(4) {
            0 => OnAllDown::Empty,
            1 => OnAllDown::Pool(PoolId(choices.below(2))),
            _ => OnAllDown::All,
        };
        service.ipv6 = !choices.one_in(4);
        // The first four pools are those of datacenters, and pools of them.
        if choices.one_in(2) {
            service.pool = PoolId(choices.below(4));
        }
    }
    builder
}

/// Sets of clients, and whether an address is in each.
fn clients(number: u32) -> (ClientSet, fn(IpAddr) -> bool) {
    fn first(address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(v4) => v4.octets()[0],
            IpAddr::V6(_) => 0,
        }
    }
    fn is_german(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => v4.octets()[0] == 20,
            IpAddr::V6(v6) => v6.segments()[0] == 0x2a00,
        }
    }
    match number {
        0 => (ClientSet::All, |_| true),
        1 => (country("DE"), is_german),
        2 => (country("JP"), |address| first(address) == 40),
        3 => {
            let continents = vec!["NA".into()];
            let rule = GeoRule { continents, ..GeoRule::default() };
            (ClientSet::Matching(rule), |address| first(address) == 30)
        }
        _ => {
            let subnets = vec!["10.9.128.0/17".parse().unwrap(), "20.5.0.0/16".parse().unwrap()];
            let rule = GeoRule { subnets, ..GeoRule::default() };
            (ClientSet::Matching(rule), |address| match address {
                IpAddr::V4(v4) => match v4.octets() {
                    [10, 9, third, _] => third >= 128,
                    [20, 5, ..] => true,
                    _ => false,
                },
                IpAddr::V6(_) => false,
            })
        }
    }
}

/// An address near the borders of what tells clients apart, or anywhere.
fn address(choices: &mut ChoiceSource) -> IpAddr {
    let random = choices.0.u32(..);
    match choices.below(8) {
        0 => Ipv6Addr::from(0x2a00_u128 << 112 | u128::from(random)).into(),
        1 => Ipv4Addr::from(0x0a09_0000 | random & 0xffff).into(),
        2 => Ipv4Addr::from(0x1405_0000 | random & 0xffff).into(),
        3 => Ipv4Addr::from(random).into(),
        other => Ipv4Addr::from(((other - 2) * 10) << 24 | random & 0xff_ffff).into(),
    }
}

/// Every set of at most `depth` of three datacenters.
fn failures(depth: usize) -> Vec<Vec<u32>> {
    let sets = (0..8_u32).map(|bits| (0..3).filter(|id| bits >> id & 1 == 1).collect());
    sets.filter(|set: &Vec<u32>| set.len() <= depth).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_proved_is_never_contradicted_and_each_counterexample_is_answered(seed: u64) {
        let mut choices = ChoiceSource(fastrand::Rng::with_seed(seed ^ 0x5eed));
        let (set, is_client) = clients(choices.below(5));
        let services: Vec<ServiceId> =
            (0..ALL_SERVICES).filter(|_| choices.one_in(2)).map(ServiceId).collect();
        let mut only: Vec<DatacenterId> =
            (0..3).filter(|_| choices.below(3) > 0).map(DatacenterId).collect();
        only.sort_unstable();
        let depth = [FailureDepth::Now, FailureDepth::AnyOneDown, FailureDepth::AnyTwoDown]
            [choices.below(3) as usize];
        prop_assume!(!services.is_empty());
        let assertion = Assertion {
            services: services.clone(),
            clients: set,
            only: only.clone(),
            only_names: "those".into(),
            under: depth,
        };
        let found = violations(varied(seed), &asserted(assertion));
        match &found[..] {
            [] => {
                for down_ids in failures(depth as usize) {
                    let fixture = under(varied(seed), &down(&down_ids));
                    for _ in 0..12 {
                        let client = address(&mut choices);
                        if !is_client(client) {
                            continue;
                        }
                        for (service, rtype) in services.iter().flat_map(|id| [(id, Rtype::A), (id, Rtype::AAAA)]) {
                            for answered in answers(&fixture, service.0, rtype, client, 12) {
                                let topology = &fixture.context().snapshot.topology;
                                prop_assert!(
                                    is_allowed(topology, answered, &only),
                                    "{client} gets {answered:?} from service {} while {down_ids:?} are down",
                                    service.0
                                );
                            }
                        }
                    }
                }
            }
            [Violation { fault: RequirementFault::Counterexample(found), .. }] => {
                let names = ["fra", "iad", "nrt"];
                let down_ids: Vec<u32> =
                    (0..3).filter(|&id| found.down.iter().any(|name| **name == *names[id as usize])).collect();
                prop_assert!(down_ids.len() <= depth as usize);
                let fixture = under(varied(seed), &down(&down_ids));
                let topology = &fixture.context().snapshot.topology;
                let service = topology.services.iter().position(|service| service.name == found.service).unwrap();
                let rtype = found.records.parse().unwrap();
                let client = found.client.network();
                prop_assert!(is_client(client), "{client} is no client of the assertion");
                let answered = answers(&fixture, service as u32, rtype, client, 400);
                prop_assert!(
                    answered.iter().any(|&address| !is_allowed(topology, address, &only)),
                    "{found} does not reproduce: {answered:?}"
                );
            }
            [Violation { fault: RequirementFault::NeverAnswered, .. }] => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_proof_for_all_clients_agrees_with_the_charts_of_every_failure(seed: u64) {
        let mut choices = ChoiceSource(fastrand::Rng::with_seed(seed ^ 0xa11));
        let services: Vec<ServiceId> =
            (0..ALL_SERVICES).filter(|_| choices.one_in(2)).map(ServiceId).collect();
        let excluded = choices.below(3);
        let only: Vec<u32> = (0..3).filter(|id| *id != excluded).collect();
        let depth = [FailureDepth::Now, FailureDepth::AnyOneDown, FailureDepth::AnyTwoDown]
            [choices.below(3) as usize];
        prop_assume!(!services.is_empty());
        let assertion = Assertion { services: services.clone(), ..www_only(&only, depth) };
        let allowed = assertion.only.clone();
        let is_proved = match &violations(varied(seed), &asserted(assertion))[..] {
            [Violation { fault: RequirementFault::NeverAnswered, .. }] => return Ok(()),
            found => found.is_empty(),
        };
        let mut breaking = Vec::new();
        for down_ids in failures(depth as usize) {
            let fixture = under(varied(seed), &down(&down_ids));
            let snapshot = fixture.context().snapshot;
            for service in &services {
                let chart = &snapshot.charts[service.index()];
                let answered = [Family::V4, Family::V6].map(|family| answered_endpoints(chart, family));
                let is_wrong = answered.iter().flatten().any(|id| {
                    let datacenters = &snapshot.topology.endpoints[id.index()].datacenters;
                    datacenters.is_empty() || !datacenters.iter().all(|id| allowed.contains(id))
                });
                breaking.extend(is_wrong.then(|| (down_ids.clone(), *service)));
            }
        }
        prop_assert_eq!(is_proved, breaking.is_empty(), "{:?}", breaking);
    }
}

#[test]
fn a_fail_open_answer_breaks_an_assertion_that_the_members_in_service_keep() {
    let germans_in_fra = |depth| Assertion { clients: country("DE"), ..www_only(&[0], depth) };
    let found = violations(FixtureBuilder::new(), &asserted(germans_in_fra(FailureDepth::Now)));
    assert_eq!(found, []);
    let found =
        violations(FixtureBuilder::new(), &asserted(germans_in_fra(FailureDepth::AnyOneDown)));
    let found = counterexample(&found);
    assert_eq!(
        found.to_string(),
        "www.gslb.example.com A for 20.0.0.0/8 with fra down: expected only those, got 192.0.2.21 (iad)"
    );
    assert_eq!(found.path, "web > web-iad > 192.0.2.21");
    // By a rule that ends the search, the own members are answered although they are down.
    let strict = |on_all_down| {
        let mut builder = FixtureBuilder::new();
        let Policy::Geo { rules, .. } = &mut builder.pool_named("by-country").policy else {
            unreachable!("it is a geo pool");
        };
        rules[0].strict = true;
        builder.services[1].on_all_down = on_all_down;
        builder
    };
    let japanese = Assertion {
        services: vec![ServiceId(1)],
        clients: country("JP"),
        ..www_only(&[0, 1], FailureDepth::AnyTwoDown)
    };
    let in_iad = Assertion { only: vec![DatacenterId(1)], ..japanese.clone() };
    assert_eq!(violations(strict(OnAllDown::All), &asserted(japanese)), []);
    let found = violations(strict(OnAllDown::All), &asserted(in_iad));
    assert_eq!(counterexample(&found).down, ["iad".into()]);
}

#[test]
fn a_counterexample_has_the_fewest_datacenters_down() {
    let only_spare =
        Assertion { services: vec![ServiceId(2)], ..www_only(&[0, 1], FailureDepth::AnyTwoDown) };
    let found = violations(FixtureBuilder::new(), &asserted(only_spare));
    let found = counterexample(&found);
    assert_eq!(found.down, ["fra".into(), "iad".into()]);
    assert_eq!(found.answer, ["192.0.2.33 (nrt)"]);
}

#[test]
fn an_endpoint_without_a_monitor_is_answered_although_its_datacenter_is_down() {
    let api = |depth| Assertion { services: vec![ServiceId(2)], ..www_only(&[0], depth) };
    let mut builder = FixtureBuilder::new();
    let first = builder.endpoints.iter_mut().find(|endpoint| &*endpoint.name == "api-1").unwrap();
    first.monitor = None;
    assert_eq!(violations(builder, &asserted(api(FailureDepth::AnyTwoDown))), []);
    let found = violations(FixtureBuilder::new(), &asserted(api(FailureDepth::AnyTwoDown)));
    assert_eq!(counterexample(&found).down, ["fra".into()]);
}

#[test]
fn an_expectation_is_checked_under_the_states_that_it_assumes() {
    let iad = || Some(AnswerRule::Only(vec![in_datacenter("iad", 1)]));
    for (expectation, is_met, reason) in [
        (germans(), true, "the nearest"),
        (Expectation { clients: country("US"), ..germans() }, false, "others are nearer to iad"),
        (Expectation { when: down(&[0]), ..germans() }, false, "fra is down"),
        (Expectation { when: down(&[0]), answer: iad(), ..germans() }, true, "iad is left"),
        (
            Expectation {
                when: AssumedStates { drained: vec![DatacenterId(0)], ..AssumedStates::default() },
                answer: iad(),
                ..germans()
            },
            true,
            "fra is drained",
        ),
        (
            Expectation {
                answer: Some(AnswerRule::Not(vec![in_datacenter("nrt", 2)])),
                ..germans()
            },
            true,
            "no member is in nrt",
        ),
        (
            Expectation {
                rtype: Some(Rtype::A),
                answer: Some(AnswerRule::Only(vec![
                    AnswerItem::Address("192.0.2.11".parse().unwrap()),
                    AnswerItem::Member("lb2".into()),
                ])),
                ..germans()
            },
            true,
            "an address and a member",
        ),
        (
            Expectation {
                rtype: Some(Rtype::A),
                answer: Some(AnswerRule::Only(vec![AnswerItem::Member("lb2".into())])),
                ..germans()
            },
            false,
            "lb1 has three of four answers",
        ),
        (
            Expectation { answer: Some(AnswerRule::Only(Vec::new())), ..germans() },
            false,
            "nothing is expected, and fra is answered",
        ),
    ] {
        let found = violations(FixtureBuilder::new(), &expected(expectation));
        assert_eq!(found.is_empty(), is_met, "{reason}: {found:?}");
    }
}

#[test]
fn a_share_may_differ_by_its_tolerance() {
    for (share, tolerance, is_met) in
        [(0.75, 0.01, true), (0.7, 0.05, true), (0.7, 0.02, false), (1.0, 0.1, false)]
    {
        let item = AnswerItem::Member("lb1".into());
        let expectation = Expectation {
            rtype: Some(Rtype::A),
            answer: None,
            shares: vec![ExpectedShare { item, share, tolerance }],
            ..germans()
        };
        let found = violations(FixtureBuilder::new(), &expected(expectation));
        assert_eq!(found.is_empty(), is_met, "{share} +- {tolerance}: {found:?}");
        if !is_met {
            let found = counterexample(&found);
            assert_eq!(found.answer, ["75% lb1"]);
        }
    }
}

#[test]
fn what_no_configuration_can_meet_is_named() {
    let fault = |requirements: &Requirements| {
        let found = violations(FixtureBuilder::new(), requirements);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].fault.to_string()
    };
    let nowhere = Assertion { clients: country("FR"), ..www_only(&[0], FailureDepth::Now) };
    assert_eq!(fault(&asserted(nowhere)), "no network in the loaded databases has country FR");
    assert_eq!(
        fault(&asserted(www_only(&[2], FailureDepth::Now))),
        "none of its services has a member in the datacenters of `only`"
    );
    let answer = Some(AnswerRule::Only(vec![AnswerItem::Member("lb3".into())]));
    assert_eq!(
        fault(&expected(Expectation { answer, ..germans() })),
        "www.gslb.example.com has no member, address or datacenter \"lb3\""
    );
    let asn = GeoRule { asns: vec![64500], ..GeoRule::default() };
    assert_eq!(
        fault(&expected(Expectation { clients: ClientSet::Matching(asn), ..germans() })),
        "no loaded GeoIP database has autonomous systems, so its clients are not known"
    );
    let mut without = FixtureBuilder::new();
    without.databases = Default::default();
    let found = violations(without, &expected(germans()));
    assert_eq!(found[0].requirement, RequirementId::Expectation(0));
    assert_eq!(
        found[0].fault.to_string(),
        "no GeoIP database is loaded, so countries of clients are not known"
    );
}

#[test]
fn every_service_of_an_assertion_is_proved() {
    let all = Assertion {
        services: (0..SERVICES).map(ServiceId).collect(),
        ..www_only(&[0, 1], FailureDepth::AnyOneDown)
    };
    assert_eq!(violations(FixtureBuilder::new(), &asserted(all.clone())), []);
    let services = (0..ALL_SERVICES).map(ServiceId).collect();
    let found = violations(FixtureBuilder::new(), &asserted(Assertion { services, ..all }));
    let found = counterexample(&found);
    assert_eq!(found.service.to_string(), "moved.gslb.example.com");
    assert_eq!(found.answer, ["www.gslb.example.com (no datacenter)"]);
}

#[test]
fn services_that_share_a_pool_are_each_proved_under_its_failures() {
    let mut builder = FixtureBuilder::new();
    builder.pool_named("web").policy = Policy::Failover;
    builder.services[0].pool = builder.pool_id("web-fra");
    builder.services[1].pool = builder.pool_id("web");
    let both = Assertion {
        services: vec![ServiceId(0), ServiceId(1)],
        ..www_only(&[0], FailureDepth::AnyOneDown)
    };
    let found = violations(builder, &asserted(both));
    assert_eq!(counterexample(&found).service.to_string(), "geo.gslb.example.com");
}
