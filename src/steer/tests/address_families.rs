//! Families: A and AAAA are chosen independently, and a service is down only if neither has a
//! usable member.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const V4: Family = Family::V4;
const V6: Family = Family::V6;
const ANYWHERE: &str = "8.8.8.0/24";

fn ask(bench: &mut ServiceBench, family: Family) -> Vec<String> {
    bench.ask_from(family, ANYWHERE).0
}

fn stages_of(bench: &ServiceBench) -> [FallbackStage; 2] {
    [V4, V6].map(|family| bench.chart.fallback_stage(family))
}

#[test]
fn a_family_without_a_usable_member_is_nodata_while_the_other_family_has_one() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1+2001:db8::1", 1), ("192.0.2.2", 1)]);
    let mut bench = draft.top(pool);
    bench.down("2001:db8::1");
    assert_eq!(
        (ask(&mut bench, V6), stages_of(&bench)),
        (vec![], [FallbackStage::Normal, FallbackStage::OtherFamily])
    );
    assert_eq!(bench.shares(100).len(), 2, "IPv4 has both members");
    bench.down("192.0.2.1");
    bench.down("192.0.2.2");
    assert_eq!(stages_of(&bench), [FallbackStage::AllDown; 2]);
    assert_eq!(
        ask(&mut bench, V6),
        ["2001:db8::1"],
        "both families are down: both answer as if all were up"
    );
}

#[test]
fn a_drained_datacenter_is_not_answered_for_ipv6_while_another_serves_ipv4() {
    let mut draft = TopologyBuilder::default();
    let (fra, iad) = (
        draft.datacenter("fra", ServingState::Draining),
        draft.datacenter("iad", ServingState::Active),
    );
    let members = [
        (draft.endpoint("192.0.2.1+2001:db8::1", Some(fra)), 1),
        (draft.endpoint("192.0.2.2", Some(iad)), 1),
    ];
    let pool = draft.pool(Policy::Failover, &members);
    let mut bench = draft.top(pool);
    assert_eq!((ask(&mut bench, V4), ask(&mut bench, V6)), (vec!["192.0.2.2".to_owned()], vec![]));
    bench.down("192.0.2.2");
    assert_eq!((ask(&mut bench, V4), ask(&mut bench, V6)), (vec!["192.0.2.2".to_owned()], vec![]));
}

/// Two members with both families and one with IPv4 only, in a pool of `policy` with coupled
/// families.
fn coupled(policy: Policy) -> ServiceBench {
    let mut draft = TopologyBuilder::default();
    let names = ["192.0.2.1+2001:db8::1", "192.0.2.2+2001:db8::2", "192.0.2.3"];
    let members = names.map(|name| (draft.endpoint(name, None), 1));
    let pool = draft.pool(policy, &members);
    draft.pools[pool.index()].families = FamilyCoupling::Coupled;
    draft.top(pool)
}

/// Every address that clients get in a family.
fn all(bench: &mut ServiceBench, family: Family) -> BTreeSet<String> {
    (0..200).flat_map(|_| ask(bench, family)).collect()
}

#[test]
fn a_member_with_a_dead_family_is_down_for_both_if_families_are_coupled() {
    let load = LoadPolicy { measure: LoadMeasure::Connections, soft: 0.7, hard: 0.9 };
    let geo = Policy::Geo { rules: Vec::new(), default: vec![0, 1, 2] };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    for policy in [
        Policy::Weighted,
        Policy::Load(load),
        Policy::All,
        Policy::Failover,
        Policy::Nearest { tie: None },
        geo,
    ] {
        let is_ranked =
            matches!(policy, Policy::Failover | Policy::Nearest { .. } | Policy::Geo { .. });
        let mut bench = coupled(policy.clone());
        bench.down("2001:db8::1");
        let v4: &[&str] = if is_ranked { &["192.0.2.2"] } else { &["192.0.2.2", "192.0.2.3"] };
        assert_eq!(all(&mut bench, V4), names(v4), "{policy:?}: a member may have one family only");
        assert_eq!(all(&mut bench, V6), names(&["2001:db8::2"]), "{policy:?}");
        bench.set_status(
            "2001:db8::1",
            HealthStatus { verdict: Verdict::Up, ..HealthStatus::default() },
        );
        bench.down("192.0.2.1");
        assert_eq!(all(&mut bench, V6), names(&["2001:db8::2"]), "{policy:?}: the same for IPv4");
        assert!(!all(&mut bench, V4).contains("192.0.2.1"), "{policy:?}");
    }
}

