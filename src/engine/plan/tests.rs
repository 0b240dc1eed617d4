//! Plans, compared with counts over single addresses.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::*;
use crate::{
    demand::{FamilyDemand, NetworkGroup, ObservedDemand},
    engine::fixture::{DOWN, Fixture, FixtureBuilder},
    geo::Coordinates,
    steer::{DrawState, Family, Fraction, ServiceId, ServingState, Spread, Surveys},
};

fn compare(before: FixtureBuilder, after: FixtureBuilder) -> Plan {
    compare_with(before, after, &PlanOptions::default())
}

fn compare_with(before: FixtureBuilder, after: FixtureBuilder, options: &PlanOptions) -> Plan {
    let (before, after) = (before.build(), after.build());
    plan(before.plan_side(), after.plan_side(), options, &mut Surveys::default())
}

fn drained(name: &str) -> FixtureBuilder {
    let mut draft = FixtureBuilder::new();
    let datacenter =
        draft.datacenters.iter_mut().find(|datacenter| &*datacenter.name == name).unwrap();
    datacenter.state = ServingState::Draining;
    datacenter.reason = Some("kernel upgrade".into());
    draft
}

#[test]
fn nothing_moves_between_equal_snapshots() {
    let plan = compare(FixtureBuilder::new(), FixtureBuilder::new());
    assert_eq!((plan.changed.len(), plan.unchanged), (0, 5));
    assert_eq!(
        plan.violations(&PlanLimits { max_moved_percent: Some(0.0), never_empty: true }),
        Vec::<String>::new()
    );
}

#[test]
fn the_plan_of_a_drain_shows_which_clients_move_where() {
    let plan = compare(FixtureBuilder::new(), drained("fra"));
    insta::assert_snapshot!(render_plan(&plan, false));
}

#[test]
fn a_gradual_drain_counts_as_ended_and_a_paused_one_at_its_present_share() {
    let moved = |plan: &Plan| {
        let www = plan.changed.iter().find(|change| change.name == "www.gslb.example.com").unwrap();
        www.moved_percent()
    };
    let complete = moved(&compare(FixtureBuilder::new(), drained("fra")));
    let mut gradual = drained("fra");
    gradual.datacenters[0].ramp_times.drain_over = Duration::from_secs(600);
    let mut paused = drained("fra");
    paused.datacenters[0].ramp_times = gradual.datacenters[0].ramp_times;
    paused.datacenters[0].paused_drain_fraction = Some(Fraction::from_share(0.75));
    let (gradual, paused) =
        (compare(FixtureBuilder::new(), gradual), compare(FixtureBuilder::new(), paused));
    assert_eq!(moved(&gradual), complete);
    assert_eq!(gradual.assumptions, ["fra drains over 10m: shown at its end"]);
    assert!((moved(&paused) - complete / 4.0).abs() < 0.5, "{} of {complete}", moved(&paused));
    assert_eq!(
        paused.assumptions,
        ["fra: its drain is paused, shown with 25% of its clients gone"]
    );
    assert!(render_plan(&paused, false).contains("\nfra: its drain is paused"));
}

