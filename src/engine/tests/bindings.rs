//! HTTPS and SVCB records (RFC 9460): in every state, their hints are the addresses that the same
//! client gets for A and AAAA.

use std::{fs, net::IpAddr, path::Path, sync::Arc};

use hickory_proto::{
    op::Message,
    rr::{
        RData,
        rdata::{
            opt::{EdnsCode, EdnsOption},
            svcb::{SVCB, SvcParamKey, SvcParamValue},
        },
    },
};
use proptest::prelude::*;

use super::request;
use crate::{
    config::{Colours, SourceOptions},
    control::LoadedConfig,
    dns::Rtype,
    engine::{Query, Transport, answer},
    health::{HealthStatus, Verdict},
    snapshot::Snapshot,
    steer::{Conditions, DrawState},
};

const TABLES: &str = r#"
[datacenter.fra]
location = { latitude = 50.11, longitude = 8.68 }
[datacenter.iad]
location = { latitude = 38.95, longitude = -77.45 }
[datacenter.sin]
location = { latitude = 1.35, longitude = 103.82 }
[monitor.tcp]
tcp = { port = 80 }
[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"

[pool.fra]
datacenter = "fra"
monitor = "tcp"
answers = 2
members = [
  { addresses = ["192.0.2.1", "2001:db8:1::1"], weight = 3 }, { addresses = ["192.0.2.2"] },
  { addresses = ["2001:db8:1::3"] }, { addresses = ["192.0.2.4", "192.0.2.5", "2001:db8:1::4"] },
]
[pool.iad]
datacenter = "iad"
monitor = "tcp"
spread = "turn"
members = [{ addresses = ["198.51.100.1"] }, { addresses = ["198.51.100.2"] }]
[pool.sin]
datacenter = "sin"
monitor = "tcp"
members = [{ addresses = ["2001:db8:3::1"] }, { addresses = ["203.0.113.1", "2001:db8:3::2"] }]

[service."nearest.example.org"]
type = "HTTPS"
alpn = ["h2", "h3"]
port = 8443
policy = "nearest"
members = ["fra", "iad", "sin"]
[service."weighted.example.org"]
type = "HTTPS"
ttl = 20
policy = "weighted"
min-up = 2
members = ["fra", "iad", { pool = "sin", weight = 5 }]
[service."empty.example.org"]
type = "SVCB"
alpn = ["doq"]
pool = "sin"
on-all-down = "empty"
[service."six.example.org"]
type = "HTTPS"
members = [{ addresses = ["2001:db8:6::1"] }, { addresses = ["2001:db8:6::2"] }]
[service."mixed.example.org"]
type = "HTTPS"
members = ["fra", { cname = "cdn.example.net" }, { addresses = ["192.0.2.77"] }]
[service."plain.example.org"]
type = "HTTPS"
alpn = ["h2"]
port = 443
hints = false
pool = "fra"
"#;

const NAMES: [(&str, Rtype); 6] = [
    ("nearest", Rtype::HTTPS),
    ("weighted", Rtype::HTTPS),
    ("empty", Rtype::SVCB),
    ("six", Rtype::HTTPS),
    ("mixed", Rtype::HTTPS),
    ("plain", Rtype::HTTPS),
];

fn load_config() -> LoadedConfig {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("tables.toml"), TABLES).unwrap();
    let geoip = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("geoip/world-country.mmdb")];
    let locations =
        SourceOptions { zones: Some(directory.path().into()), geoip, ..SourceOptions::default() };
    LoadedConfig::load(&locations, Colours::Plain)
        .unwrap_or_else(|refusal| panic!("{}", refusal.rendered))
}

/// The snapshot in which the probes marked in `down` are down.
fn snapshot(config: &mut LoadedConfig, down: &[bool]) -> Snapshot {
    let mut conditions = Conditions::unprobed(&config.topology, 0);
    for (status, is_down) in conditions.health_statuses.iter_mut().zip(down) {
        let verdict = if *is_down { Verdict::Down } else { Verdict::Up };
        *status = HealthStatus { verdict, flips_in_secs: None, ..HealthStatus::default() };
    }
    let compiled = config.compiler.compile(&conditions, &mut config.surveys);
    Snapshot {
        zones: Arc::clone(&config.zones),
        charts: compiled.charts(),
        turn_counters: compiled.turn_counters(),
        topology: Arc::clone(&config.topology),
        ..Snapshot::default()
    }
}

