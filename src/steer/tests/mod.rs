//! Answers of services: pools of every policy under every condition, compiled and drawn from the
//! chart.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU32, sync::Arc};

mod address_families;
mod aliases;
mod caches;
mod changes;
mod overrides;
mod pending;
mod presence;
mod recovery;
mod wheels;

use super::*;
use crate::{
    dns::Name,
    geo::Databases,
    health::{Check, HealthStatus, Monitor, TcpCheck, Verdict},
};

mod regulation;

/// Builds a topology with one service over a pool.
#[derive(Default)]
struct TopologyBuilder {
    datacenters: Vec<Datacenter>,
    endpoints: Vec<Endpoint>,
    pools: Vec<Pool>,
    on_all_down: OnAllDown,
    hides_ipv6: bool,
    ignores_subnets: bool,
}

/// The monitor of all endpoints.
pub(super) fn monitor() -> Monitor {
    Monitor {
        name: "tcp".into(),
        check: Check::Tcp(TcpCheck { port: 80 }),
        interval: std::time::Duration::from_secs(5),
        timeout: std::time::Duration::from_secs(2),
        rise: std::num::NonZeroU8::MIN,
        fall: std::num::NonZeroU8::MIN,
    }
}

impl TopologyBuilder {
    fn datacenter(&mut self, name: &str, state: ServingState) -> DatacenterId {
        let name = name.into();
        self.datacenters.push(Datacenter { name, state, ..Datacenter::default() });
        DatacenterId(self.datacenters.len() as u32 - 1)
    }

    /// An endpoint named by its addresses, which are separated by `+`, or by one label for a CNAME
    /// into example.net.
    fn endpoint(&mut self, addresses: &str, datacenter: Option<DatacenterId>) -> MemberKind {
        let parsed: Result<_, _> = addresses.split('+').map(str::parse).collect();
        let cname = || EndpointTarget::Cname(format!("{addresses}.example.net").parse().unwrap());
        self.endpoints.push(Endpoint {
            name: addresses.into(),
            target: parsed
                .map_or_else(|_: std::net::AddrParseError| cname(), EndpointTarget::Addresses),
            datacenters: datacenter.into_iter().collect(),
            monitor: Some(MonitorId(0)),
            state: ServingState::Active,
            force: None,
            load: None,
            ramp_times: RampTimes::default(),
        });
        MemberKind::Endpoint(EndpointId(self.endpoints.len() as u32 - 1))
    }

    fn pool(&mut self, policy: Policy, members: &[(MemberKind, u16)]) -> PoolId {
        let name = format!("pool-{}", self.pools.len()).into();
        let members =
            members.iter().map(|&(kind, weight)| Member { kind, weight, bias: 0 }).collect();
        let min_up = MinUp::Members(NonZeroU32::MIN);
        let answers = AnswerCount::Count(NonZeroU32::MIN);
        let (families, regulation) = (FamilyCoupling::default(), Regulation::default());
        self.pools.push(Pool {
            name,
            policy,
            spread: Spread::Query,
            answers,
            min_up,
            families,
            members,
            regulation,
        });
        PoolId(self.pools.len() as u32 - 1)
    }

    /// A weighted pool of endpoints.
    fn weighted(&mut self, members: &[(&str, u16)]) -> PoolId {
        let members: Vec<_> =
            members.iter().map(|&(name, weight)| (self.endpoint(name, None), weight)).collect();
        self.pool(Policy::Weighted, &members)
    }

    /// The service over a pool, without databases.
    fn top(self, pool: PoolId) -> ServiceBench {
        self.top_in(pool, &Databases::default())
    }

    fn top_in(self, pool: PoolId, databases: &Databases) -> ServiceBench {
        let service = Service {
            name: "www.example.com".parse::<Name>().unwrap(),
            kind: RecordKind::default(),
            zone: ZoneId(0),
            pool,
            ttl_secs: 30,
            on_all_down: self.on_all_down,
            ipv6: !self.hides_ipv6,
            client_subnet: !self.ignores_subnets,
        };
        let topology = Arc::new(Topology::new(
            self.datacenters,
            vec![monitor()],
            self.endpoints,
            self.pools,
            vec![service],
        ));
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), databases, &mut surveys);
        let conditions = Conditions::unprobed(&topology, 0);
        let compiled = compiler.compile(&conditions, &mut surveys);
        let (wheels, chart, draws) = (WheelCache::default(), Arc::default(), DrawState::new(7));
        let mut bench = ServiceBench {
            topology,
            compiler,
            surveys,
            wheels,
            conditions,
            compiled,
            chart,
            draws,
        };
        bench.compile();
        bench
    }
}

