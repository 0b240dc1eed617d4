//! What shifts clients from one choice to the next beside health: ramps, trickles, holders, shedding, load.

use mmdb_writer::{Value, Writer};

use super::*;
use crate::geo::{Coordinates, Database};

impl Bench {
    /// The answers of so many clients, one to a /24, where the pool spreads by client.
    fn clients(&mut self, count: u32) -> Vec<String> {
        let subnet = |at: u32| format!("{}.{}.{}.0/24", 20 + (at >> 16), at >> 8 & 255, at & 255);
        (0..count).map(|at| self.ask_from(Family::V4, &subnet(at)).0.remove(0)).collect()
    }

    fn set_part(&mut self, datacenter: u32, share: f64) {
        self.conditions.steering.datacenter_parts.insert(DatacenterId(datacenter), Part::of(share));
        self.compile();
    }
}

/// A pool of `policy` over one endpoint in each of three datacenters, the first of which drains.
fn draining(policy: Policy, spread: Spread) -> Bench {
    let mut draft = Draft::default();
    let places = [State::Draining, State::Active, State::Active]
        .into_iter()
        .zip(["fra", "iad", "nrt"])
        .map(|(state, name)| draft.datacenter(name, state))
        .collect::<Vec<_>>();
    let members: Vec<_> = places
        .into_iter()
        .zip(1..)
        .map(|(at, host)| (draft.endpoint(&format!("192.0.2.{host}"), Some(at)), 2))
        .collect();
    let pool = draft.pool(policy, &members);
    draft.pools[pool.index()].spread = spread;
    draft.top(pool)
}

#[test]
fn a_ramped_drain_moves_each_client_once_and_its_undoing_moves_it_back() {
    for policy in [Policy::Weighted, Policy::Failover] {
        let mut bench = draining(policy.clone(), Spread::Client);
        let steps: Vec<f64> = (0..=10).map(|step| 1.0 - f64::from(step) / 10.0).collect();
        let mut seen: Vec<Vec<String>> = Vec::new();
        for &step in &steps {
            bench.set_part(0, step);
            seen.push(bench.clients(4000));
        }
        let held = |answers: &Vec<String>| answers.iter().filter(|&answer| answer == "192.0.2.1").count();
        assert!(held(&seen[0]) > 1200 && held(&seen[10]) == 0, "{policy:?}");
        for client in 0..4000 {
            let moves = seen.windows(2).filter(|pair| pair[0][client] != pair[1][client]).count();
            let was_there = seen[0][client] == "192.0.2.1";
            assert_eq!(moves, usize::from(was_there), "{policy:?}, client {client}");
        }
        for (&step, before) in steps.iter().zip(&seen).rev() {
            bench.set_part(0, step);
            assert_eq!(bench.clients(4000), *before, "{policy:?} back at {step}");
        }
    }
}

#[test]
fn who_drains_without_a_ramp_gives_nothing_from_the_start() {
    let mut bench = draining(Policy::Failover, Spread::Query);
    assert_eq!(bench.ask(), ["192.0.2.2"]);
    bench.set_part(0, 0.25);
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.1"] - 25.0).abs() < 1.0 && (shares["192.0.2.2"] - 75.0).abs() < 1.0, "{shares:?}");
    assert_eq!(shares.len(), 2, "only the next choice takes what the first gives away");
}

#[test]
fn a_slow_starter_has_so_much_less_weight_among_its_equals() {
    let mut draft = Draft::default();
    let pool = draft.weighted(&[("192.0.2.1", 3), ("192.0.2.2", 3)]);
    let mut bench = draft.top(pool);
    bench.conditions.steering.endpoint_parts.insert(EndpointId(0), Part::of(0.25));
    bench.compile();
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.1"] - 20.0).abs() < 1.0, "{shares:?}");
    bench.down("192.0.2.2");
    assert_eq!(bench.shares(100).len(), 1, "alone it takes all");
}

#[test]
fn a_pool_takes_all_while_one_of_its_members_does() {
    let mut draft = Draft::default();
    let inner = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1)]);
    let other = draft.weighted(&[("192.0.2.9", 1)]);
    let top = draft.pool(Policy::Failover, &[(MemberKind::Pool(inner), 1), (MemberKind::Pool(other), 1)]);
    let mut bench = draft.top(top);
    bench.conditions.steering.endpoint_parts.insert(EndpointId(0), Part::of(0.1));
    bench.compile();
    assert!(!bench.shares(10_000).contains_key("192.0.2.9"));
    bench.conditions.steering.endpoint_parts.insert(EndpointId(1), Part::of(0.1));
    bench.compile();
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.9"] - 90.0).abs() < 1.0, "{shares:?}");
}