#[test]
fn json_preserves_every_number() {
    let plan = compare(FixtureBuilder::new(), drained("iad"));
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn a_limit_forbids_a_change_that_moves_more_clients() {
    let plan = compare(FixtureBuilder::new(), drained("iad"));
    let www = plan.changed.iter().find(|change| change.name == "www.gslb.example.com").unwrap();
    let moved = www.moved_percent();
    assert!(moved > 10.0 && moved < 100.0);
    let forbid =
        |limit| plan.violations(&PlanLimits { max_moved_percent: Some(limit), never_empty: false });
    assert!(forbid(10.0).iter().any(|sentence| sentence.starts_with("www.gslb.example.com: ")));
    assert_eq!(forbid(100.0), Vec::<String>::new());
}

#[test]
fn a_service_left_with_nothing_usable_is_forbidden() {
    let mut after = drained("fra");
    after.datacenters[1].state = ServingState::Draining;
    let sentences = compare(FixtureBuilder::new(), after).violations(&PlanLimits::default());
    assert!(
        sentences.contains(
            &"www.gslb.example.com: nothing usable would be left for some clients' A records"
                .to_owned()
        ),
        "{sentences:?}"
    );
}

#[test]
fn added_and_removed_services_are_named() {
    let mut after = FixtureBuilder::new();
    after.services[0].name = "web.gslb.example.com".parse().unwrap();
    let plan = compare(FixtureBuilder::new(), after);
    assert_eq!(
        (&plan.added[..], &plan.removed[..]),
        (&["web.gslb.example.com".to_owned()][..], &["www.gslb.example.com".to_owned()][..])
    );
}

/// A multiple of the number of slots of every wheel in these tests.
const TURNS: u32 = 64;

/// The share of clients that get another answer, by a query for each address.
fn counted(before: &Fixture, after: &Fixture, service: usize, clients: &[IpAddr]) -> f64 {
    let answers = |built: &Fixture, client: IpAddr| -> Vec<(String, f64)> {
        let context = built.context();
        let route = context.snapshot.charts[ServiceId(service as u32).index()].route(
            Family::V4,
            None,
            &client,
        );
        let mut seen = BTreeMap::new();
        let mut draws = DrawState::new(3);
        draws.reserve_turns(context.snapshot.turn_counters);
        for _ in 0..TURNS {
            route.draw(&mut draws, &mut |answer| {
                *seen.entry(answer.rdata.texts().join(" ")).or_insert(0.0) += 1.0 / f64::from(TURNS)
            });
        }
        seen.into_iter().collect()
    };
    let mut moved = 0.0;
    for &client in clients {
        let (was, is): (BTreeMap<_, _>, BTreeMap<_, _>) = (
            answers(before, client).into_iter().collect(),
            answers(after, client).into_iter().collect(),
        );
        moved += was
            .iter()
            .map(|(key, share)| (share - is.get(key).copied().unwrap_or(0.0)).max(0.0))
            .sum::<f64>();
    }
    100.0 * moved / clients.len() as f64
}

#[test]
fn the_moved_share_agrees_with_a_count_over_addresses() {
    // Every 2^16th address of the networks with a country.
    let clients: Vec<IpAddr> = [20_u32, 30, 40]
        .into_iter()
        .flat_map(|octet| {
            (0..256).map(move |second| IpAddr::V4(Ipv4Addr::from(octet << 24 | second << 16 | 7)))
        })
        .collect();
    // Slots in turn give each member its exact share over a cycle.
    let draft = || {
        let mut draft = FixtureBuilder::new();
        draft.pools.iter_mut().for_each(|pool| pool.spread = Spread::Turn);
        draft
    };
    let mut biased = draft();
    biased.pool_named("web").members[0].bias = 60;
    let mut reweighted = draft();
    reweighted.pool_named("web-fra").members[0].weight = 1;
    let mut down = draft();
    down.set_health("192.0.2.21", DOWN);
    let mut drained = draft();
    drained.datacenters[0].state = ServingState::Draining;
    for (after, reason) in [
        (biased, "bias"),
        (reweighted, "weights"),
        (down, "a datacenter down"),
        (drained, "a drain"),
    ] {
        let (before, after) = (draft().build(), after.build());
        let plan = plan(
            before.plan_side(),
            after.plan_side(),
            &PlanOptions::default(),
            &mut Surveys::default(),
        );
        for (service, name) in
            ["www.gslb.example.com", "geo.gslb.example.com"].into_iter().enumerate()
        {
            let moved_for_a = |change: &ServiceChange| {
                let shift = change
                    .shifts
                    .iter()
                    .find(|shift| shift.records == "A" && shift.clients == "IPv4");
                shift.map_or(0.0, |shift| shift.moved_percent)
            };
            let planned =
                plan.changed.iter().find(|change| change.name == name).map_or(0.0, moved_for_a);
            let found = counted(&before, &after, service, &clients);
            assert!(
                (planned - found).abs() < 0.001,
                "{reason}, {name}: planned {planned}, counted {found}"
            );
        }
    }
}

fn movement<'p>(plan: &'p Plan, clients: &str) -> &'p MovementView {
    plan.movements.iter().find(|movement| movement.clients == clients).unwrap()
}

fn change<'p>(plan: &'p Plan, name: &str) -> &'p ServiceChange {
    plan.changed.iter().find(|change| change.name == name).unwrap()
}