/// A service under changing conditions.
struct ServiceBench {
    topology: Arc<Topology>,
    compiler: Arc<Compiler>,
    surveys: Surveys,
    wheels: WheelCache,
    conditions: Conditions,
    compiled: CompiledCharts,
    chart: Arc<Chart>,
    draws: DrawState,
}

impl ServiceBench {
    /// Compiles every chart without reusing the earlier ones.
    fn compile(&mut self) {
        let compilation =
            Compilation::new(Arc::clone(&self.compiler), Arc::new(self.conditions.clone()));
        self.compiled = compilation.finish(&mut self.surveys, &mut self.wheels);
        self.take_chart();
    }

    /// Compiles the charts that the changed conditions touch.
    fn follow(&mut self) {
        let (compiler, conditions) =
            (Arc::clone(&self.compiler), Arc::new(self.conditions.clone()));
        let compilation = Compilation::after(&self.compiled, compiler, conditions);
        self.compiled = compilation.finish(&mut self.surveys, &mut self.wheels);
        self.take_chart();
    }

    fn take_chart(&mut self) {
        self.chart = self.compiled.charts().remove(0);
        self.draws.reserve_turns(self.compiled.turn_counters());
    }

    fn probe(&self, address: &str) -> ProbeId {
        let target = ProbeTarget::Address(address.parse().unwrap());
        ProbeId(self.topology.probes.iter().position(|probe| probe.target == target).unwrap() as u32)
    }

    fn set_status(&mut self, address: &str, status: HealthStatus) {
        let probe = self.probe(address);
        self.conditions.health_statuses[probe.index()] = status;
        self.follow();
    }

    fn down(&mut self, address: &str) {
        self.set_status(
            address,
            HealthStatus { verdict: Verdict::Down, flips_in_secs: None, ..HealthStatus::default() },
        );
    }

    fn ask_from(&mut self, family: Family, client: &str) -> (Vec<String>, u8, u32) {
        let subnet: ipnet::IpNet = client.parse().unwrap();
        let resolver: IpAddr = "9.9.9.9".parse().unwrap();
        let route = self.chart.route(family, Some(subnet.addr()), &resolver);
        let mut texts = Vec::new();
        route.draw(&mut self.draws, &mut |answer| texts.extend(answer.rdata.texts()));
        (texts, route.scope, route.ttl_secs)
    }

    fn ask(&mut self) -> Vec<String> {
        self.ask_from(Family::V4, "8.8.8.0/24").0
    }

    fn ttl(&mut self) -> u32 {
        self.ask_from(Family::V4, "8.8.8.0/24").2
    }

    /// The share of queries that each address answered, in percent.
    fn shares(&mut self, queries: u32) -> BTreeMap<String, f64> {
        let mut shares = BTreeMap::new();
        for _ in 0..queries {
            for address in self.ask() {
                *shares.entry(address).or_insert(0.0) += 100.0 / f64::from(queries);
            }
        }
        shares
    }
}

#[test]
fn shares_are_the_weights_within_one_percent() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 3), ("192.0.2.2", 1), ("192.0.2.3", 0)]);
    let mut bench = draft.top(pool);
    let shares = bench.shares(100_000);
    assert!(
        (shares["192.0.2.1"] - 75.0).abs() < 1.0 && (shares["192.0.2.2"] - 25.0).abs() < 1.0,
        "{shares:?}"
    );
    assert!(!shares.contains_key("192.0.2.3"));
}

#[test]
fn turns_are_exact_over_a_cycle_and_each_family_has_its_own_turns() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1+2001:db8::1", 1), ("192.0.2.2+2001:db8::2", 1)]);
    draft.pools[pool.index()].spread = Spread::Turn;
    let mut bench = draft.top(pool);
    let mut seen = BTreeMap::new();
    for _ in 0..10 {
        *seen.entry(bench.ask().remove(0)).or_insert(0) += 1;
        *seen.entry(bench.ask_from(Family::V6, "8.8.8.0/24").0.remove(0)).or_insert(0) += 1;
    }
    assert!(seen.len() == 4 && seen.values().all(|&count| count == 5), "{seen:?}");
}