#[test]
fn families_are_independent_if_no_member_is_healthy_in_all_of_its_families() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1+2001:db8::1", 1), ("192.0.2.2+2001:db8::2", 1)]);
    draft.pools[pool.index()].families = FamilyCoupling::Coupled;
    draft.pools[pool.index()].min_up = MinUp::Members(NonZeroU32::new(2).unwrap());
    let mut bench = draft.top(pool);
    bench.down("2001:db8::1");
    assert_eq!(stages_of(&bench), [FallbackStage::AllDown; 2], "one member is too few");
    bench.down("2001:db8::2");
    assert_eq!(
        stages_of(&bench),
        [FallbackStage::Normal, FallbackStage::OtherFamily],
        "a dead family never takes a service down"
    );
    assert_eq!(all(&mut bench, V4).len(), 2);
}

#[test]
fn clients_of_a_region_with_a_dead_family_get_the_next_region() {
    for is_inner in [true, false] {
        let mut draft = TopologyBuilder::default();
        let regions = ["192.0.2.1+2001:db8::1", "192.0.2.2+2001:db8::2"]
            .map(|name| draft.weighted(&[(name, 1)]));
        let top =
            draft.pool(Policy::Failover, &regions.map(|region| (MemberKind::Pool(region), 1)));
        let coupled = if is_inner { regions[0] } else { top };
        draft.pools[coupled.index()].families = FamilyCoupling::Coupled;
        let mut bench = draft.top(top);
        assert_eq!(ask(&mut bench, V4), ["192.0.2.1"]);
        bench.down("2001:db8::1");
        let both = (ask(&mut bench, V4), ask(&mut bench, V6));
        assert_eq!(
            both,
            (vec!["192.0.2.2".to_owned()], vec!["2001:db8::2".to_owned()]),
            "in the region: {is_inner}"
        );
        bench.down("192.0.2.2");
        bench.down("2001:db8::2");
        assert_eq!(
            ask(&mut bench, V4),
            ["192.0.2.1"],
            "the healthy family of the first region is answered"
        );
    }
}

#[test]
fn an_answer_is_cached_no_longer_than_until_the_other_family_may_change_it() {
    let mut bench = coupled(Policy::Failover);
    let status =
        HealthStatus { verdict: Verdict::Up, flips_in_secs: Some(7), ..HealthStatus::default() };
    bench.set_status("2001:db8::1", status);
    assert_eq!((ask(&mut bench, V4), bench.ttl()), (vec!["192.0.2.1".to_owned()], 7));
}

#[test]
fn on_all_down_applies_to_both_families_or_to_none() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1+2001:db8::1", 1)]);
    let sorry = draft.weighted(&[("192.0.2.9", 1)]);
    draft.on_all_down = OnAllDown::Pool(sorry);
    let mut bench = draft.top(pool);
    bench.down("2001:db8::1");
    assert_eq!((ask(&mut bench, V4), ask(&mut bench, V6)), (vec!["192.0.2.1".to_owned()], vec![]));
    bench.down("192.0.2.1");
    assert_eq!(
        (ask(&mut bench, V4), ask(&mut bench, V6)),
        (vec!["192.0.2.9".to_owned()], vec![]),
        "that pool serves IPv4, so that AAAA does not name the member that is down"
    );
}

#[test]
fn a_family_that_is_not_published_does_not_keep_a_service_up() {
    let mut draft = TopologyBuilder { hides_ipv6: true, ..TopologyBuilder::default() };
    let pool = draft.weighted(&[("192.0.2.1+2001:db8::1", 1)]);
    let mut bench = draft.top(pool);
    bench.down("192.0.2.1");
    assert_eq!(
        ask(&mut bench, V4),
        ["192.0.2.1"],
        "clients cannot use the IPv6 address that is up"
    );
}

#[test]
fn the_other_family_is_considered_for_the_area_of_the_client_only() {
    let mut draft = TopologyBuilder::default();
    let members = ["192.0.2.1+2001:db8::1", "192.0.2.2+2001:db8::2"]
        .map(|name| (draft.endpoint(name, None), 1));
    let rule = GeoRule {
        subnets: vec!["8.8.8.0/24".parse().unwrap()],
        members: vec![0],
        ..GeoRule::default()
    };
    let pool = draft.pool(Policy::Geo { rules: vec![rule], default: vec![1] }, &members);
    let mut bench = draft.top(pool);
    for address in ["192.0.2.1", "2001:db8::1", "2001:db8::2"] {
        bench.down(address);
    }
    assert_eq!(
        ask(&mut bench, V6),
        Vec::<String>::new(),
        "the default serves IPv4 for this client"
    );
    bench.down("192.0.2.2");
    assert_eq!(ask(&mut bench, V6), ["2001:db8::1"]);
}

