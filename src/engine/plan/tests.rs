//! Plans, compared with counts over single addresses.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::*;
use crate::{
    engine::fixture::{DOWN, Fixture, FixtureBuilder},
    steer::{DrawState, Fraction, ServiceId, ServingState, Spread},
};

fn compare(before: FixtureBuilder, after: FixtureBuilder) -> Plan {
    plan(&before.build().context(), &after.build().context())
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
        let plan = plan(&before.context(), &after.context());
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