#[test]
fn endless_flapping_keeps_only_a_few_unused_tables_and_turn_counters() {
    let members: Vec<String> = (1..=12).map(|host| format!("192.0.2.{host}")).collect();
    let weighted: Vec<_> = members.iter().map(String::as_str).zip(1..).collect();
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&weighted);
    draft.pools[pool.index()].spread = Spread::Turn;
    let mut bench = draft.top(pool);
    for round in 1..400_u32 {
        // Counting in Gray code: each step changes one target, and no set of targets occurs twice.
        let changed = round.trailing_zeros() as usize;
        let is_down = (round ^ round >> 1) >> changed & 1 == 1;
        let verdict = if is_down { Verdict::Down } else { Verdict::Up };
        bench.set_status(
            &members[changed],
            HealthStatus { verdict, flips_in_secs: None, ..HealthStatus::default() },
        );
        bench.draws.reserve_turns(bench.wheels.turn_counters());
        bench.ask();
    }
    assert!(bench.wheels.slot_tables.len() < 80, "{}", bench.wheels.slot_tables.len());
    assert!(bench.wheels.turn_counters() < 80, "{}", bench.wheels.turn_counters());
}

#[test]
fn a_cname_is_answered_for_no_family_while_a_member_of_the_other_family_precedes_it() {
    let mut draft = TopologyBuilder::default();
    let (first, second) = (draft.endpoint("192.0.2.1", None), draft.endpoint("sorry", None));
    let pool = draft.pool(Policy::Failover, &[(first, 1), (second, 1)]);
    let mut bench = draft.top(pool);
    assert_eq!(bench.ask(), ["192.0.2.1"]);
    assert!(
        bench.ask_from(Family::V6, "8.8.8.0/24").0.is_empty(),
        "a resolver would follow the CNAME for A as well"
    );
    bench.down("192.0.2.1");
    assert_eq!(bench.ask(), ["sorry.example.net"]);
    assert_eq!(bench.ask_from(Family::V6, "8.8.8.0/24").0, ["sorry.example.net"]);
}

#[test]
fn members_of_a_family_precede_a_cname_whatever_the_other_family_has() {
    let mut draft = TopologyBuilder::default();
    let members =
        ["192.0.2.1", "192.0.2.2+2001:db8::2", "sorry"].map(|name| (draft.endpoint(name, None), 1));
    let pool = draft.pool(Policy::Failover, &members);
    let mut bench = draft.top(pool);
    assert_eq!(bench.ask(), ["192.0.2.1"]);
    assert_eq!(bench.ask_from(Family::V6, "8.8.8.0/24").0, ["2001:db8::2"]);
}

#[test]
fn a_standby_answers_only_when_nothing_else_is_usable() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 0)]);
    let mut bench = draft.top(pool);
    assert_eq!(bench.ask(), ["192.0.2.1"]);
    bench.down("192.0.2.1");
    assert_eq!(bench.ask(), ["192.0.2.2"]);
    assert_eq!(bench.chart.fallback_stage(Family::V4), FallbackStage::Normal);
}

#[test]
fn failover_answers_the_first_usable_member_and_a_nested_pool_counts_as_one() {
    let mut draft = TopologyBuilder::default();
    let first = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1)]);
    let second = draft.weighted(&[("192.0.2.3", 1)]);
    draft.pools[first.index()].min_up = MinUp::Share(0.6);
    let top = draft
        .pool(Policy::Failover, &[(MemberKind::Pool(first), 1), (MemberKind::Pool(second), 1)]);
    let mut bench = draft.top(top);
    assert_ne!(bench.ask(), ["192.0.2.3"]);
    bench.down("192.0.2.1");
    assert_eq!(bench.ask(), ["192.0.2.3"], "half of the first pool is less than its min-up");
}

#[test]
fn when_nothing_is_usable_the_service_answers_as_if_all_were_up() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 0)]);
    let mut bench = draft.top(pool);
    bench.down("192.0.2.1");
    bench.down("192.0.2.2");
    bench.down("192.0.2.3");
    let shares = bench.shares(1000);
    assert_eq!(shares.keys().collect::<Vec<_>>(), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(bench.chart.fallback_stage(Family::V4), FallbackStage::AllDown);
}