#[test]
fn an_area_without_a_member_of_a_family_is_no_outage_whatever_the_health() {
    let mut draft = TopologyBuilder::default();
    let members =
        ["192.0.2.1", "192.0.2.2+2001:db8::2"].map(|name| (draft.endpoint(name, None), 1));
    let rule = GeoRule {
        subnets: vec!["9.0.0.0/8".parse().unwrap()],
        members: vec![1],
        ..GeoRule::default()
    };
    let pool = draft.pool(Policy::Geo { rules: vec![rule], default: vec![0] }, &members);
    let mut bench = draft.top(pool);
    assert_eq!((ask(&mut bench, V6), stages_of(&bench)), (vec![], [FallbackStage::Normal; 2]));
    bench.down("192.0.2.1");
    assert_eq!(
        stages_of(&bench),
        [FallbackStage::AllDown, FallbackStage::Normal],
        "only IPv4 has lost a member"
    );
}

#[test]
fn nodata_of_a_family_is_cached_until_a_verdict_of_either_family_can_change_it() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1+2001:db8::1", 1)]);
    let mut bench = draft.top(pool);
    bench.down("2001:db8::1");
    assert_eq!(bench.ask_from(V6, ANYWHERE).2, 30);
    bench.set_status(
        "192.0.2.1",
        HealthStatus { verdict: Verdict::Up, flips_in_secs: Some(4), ..HealthStatus::default() },
    );
    assert_eq!(bench.ask_from(V6, ANYWHERE).2, 4, "then both are down, and IPv6 is answered again");
    bench.set_status(
        "2001:db8::1",
        HealthStatus { verdict: Verdict::Down, flips_in_secs: Some(2), ..HealthStatus::default() },
    );
    assert_eq!(bench.ask_from(V6, ANYWHERE).2, 2);
}

#[test]
fn a_cname_serves_both_families_and_an_alias_those_of_its_addresses() {
    let mut draft = TopologyBuilder::default();
    let members = ["192.0.2.1+2001:db8::1", "sorry"].map(|name| (draft.endpoint(name, None), 1));
    let pool = draft.pool(Policy::Failover, &members);
    let mut bench = draft.top(pool);
    bench.down("2001:db8::1");
    assert_eq!(ask(&mut bench, V6), ["sorry.example.net"], "a usable member of IPv6");

    let mut draft = TopologyBuilder::default();
    let alias = draft.endpoint("lb", None);
    draft.endpoints[0].target = EndpointTarget::Alias("lb.example.net".parse().unwrap());
    let fixed = draft.endpoint("2001:db8::9", None);
    let pool = draft.pool(Policy::Weighted, &[(alias, 1), (fixed, 1)]);
    let mut bench = draft.top(pool);
    bench.conditions.aliases[0] =
        Arc::new(ResolvedAlias::new(vec!["192.0.2.7".parse().unwrap()], 60));
    bench.compile();
    bench.down("2001:db8::9");
    assert_eq!((ask(&mut bench, V4), ask(&mut bench, V6)), (vec!["192.0.2.7".to_owned()], vec![]));
}

/// An endpoint of the model. `addresses` says for each family whether it has an address, and
/// whether that is up.
#[derive(Debug, Clone)]
struct ModelEndpoint {
    addresses: [Option<bool>; 2],
    state: ServingState,
    force: Option<HealthOverride>,
    weight: u16,
}

/// A pool of endpoints in the model, with its weight in the top pool.
#[derive(Debug, Clone)]
struct ModelGroup {
    policy: Policy,
    min_up: u32,
    weight: u16,
    members: Vec<ModelEndpoint>,
}

#[derive(Debug, Clone)]
struct ModelService {
    groups: Vec<ModelGroup>,
    top: Policy,
    on_all_down: usize,
    hides_ipv6: bool,
}

