//! Services, at the same names as static records and between them.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc};

use hickory_proto::op::Message;

use super::{OPT, ask, request, shown, zone};
use crate::{
    dns::{Name, Rcode, Rtype},
    engine::{Query, Transport, steering_address},
    geo::Databases,
    snapshot::Snapshot,
    steer::{
        AnswerCount, Compiler, Conditions, Endpoint, EndpointId, EndpointTarget, GeoRule, Member,
        MemberKind, MinUp, OnAllDown, Policy, Pool, PoolId, RampTimes, RecordKind, Regulation,
        Service, ServiceId, ServingState, Spread, Surveys, Topology, ZoneId,
    },
    zone::Zones,
};

const ZONE: &str = "
    static.gslb.test. 60 A @192.0.2.200
    www.gslb.test. 60 TXT beside
    toservice.gslb.test. 61 CNAME www.gslb.test.
    cut.gslb.test. 60 NS ns.elsewhere.test.
";

/// An endpoint from its addresses, joined by `+`, or from the target of a CNAME.
fn endpoint(text: &str) -> Endpoint {
    let addresses = text.split('+').map(str::parse::<IpAddr>).collect::<Result<Vec<_>, _>>();
    let target = addresses
        .map_or_else(|_| EndpointTarget::Cname(text.parse().unwrap()), EndpointTarget::Addresses);
    Endpoint {
        name: text.into(),
        target,
        datacenters: Vec::new(),
        monitor: None,
        state: ServingState::Active,
        force: None,
        load: None,
        ramp_times: RampTimes::default(),
    }
}

/// A pool that answers all of its members; that of `geo.gslb.test` answers one network with the
/// first member, and all others with the second.
fn pool(owner: &str, members: Vec<Member>) -> Pool {
    let rule = GeoRule {
        subnets: vec!["203.0.113.0/24".parse().unwrap()],
        members: vec![0],
        ..GeoRule::default()
    };
    let policy = match owner {
        "geo.gslb.test" => Policy::Geo { rules: vec![rule], default: vec![1] },
        _ => Policy::All,
    };
    Pool {
        name: owner.into(),
        policy,
        spread: Spread::Query,
        answers: AnswerCount::All,
        min_up: MinUp::Members(NonZeroU32::MIN),
        families: Default::default(),
        members,
        regulation: Regulation::default(),
    }
}

