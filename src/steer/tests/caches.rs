//! Scopes, with a resolver's cache in front: a cache that follows our scopes never gives a client
//! the answer of another.

use proptest::prelude::*;

use super::*;
use crate::geo::Database;

/// A resolver's address that no rule and no database contains.
const RESOLVER: &str = "9.9.9.9";

fn ask_as(bench: &ServiceBench, client: &str, resolver: &str) -> (Vec<String>, u8) {
    let (client, resolver) = (client.parse().unwrap(), resolver.parse().unwrap());
    answer(&bench.chart, client, resolver)
}

fn answer(chart: &Chart, client: IpAddr, resolver: IpAddr) -> (Vec<String>, u8) {
    let route = chart.route(Family::V4, Some(client), &resolver);
    let mut texts = Vec::new();
    route.draw(&mut DrawState::new(1), &mut |answer| texts.extend(answer.rdata.texts()));
    (texts, route.scope)
}

#[test]
fn a_special_subnet_that_no_rule_names_is_scoped_to_its_special_range() {
    let bench = geo_bench(&[("10.1.0.0/16", &[1]), ("9.9.9.0/24", &[2])], &[0], 3);
    for (client, address, scope, why) in [
        ("10.1.2.0", "192.0.2.1", 16, "a rule names it"),
        ("10.2.0.0", "192.0.2.2", 15, "by the resolver's address, beside what the rule names"),
        ("10.128.0.0", "192.0.2.2", 9, "the widest prefix beside the rule's"),
        ("100.64.0.0", "192.0.2.2", 10, "carrier NAT: its resolvers have other clients, too"),
        ("192.168.7.0", "192.0.2.2", 16, "private"),
        ("203.0.113.0", "192.0.2.2", 24, "documentation"),
        ("169.254.1.0", "192.0.2.2", 16, "link-local"),
        ("fd00:1::", "192.0.2.2", 7, "unique local"),
    ] {
        assert_eq!(
            ask_as(&bench, client, RESOLVER),
            (vec![address.to_owned()], scope),
            "{client}: {why}"
        );
    }
    assert_eq!(
        ask_as(&bench, "10.2.0.0", "7.7.7.7").0,
        ["192.0.2.0"],
        "another resolver is elsewhere"
    );
}

#[test]
fn an_empty_default_is_nodata_for_a_special_range_alone() {
    let bench = geo_bench(&[("8.8.8.0/24", &[0])], &[], 1);
    assert_eq!(
        ask_as(&bench, "10.1.2.0", RESOLVER),
        (vec![], 8),
        "a resolver must not give this NODATA to all clients"
    );
    assert_eq!(ask_as(&bench, "fc00::", RESOLVER), (vec![], 7));
}

#[test]
fn the_scope_of_a_special_subnet_is_zero_if_every_client_gets_the_same() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1)]);
    assert_eq!(ask_as(&draft.top(pool), "10.1.2.0", RESOLVER).1, 0);
}

#[test]
fn clients_of_a_special_range_share_one_answer_that_is_scoped_to_the_range() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1)]);
    draft.pools[pool.index()].spread = Spread::Client;
    let bench = draft.top(pool);
    assert_eq!(
        ask_as(&bench, "10.1.2.0", RESOLVER),
        ask_as(&bench, "10.200.7.0", RESOLVER),
        "by the resolver's network"
    );
    assert_eq!(ask_as(&bench, "10.1.2.0", RESOLVER).1, 8);
    assert_eq!(ask_as(&bench, "8.8.8.0", RESOLVER).1, 24);
}

#[test]
fn a_private_network_in_the_operators_database_is_located_by_it() {
    use mmdb_writer::{Value, Writer};
    let mut writer = Writer::builder("Office").description(&[("en", "written by a test")]).build();
    for (network, code) in [("10.7.0.0/16", "DE"), ("9.0.0.0/8", "US")] {
        let record = Value::map([("country", Value::map([("iso_code", Value::from(code))]))]);
        writer.insert_value(network.parse::<ipnet::IpNet>().unwrap(), record).unwrap();
    }
    let database = Database::open("office", writer.to_bytes().unwrap()).unwrap();
    let mut draft = TopologyBuilder::default();
    let members = [(draft.endpoint("192.0.2.0", None), 1), (draft.endpoint("192.0.2.1", None), 1)];
    let rule = GeoRule { countries: vec!["DE".into()], members: vec![1], ..GeoRule::default() };
    let pool = draft.pool(Policy::Geo { rules: vec![rule], default: vec![0] }, &members);
    let bench = draft.top_in(pool, &Databases::new(vec![Arc::new(database)]));
    assert_eq!(ask_as(&bench, "10.7.3.0", RESOLVER), (vec!["192.0.2.1".to_owned()], 16));
    assert_eq!(
        ask_as(&bench, "10.8.3.0", RESOLVER),
        (vec!["192.0.2.0".to_owned()], 13),
        "located by the resolver's address"
    );
}