fn services() -> impl Strategy<Value = ModelService> {
    let state = prop_oneof![
        4 => Just(ServingState::Active), 1 => Just(ServingState::Standby), 1 => Just(ServingState::Draining), 1 => Just(ServingState::Disabled)
    ];
    let force = prop_oneof![5 => Just(None), 1 => Just(Some(HealthOverride::Up)), 1 => Just(Some(HealthOverride::Down))];
    let addresses = prop_oneof![
        3 => any::<[bool; 2]>().prop_map(|[a, b]| [Some(a), Some(b)]),
        2 => any::<bool>().prop_map(|up| [Some(up), None]),
        1 => any::<bool>().prop_map(|up| [None, Some(up)]),
    ];
    let endpoint =
        (addresses, state, force, 0..3_u16).prop_map(|(addresses, state, force, weight)| {
            ModelEndpoint { addresses, state, force, weight }
        });
    let plain = || prop_oneof![Just(Policy::Weighted), Just(Policy::Failover), Just(Policy::All)];
    let group = (plain(), 1..3_u32, 0..3_u16, prop::collection::vec(endpoint, 1..4)).prop_map(
        |(policy, min_up, weight, members)| ModelGroup { policy, min_up, weight, members },
    );
    let rule = |members| GeoRule {
        subnets: vec![ANYWHERE.parse().unwrap()],
        members,
        ..GeoRule::default()
    };
    let geo = (prop::collection::vec(0..2_u32, 1), prop::collection::vec(0..2_u32, 0..2))
        .prop_map(move |(members, default)| Policy::Geo { rules: vec![rule(members)], default });
    (prop::collection::vec(group, 3), prop_oneof![plain(), geo], 0..3_usize, any::<bool>())
        .prop_map(|(groups, top, on_all_down, hides_ipv6)| ModelService {
            groups,
            top,
            on_all_down,
            hides_ipv6,
        })
}

/// The answer of a member or a pool of the model: whether it is a standby, and every address that
/// may be drawn. `None` if it is not usable.
type ModelAnswer = Option<(bool, BTreeSet<String>)>;

/// The answer of a policy over the answers of members, in the order tried.
fn chosen(policy: &Policy, members: impl Iterator<Item = ModelAnswer>) -> ModelAnswer {
    let usable: Vec<_> = members.flatten().collect();
    let is_standby = usable.iter().all(|(is_standby, _)| *is_standby);
    let mut tier =
        usable.into_iter().filter(|(standby, _)| *standby == is_standby).map(|(_, drawn)| drawn);
    let drawn = match policy {
        Policy::Weighted | Policy::All => tier.reduce(|mut all, addresses| {
            all.extend(addresses);
            all
        }),
        _ => tier.next(),
    };
    drawn.map(|drawn| (is_standby, drawn))
}

impl ModelService {
    fn address(group: usize, member: usize, family: usize) -> String {
        if family == 0 {
            format!("192.0.{group}.{member}")
        } else {
            format!("2001:db8:{}::{}", group + 1, member + 1)
        }
    }

    fn endpoint(
        &self,
        (group, member): (usize, usize),
        family: usize,
        stage: FallbackStage,
    ) -> ModelAnswer {
        let endpoint = &self.groups[group].members[member];
        let is_up = endpoint.addresses[family]?;
        let is_open = match endpoint.state {
            ServingState::Active | ServingState::Standby => {
                endpoint.force != Some(HealthOverride::Down)
                    || stage >= FallbackStage::OnlyDrainedLeft
            }
            ServingState::Draining => stage >= FallbackStage::OnlyDrainedLeft,
            ServingState::Disabled => stage == FallbackStage::OnlyDisabledLeft,
        };
        let is_usable = is_open
            && (stage != FallbackStage::Normal
                || endpoint.force == Some(HealthOverride::Up)
                || is_up);
        let is_standby = endpoint.state == ServingState::Standby || endpoint.weight == 0;
        is_usable.then(|| (is_standby, BTreeSet::from([Self::address(group, member, family)])))
    }

    fn group(&self, index: usize, family: usize, stage: FallbackStage) -> ModelAnswer {
        let group = &self.groups[index];
        let members = 0..group.members.len();
        let is_usable = |member: &usize| {
            (0..2).any(|family| self.endpoint((index, *member), family, stage).is_some())
        };
        let up = members.clone().filter(is_usable).count();
        if stage == FallbackStage::Normal && up < group.min_up as usize {
            return None;
        }
        chosen(&group.policy, members.map(|member| self.endpoint((index, member), family, stage)))
    }