/// A snapshot of services, each from its owner and the endpoints of a pool that answers all of
/// them: addresses joined by `+`, or the target of a CNAME.
fn snapshot(services: &[(&str, &[&str])]) -> Snapshot {
    let (mut endpoints, mut pools, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for (owner, members) in services {
        let first = endpoints.len() as u32;
        endpoints.extend(members.iter().copied().map(endpoint));
        let members = (first..endpoints.len() as u32)
            .map(|number| Member {
                kind: MemberKind::Endpoint(EndpointId(number)),
                weight: 1,
                bias: 0,
            })
            .collect::<Vec<_>>();
        pools.push(pool(owner, members));
        list.push(Service {
            name: owner.parse().unwrap(),
            zone: ZoneId(0),
            kind: RecordKind::default(),
            pool: PoolId(pools.len() as u32 - 1),
            ttl_secs: 30,
            on_all_down: OnAllDown::All,
            ipv6: true,
            client_subnet: true,
        });
    }
    let names: Vec<(Name, ZoneId, ServiceId)> = list
        .iter()
        .zip(0..)
        .map(|(service, number)| (service.name.clone(), ZoneId(0), ServiceId(number)))
        .collect();
    let topology = Arc::new(Topology::new(Vec::new(), Vec::new(), endpoints, pools, list));
    let mut surveys = Surveys::default();
    let compiler = Compiler::new(Arc::clone(&topology), &Databases::default(), &mut surveys);
    let charts = compiler.compile(&Conditions::unprobed(&topology, 0), &mut surveys).charts();
    let zones = Zones::build(vec![Arc::new(zone("gslb.test.", ZONE))], &names);
    Snapshot { zones: Arc::new(zones), charts, topology, ..Snapshot::default() }
}

const SERVICES: &[(&str, &[&str])] = &[
    ("www.gslb.test", &["192.0.2.1+2001:db8::1", "192.0.2.2"]),
    ("twice.gslb.test", &["192.0.2.1+192.0.2.2", "192.0.2.2+192.0.2.3"]),
    ("deep.er.gslb.test", &["192.0.2.4"]),
    ("*.any.gslb.test", &["192.0.2.5"]),
    ("name.gslb.test", &["static.gslb.test"]),
    ("chain.gslb.test", &["name.gslb.test"]),
    ("away.gslb.test", &["www.example.net"]),
    ("round.gslb.test", &["round.gslb.test"]),
    ("geo.gslb.test", &["192.0.2.6", "192.0.2.7"]),
    ("tonowhere.gslb.test", &["nowhere.gslb.test"]),
];

#[test]
fn services_answer_among_static_names() {
    let snapshot = snapshot(SERVICES);
    const SOA: &str = "gslb.test. 300 SOA ns.gslb.test. host.gslb.test. 7 1 2 3 300";
    for (why, name, rtype, expected) in [
        ("every member", "www.gslb.test", Rtype::A, "No Error aa | www.gslb.test. 30 A 192.0.2.1, www.gslb.test. 30 A 192.0.2.2 |  | ".into()),
        ("members of the family", "www.gslb.test", Rtype::AAAA, "No Error aa | www.gslb.test. 30 AAAA 2001:db8::1 |  | ".into()),
        ("no member of the family", "deep.er.gslb.test", Rtype::AAAA, format!("No Error aa |  | {SOA} | ")),
        ("static records at the same name", "www.gslb.test", Rtype::TXT, "No Error aa | www.gslb.test. 60 TXT beside |  | ".into()),
        ("another type", "www.gslb.test", Rtype::MX, format!("No Error aa |  | {SOA} | ")),
        (
            "each address once",
            "twice.gslb.test",
            Rtype::A,
            "No Error aa | twice.gslb.test. 30 A 192.0.2.1, twice.gslb.test. 30 A 192.0.2.2, twice.gslb.test. 30 A 192.0.2.3 |  | ".into(),
        ),
        ("an empty non-terminal above a service", "er.gslb.test", Rtype::A, format!("No Error aa |  | {SOA} | ")),
        ("beside an empty non-terminal", "x.er.gslb.test", Rtype::A, format!("Non-Existent Domain aa |  | {SOA} | ")),
        ("below a service", "x.www.gslb.test", Rtype::A, format!("Non-Existent Domain aa |  | {SOA} | ")),
        ("RFC 4592 for a service", "a.b.any.gslb.test", Rtype::A, "No Error aa | a.b.any.gslb.test. 30 A 192.0.2.5 |  | ".into()),
        (
            "a static alias of a service",
            "toservice.gslb.test",
            Rtype::AAAA,
            "No Error aa | toservice.gslb.test. 61 CNAME www.gslb.test., www.gslb.test. 30 AAAA 2001:db8::1 |  | ".into(),
        ),
        (
            "a drawn alias is followed",
            "chain.gslb.test",
            Rtype::A,
            "No Error aa | chain.gslb.test. 30 CNAME name.gslb.test., name.gslb.test. 30 CNAME static.gslb.test., \
             static.gslb.test. 60 A 192.0.2.200 |  | "
                .into(),
        ),
        ("a drawn alias for any type", "away.gslb.test", Rtype::TXT, "No Error aa | away.gslb.test. 30 CNAME www.example.net. |  | ".into()),
        ("a drawn alias asked for", "name.gslb.test", Rtype::CNAME, "No Error aa | name.gslb.test. 30 CNAME static.gslb.test. |  | ".into()),
        ("RFC 8482 of a service", "deep.er.gslb.test", Rtype::ANY, "No Error aa | deep.er.gslb.test. 30 A 192.0.2.4 |  | ".into()),
        ("RFC 8482 static records at the same name", "www.gslb.test", Rtype::ANY, "No Error aa | www.gslb.test. 60 TXT beside |  | ".into()),
        ("RFC 8482 one RRset of a drawn alias", "chain.gslb.test", Rtype::ANY, "No Error aa | chain.gslb.test. 30 CNAME name.gslb.test. |  | ".into()),
        (
            "the code is that of the last name",
            "tonowhere.gslb.test",
            Rtype::A,
            format!("Non-Existent Domain aa | tonowhere.gslb.test. 30 CNAME nowhere.gslb.test. | {SOA} | "),
        ),
    ] {
        let (reply, _) = ask(&snapshot, &request(name, rtype, &[]), Transport::Udp).unwrap();
        assert_eq!(shown(&reply), expected, "{why}: {name} {rtype}");
    }
}

#[test]
fn an_alias_to_itself_ends() {
    let (reply, labels) =
        ask(&snapshot(SERVICES), &request("round.gslb.test", Rtype::A, &[]), Transport::Udp)
            .unwrap();
    assert_eq!(labels.rcode, Rcode::NOERROR);
    assert!(Message::from_vec(&reply).unwrap().answers.len() <= 16);
}

#[test]
fn a_service_below_a_cut_is_not_reached() {
    let snapshot = snapshot(&[("x.cut.gslb.test", &["192.0.2.1"])]);
    let (reply, _) =
        ask(&snapshot, &request("x.cut.gslb.test", Rtype::A, &[]), Transport::Udp).unwrap();
    assert_eq!(shown(&reply), "No Error |  | cut.gslb.test. 60 NS ns.elsewhere.test. | ");
}

#[test]
fn the_scope_is_that_of_the_tailored_answer() {
    let snapshot = snapshot(SERVICES);
    for (why, name, subnet, address, scope) in [
        ("the rule's network", "geo.gslb.test", &b"\0\x01\x18\0\xcb\0\x71"[..], "192.0.2.6", 24),
        ("a narrower network", "geo.gslb.test", b"\0\x01\x20\0\xcb\0\x71\x05", "192.0.2.6", 24),
        ("a neighbouring network", "geo.gslb.test", b"\0\x01\x18\0\xcb\0\x70", "192.0.2.7", 24),
        ("no tailoring", "geo.gslb.test", b"\0\x01\0\0", "192.0.2.7", 0),
        (
            "a service without geography",
            "deep.er.gslb.test",
            b"\0\x01\x18\0\xcb\0\x71",
            "192.0.2.4",
            0,
        ),
        ("a static name", "static.gslb.test", b"\0\x01\x18\0\xcb\0\x71", "192.0.2.200", 0),
    ] {
        let options = [&[0, 8, 0, subnet.len() as u8], subnet].concat();
        let opt = [&OPT[..9], &(options.len() as u16).to_be_bytes(), &options].concat();
        let (reply, _) = ask(&snapshot, &request(name, Rtype::A, &opt), Transport::Udp).unwrap();
        let mut echo = options.clone();
        echo[7] = scope;
        assert!(
            reply.ends_with(&echo),
            "{why}: {:?} instead of {echo:?}",
            &reply[reply.len() - echo.len()..]
        );
        let message = Message::from_vec(&reply).unwrap();
        assert_eq!(message.answers[0].data.to_string(), address, "{why}");
    }
}

#[test]
fn a_reply_is_labelled_with_the_first_service() {
    let snapshot = snapshot(SERVICES);
    let service =
        |name| ask(&snapshot, &request(name, Rtype::A, &[]), Transport::Udp).unwrap().1.service;
    assert_eq!(service("twice.gslb.test"), Some(ServiceId(1)));
    assert_eq!(service("toservice.gslb.test"), Some(ServiceId(0)));
    assert_eq!(service("static.gslb.test"), None);
}

#[test]
fn a_sample_has_the_address_that_the_answer_was_chosen_by() {
    let snapshot = || snapshot(SERVICES);
    let of_service = {
        let mut snapshot = snapshot();
        let topology = Arc::make_mut(&mut snapshot.topology);
        Arc::make_mut(&mut topology.services)[8].client_subnet = false;
        snapshot
    };
    let of_zone = {
        let mut zone = zone("gslb.test.", ZONE);
        zone.client_subnet = false;
        let names = [("geo.gslb.test".parse().unwrap(), ZoneId(0), ServiceId(8))];
        let zones = Arc::new(Zones::build(vec![Arc::new(zone)], &names));
        Snapshot { zones, ..snapshot() }
    };
    let rule = &b"\0\x01\x18\0\xcb\0\x71"[..];
    for (why, snapshot, subnet, expected) in [
        ("the subnet", snapshot(), rule, "203.0.113.0"),
        ("no tailoring", snapshot(), b"\0\x01\0\0", "198.51.100.9"),
        ("a subnet of private addresses", snapshot(), b"\0\x01\x08\0\x0a", "198.51.100.9"),
        ("a service that ignores subnets", of_service, rule, "198.51.100.9"),
        ("a zone that ignores subnets", of_zone, rule, "198.51.100.9"),
    ] {
        let options = [&[0, 8, 0, subnet.len() as u8], subnet].concat();
        let opt = [&OPT[..9], &(options.len() as u16).to_be_bytes(), &options].concat();
        let message = request("geo.gslb.test", Rtype::A, &opt);
        let (source, transport) = ([198, 51, 100, 9].into(), Transport::Udp);
        let query = Query { message: &message, source, transport, now_secs: 0 };
        let found = steering_address(&snapshot, &query, ServiceId(8));
        assert_eq!(found.to_string(), expected, "{why}");
    }
}