/// A client: the source address, and the client subnet of the query.
#[derive(Debug, Clone, Copy)]
struct BindingClient {
    source: IpAddr,
    subnet: Option<IpAddr>,
}

/// A decoded reply with its ECS scope.
#[derive(Debug, PartialEq)]
struct DecodedReply {
    message: Message,
    scope: u8,
}

fn ask(
    snapshot: &Snapshot,
    draws: &mut DrawState,
    name: &str,
    rtype: Rtype,
    client: BindingClient,
) -> DecodedReply {
    let option = match client.subnet {
        None => Vec::new(),
        Some(IpAddr::V4(v4)) => [&[0, 8, 0, 7, 0, 1, 24, 0][..], &v4.octets()[..3]].concat(),
        Some(IpAddr::V6(v6)) => [&[0, 8, 0, 11, 0, 2, 56, 0][..], &v6.octets()[..7]].concat(),
    };
    let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.len() as u8][..], &option].concat();
    let message = request(&format!("{name}.example.org"), rtype, &opt);
    let query =
        Query { message: &message, source: client.source, transport: Transport::Udp, now_secs: 0 };
    let mut out = [0; 1232];
    let length = answer(snapshot, &query, draws, &mut out).unwrap().length;
    let message = Message::from_vec(&out[..length]).unwrap();
    let scope = match message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet)) {
        Some(EdnsOption::Subnet(subnet)) => subnet.scope_prefix(),
        _ => 0,
    };
    DecodedReply { message, scope }
}

impl DecodedReply {
    fn addresses(&self) -> Vec<IpAddr> {
        let address = |data: &RData| match data {
            RData::A(a) => Some(a.0.into()),
            RData::AAAA(a) => Some(a.0.into()),
            _ => None,
        };
        self.message.answers.iter().filter_map(|record| address(&record.data)).collect()
    }

    fn is_cname(&self) -> bool {
        self.message.answers.iter().any(|record| matches!(record.data, RData::CNAME(_)))
    }

    fn binding(&self) -> Option<&SVCB> {
        self.message.answers.iter().find_map(|record| match &record.data {
            RData::HTTPS(https) => Some(&https.0),
            RData::SVCB(svcb) => Some(svcb),
            _ => None,
        })
    }

    fn hints(&self, key: SvcParamKey) -> Vec<IpAddr> {
        let parameters = self.binding().into_iter().flat_map(|svcb| &svcb.svc_params);
        let addresses = |(_, value): &(SvcParamKey, SvcParamValue)| match value {
            SvcParamValue::Ipv4Hint(hint) => {
                hint.0.iter().map(|a| IpAddr::from(a.0)).collect::<Vec<_>>()
            }
            SvcParamValue::Ipv6Hint(hint) => hint.0.iter().map(|a| IpAddr::from(a.0)).collect(),
            _ => Vec::new(),
        };
        parameters.filter(|(other, _)| *other == key).flat_map(addresses).collect()
    }

    fn ttl(&self) -> Option<u32> {
        self.message.answers.iter().map(|record| record.ttl).min()
    }
}

/// Checks that the three types agree for one client, in any order and for repeated queries.
fn check(snapshot: &Snapshot, name: &str, rtype: Rtype, client: BindingClient, seed: u64) {
    let mut draws = DrawState::new(seed);
    draws.reserve_turns(snapshot.turn_counters);
    let mut ask = |rtype| ask(snapshot, &mut draws, name, rtype, client);
    let (https, v4, v6) = (ask(rtype), ask(Rtype::A), ask(Rtype::AAAA));
    assert_eq!(
        (ask(Rtype::AAAA), ask(Rtype::A), ask(rtype)),
        (v6, v4, https),
        "{name} {client:?}: asked again"
    );
    let (https, v4, v6) = (ask(rtype), ask(Rtype::A), ask(Rtype::AAAA));
    let why = format!("{name} {client:?}: {https:?} {v4:?} {v6:?}");
    if v4.is_cname() {
        assert!(https.is_cname() && https.binding().is_none(), "{why}");
        return;
    }
    let is_nothing = v4.addresses().is_empty() && v6.addresses().is_empty();
    assert_eq!(https.binding().is_none(), is_nothing, "{why}");
    assert_eq!(https.hints(SvcParamKey::Ipv4Hint), v4.addresses(), "{why}");
    assert_eq!(https.hints(SvcParamKey::Ipv6Hint), v6.addresses(), "{why}");
    assert_eq!(https.scope, v4.scope.max(v6.scope), "the narrower: {why}");
    if !is_nothing {
        assert_eq!(
            https.ttl(),
            [v4.ttl(), v6.ttl()].into_iter().flatten().min(),
            "the lesser: {why}"
        );
    }
    let keys: Vec<u16> = https
        .binding()
        .unwrap_or(&SVCB::new(0, Default::default(), Vec::new()))
        .svc_params
        .iter()
        .map(|(key, _)| u16::from(*key))
        .collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "RFC 9460 section 2.2: {keys:?}");
}