#[test]
fn without_client_subnets_the_resolver_decides_and_every_scope_is_zero() {
    let mut draft = TopologyBuilder { ignores_subnets: true, ..TopologyBuilder::default() };
    let members = ["192.0.2.0", "192.0.2.1"].map(|name| (draft.endpoint(name, None), 1));
    let rule = GeoRule {
        subnets: vec!["8.8.8.0/24".parse().unwrap()],
        members: vec![1],
        ..GeoRule::default()
    };
    let pool = draft.pool(Policy::Geo { rules: vec![rule], default: vec![0] }, &members);
    let bench = draft.top(pool);
    assert_eq!(ask_as(&bench, "8.8.8.0", RESOLVER), (vec!["192.0.2.0".to_owned()], 0));
    assert_eq!(ask_as(&bench, "10.1.2.0", "8.8.8.8"), (vec!["192.0.2.1".to_owned()], 0));
}

/// A cache by RFC 7871 section 7.3: an answer is kept for the prefix of its scope, which is at most
/// as long as the prefix of the query.
#[derive(Default)]
struct ResolverCache(Vec<(ipnet::IpNet, Vec<String>)>);

impl ResolverCache {
    fn get(&self, client: IpAddr) -> Option<&Vec<String>> {
        let held = self.0.iter().filter(|(prefix, _)| prefix.contains(&client));
        held.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, answer)| answer)
    }

    fn put(&mut self, client: IpAddr, scope: u8, asked: u8, answer: Vec<String>) {
        self.0.push((ipnet::IpNet::new(client, scope.min(asked)).unwrap().trunc(), answer));
    }
}

/// Addresses crowded around special-purpose ranges and the prefixes that rules name.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let corner = prop::sample::select(vec![
        0x0a00_0000_u32,
        0x0aff_0000,
        0x0b00_0000,
        0x6440_0000,
        0x647f_ff00,
        0x6480_0000,
        0xc0a8_0000,
        0xcb00_7100,
        0x0808_0000,
        0xa9fe_0000,
        0xac10_0000,
    ]);
    let v4 = (corner, any::<u32>(), 8..25_u32).prop_map(|(corner, bits, length)| {
        IpAddr::V4((corner ^ bits & (u32::MAX >> length)).into())
    });
    let corner = prop::sample::select(vec![
        0xfc00_u128 << 112,
        0xfe80 << 112,
        0x2001_0db8 << 96,
        0x2a00 << 112,
    ]);
    let v6 = (corner, any::<u128>(), 8..60_u32).prop_map(|(corner, bits, length)| {
        IpAddr::V6((corner ^ bits & (u128::MAX >> length)).into())
    });
    prop_oneof![3 => v4, 1 => v6]
}

/// The first address of the network that a resolver sends for a client: /24 or /56.
fn network(client: IpAddr) -> ipnet::IpNet {
    ipnet::IpNet::new(client, if client.is_ipv4() { 24 } else { 56 }).unwrap().trunc()
}

fn rules() -> impl Strategy<Value = Vec<GeoRule>> {
    let rule = (addresses(), 6..25_u8, prop::collection::vec(0..3_u32, 0..2), any::<bool>())
        .prop_map(|(address, length, members, strict)| {
            let subnet = ipnet::IpNet::new(address, length).unwrap().trunc();
            GeoRule { subnets: vec![subnet], members, strict, ..GeoRule::default() }
        });
    prop::collection::vec(rule, 0..6)
}

proptest! {
    #[test]
    fn no_client_gets_the_answer_of_another_from_a_cache_that_follows_our_scopes(
        rules in rules(),
        default in prop::collection::vec(0..3_u32, 0..2),
        clients in prop::collection::vec(addresses(), 40),
        down in any::<[bool; 3]>(),
        is_sticky in any::<bool>(),
    ) {
        let mut draft = TopologyBuilder::default();
        let members: Vec<_> = (0..3)
            .map(|at| {
                let inner = draft.weighted(&[(&format!("192.0.2.{at}"), 1), (&format!("192.0.2.1{at}"), 1)]);
                let spread = if is_sticky { Spread::Client } else { Spread::Query };
                draft.pools[inner.index()].spread = spread;
                (MemberKind::Pool(inner), 1)
            })
            .collect();
        let pool = draft.pool(Policy::Geo { rules, default }, &members);
        let mut bench = draft.top(pool);
        for (at, _) in down.iter().enumerate().filter(|(_, is_down)| **is_down) {
            bench.down(&format!("192.0.2.{at}"));
            bench.down(&format!("192.0.2.1{at}"));
        }
        // One resolver that no rule contains, and one that any rule may contain.
        for resolver in [RESOLVER.parse().unwrap(), clients[0]] {
            let mut cache = ResolverCache::default();
            for &client in &clients {
                let asked = network(client);
                let (expected, scope) = answer(&bench.chart, asked.network(), resolver);
                match cache.get(asked.network()) {
                    Some(cached) => prop_assert_eq!(cached, &expected, "{} by {}", asked, resolver),
                    None => cache.put(asked.network(), scope, asked.prefix_len(), expected),
                }
            }
        }
    }
}
