//! What moves clients from one member to another besides health: ramps, trickles, holders,
//! shedding, load.

use mmdb_writer::{Value, Writer};

use super::*;
use crate::geo::{Coordinates, Database};

impl ServiceBench {
    /// The answers of `count` clients, each in a /24 of its own, from a pool that spreads by
    /// client.
    fn clients(&mut self, count: u32) -> Vec<String> {
        let subnet = |at: u32| format!("{}.{}.{}.0/24", 20 + (at >> 16), at >> 8 & 255, at & 255);
        (0..count).map(|at| self.ask_from(Family::V4, &subnet(at)).0.remove(0)).collect()
    }

    fn set_fraction(&mut self, datacenter: u32, share: f64) {
        self.conditions
            .adjustments
            .datacenter_fractions
            .insert(DatacenterId(datacenter), Fraction::from_share(share));
        self.compile();
    }
}

/// A pool of `policy` over one endpoint in each of three datacenters, the first of which drains.
fn draining(policy: Policy, spread: Spread) -> ServiceBench {
    let mut draft = TopologyBuilder::default();
    let datacenters = [ServingState::Draining, ServingState::Active, ServingState::Active]
        .into_iter()
        .zip(["fra", "iad", "nrt"])
        .map(|(state, name)| draft.datacenter(name, state))
        .collect::<Vec<_>>();
    let members: Vec<_> = datacenters
        .into_iter()
        .zip(1..)
        .map(|(id, host)| (draft.endpoint(&format!("192.0.2.{host}"), Some(id)), 2))
        .collect();
    let pool = draft.pool(policy, &members);
    draft.pools[pool.index()].spread = spread;
    draft.top(pool)
}

#[test]
fn a_ramped_drain_moves_each_client_once_and_its_reversal_moves_it_back() {
    for policy in [Policy::Weighted, Policy::Failover] {
        let mut bench = draining(policy.clone(), Spread::Client);
        let steps: Vec<f64> = (0..=10).map(|step| 1.0 - f64::from(step) / 10.0).collect();
        let mut seen: Vec<Vec<String>> = Vec::new();
        for &step in &steps {
            bench.set_fraction(0, step);
            seen.push(bench.clients(4000));
        }
        let held =
            |answers: &Vec<String>| answers.iter().filter(|&answer| answer == "192.0.2.1").count();
        assert!(held(&seen[0]) > 1200 && held(&seen[10]) == 0, "{policy:?}");
        for client in 0..4000 {
            let moves = seen.windows(2).filter(|pair| pair[0][client] != pair[1][client]).count();
            let was_first = seen[0][client] == "192.0.2.1";
            assert_eq!(moves, usize::from(was_first), "{policy:?}, client {client}");
        }
        for (&step, before) in steps.iter().zip(&seen).rev() {
            bench.set_fraction(0, step);
            assert_eq!(bench.clients(4000), *before, "{policy:?} back at {step}");
        }
    }
}

#[test]
fn a_drain_without_a_ramp_moves_all_clients_at_once() {
    let mut bench = draining(Policy::Failover, Spread::Query);
    assert_eq!(bench.ask(), ["192.0.2.2"]);
    bench.set_fraction(0, 0.25);
    let shares = bench.shares(100_000);
    assert!(
        (shares["192.0.2.1"] - 25.0).abs() < 1.0 && (shares["192.0.2.2"] - 75.0).abs() < 1.0,
        "{shares:?}"
    );
    assert_eq!(shares.len(), 2, "only the next choice gets the clients that leave the first");
}

#[test]
fn a_member_in_a_slow_start_gets_its_fraction_of_its_share() {
    for spread in [Spread::Query, Spread::Turn] {
        let mut draft = TopologyBuilder::default();
        let pool = draft.weighted(&[("192.0.2.1", 9), ("192.0.2.2", 1)]);
        draft.pools[pool.index()].spread = spread;
        let mut bench = draft.top(pool);
        bench.draws.reserve_turns(bench.wheels.turn_counters() + 4);
        bench
            .conditions
            .adjustments
            .endpoint_fractions
            .insert(EndpointId(0), Fraction::from_share(0.25));
        bench.compile();
        let shares = bench.shares(100_000);
        assert!((shares["192.0.2.1"] - 22.5).abs() < 0.5, "{shares:?}");
        bench.down("192.0.2.2");
        assert_eq!(bench.shares(100).len(), 1, "alone it gets all clients");
    }
}