#[test]
fn a_binding_has_the_configured_parameters_and_hints() {
    let mut config = load_config();
    let snapshot = snapshot(&mut config, &[]);
    let client = BindingClient { source: [8, 8, 8, 8].into(), subnet: Some([81, 2, 69, 0].into()) };
    let texts = |name, rtype| {
        let reply = ask(&snapshot, &mut DrawState::new(1), name, rtype, client);
        reply
            .message
            .answers
            .iter()
            .map(|record| record.data.to_string())
            .collect::<Vec<_>>()
            .join(" / ")
    };
    let nearest = texts("nearest", Rtype::HTTPS);
    assert!(nearest.starts_with("1 . alpn=h2,h3, port=8443 ipv4hint=192.0.2."), "{nearest}");
    assert!(texts("empty", Rtype::SVCB).starts_with("1 . alpn=doq, ipv4hint="));
    assert_eq!(texts("empty", Rtype::HTTPS), "", "another type is NODATA");
    assert_eq!(texts("plain", Rtype::HTTPS), "1 . alpn=h2,", "443 is the default port");
}

#[test]
fn without_hints_the_spread_stays_as_configured() {
    let mut config = load_config();
    let snapshot = snapshot(&mut config, &[]);
    let client = BindingClient { source: [8, 8, 8, 8].into(), subnet: None };
    let mut draws = DrawState::new(7);
    let mut seen: Vec<_> = (0..50)
        .map(|_| ask(&snapshot, &mut draws, "plain", Rtype::A, client).addresses())
        .collect();
    seen.sort();
    seen.dedup();
    assert!(seen.len() > 1, "each query draws");
    let subnet = BindingClient { subnet: Some([81, 2, 69, 0].into()), ..client };
    assert_eq!(
        ask(&snapshot, &mut draws, "plain", Rtype::HTTPS, subnet).scope,
        0,
        "the same for all clients"
    );
}

fn clients() -> impl Strategy<Value = BindingClient> {
    let address = || {
        // Half of the IPv6 addresses are in the assigned range, 2000::/3.
        let v6 = (any::<u128>(), any::<bool>())
            .prop_map(|(bits, real)| if real { bits >> 3 | 1 << 125 } else { bits });
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            v6.prop_map(|bits| IpAddr::V6(bits.into()))
        ]
    };
    let subnet = prop::option::weighted(
        0.8,
        address().prop_map(|address| match address {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !((1 << 72) - 1)).into()),
        }),
    );
    (address(), subnet).prop_map(|(source, subnet)| BindingClient { source, subnet })
}

#[test]
fn a_and_aaaa_and_the_hints_never_disagree_for_one_client() {
    let mut config = load_config();
    let probes = config.topology.probes.len();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let healths = prop::collection::vec(any::<bool>(), probes);
    let rarely_down = prop::collection::vec(prop::bool::weighted(0.15), probes);
    let all_down = Just(vec![true; probes]);
    let strategy = (
        prop_oneof![healths, rarely_down, all_down],
        prop::collection::vec((clients(), any::<u64>()), 40),
    );
    let config = std::cell::RefCell::new(&mut config);
    let result = runner.run(&strategy, |(down, clients)| {
        let snapshot = snapshot(&mut config.borrow_mut(), &down);
        for (client, seed) in clients {
            for (name, rtype) in NAMES.iter().filter(|(name, _)| *name != "plain") {
                check(&snapshot, name, *rtype, client, seed);
            }
        }
        Ok(())
    });
    result.unwrap();
}