#[test]
fn moved_networks_are_the_widest_prefixes_and_distances_are_those_of_their_clients() {
    let mut after = FixtureBuilder::new();
    // Only `www` moves: its German clients go from Frankfurt to Virginia.
    after.pool_named("web").members[0].bias = -99;
    let plan = compare(FixtureBuilder::new(), after);
    let moved = movement(&plan, "IPv4");
    assert_eq!(moved.networks.len(), 1, "{moved:?}");
    assert_eq!(moved.networks[0].network, "20.0.0.0/8");
    // One of five services moves: a fifth of the demand of these clients.
    assert_eq!((moved.networks[0].percent, moved.moved_percent), (20.0, 6.667));
    assert_eq!(moved.countries[0].country, "DE");
    let berlin = Coordinates::new(52.52, 13.4).unwrap();
    let [fra, iad] =
        [(50.11, 8.68), (38.95, -77.45)].map(|(lat, lon)| Coordinates::new(lat, lon).unwrap());
    let farther = berlin.distance_km(iad) - berlin.distance_km(fra);
    assert!((moved.extra_km.unwrap() - farther).abs() < 0.01, "{moved:?}, not {farther}");
    assert_eq!(movement(&plan, "IPv6").networks[0].network, "2a00::/16");
}

#[test]
fn with_too_few_counted_answers_services_weigh_alike() {
    let answers = [("api.gslb.example.com".to_owned(), 99)].into_iter().collect();
    let options = PlanOptions { answers, ..PlanOptions::default() };
    let mut after = FixtureBuilder::new();
    after.pool_named("web").members[0].bias = -99;
    let plan = compare_with(FixtureBuilder::new(), after, &options);
    assert!(!plan.basis.is_by_answers && movement(&plan, "IPv4").moved_percent > 0.0);
}

#[test]
fn services_weigh_by_counted_answers() {
    let mut after = FixtureBuilder::new();
    after.pool_named("web").members[0].bias = -99;
    let answers = [("www.gslb.example.com", 300), ("api.gslb.example.com", 100)];
    let answers = answers.map(|(name, count)| (name.to_owned(), count)).into_iter().collect();
    let options = PlanOptions { answers, ..PlanOptions::default() };
    let plan = compare_with(FixtureBuilder::new(), after, &options);
    assert!(plan.basis.is_by_answers);
    // Three quarters of the demand of a third of the clients.
    assert_eq!(movement(&plan, "IPv4").moved_percent, 25.0);
}

/// The demand of networks, each of which has this many samples.
fn observed(networks: &[(&str, f64)]) -> ObservedDemand {
    let mut observed = ObservedDemand {
        since: 1_800_000_000,
        faded_at: 1_800_000_000,
        ipv4: FamilyDemand::default(),
        ipv6: FamilyDemand::default(),
    };
    for (network, samples) in networks {
        let group: NetworkGroup = serde_json::from_value((*network).into()).unwrap();
        let demand = if group.is_ipv4() { &mut observed.ipv4 } else { &mut observed.ipv6 };
        demand.networks.push((group, *samples));
    }
    observed
}

/// The plan of a change that moves the German clients of `www`, which alone is asked for.
fn plan_of_german_move(networks: &[(&str, f64)]) -> Plan {
    let mut after = FixtureBuilder::new();
    after.pool_named("web").members[0].bias = -99;
    let answers = [("www.gslb.example.com".to_owned(), 1000)].into_iter().collect();
    let observed = Some(observed(networks));
    let options = PlanOptions { answers, observed, ..PlanOptions::default() };
    compare_with(FixtureBuilder::new(), after, &options)
}

#[test]
fn clients_weigh_by_observed_queries_and_not_by_addresses() {
    let plan = plan_of_german_move(&[
        ("20.1.2.0/24", 1500.0),
        ("20.7.0.0/16", 300.0),
        ("30.0.0.0/16", 150.0),
        ("40.9.0.0/24", 50.0),
        ("10.0.0.0/16", 5000.0),
        ("2a00:1::/32", 400.0),
    ]);
    // 1,800 of 2,000 samples, less a hundredth of the demand, of which Germany has a third. By
    // addresses, a third would move.
    let expected = 100.0 * (1800.0 + 20.0 / 3.0) / 2020.0;
    let moved = movement(&plan, "IPv4");
    assert!((moved.moved_percent - expected).abs() < 0.002, "{moved:?}");
    let network = &moved.networks[0];
    assert_eq!(
        (network.network.as_str(), network.of_all_percent),
        ("20.0.0.0/8", moved.moved_percent)
    );
    let fra = plan.loads.iter().find(|load| load.datacenter == "fra").unwrap();
    assert!((fra.before_percent - expected).abs() < 0.002 && fra.after_percent == 0.0, "{fra:?}");
    let seen = plan.basis.observed.as_ref().unwrap();
    let view = |samples, networks, is_used| SampleTotalsView {
        samples,
        networks,
        other_samples: 0,
        is_used,
    };
    assert_eq!((&seen.ipv4, &seen.ipv6), (&view(2000, 4, true), &view(400, 1, false)));
    assert!(
        render_plan(&plan, false).contains(
            "clients are weighed by queries observed since 2027-01-15 08:00 UTC: IPv4 clients by 2,000 samples \
             from 4 networks; IPv6 clients, with fewer than 1,000 samples, by announced networks: "
        ),
        "{}",
        render_plan(&plan, false)
    );
}