#[test]
fn a_ramp_replaces_one_member_in_a_fraction_of_the_answers_and_leaves_the_others() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[
        ("192.0.2.1", 3),
        ("192.0.2.2", 1),
        ("192.0.2.3", 2),
        ("192.0.2.4", 1),
        ("192.0.2.5", 2),
    ]);
    draft.pools[pool.index()].spread = Spread::Client;
    draft.pools[pool.index()].answers = AnswerCount::Count(NonZeroU32::new(2).unwrap());
    let mut bench = draft.top(pool);
    let answers = |bench: &mut ServiceBench| -> Vec<Vec<String>> {
        let subnet = |at: u32| format!("{}.{}.{}.0/24", 20 + (at >> 16), at >> 8 & 255, at & 255);
        (0..4000).map(|at| bench.ask_from(Family::V4, &subnet(at)).0).collect()
    };
    let first = "192.0.2.1".to_owned();
    let full = answers(&mut bench);
    let held = |answers: &[Vec<String>]| {
        answers.iter().filter(|answer| answer.contains(&first)).count() as f64
    };
    let mut seen = vec![full.clone()];
    for fraction in [0.75, 0.5, 0.25] {
        bench
            .conditions
            .adjustments
            .endpoint_fractions
            .insert(EndpointId(0), Fraction::from_share(fraction));
        bench
            .conditions
            .adjustments
            .endpoint_fractions
            .insert(EndpointId(3), Fraction::from_share(0.5));
        bench.compile();
        let now = answers(&mut bench);
        assert!(
            (held(&now) / held(&full) - fraction).abs() < 0.05,
            "{fraction}: {} of {}",
            held(&now),
            held(&full)
        );
        seen.push(now);
    }
    for pair in seen[1..].windows(2) {
        for (before, now) in pair[0].iter().zip(&pair[1]) {
            if before.contains(&first) && !now.contains(&first) {
                assert_eq!(
                    before.iter().filter(|address| !now.contains(address)).count(),
                    1,
                    "{before:?}, {now:?}"
                );
            } else {
                assert_eq!(before, now);
            }
        }
    }
}

#[test]
fn a_pool_accepts_all_clients_while_one_of_its_members_does() {
    let mut draft = TopologyBuilder::default();
    let inner = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1)]);
    let other = draft.weighted(&[("192.0.2.9", 1)]);
    let top =
        draft.pool(Policy::Failover, &[(MemberKind::Pool(inner), 1), (MemberKind::Pool(other), 1)]);
    let mut bench = draft.top(top);
    bench
        .conditions
        .adjustments
        .endpoint_fractions
        .insert(EndpointId(0), Fraction::from_share(0.1));
    bench.compile();
    assert!(!bench.shares(10_000).contains_key("192.0.2.9"));
    bench
        .conditions
        .adjustments
        .endpoint_fractions
        .insert(EndpointId(1), Fraction::from_share(0.1));
    bench.compile();
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.9"] - 90.0).abs() < 1.0, "{shares:?}");
}

#[test]
fn a_trickle_sends_each_member_after_the_first_a_few_clients() {
    let mut draft = TopologyBuilder::default();
    let members: Vec<_> =
        (1..=3).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
    let pool = draft.pool(Policy::Failover, &members);
    draft.pools[pool.index()].regulation.trickle = Some(0.01);
    let mut bench = draft.top(pool);
    let shares = bench.shares(200_000);
    for (address, percent) in [("192.0.2.1", 98.0), ("192.0.2.2", 1.0), ("192.0.2.3", 1.0)] {
        assert!((shares[address] - percent).abs() < 0.2, "{shares:?}");
    }
    bench.down("192.0.2.1");
    let shares = bench.shares(200_000);
    assert!((shares["192.0.2.2"] - 99.0).abs() < 0.2 && shares.len() == 2, "{shares:?}");
}

