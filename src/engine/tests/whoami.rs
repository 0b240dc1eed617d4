//! The facts that `whoami` shows a client.

use std::{net::IpAddr, sync::Arc};

use super::{ask, rdata, request, shown};
use crate::{
    dns::{Name, Rtype},
    engine::Transport,
    geo::{Coordinates, Database, Databases},
    snapshot::{ServerIdentity, Snapshot},
    steer::{Datacenter, Fraction, RampTimes, ServingState, Topology},
    zone::{Record, ZoneBuilder, Zones},
};

fn datacenter(name: &str, latitude: f64, longitude: f64) -> Datacenter {
    Datacenter {
        name: name.into(),
        location: Some(Coordinates::new(latitude, longitude).unwrap()),
        region: None,
        state: ServingState::Active,
        reason: None,
        until: None,
        state_after: ServingState::Active,
        load: None,
        ramp_times: RampTimes::default(),
        paused_drain_fraction: None,
        keep: Fraction::FULL,
        capacity: None,
    }
}

/// A zone with `whoami.example.com`, one network of Berlin, and four datacenters.
fn snapshot(nsid: &[u8]) -> Snapshot {
    let apex: Name = "example.com".parse().unwrap();
    let mut builder = ZoneBuilder::new(apex.clone());
    for (rtype, words) in [
        (Rtype::SOA, "ns.example.net. host.example.net. %7 %1 %2 %3 %300"),
        (Rtype::NS, "ns.example.net."),
    ] {
        builder
            .add(Record { owner: apex.clone(), rtype, ttl_secs: 60, rdata: rdata(words) })
            .unwrap();
    }
    builder.whoami(&"whoami.example.com".parse().unwrap());
    let below = Record {
        owner: "*.example.com".parse().unwrap(),
        rtype: Rtype::A,
        ttl_secs: 60,
        rdata: rdata("@192.0.2.1"),
    };
    builder.add(below).unwrap();
    let zones = Zones::build(vec![Arc::new(builder.finish().unwrap())], &[]);
    let datacenters = vec![
        datacenter("ams", 52.37, 4.90),
        datacenter("fra", 50.11, 8.68),
        datacenter("iad", 38.95, -77.45),
        datacenter("waw", 52.23, 21.01),
    ];
    let topology = Topology::new(datacenters, Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Snapshot {
        zones: Arc::new(zones),
        identity: Arc::new(ServerIdentity {
            nsid: nsid.into(),
            cookie_keys: Some(crate::dns::CookieKeys {
                current: [7; 16],
                next: [8; 16],
                previous: None,
                rotated_secs: 0,
            }),
        }),
        databases: Arc::new(Databases::new(vec![Arc::new(berlin())])),
        topology: Arc::new(topology),
        ..Snapshot::default()
    }
}

fn berlin() -> Database {
    use mmdb_writer::{Value, Writer};
    let code = |code: &str| Value::map([("iso_code", Value::from(code))]);
    let record = Value::map([
        ("continent", Value::map([("code", Value::from("EU"))])),
        ("country", code("DE")),
        ("subdivisions", Value::Array(vec![code("BE")])),
        (
            "location",
            Value::map([("latitude", Value::from(52.52)), ("longitude", Value::from(13.4))]),
        ),
        ("autonomous_system_number", Value::from(64_500_u32)),
    ]);
    let mut writer =
        Writer::builder("GeoLite2-City").description(&[("en", "made up for tests")]).build();
    writer.insert_value("198.51.100.0/24".parse::<ipnet::IpNet>().unwrap(), record).unwrap();
    Database::open("berlin", writer.to_bytes().unwrap()).unwrap()
}

fn strings(reply: &[u8]) -> Vec<String> {
    let message = hickory_proto::op::Message::from_vec(reply).unwrap();
    let [record] = &message.answers[..] else { panic!("one record: {}", shown(reply)) };
    assert_eq!(record.ttl, 0, "no cache keeps it");
    let hickory_proto::rr::RData::TXT(txt) = &record.data else { panic!("TXT") };
    txt.txt_data.iter().map(|string| String::from_utf8_lossy(string).into_owned()).collect()
}

const NETWORK: [u8; 22] = *b"\0\0\x29\x10\0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\xc6\x33\x64";

#[test]
fn a_private_network_has_the_location_of_its_resolver_as_for_services() {
    const PRIVATE: [u8; 22] = *b"\0\0\x29\x10\0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\x0a\x09\x09";
    let (reply, _) = ask(
        &snapshot(b"fra-1"),
        &request("whoami.example.com", Rtype::TXT, &PRIVATE),
        Transport::Udp,
    )
    .unwrap();
    let strings = strings(&reply);
    assert_eq!(strings[2..4], ["client-subnet=10.9.9.0/24", "placed-by=source"]);
    assert!(strings[4].starts_with("area=") && !strings[4].contains("10."), "{strings:?}");
}

#[test]
fn a_client_is_shown_how_the_server_sees_it() {
    let (reply, _) = ask(
        &snapshot(b"fra-1"),
        &request("whoami.example.com", Rtype::TXT, &NETWORK),
        Transport::Udp,
    )
    .unwrap();
    assert_eq!(
        strings(&reply),
        [
            "source=192.0.2.99",
            "transport=udp",
            "client-subnet=198.51.100.0/24",
            "area=198.51.100.0/24",
            "continent=EU",
            "country=DE",
            "subdivision=DE-BE",
            "coordinates=52.5200,13.4000",
            "asn=64500",
            "nearest=fra 423 km",
            "nearest=waw 517 km",
            "nearest=ams 576 km",
            "node=fra-1",
        ]
    );
    assert!(
        reply.ends_with(b"\0\x08\0\x07\0\x01\x18\x20\xc6\x33\x64"),
        "the scope is the whole address"
    );
}

#[test]
fn without_a_subnet_the_source_is_the_client() {
    let (reply, _) =
        ask(&snapshot(b"\0\xff"), &request("WhoAmI.example.com", Rtype::TXT, &[]), Transport::Tcp)
            .unwrap();
    let strings = strings(&reply);
    assert_eq!((&*strings[0], &*strings[1]), ("source=192.0.2.99", "transport=tcp"));
    let network: ipnet::IpNet = strings[2].strip_prefix("area=").unwrap().parse().unwrap();
    assert!(network.contains(&IpAddr::from([192, 0, 2, 99])), "{network}");
    assert_eq!(strings[3..], ["node=00ff"], "unknown fields are left out");
}

#[test]
fn whoami_is_a_name_with_a_txt_record_and_nothing_else() {
    const SOA: &str = "example.com. 60 SOA ns.example.net. host.example.net. 7 1 2 3 300";
    for (why, name, rtype, expected) in [
        ("another type", "whoami.example.com", Rtype::A, format!("No Error aa |  | {SOA} | ")),
        (
            "a name below it",
            "x.whoami.example.com",
            Rtype::TXT,
            format!("Non-Existent Domain aa |  | {SOA} | "),
        ),
    ] {
        let (reply, _) = ask(&snapshot(b""), &request(name, rtype, &[]), Transport::Udp).unwrap();
        assert_eq!(shown(&reply), expected, "{why}");
    }
    let (reply, _) =
        ask(&snapshot(b""), &request("whoami.example.com", Rtype::ANY, &[]), Transport::Udp)
            .unwrap();
    assert_eq!(strings(&reply)[0], "source=192.0.2.99", "ANY");
}
