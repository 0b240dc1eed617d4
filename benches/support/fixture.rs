//! Shared by the benchmarks of `engine::answer`: a zone, a service with real geography, and
//! queries.

use std::{fs, num::NonZeroU32, path::Path, sync::Arc};

use portolan::{
    dns::{CookieKeys, Name, Rtype},
    geo::{Coordinates, Database, Databases},
    snapshot::{ServerIdentity, Snapshot},
    steer::{
        AnswerCount, Compiler, Conditions, Datacenter, DatacenterId, Endpoint, EndpointId,
        EndpointTarget, Member, MemberKind, MinUp, OnAllDown, Policy, Pool, PoolId, RampTimes,
        RecordKind, Regulation, Service, ServiceId, ServingState, Spread, Surveys, Topology,
        ZoneId,
    },
    zone::{Record, Zone, ZoneBuilder, Zones},
};

/// The datacenters of the steered service, by latitude and longitude.
const PLACES: [(f64, f64); 10] = [
    (50.11, 8.68),
    (38.95, -77.45),
    (37.77, -122.42),
    (1.35, 103.82),
    (35.68, 139.69),
    (-33.87, 151.21),
    (-23.55, -46.63),
    (51.51, -0.13),
    (19.08, 72.88),
    (-26.2, 28.04),
];

fn name(text: &str) -> Name {
    text.parse().expect("a name of this file")
}

/// A zone with `hosts` hosts, a delegation and an alias.
fn zone(hosts: u32) -> Zone {
    let mut builder = ZoneBuilder::new(name("gslb.example.com"));
    let mut add = |owner: &str, rtype, rdata: &[u8]| {
        let record = Record { owner: name(owner), rtype, ttl_secs: 300, rdata: rdata.into() };
        builder.add(record).expect("a record that fits");
    };
    let soa =
        [name("ns1.gslb.example.com").as_wire(), name("host.example.com").as_wire(), &[0; 20]]
            .concat();
    add("gslb.example.com", Rtype::SOA, &soa);
    add("gslb.example.com", Rtype::NS, name("ns1.gslb.example.com").as_wire());
    add("alias.gslb.example.com", Rtype::CNAME, name("host1.gslb.example.com").as_wire());
    add("sub.gslb.example.com", Rtype::NS, name("ns.sub.gslb.example.com").as_wire());
    add("ns.sub.gslb.example.com", Rtype::A, &[192, 0, 2, 53]);
    for number in 0..hosts {
        add(&format!("host{number}.gslb.example.com"), Rtype::A, &number.to_be_bytes());
    }
    builder.finish().expect("a whole zone")
}

/// One service that answers the nearest of ten datacenters, with real geography.
fn topology() -> Topology {
    let datacenters =
        PLACES.iter().enumerate().map(|(number, &(latitude, longitude))| Datacenter {
            name: format!("dc{number}").into(),
            location: Some(Coordinates::new(latitude, longitude).expect("a place on Earth")),
            ..Datacenter::default()
        });
    let endpoints = (0..PLACES.len() as u8).map(|number| Endpoint {
        name: format!("lb{number}").into(),
        target: EndpointTarget::Addresses(vec![[192, 0, 2, number].into()]),
        datacenters: vec![DatacenterId(u32::from(number))],
        monitor: None,
        state: ServingState::Active,
        force: None,
        load: None,
        ramp_times: RampTimes::default(),
    });
    let members = (0..PLACES.len() as u32).map(|number| Member {
        kind: MemberKind::Endpoint(EndpointId(number)),
        weight: 1,
        bias: 0,
    });
    let pool = Pool {
        name: "web".into(),
        policy: Policy::Nearest { tie: None },
        spread: Spread::Query,
        answers: AnswerCount::Count(NonZeroU32::MIN),
        min_up: MinUp::Members(NonZeroU32::MIN),
        families: Default::default(),
        members: members.collect(),
        regulation: Regulation::default(),
    };
    let service = Service {
        name: name("www.gslb.example.com"),
        kind: RecordKind::default(),
        zone: ZoneId(0),
        pool: PoolId(0),
        ttl_secs: 30,
        on_all_down: OnAllDown::All,
        ipv6: true,
        client_subnet: true,
    };
    Topology::new(datacenters.collect(), Vec::new(), endpoints.collect(), vec![pool], vec![service])
}

/// The snapshot of the benchmarks, with `hosts` hosts (`host0` and so on).
pub(crate) fn snapshot(hosts: u32) -> Snapshot {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("geoip/world-country.mmdb");
    let database =
        fs::read(path).ok().and_then(|bytes| Database::open("world-country", bytes).ok());
    let databases = Databases::new(database.map(Arc::new).into_iter().collect());
    let topology = Arc::new(topology());
    let mut surveys = Surveys::default();
    let compiler = Compiler::new(Arc::clone(&topology), &databases, &mut surveys);
    let charts = compiler.compile(&Conditions::unprobed(&topology, 0), &mut surveys).charts();
    let services = [(name("www.gslb.example.com"), ZoneId(0), ServiceId(0))];
    Snapshot {
        zones: Arc::new(Zones::build(vec![Arc::new(zone(hosts))], &services)),
        charts,
        identity: Arc::new(identity()),
        ..Snapshot::default()
    }
}

/// A query with an OPT record that holds `options`.
pub(crate) fn request(owner: &str, rtype: Rtype, options: &[u8]) -> Vec<u8> {
    let header = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8];
    [&header, name(owner).as_wire(), &rtype.0.to_be_bytes(), &[0, 1], &opt, options].concat()
}

/// The server's identity with cookie keys, so that a query with a cookie has its real cost.
fn identity() -> ServerIdentity {
    let cookies = CookieKeys { current: [7; 16], next: [8; 16], previous: None, rotated_secs: 0 };
    ServerIdentity { cookie_keys: Some(cookies), ..ServerIdentity::default() }
}