#[test]
fn a_trickle_applies_to_members_with_a_fraction_too() {
    let mut draft = TopologyBuilder::default();
    let members: Vec<_> =
        (1..=3).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
    let pool = draft.pool(Policy::Failover, &members);
    draft.pools[pool.index()].regulation.trickle = Some(0.2);
    let mut bench = draft.top(pool);
    for (fractions, wanted, why) in [
        (
            [1.0, 1.0, 0.25],
            [75.0, 20.0, 5.0],
            "the part of its trickle that the last does not accept stays with the first",
        ),
        (
            [0.5, 1.0, 1.0],
            [30.0, 50.0, 20.0],
            "the second gets what the first leaves, and the last its trickle",
        ),
        ([0.5, 0.5, 0.5], [60.0, 20.0, 20.0], "equal fractions change nothing"),
    ] {
        for (endpoint, fraction) in (0..).zip(fractions) {
            bench
                .conditions
                .adjustments
                .endpoint_fractions
                .insert(EndpointId(endpoint), Fraction::from_share(fraction));
        }
        bench.compile();
        let shares = bench.shares(200_000);
        for (host, wanted) in (1..).zip(wanted) {
            let share = shares[&format!("192.0.2.{host}")];
            assert!((share - wanted).abs() < 0.5, "{fractions:?}: {shares:?}: {why}");
        }
    }
}

#[test]
fn clients_stay_with_the_holder_while_it_is_usable_even_if_it_is_a_standby() {
    for weight in [1, 0] {
        let mut draft = TopologyBuilder::default();
        let members =
            [(draft.endpoint("192.0.2.1", None), 1), (draft.endpoint("192.0.2.2", None), weight)];
        let pool = draft.pool(Policy::Failover, &members);
        let mut bench = draft.top(pool);
        bench.conditions.adjustments.holders.insert(pool, 1);
        bench.compile();
        assert_eq!(bench.ask(), ["192.0.2.2"], "weight {weight}");
        bench.down("192.0.2.2");
        assert_eq!(bench.ask(), ["192.0.2.1"], "weight {weight}");
    }
}

#[test]
fn clients_of_a_failback_stay_with_the_member_that_held_them_until_they_return() {
    for (weight, trickle) in [(1, None), (0, None), (1, Some(0.01))] {
        let mut draft = TopologyBuilder::default();
        let hosts = [("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", weight)];
        let members = hosts.map(|(name, weight)| (draft.endpoint(name, None), weight));
        let pool = draft.pool(Policy::Failover, &members);
        draft.pools[pool.index()].regulation.trickle = trickle;
        let mut bench = draft.top(pool);
        let progress =
            |share| FailbackProgress { from: 2, to: 0, fraction: Fraction::from_share(share) };
        bench.conditions.adjustments.failbacks.insert(pool, progress(0.25));
        bench.compile();
        let shares = bench.shares(100_000);
        assert!(
            (shares["192.0.2.1"] - 25.0).abs() < 1.0 && (shares["192.0.2.3"] - 75.0).abs() < 1.5,
            "{shares:?}"
        );
        assert_eq!(shares.contains_key("192.0.2.2"), trickle.is_some(), "{shares:?}");
        // The member is also in a slow start, which has not come as far.
        bench
            .conditions
            .adjustments
            .endpoint_fractions
            .insert(EndpointId(0), Fraction::from_share(0.1));
        bench.compile();
        let shares = bench.shares(100_000);
        assert!((shares["192.0.2.1"] - 10.0).abs() < 1.0, "{shares:?}");
        bench.conditions.adjustments.endpoint_fractions.clear();
        bench.down("192.0.2.3");
        bench.down("192.0.2.2");
        assert_eq!(bench.ask(), ["192.0.2.1"], "no other member is usable");
    }
}

#[test]
fn a_load_pool_shares_clients_among_usable_members_by_their_adjusted_weights() {
    let policy = LoadPolicy { measure: LoadMeasure::Connections, soft: 0.7, hard: 0.9 };
    let mut draft = TopologyBuilder::default();
    let members: Vec<_> =
        (1..=3).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
    let pool = draft.pool(Policy::Load(policy), &members);
    let mut bench = draft.top(pool);
    let shares = bench.shares(100_000);
    assert!(
        (shares["192.0.2.1"] - 33.3).abs() < 1.0,
        "without reports the configured weights apply: {shares:?}"
    );
    bench.conditions.adjustments.weights.insert(pool, [512_u32, 256, 256].as_slice().into());
    bench.compile();
    let shares = bench.shares(100_000);
    assert!(
        (shares["192.0.2.1"] - 50.0).abs() < 1.0 && (shares["192.0.2.3"] - 25.0).abs() < 1.0,
        "{shares:?}"
    );
    bench.down("192.0.2.3");
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.1"] - 66.7).abs() < 1.0 && shares.len() == 2, "{shares:?}");
}