#[test]
fn a_change_that_moves_only_clients_without_a_sample_is_still_reported() {
    let plan = plan_of_german_move(&[("30.0.0.0/16", 2000.0), ("40.9.0.0/24", 2000.0)]);
    let moved = movement(&plan, "IPv4").moved_percent;
    assert!(moved > 0.0 && moved < 0.4, "{moved}");
    assert_eq!(movement(&plan, "IPv4").networks[0].network, "20.0.0.0/8");
}

#[test]
fn with_too_few_samples_clients_weigh_by_announced_networks_and_the_plan_says_so() {
    let plan = plan_of_german_move(&[("20.1.2.0/24", 900.0), ("10.0.0.0/16", 5000.0)]);
    assert_eq!(movement(&plan, "IPv4").moved_percent, 33.333);
    assert!(
        render_plan(&plan, false).contains(
            "clients are weighed by announced networks, not by queries, since only 900 of the 1,000 samples needed were observed: "
        ),
        "{}",
        render_plan(&plan, false)
    );
}

#[test]
fn the_shares_of_a_service_before_and_after_add_up() {
    let plan = compare(FixtureBuilder::new(), drained("fra"));
    let shares = &change(&plan, "www.gslb.example.com").shares;
    let share = |name: &str| shares.iter().find(|share| share.datacenter == name).unwrap();
    assert_eq!((share("fra").before_percent, share("fra").after_percent), (33.333, 0.0));
    assert_eq!((share("iad").before_percent, share("iad").after_percent), (66.667, 100.0));
}

fn with_capacities(mut draft: FixtureBuilder) -> FixtureBuilder {
    for (datacenter, capacity) in draft.datacenters.iter_mut().zip([900.0, 600.0, 100.0]) {
        datacenter.capacity = Some(capacity);
    }
    draft
}

#[test]
fn a_datacenter_that_gets_more_than_its_capacity_is_named_first() {
    let options = PlanOptions { demand: Some(1000.0), ..PlanOptions::default() };
    let (before, after) = (with_capacities(FixtureBuilder::new()), with_capacities(drained("fra")));
    let plan = compare_with(before, after, &options);
    let subjects: Vec<&str> =
        plan.exceeded.iter().map(|exceeded| exceeded.subject.as_str()).collect();
    assert_eq!(subjects, ["datacenter iad"], "{:?}", plan.loads);
    let text = render_plan(&plan, false);
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("over capacity: datacenter iad would have a load of "), "{text}");
}

#[test]
fn without_a_demand_the_plan_says_at_which_demand_a_datacenter_is_full() {
    let (before, after) = (with_capacities(FixtureBuilder::new()), with_capacities(drained("fra")));
    let plan = compare(before, after);
    assert_eq!(plan.exceeded, []);
    let iad = plan.loads.iter().find(|load| load.datacenter == "iad").unwrap();
    let expected = 600.0 / (iad.after_percent / 100.0);
    assert!((iad.full_at_after.unwrap() - expected).abs() < 0.1, "{iad:?}");
    assert!(iad.full_at_before > iad.full_at_after);
}

#[test]
fn a_pool_is_full_if_its_load_grows_with_its_share_beyond_the_target() {
    let load = PoolLoadLevel { level: 50.0, target: 60.0 };
    let pool_loads = [("web-iad".to_owned(), load)].into_iter().collect();
    let options = PlanOptions { pool_loads, ..PlanOptions::default() };
    let plan = compare_with(FixtureBuilder::new(), drained("fra"), &options);
    assert_eq!(plan.exceeded.len(), 1, "{:?}", plan.loads);
    let exceeded = &plan.exceeded[0];
    assert_eq!((exceeded.subject.as_str(), exceeded.before), ("pool web-iad", 50.0));
    // Of `www` it had two thirds and gets all; of `geo` it has a third.
    assert!((exceeded.after - 50.0 * (4.0 / 3.0)).abs() < 0.01, "{exceeded:?}");
}