#[test]
fn when_nothing_is_usable_a_service_may_answer_nodata_or_from_another_pool() {
    let mut draft = TopologyBuilder { on_all_down: OnAllDown::Empty, ..TopologyBuilder::default() };
    let pool = draft.weighted(&[("192.0.2.1", 1)]);
    let mut bench = draft.top(pool);
    bench.down("192.0.2.1");
    assert!(bench.ask().is_empty());

    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1)]);
    let sorry = draft.weighted(&[("192.0.2.9+2001:db8::9", 1)]);
    draft.on_all_down = OnAllDown::Pool(sorry);
    let mut bench = draft.top(pool);
    assert!(
        bench.ask_from(Family::V6, "8.8.8.0/24").0.is_empty(),
        "a service without AAAA gets none from another pool"
    );
    bench.down("192.0.2.1");
    assert_eq!(bench.ask(), ["192.0.2.9"]);
    bench.down("192.0.2.9");
    assert_eq!(bench.ask(), ["192.0.2.1"]);
}

#[test]
fn a_drain_removes_a_datacenter_unless_it_is_the_last_one() {
    let mut draft = TopologyBuilder::default();
    let (fra, iad) = (
        draft.datacenter("fra", ServingState::Draining),
        draft.datacenter("iad", ServingState::Active),
    );
    let members =
        [(draft.endpoint("192.0.2.1", Some(fra)), 1), (draft.endpoint("192.0.2.2", Some(iad)), 1)];
    let pool = draft.pool(Policy::Weighted, &members);
    let mut bench = draft.top(pool);
    assert_eq!(bench.shares(100).keys().collect::<Vec<_>>(), ["192.0.2.2"]);
    bench.down("192.0.2.2");
    assert_eq!(
        bench.ask(),
        ["192.0.2.2"],
        "a draining member is not answered while another is left"
    );
    bench.conditions.datacenters = vec![ServingState::Draining, ServingState::Disabled];
    bench.compile();
    assert_eq!(bench.ask(), ["192.0.2.1"]);
    assert_eq!(bench.chart.fallback_stage(Family::V4), FallbackStage::OnlyDrainedLeft);
    bench.conditions.datacenters = vec![ServingState::Disabled, ServingState::Disabled];
    bench.compile();
    assert!(!bench.ask().is_empty(), "a drain never leaves a name without an answer");
}

#[test]
fn the_operators_override_wins_over_the_probes() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1)]);
    draft.endpoints[0].force = Some(HealthOverride::Up);
    draft.endpoints[1].force = Some(HealthOverride::Down);
    let mut bench = draft.top(pool);
    bench.down("192.0.2.1");
    assert_eq!(bench.shares(100).keys().collect::<Vec<_>>(), ["192.0.2.1"]);
}

#[test]
fn two_answers_are_distinct_and_each_member_has_its_share_of_them() {
    let mut draft = TopologyBuilder::default();
    let pool =
        draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 1), ("192.0.2.4", 1)]);
    draft.pools[pool.index()].answers = AnswerCount::Count(NonZeroU32::new(2).unwrap());
    let mut bench = draft.top(pool);
    for _ in 0..100 {
        let answer = bench.ask();
        assert!(answer.len() == 2 && answer[0] != answer[1]);
    }
    assert!(bench.shares(50_000).values().all(|share| (share - 50.0).abs() < 1.0));
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        bench.down(address);
    }
    assert_eq!(bench.ask(), ["192.0.2.4"], "never more than are usable");
}

#[test]
fn all_answers_every_usable_member_in_the_order_written() {
    let mut draft = TopologyBuilder::default();
    let members: Vec<_> =
        ["192.0.2.3", "192.0.2.1", "192.0.2.2"].map(|a| (draft.endpoint(a, None), 1)).into();
    let pool = draft.pool(Policy::All, &members);
    let mut bench = draft.top(pool);
    assert_eq!(bench.ask(), ["192.0.2.3", "192.0.2.1", "192.0.2.2"]);
    bench.down("192.0.2.1");
    assert_eq!(bench.ask(), ["192.0.2.3", "192.0.2.2"]);
}

#[test]
fn for_each_type_only_members_with_such_an_address_count() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2+2001:db8::2", 1)]);
    let mut bench = draft.top(pool);
    assert_eq!(bench.ask_from(Family::V6, "8.8.8.0/24").0, ["2001:db8::2"]);
    bench.down("2001:db8::2");
    assert_eq!(
        bench.shares(100).len(),
        2,
        "an address that fails does not affect the other family"
    );
}