#[test]
fn a_pool_sheds_to_the_next_choice_by_command() {
    let mut draft = TopologyBuilder::default();
    let (first, second) =
        (draft.weighted(&[("192.0.2.1", 1)]), draft.weighted(&[("192.0.2.2", 1)]));
    let top = draft
        .pool(Policy::Failover, &[(MemberKind::Pool(first), 1), (MemberKind::Pool(second), 1)]);
    draft.pools[first.index()].regulation.keep = Fraction::from_share(0.8);
    let mut bench = draft.top(top);
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.2"] - 20.0).abs() < 1.0, "{shares:?}");
    bench.conditions.adjustments.kept_fractions.insert(first, Fraction::from_share(0.5));
    bench.compile();
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.2"] - 60.0).abs() < 1.0, "{shares:?}");
    bench.down("192.0.2.2");
    assert_eq!(bench.shares(100).len(), 1, "no client is shed if no other member is usable");
}

/// A database of networks and their locations: latitude and longitude.
fn locations(networks: impl IntoIterator<Item = (String, (f64, f64))>) -> Databases {
    let mut writer =
        Writer::builder("Places-City").description(&[("en", "written by a test")]).build();
    for (network, (latitude, longitude)) in networks {
        let location = [("latitude", Value::from(latitude)), ("longitude", Value::from(longitude))];
        let network: ipnet::IpNet = network.parse().unwrap();
        writer.insert_value(network, Value::map([("location", Value::map(location))])).unwrap();
    }
    let database = Database::open("places", writer.to_bytes().unwrap()).unwrap();
    Databases::new(vec![Arc::new(database)])
}

/// Ten /8 networks on the equator, at 5 to 50 degrees east.
fn equator() -> Databases {
    locations(
        (0..10_u32)
            .map(|step| (format!("{}.0.0.0/8", 20 + step), (0.0, f64::from(step) * 5.0 + 5.0))),
    )
}

/// A `nearest` pool of two datacenters, `192.0.2.1` and `192.0.2.2`, of which the first may give
/// clients away; and the pool in the first datacenter.
fn two_datacenters(
    first: (f64, f64),
    second: (f64, f64),
    databases: &Databases,
) -> (ServiceBench, PoolId) {
    let mut draft = TopologyBuilder::default();
    for (name, (latitude, longitude)) in [("first", first), ("second", second)] {
        let id = draft.datacenter(name, ServingState::Active);
        draft.datacenters[id.index()].location =
            Some(Coordinates::new(latitude, longitude).unwrap());
    }
    let first = draft.endpoint("192.0.2.1", Some(DatacenterId(0)));
    let first = draft.pool(Policy::Weighted, &[(first, 1)]);
    let second = draft.endpoint("192.0.2.2", Some(DatacenterId(1)));
    let top =
        draft.pool(Policy::Nearest { tie: None }, &[(MemberKind::Pool(first), 1), (second, 1)]);
    draft.pools[first.index()].regulation.keep = Fraction::from_share(0.99);
    (draft.top_in(top, databases), first)
}

impl ServiceBench {
    /// The share of a /8's clients that get `192.0.2.1`.
    fn share_of_first(&mut self, network: u32) -> f64 {
        let subnet = format!("{network}.1.2.0/24");
        let count =
            (0..2000).filter(|_| self.ask_from(Family::V4, &subnet).0 == ["192.0.2.1"]).count();
        count as f64 / 2000.0
    }

    /// Lets the pool keep this share of its clients, of which the configured 99 % is a factor.
    fn keep(&mut self, pool: PoolId, keep: f64) {
        self.conditions.adjustments.kept_fractions.insert(pool, Fraction::from_share(keep / 0.99));
        self.compile();
    }
}

