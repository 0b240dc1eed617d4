//! No query allocates once its shard is warm. The allocator itself counts, for every kind of
//! answer.

#![expect(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one counts and hands on"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

use portolan::{
    config::{Colours, SourceOptions},
    control::LoadedConfig,
    dns::{Name, Rcode, Rtype},
    engine::{MAX_GROUP, NameBuffers, Query, QueryGroup, Transport, answer},
    snapshot::{ServerIdentity, Snapshot},
    steer::{Conditions, DrawState},
};

/// The system's allocator with a count for each thread, so that the threads of the test harness do
/// not count.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending no longer has a count.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed unchanged to the system's allocator; counting changes one `Cell` and
// does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller fulfils the contract of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const TABLES: &str = r#"
[datacenter.fra]
location = { latitude = 50.11, longitude = 8.68 }
[datacenter.iad]
location = { latitude = 38.95, longitude = -77.45 }

[zone."example.org"]
records = "example.org.zone"
whoami = "whoami"

[pool.fra]
datacenter = "fra"
members = [{ addresses = ["192.0.2.1", "2001:db8:1::1"], weight = 3 }, { addresses = ["192.0.2.2", "2001:db8:1::2"] }]
[pool.iad]
datacenter = "iad"
members = [{ addresses = ["198.51.100.1", "2001:db8:2::1"] }]

[service."nearest.example.org"]
policy = "nearest"
members = ["fra", "iad"]

[service."country.example.org"]
policy = "geo"
rules = [{ country = ["US"], members = ["iad"] }, { subnet = ["203.0.113.0/24"], members = ["iad", "fra"] }]
default = ["fra"]

[service."weighted.example.org"]
pool = "fra"

[service."client.example.org"]
spread = "client"
answers = 2
members = [{ addresses = ["192.0.2.1"] }, { addresses = ["192.0.2.2"] }, { addresses = ["192.0.2.3"] }]

[service."turn.example.org"]
spread = "turn"
members = [{ addresses = ["192.0.2.1"] }, { addresses = ["192.0.2.2"] }]

[service."every.example.org"]
policy = "all"
members = [{ addresses = ["192.0.2.1"] }, { addresses = ["192.0.2.2"] }]

[service."_sips._tcp.example.org"]
type = "SRV"
answers = 3
policy = "failover"
members = [{ target = "mail.example.org", port = 5061 }, { target = "host.example.org", port = 5061 }, { target = "sip.example.net", port = 5061 }]

[service."https.example.org"]
type = "HTTPS"
alpn = ["h2", "h3"]
policy = "nearest"
members = ["fra", "iad"]

[service."https-cname.example.org"]
type = "HTTPS"
members = [{ cname = "https.example.org" }]

[service."cname.example.org"]
members = [{ cname = "nearest.example.org" }]
"#;

const RECORDS: &str = r#"
$ORIGIN example.org.
$TTL 300
@       SOA   ns1 hostmaster 1 3600 600 86400 60
@       NS    ns1
@       MX    10 mail
ns1     A     192.0.2.53
mail    A     192.0.2.25
mail    AAAA  2001:db8::25
host    A     192.0.2.80
text    TXT   "some" "words"
*.wild  A     192.0.2.90
a       CNAME b
b       CNAME c
c       CNAME nearest
loop    CNAME loop2
loop2   CNAME loop
dname   DNAME host
child   NS    ns.child
ns.child A    192.0.2.54
_sip._tcp SRV 0 0 5060 mail
big     TXT   "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
"#;

/// Services with so many members that each answer picks single members, for every spread; and
/// services that answer all members.
fn large() -> String {
    let members: Vec<String> =
        (1..=60).map(|host| format!("{{ addresses = [\"10.0.0.{host}\"] }}")).collect();
    let members = members.join(", ");
    let service = |name: &str, keys: &str| {
        format!("[service.\"{name}.example.org\"]\n{keys}\nmembers = [{members}]\n")
    };
    ["query", "client", "turn"]
        .map(|spread| {
            service(&format!("three-{spread}"), &format!("spread = \"{spread}\"\nanswers = 3"))
                + &service(
                    &format!("all-{spread}"),
                    &format!("spread = \"{spread}\"\nanswers = \"all\""),
                )
        })
        .concat()
}