    /// The top pool has the first two groups; the third is the one that `on-all-down` may name.
    fn top(&self, family: usize, stage: FallbackStage, matches: bool) -> ModelAnswer {
        let member = |index: usize| {
            let (is_standby, drawn) = self.group(index, family, stage)?;
            Some((is_standby || self.groups[index].weight == 0, drawn))
        };
        match &self.top {
            Policy::Geo { rules, default } => {
                let by_rule = rules[0].members.iter().filter(|_| matches);
                chosen(&self.top, by_rule.chain(default).map(|&index| member(index as usize)))
            }
            policy => chosen(policy, (0..2).map(member)),
        }
    }

    /// The addresses that may be answered in both families.
    fn answers(&self, matches: bool) -> [BTreeSet<String>; 2] {
        let is_published = |family: usize| {
            let mut members = self.groups[..2].iter().flat_map(|group| &group.members);
            !(family == 1 && self.hides_ipv6)
                && members.any(|endpoint| endpoint.addresses[family].is_some())
        };
        if !matches && matches!(&self.top, Policy::Geo { default, .. } if default.is_empty()) {
            return Default::default();
        }
        let in_top = |stage| [0, 1].map(|family| self.top(family, stage, matches));
        let mut stages = vec![in_top(FallbackStage::Normal)];
        if self.on_all_down == 2 {
            stages.push([0, 1].map(|family| self.group(2, family, FallbackStage::Normal)));
        }
        if self.on_all_down != 1 {
            stages.extend(
                [
                    FallbackStage::AllDown,
                    FallbackStage::OnlyDrainedLeft,
                    FallbackStage::OnlyDisabledLeft,
                ]
                .map(in_top),
            );
        }
        let published = |stage: [ModelAnswer; 2]| {
            let [v4, v6] = stage;
            [v4.filter(|_| is_published(0)), v6.filter(|_| is_published(1))]
        };
        let stage =
            stages.into_iter().map(published).find(|stage| stage.iter().any(Option::is_some));
        stage.unwrap_or_default().map(|drawn| drawn.unwrap_or_default().1)
    }

    fn bench(&self) -> ServiceBench {
        let mut draft =
            TopologyBuilder { hides_ipv6: self.hides_ipv6, ..TopologyBuilder::default() };
        let mut pools = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            let mut members = Vec::new();
            for (member, endpoint) in group.members.iter().enumerate() {
                let has = |family: &usize| endpoint.addresses[*family].is_some();
                let addresses: Vec<_> =
                    (0..2).filter(has).map(|family| Self::address(at, member, family)).collect();
                members.push((draft.endpoint(&addresses.join("+"), None), endpoint.weight));
                let configured = draft.endpoints.last_mut().unwrap();
                (configured.state, configured.force) = (endpoint.state, endpoint.force);
            }
            let pool = draft.pool(group.policy.clone(), &members);
            draft.pools[pool.index()].min_up =
                MinUp::Members(NonZeroU32::new(group.min_up).unwrap());
            pools.push((MemberKind::Pool(pool), group.weight));
            if at == 2 {
                draft.on_all_down =
                    [OnAllDown::All, OnAllDown::Empty, OnAllDown::Pool(pool)][self.on_all_down];
            }
        }
        let top = draft.pool(self.top.clone(), &pools[..2]);
        let mut bench = draft.top(top);
        for (at, group) in self.groups.iter().enumerate() {
            for (member, endpoint) in group.members.iter().enumerate() {
                for family in 0..2 {
                    let Some(is_up) = endpoint.addresses[family] else { continue };
                    let probe = bench.probe(&Self::address(at, member, family));
                    let verdict = if is_up { Verdict::Up } else { Verdict::Down };
                    bench.conditions.health_statuses[probe.index()] =
                        HealthStatus { verdict, flips_in_secs: None, ..HealthStatus::default() };
                }
            }
        }
        bench.compile();
        bench
    }
}

proptest! {
    #[test]
    fn both_families_are_answered_as_by_a_naive_model(service in services()) {
        let bench = service.bench();
        for (client, matches) in [("8.8.8.8", true), ("9.9.9.9", false)] {
            let answered = [V4, V6].map(|family| {
                let client = client.parse().unwrap();
                let area = bench.chart.atlas(family).map_or(crate::geo::Area(0), |atlas| atlas.locate(&client).area);
                let shares = bench.chart.shares(family, area);
                shares.into_iter().flat_map(|(_, answer)| answer.rdata.texts()).collect::<BTreeSet<_>>()
            });
            prop_assert_eq!(answered, service.answers(matches), "{}", client);
        }
    }
}