#[test]
fn clients_that_lose_the_least_distance_are_shed_first() {
    let (mut bench, west) = two_datacenters((0.0, 5.0), (0.0, 50.0), &equator());
    // Networks 20 to 24 are nearest to the west; the farther east, the less they lose in the east.
    for (keep, wanted) in [
        (1.0, [1.0, 1.0, 1.0, 1.0, 1.0]),
        (0.9, [1.0, 1.0, 1.0, 1.0, 0.5]),
        (0.7, [1.0, 1.0, 1.0, 0.5, 0.0]),
        (0.5, [1.0, 1.0, 0.5, 0.0, 0.0]),
        (0.4, [1.0, 1.0, 0.0, 0.0, 0.0]),
        (0.1, [0.5, 0.0, 0.0, 0.0, 0.0]),
    ] {
        bench.keep(west, keep);
        for (network, wanted) in (20..).zip(wanted) {
            let got = bench.share_of_first(network);
            assert!(
                (got - wanted).abs() < 0.06,
                "keeping {keep}: network {network} went west by {got}, not {wanted}"
            );
        }
        assert_eq!(bench.share_of_first(27), 0.0);
    }
}

#[test]
fn countries_with_similar_losses_are_shed_one_after_another() {
    // London, Paris, Milan and Munich, all nearest to Frankfurt, lose 5,264, 5,718, 6,185 and 6,547
    // km in Ashburn.
    let cities = [(51.51, -0.13), (48.86, 2.35), (45.46, 9.19), (48.14, 11.58)];
    let networks =
        (20..).zip(cities).map(|(network, at): (u32, _)| (format!("{network}.0.0.0/8"), at));
    let (mut bench, frankfurt) =
        two_datacenters((50.11, 8.68), (39.04, -77.49), &locations(networks));
    for (keep, wanted) in [
        (0.875, [0.5, 1.0, 1.0, 1.0]),
        (0.75, [0.0, 1.0, 1.0, 1.0]),
        (0.625, [0.0, 0.5, 1.0, 1.0]),
        (0.5, [0.0, 0.0, 1.0, 1.0]),
        (0.375, [0.0, 0.0, 0.5, 1.0]),
        (0.25, [0.0, 0.0, 0.0, 1.0]),
    ] {
        bench.keep(frankfurt, keep);
        let got = [20, 21, 22, 23].map(|network| bench.share_of_first(network));
        let is_near =
            got.iter().zip(wanted).all(|(got, wanted): (&f64, f64)| (got - wanted).abs() < 0.06);
        assert!(is_near, "keeping {keep}: {got:?}, not {wanted:?}");
    }
}

#[test]
fn classes_of_loss_have_at_least_a_128th_of_all_clients() {
    // 2,000 networks of a /16 each, all nearest to the first, whose losses differ by 4 to 5 km
    // each.
    let networks = (0..2000_u32)
        .map(|at| (format!("{}.{}.0.0/16", 20 + at / 250, at % 250), (0.0, f64::from(at) * 0.02)));
    let (mut bench, first) = two_datacenters((0.0, 0.0), (0.0, 90.0), &locations(networks));
    let areas = bench.compiler.survey(ServiceId(0)).unwrap().0.rankings.len();
    // Two neighbouring classes together have more than that.
    assert!((128..=256).contains(&areas), "{areas} areas");
    let mixed = |bench: &mut ServiceBench| {
        let is_mixed = |at: &u32| {
            let subnet = format!("{}.{}.2.0/24", 20 + at / 250, at % 250);
            let answers: std::collections::BTreeSet<_> =
                (0..40).map(|_| bench.ask_from(Family::V4, &subnet).0.remove(0)).collect();
            answers.len() > 1
        };
        (0..2000).filter(is_mixed).count()
    };
    bench.keep(first, 0.5);
    let count = mixed(&mut bench);
    assert!((1..=16).contains(&count), "{count} of 2,000 networks are neither kept nor given away");
}

#[test]
fn answers_of_two_members_stay_distinct_during_a_ramp() {
    let mut bench = {
        let mut draft = TopologyBuilder::default();
        let members: Vec<_> =
            (1..=3).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
        let pool = draft.pool(Policy::Failover, &members);
        draft.pools[pool.index()].answers = AnswerCount::Count(NonZeroU32::new(2).unwrap());
        draft.top(pool)
    };
    bench
        .conditions
        .adjustments
        .endpoint_fractions
        .insert(EndpointId(0), Fraction::from_share(0.3));
    bench.compile();
    let mut with_first = 0;
    for _ in 0..10_000 {
        let answer = bench.ask();
        assert!(answer.len() == 2 && answer[0] != answer[1], "{answer:?}");
        with_first += u32::from(answer.contains(&"192.0.2.1".to_owned()));
    }
    assert!((2700..3300).contains(&with_first), "{with_first}");
}