fn snapshot() -> (tempfile::TempDir, Snapshot) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("tables.toml"), format!("{TABLES}{}", large()))
        .expect("written");
    fs::write(directory.path().join("example.org.zone"), RECORDS).expect("written");
    let locations = SourceOptions {
        zones: Some(directory.path().into()),
        geoip: vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("geoip/world-country.mmdb")],
        ..SourceOptions::default()
    };
    let mut world = LoadedConfig::load(&locations, Colours::Plain)
        .unwrap_or_else(|refusal| panic!("{}", refusal.rendered));
    let conditions = Conditions::unprobed(&world.topology, 0);
    let compiled = world.compiler.compile(&conditions, &mut world.surveys);
    let snapshot = Snapshot {
        generation: 1,
        zones: Arc::clone(&world.zones),
        charts: compiled.charts(),
        turn_counters: compiled.turn_counters(),
        identity: Arc::new(ServerIdentity {
            nsid: (*b"test").into(),
            cookie_keys: Some(portolan::dns::CookieKeys {
                current: [7; 16],
                next: [8; 16],
                previous: None,
                rotated_secs: 0,
            }),
        }),
        databases: Arc::clone(world.databases()),
        topology: world.topology,
        health_statuses: conditions.health_statuses.into(),
    };
    (directory, snapshot)
}

/// A query with an OPT record that holds `options`.
fn request(owner: &str, rtype: Rtype, options: &[u8]) -> Vec<u8> {
    let name: Name = owner.parse().expect("a name");
    let header = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8];
    [&header, name.as_wire(), &rtype.0.to_be_bytes(), &[0, 1], &opt, options].concat()
}

/// A description, the query, and the response code; `None` for no reply.
type SampleQuery = (&'static str, Vec<u8>, Option<Rcode>);

const OK: Option<Rcode> = Some(Rcode::NOERROR);
/// A client subnet option: 8.8.8.0/24.
const AMERICAN: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 8, 8, 8];
/// A cookie option with a client cookie alone.
const COOKIE: [u8; 12] = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];

fn queries() -> Vec<SampleQuery> {
    [queries_of_services(), queries_of_static_records(), malformed_queries()].concat()
}

fn queries_of_services() -> Vec<SampleQuery> {
    let european = [0, 8, 0, 11, 0, 2, 56, 0, 0x20, 0x01, 0x04, 0x70, 0, 0, 1];
    let nsid = [0, 3, 0, 0];
    let everything = [&AMERICAN[..], &COOKIE, &nsid].concat();
    vec![
        ("nearest, A, a subnet of IPv4", request("nearest.example.org", Rtype::A, &AMERICAN), OK),
        (
            "nearest, AAAA, a subnet of IPv6",
            request("nearest.example.org", Rtype::AAAA, &european),
            OK,
        ),
        ("nearest, no subnet", request("nearest.example.org", Rtype::A, &[]), OK),
        ("nearest, every option", request("nearest.example.org", Rtype::A, &everything), OK),
        ("nearest, mixed case", request("NeArEsT.eXaMpLe.OrG", Rtype::A, &AMERICAN), OK),
        ("a service's NODATA", request("nearest.example.org", Rtype::MX, &AMERICAN), OK),
        ("geo", request("country.example.org", Rtype::A, &AMERICAN), OK),
        ("weighted", request("weighted.example.org", Rtype::A, &[]), OK),
        ("by client, two of three", request("client.example.org", Rtype::A, &AMERICAN), OK),
        ("in turn", request("turn.example.org", Rtype::A, &[]), OK),
        ("all", request("every.example.org", Rtype::A, &[]), OK),
        ("three of sixty", request("three-query.example.org", Rtype::A, &[]), OK),
        ("three of sixty, by client", request("three-client.example.org", Rtype::A, &AMERICAN), OK),
        ("three of sixty, in turn", request("three-turn.example.org", Rtype::A, &[]), OK),
        ("all of sixty", request("all-query.example.org", Rtype::A, &[]), OK),
        ("all of sixty, by client", request("all-client.example.org", Rtype::A, &AMERICAN), OK),
        ("all of sixty, in turn", request("all-turn.example.org", Rtype::A, &[]), OK),
        ("a chosen CNAME to a service", request("cname.example.org", Rtype::A, &AMERICAN), OK),
        (
            "chosen SRV, with additional records",
            request("_sips._tcp.example.org", Rtype::SRV, &AMERICAN),
            OK,
        ),
        ("HTTPS with hints", request("https.example.org", Rtype::HTTPS, &AMERICAN), OK),
        ("an A record beside it", request("https.example.org", Rtype::A, &AMERICAN), OK),
        (
            "HTTPS behind a chosen CNAME",
            request("https-cname.example.org", Rtype::HTTPS, &AMERICAN),
            OK,
        ),
        ("ANY of a service", request("nearest.example.org", Rtype::ANY, &everything), OK),
        ("a chain of CNAMEs into a service", request("a.example.org", Rtype::A, &AMERICAN), OK),
    ]
}