#[test]
fn a_client_keeps_its_endpoint_and_moves_only_if_that_goes_down() {
    let mut draft = TopologyBuilder::default();
    let addresses: Vec<String> = (1..=10).map(|at| format!("192.0.2.{at}")).collect();
    let members: Vec<(&str, u16)> = addresses.iter().map(|address| (address.as_str(), 1)).collect();
    let pool = draft.weighted(&members);
    draft.pools[pool.index()].spread = Spread::Client;
    let mut bench = draft.top(pool);
    let clients: Vec<String> =
        (0..5000).map(|at| format!("20.{}.{}.0/24", at / 256, at % 256)).collect();
    let ask = |bench: &mut ServiceBench, client: &String| bench.ask_from(Family::V4, client);
    let before: Vec<_> = clients.iter().map(|client| ask(&mut bench, client)).collect();
    assert!(before.iter().all(|(_, scope, _)| *scope == 24));
    bench.down("192.0.2.4");
    let mut moved = 0;
    for (client, (old, ..)) in clients.iter().zip(&before) {
        let (new, ..) = ask(&mut bench, client);
        if old[0] == "192.0.2.4" {
            moved += 1;
        } else {
            assert_eq!(*old, new);
        }
    }
    assert!(moved > 0 && moved <= clients.len() * 11 / 100, "{moved} moved");
}

#[test]
fn a_client_keeps_its_pool_while_that_pool_draws_endpoints_at_random() {
    let mut draft = TopologyBuilder::default();
    let left = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1)]);
    let right = draft.weighted(&[("192.0.2.3", 1), ("192.0.2.4", 1)]);
    let top =
        draft.pool(Policy::Weighted, &[(MemberKind::Pool(left), 1), (MemberKind::Pool(right), 1)]);
    draft.pools[top.index()].spread = Spread::Client;
    let mut bench = draft.top(top);
    let shares = bench.shares(1000);
    assert_eq!(shares.len(), 2);
    assert!(shares.contains_key("192.0.2.1") != shares.contains_key("192.0.2.3"));
}

#[test]
fn the_ttl_is_lowered_while_a_verdict_that_matters_is_about_to_flip() {
    let mut draft = TopologyBuilder::default();
    let members = [(draft.endpoint("192.0.2.1", None), 1), (draft.endpoint("192.0.2.2", None), 1)];
    let pool = draft.pool(Policy::Failover, &members);
    let mut bench = draft.top(pool);
    let about_to_flip =
        |verdict| HealthStatus { verdict, flips_in_secs: Some(5), ..HealthStatus::default() };
    bench.set_status("192.0.2.2", about_to_flip(Verdict::Up));
    assert_eq!(bench.ttl(), 30, "the answer does not depend on the second while the first is up");
    bench.set_status("192.0.2.1", about_to_flip(Verdict::Up));
    assert_eq!(bench.ttl(), 5);
    bench.set_status(
        "192.0.2.2",
        HealthStatus { verdict: Verdict::Up, flips_in_secs: None, ..HealthStatus::default() },
    );
    bench.set_status("192.0.2.1", about_to_flip(Verdict::Down));
    assert_eq!(
        (bench.ask(), bench.ttl()),
        (vec!["192.0.2.2".to_owned()], 5),
        "the first may soon recover"
    );
}

/// A geo pool over endpoints `192.0.2.N`: each rule is (subnet, members).
fn geo_bench(rules: &[(&str, &[u32])], default: &[u32], members: u8) -> ServiceBench {
    let mut draft = TopologyBuilder::default();
    let endpoints: Vec<_> =
        (0..members).map(|at| (draft.endpoint(&format!("192.0.2.{at}"), None), 1)).collect();
    let rule = |(subnet, members): &(&str, &[u32])| GeoRule {
        subnets: vec![subnet.parse().unwrap()],
        members: members.to_vec(),
        ..GeoRule::default()
    };
    let policy = Policy::Geo { rules: rules.iter().map(rule).collect(), default: default.to_vec() };
    let pool = draft.pool(policy, &endpoints);
    draft.top(pool)
}