#[test]
fn the_outage_of_each_datacenter_shows_the_loads_of_the_others() {
    let options = PlanOptions { demand: Some(1000.0), has_outages: true, ..PlanOptions::default() };
    let draft = || with_capacities(FixtureBuilder::new());
    let plan = compare_with(draft(), draft(), &options);
    assert!(plan.changed.is_empty());
    let names: Vec<&str> = plan.outages.iter().map(|outage| outage.datacenter.as_str()).collect();
    assert_eq!(names, ["fra", "iad"], "the outage that exceeds a capacity first, no idle one");
    let down = compare_with(draft(), with_capacities(down("fra")), &options);
    let planned: Vec<f64> = down.loads.iter().map(|load| load.after_percent).collect();
    let outage: Vec<f64> = plan.outages[0].loads.iter().map(|load| load.after_percent).collect();
    assert_eq!(outage, planned, "an outage is the plan of that datacenter down");
    assert!(render_plan(&plan, false).contains("if one datacenter is down:\n  fra: "));
}

fn down(datacenter: &str) -> FixtureBuilder {
    let mut draft = FixtureBuilder::new();
    let addresses: Vec<String> = draft
        .endpoints
        .iter()
        .filter(|endpoint| {
            endpoint.datacenters.iter().any(|id| &*draft.datacenters[id.index()].name == datacenter)
        })
        .filter_map(|endpoint| match &endpoint.target {
            crate::steer::EndpointTarget::Addresses(addresses) => Some(addresses.clone()),
            _ => None,
        })
        .flatten()
        .map(|address| address.to_string())
        .collect();
    addresses.into_iter().for_each(|address| draft.set_health(address.leak(), DOWN));
    draft
}

#[test]
fn losses_name_type_and_clients() {
    let plan = compare(FixtureBuilder::new(), drained("fra"));
    let losses = &change(&plan, "geo.gslb.example.com").losses;
    assert_eq!(losses.iter().map(|loss| loss.records.as_str()).collect::<Vec<_>>(), ["A", "AAAA"]);
    assert_eq!(losses[0].clients, ["clients that no rule matches"], "{losses:?}");
}

#[test]
fn caches_keep_the_longest_ttl_of_the_services_that_move() {
    let (mut before, mut after) = (FixtureBuilder::new(), drained("fra"));
    for draft in [&mut before, &mut after] {
        draft.services[2].ttl_secs = 300;
        // `moved` is a CNAME: its answers stay, whatever its TTL.
        draft.services[4].ttl_secs = 900;
    }
    let options = PlanOptions { now: 1_800_000_000, ..PlanOptions::default() };
    let caches = compare_with(before, after, &options).caches.unwrap();
    assert_eq!((caches.service.as_str(), caches.ttl_secs), ("api.gslb.example.com", 300));
    assert_eq!(caches.until, 1_800_000_300);
}

#[test]
fn with_another_database_clients_move_to_where_it_says_they_are() {
    let mut after = FixtureBuilder::new();
    let moved =
        [("20.0.0.0/9", "EU", "DE", 52.52, 13.4), ("20.128.0.0/9", "NA", "US", 41.88, -87.63)];
    after.databases = crate::engine::fixture::database_of(&moved);
    let plan = compare(FixtureBuilder::new(), after);
    let networks = &movement(&plan, "IPv4").networks;
    assert_eq!(networks[0].network, "20.128.0.0/9", "{networks:?}");
    let www = change(&plan, "www.gslb.example.com");
    assert_eq!(
        (www.shifts[0].flows[0].from.as_str(), www.shifts[0].flows[0].to.as_str()),
        ("fra", "iad")
    );
}

#[test]
fn a_map_has_the_clients_before_and_after_in_colours_of_their_datacenters() {
    let options = PlanOptions { has_map: true, ..PlanOptions::default() };
    let plan = compare_with(FixtureBuilder::new(), drained("fra"), &options);
    let map = plan.map.as_ref().unwrap();
    let berlin = map.places.iter().find(|place| place.latitude == 52.52).unwrap();
    assert_eq!((berlin.before.as_str(), berlin.after.as_str()), ("fra", "iad"));
    assert!(berlin.moved_percent > 40.0, "{berlin:?}");
    let svg = render_map(&plan).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert_eq!(svg.matches("class=\"moved\"").count(), 3, "three places move");
    assert_eq!(render_map(&Plan::default()), None);
}