fn queries_of_static_records() -> Vec<SampleQuery> {
    vec![
        ("static", request("host.example.org", Rtype::A, &[]), OK),
        ("static, with additional records", request("example.org", Rtype::MX, &[]), OK),
        ("SRV", request("_sip._tcp.example.org", Rtype::SRV, &[]), OK),
        ("SOA", request("example.org", Rtype::SOA, &COOKIE), OK),
        ("ANY", request("host.example.org", Rtype::ANY, &[]), OK),
        ("whoami", request("whoami.example.org", Rtype::TXT, &AMERICAN), OK),
        ("long text", request("big.example.org", Rtype::TXT, &[]), OK),
        ("wildcard", request("x.y.wild.example.org", Rtype::A, &[]), OK),
        ("NODATA", request("host.example.org", Rtype::TXT, &[]), OK),
        ("NODATA of an empty non-terminal", request("wild.example.org", Rtype::A, &[]), OK),
        ("NXDOMAIN", request("nothing.example.org", Rtype::A, &AMERICAN), Some(Rcode::NXDOMAIN)),
        ("a loop of CNAMEs", request("loop.example.org", Rtype::A, &[]), OK),
        ("DNAME", request("x.dname.example.org", Rtype::A, &[]), Some(Rcode::NXDOMAIN)),
        ("referral with glue", request("www.child.example.org", Rtype::A, &[]), OK),
        (
            "a name outside of the zones",
            request("www.example.net", Rtype::A, &[]),
            Some(Rcode::REFUSED),
        ),
    ]
}

fn malformed_queries() -> Vec<SampleQuery> {
    let host_bits = [0, 8, 0, 7, 0, 1, 20, 0, 8, 8, 8];
    vec![
        (
            "host bits after the subnet",
            request("nearest.example.org", Rtype::A, &host_bits),
            Some(Rcode::FORMERR),
        ),
        (
            "a name cut short",
            request("host.example.org", Rtype::A, &[])[..20].into(),
            Some(Rcode::FORMERR),
        ),
        ("a header alone", vec![0; 12], Some(Rcode::FORMERR)),
        ("too short for a header", vec![0; 5], None),
        ("a response", [&[0, 0, 0x80], &[0_u8; 9][..]].concat(), None),
    ]
}

#[test]
fn no_answer_allocates_once_its_shard_is_warm() {
    const TIMES: u64 = 50;
    let (_directory, snapshot) = snapshot();
    let mut draws = DrawState::new(1);
    draws.reserve_turns(snapshot.turn_counters);
    let mut out = vec![0; 65_535];
    let sources =
        [IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)), "2001:500:2f::f".parse().expect("an address")];
    for (what, message, expected) in &queries() {
        for source in sources {
            for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https] {
                let query = Query { message, source, transport, now_secs: 1_000_000 };
                let first = answer(&snapshot, &query, &mut draws, &mut out);
                assert_eq!(first.ok().map(|reply| reply.labels.rcode), *expected, "{what}");
                let before = ALLOCATIONS.with(Cell::get);
                for _ in 0..TIMES {
                    let _ = std::hint::black_box(answer(&snapshot, &query, &mut draws, &mut out));
                }
                let allocations = ALLOCATIONS.with(Cell::get) - before;
                assert_eq!(
                    allocations, 0,
                    "{what}, from {source}, {transport:?}: in {TIMES} answers"
                );
            }
        }
    }
}

#[test]
fn a_group_answers_as_each_query_would_be_answered_alone_and_does_not_allocate() {
    let (_directory, snapshot) = snapshot();
    let (mut alone, mut together) = (DrawState::new(1), DrawState::new(1));
    alone.reserve_turns(snapshot.turn_counters);
    together.reserve_turns(snapshot.turn_counters);
    let queries = queries();
    let mut names = NameBuffers::new();
    let mut replies = vec![[0; 1232]; MAX_GROUP];
    for size in [1, 2, 7, MAX_GROUP] {
        // The order lets every kind of query meet every other kind in a group.
        for round in 0..20 * queries.len() {
            let asked: Vec<_> = (0..size)
                .map(|place| &queries[(round * size + place * place) % queries.len()])
                .collect();
            let query = |message| Query {
                message,
                source: [198, 41, 0, 4].into(),
                transport: Transport::Udp,
                now_secs: 1,
            };
            let mut lengths = [None; MAX_GROUP];
            let before = ALLOCATIONS.with(Cell::get);
            let mut group = QueryGroup::new(&mut names);
            for ((place, (_, message, _)), out) in asked.iter().enumerate().zip(&mut replies) {
                let _ = group.add(place, query(message), out);
            }
            group.answer(&snapshot, &mut together, |place, reply| {
                lengths[place] = Some(reply.length)
            });
            drop(group);
            assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
            for ((place, (what, message, _)), reply) in asked.iter().enumerate().zip(&replies) {
                let mut out = [0; 1232];
                let length = answer(&snapshot, &query(message), &mut alone, &mut out)
                    .ok()
                    .map(|reply| reply.length);
                assert_eq!(lengths[place], length, "{what}");
                let length = length.unwrap_or(0);
                assert_eq!(reply[..length], out[..length], "{what}");
            }
        }
    }
}

#[test]
fn the_allocator_counts() {
    let before = ALLOCATIONS.with(Cell::get);
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 1, "or the other test proves nothing");
}