#[test]
fn geo_uses_the_most_specific_rule_and_the_scopes_of_other_answers_exclude_it_exactly() {
    let mut bench = geo_bench(&[("8.8.0.0/16", &[1]), ("8.8.8.0/24", &[2])], &[0], 3);
    let mut ask = |client: &str| {
        let (mut addresses, scope, _) = bench.ask_from(Family::V4, client);
        (addresses.remove(0), scope)
    };
    assert_eq!(ask("8.8.8.0/24"), ("192.0.2.2".into(), 24));
    assert_eq!(ask("8.8.9.0/24"), ("192.0.2.1".into(), 24));
    assert_eq!(ask("8.8.128.0/24"), ("192.0.2.1".into(), 17));
    assert_eq!(ask("8.9.0.0/24"), ("192.0.2.0".into(), 16));
    assert_eq!(ask("64.0.0.0/24").0, "192.0.2.0");
}

#[test]
fn geo_falls_back_from_rule_to_rule_and_to_the_default_as_members_go_down() {
    let mut bench = geo_bench(&[("8.8.0.0/16", &[1]), ("8.8.8.0/24", &[2])], &[0], 3);
    for (gone, next) in [("192.0.2.2", "192.0.2.1"), ("192.0.2.1", "192.0.2.0")] {
        bench.down(gone);
        assert_eq!(bench.ask(), [next]);
    }
    let (_, scope, _) = bench.ask_from(Family::V4, "8.8.8.0/24");
    assert!(scope < 16, "equal answers in all areas need no narrow scope, got {scope}");
}

#[test]
fn an_empty_default_is_nodata_for_unmatched_clients_and_no_outage() {
    let mut bench = geo_bench(&[("8.8.8.0/24", &[0])], &[], 1);
    assert_eq!(bench.ask(), ["192.0.2.0"]);
    assert!(bench.ask_from(Family::V4, "9.0.0.0/24").0.is_empty());
    assert_eq!(bench.chart.fallback_stage(Family::V4), FallbackStage::Normal);
}

#[test]
fn a_rule_without_members_is_nodata_for_its_clients_and_ends_the_search() {
    let mut bench = geo_bench(&[("8.8.0.0/16", &[]), ("8.8.8.0/24", &[1])], &[0], 2);
    let (none, scope, _) = bench.ask_from(Family::V4, "8.8.128.0/24");
    assert_eq!((none, scope), (vec![], 17), "the scope keeps this NODATA from other clients");
    assert_eq!(bench.ask(), ["192.0.2.1"]);
    assert_eq!(
        bench.chart.fallback_stage(Family::V4),
        FallbackStage::Normal,
        "an empty rule is configuration and no outage"
    );
    bench.down("192.0.2.1");
    assert_eq!(
        bench.ask(),
        ["192.0.2.1"],
        "not the default: the search ends at the rule, and on-all-down decides"
    );
}

#[test]
fn clients_of_a_strict_rule_get_only_its_own_members() {
    for on_all_down in [0, 1, 2] {
        let mut draft = TopologyBuilder::default();
        let members = ["192.0.2.0", "192.0.2.1"].map(|name| (draft.endpoint(name, None), 1));
        let rule = GeoRule {
            subnets: vec!["8.8.8.0/24".parse().unwrap()],
            members: vec![1],
            strict: true,
            ..GeoRule::default()
        };
        let pool = draft.pool(Policy::Geo { rules: vec![rule], default: vec![0] }, &members);
        let sorry = draft.weighted(&[("192.0.2.9", 1)]);
        draft.on_all_down = [OnAllDown::All, OnAllDown::Empty, OnAllDown::Pool(sorry)][on_all_down];
        let mut bench = draft.top(pool);
        assert_eq!(bench.ask(), ["192.0.2.1"]);
        bench.down("192.0.2.1");
        let wanted: &[&str] = if on_all_down == 1 { &[] } else { &["192.0.2.1"] };
        assert_eq!(bench.ask(), wanted, "{on_all_down}");
        assert_eq!(bench.chart.fallback_stage(Family::V4), FallbackStage::AllDown);
        assert_eq!(bench.ask_from(Family::V4, "9.0.0.0/24").0, ["192.0.2.0"]);
    }
}

#[test]
fn services_that_a_verdict_does_not_touch_keep_their_chart() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1)]);
    let mut bench = draft.top(pool);
    let before = Arc::clone(&bench.chart);
    bench.follow();
    assert!(Arc::ptr_eq(&before, &bench.chart));
}