#[test]
fn a_trickle_keeps_each_member_behind_the_first_proven() {
    let mut draft = Draft::default();
    let members: Vec<_> = (1..=3).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
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
fn clients_stay_with_the_holder_while_it_is_usable_a_standby_too() {
    for weight in [1, 0] {
        let mut draft = Draft::default();
        let members = [(draft.endpoint("192.0.2.1", None), 1), (draft.endpoint("192.0.2.2", None), weight)];
        let pool = draft.pool(Policy::Failover, &members);
        let mut bench = draft.top(pool);
        bench.conditions.steering.holders.insert(pool, 1);
        bench.compile();
        assert_eq!(bench.ask(), ["192.0.2.2"], "weight {weight}");
        bench.down("192.0.2.2");
        assert_eq!(bench.ask(), ["192.0.2.1"], "weight {weight}");
    }
}

#[test]
fn a_load_pool_shares_by_what_reports_left_among_the_usable() {
    let policy = LoadPolicy { by: Measure::Connections, soft: 0.7, hard: 0.9 };
    let mut draft = Draft::default();
    let members: Vec<_> = (1..=3).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
    let pool = draft.pool(Policy::Load(policy), &members);
    let mut bench = draft.top(pool);
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.1"] - 33.3).abs() < 1.0, "without reports the configured weights rule: {shares:?}");
    bench.conditions.steering.weights.insert(pool, [512_u32, 256, 256].as_slice().into());
    bench.compile();
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.1"] - 50.0).abs() < 1.0 && (shares["192.0.2.3"] - 25.0).abs() < 1.0, "{shares:?}");
    bench.down("192.0.2.3");
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.1"] - 66.7).abs() < 1.0 && shares.len() == 2, "{shares:?}");
}

#[test]
fn a_pool_sheds_by_hand_to_the_next_choice() {
    let mut draft = Draft::default();
    let (first, second) = (draft.weighted(&[("192.0.2.1", 1)]), draft.weighted(&[("192.0.2.2", 1)]));
    let top = draft.pool(Policy::Failover, &[(MemberKind::Pool(first), 1), (MemberKind::Pool(second), 1)]);
    draft.pools[first.index()].regulation.keep = Part::of(0.8);
    let mut bench = draft.top(top);
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.2"] - 20.0).abs() < 1.0, "{shares:?}");
    bench.conditions.steering.keeps.insert(first, Part::of(0.5));
    bench.compile();
    let shares = bench.shares(100_000);
    assert!((shares["192.0.2.2"] - 60.0).abs() < 1.0, "{shares:?}");
    bench.down("192.0.2.2");
    assert_eq!(bench.shares(100).len(), 1, "nobody is shed to where nobody is");
}

/// Ten /8 networks on the equator, at 5 to 50 degrees east.
fn equator() -> Databases {
    let mut writer = Writer::builder("Equator-City").description(&[("en", "written by a test")]).build();
    for step in 0..10_u32 {
        let place = [("latitude", Value::from(0.0)), ("longitude", Value::from(f64::from(step) * 5.0 + 5.0))];
        let network: ipnet::IpNet = format!("{}.0.0.0/8", 20 + step).parse().unwrap();
        writer.insert_value(network, Value::map([("location", Value::map(place))])).unwrap();
    }
    let database = Database::open("equator", writer.to_bytes().unwrap()).unwrap();
    Databases::new(vec![Arc::new(database)])
}

#[test]
fn who_is_shed_from_the_nearest_loses_the_least_distance() {
    let mut draft = Draft::default();
    for (name, longitude) in [("west", 5.0), ("east", 50.0)] {
        let at = draft.datacenter(name, State::Active);
        draft.datacenters[at.index()].location = Some(Coordinates::new(0.0, longitude).unwrap());
    }
    let west = draft.endpoint("192.0.2.1", Some(DatacenterId(0)));
    let west = draft.pool(Policy::Weighted, &[(west, 1)]);
    let east = draft.endpoint("192.0.2.2", Some(DatacenterId(1)));
    let top = draft.pool(Policy::Nearest { tie: None }, &[(MemberKind::Pool(west), 1), (east, 1)]);
    draft.pools[west.index()].regulation.keep = Part::of(0.99);
    let mut bench = draft.top_in(top, &equator());
    // Networks 20 to 24 are nearest to the west, and 24 would lose least in the east; 21 and 22 lose about as much.
    let share = |bench: &mut Bench, network: u32| {
        let subnet = format!("{network}.1.2.0/24");
        let to_west = (0..2000).filter(|_| bench.ask_from(Family::V4, &subnet).0 == ["192.0.2.1"]).count();
        to_west as f64 / 2000.0
    };
    for (keep, wanted) in [
        (1.0, [1.0, 1.0, 1.0, 1.0, 1.0]),
        (0.9, [1.0, 1.0, 1.0, 1.0, 0.5]),
        (0.7, [1.0, 1.0, 1.0, 0.5, 0.0]),
        (0.4, [1.0, 0.5, 0.5, 0.0, 0.0]),
        (0.1, [0.5, 0.0, 0.0, 0.0, 0.0]),
    ] {
        bench.conditions.steering.keeps.insert(west, Part::of(keep / 0.99));
        bench.compile();
        for (network, wanted) in (20..).zip(wanted) {
            let got = share(&mut bench, network);
            assert!((got - wanted).abs() < 0.06, "keeping {keep}: network {network} went west by {got}, not {wanted}");
        }
        assert_eq!(share(&mut bench, 27), 0.0);
    }
}

#[test]
fn parts_of_two_answers_leave_each_answer_distinct() {
    let mut bench = {
        let mut draft = Draft::default();
        let members: Vec<_> = (1..=3).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
        let pool = draft.pool(Policy::Failover, &members);
        draft.pools[pool.index()].answers = Answers::Count(NonZeroU32::new(2).unwrap());
        draft.top(pool)
    };
    bench.conditions.steering.endpoint_parts.insert(EndpointId(0), Part::of(0.3));
    bench.compile();
    let mut with_first = 0;
    for _ in 0..10_000 {
        let answer = bench.ask();
        assert!(answer.len() == 2 && answer[0] != answer[1], "{answer:?}");
        with_first += u32::from(answer.contains(&"192.0.2.1".to_owned()));
    }
    assert!((2700..3300).contains(&with_first), "{with_first}");
}
