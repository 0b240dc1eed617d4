//! Queries during constant changes of files and health status, and measured shares.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    thread,
    time::Duration,
};

use hickory_proto::{op::Message, rr::RData};

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    ports::free_port,
    query::{Deadline, REPLY_TIMEOUT, TestQuery},
};

/// The number of queries in flight at the same time.
const BURST: u16 = 20;
const VERSIONS: u8 = 10;

/// One version of the zone; the version is the third octet of every address.
fn zone(version: u8, port: u16) -> String {
    let addresses: Vec<String> =
        (1..=20).map(|host| format!("\"192.0.{version}.{host}\"")).collect();
    fill(
        r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
records = "records"
[service."steered.example.org"]
members = [{ addresses = [$addresses] }]
[monitor.tcp]
tcp = { port = $port }
interval = "100ms"
timeout = "80ms"
rise = 1
fall = 1
[service."probed.example.org"]
policy = "failover"
members = [
  { addresses = ["127.0.22.1"], monitor = "tcp" },
  { addresses = ["192.0.2.2"] },
]
"#,
        &[("$addresses", &addresses.join(", ")), ("$port", &port)],
    )
}

fn records(version: u8) -> String {
    (1..=20).map(|host| format!("static 300 A 192.0.{version}.{host}\n")).collect()
}

#[test]
fn no_query_is_lost_and_no_rrset_mixes_versions_during_reloads() {
    let port = free_port();
    let site = ServerDirectory::new(&[
        ("zones/example.org.toml", &zone(0, port)),
        ("zones/records", &records(0)),
    ]);
    let server = site.serve();
    let (seen, is_over) = (AtomicU8::new(0), AtomicBool::new(false));
    let generation = server.status().generation;
    let sent = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut sent, deadline) = (0_u64, Deadline::after(4 * WAIT_TIMEOUT));
            let socket = client(server.address);
            // About 2,000 queries per second.
            while deadline.tick() && (sent < 5000 || !is_over.load(Relaxed)) {
                seen.store(burst(&socket, sent), Relaxed);
                sent += u64::from(BURST);
            }
            sent
        });
        for version in 1..=VERSIONS {
            // A health status changes as often as the files do.
            let _listener =
                (version % 2 == 0).then(|| TcpListener::bind(("127.0.22.1", port)).unwrap());
            site.replace("zones/records", &records(version));
            site.replace("zones/example.org.toml", &zone(version, port));
            let expected: &[&str] = if version % 2 == 0 { &["127.0.22.1"] } else { &["192.0.2.2"] };
            server.until("the version is in use", WAIT_TIMEOUT, |_| seen.load(Relaxed) == version);
            server.until_answers("probed.example.org", expected, WAIT_TIMEOUT);
        }
        is_over.store(true, Relaxed);
        load.join().unwrap()
    });
    let status = server.status();
    // A health status that changes because of an edit is published in the same snapshot as the
    // edit.
    assert!(
        status.generation > generation + u64::from(VERSIONS),
        "{} {generation}",
        status.generation
    );
    assert!(server.metric("portolan_replies_by_type_total", "transport=\"udp\"") >= sent as f64);
    let udp = |name| server.metric(name, "transport=\"udp\"");
    let ends = udp("portolan_replies_total")
        + udp("portolan_messages_ignored_total")
        + udp("portolan_send_errors_total");
    assert_eq!(udp("portolan_messages_received_total"), ends);
    assert_eq!(udp("portolan_kernel_drops_total"), 0.0);
}

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(REPLY_TIMEOUT)).unwrap();
    socket
}

/// Queries the static and the steered RRset in turn. Each reply must be complete and of one
/// version. Returns the newest version seen.
fn burst(socket: &UdpSocket, sent: u64) -> u8 {
    for id in 0..BURST {
        let name = ["static.example.org", "steered.example.org"][usize::from(id % 2)];
        socket.send(&TestQuery::new(name, "A").message(id)).unwrap();
    }
    let (mut newest, mut buffer) = (0, [0; 2048]);
    for _ in 0..BURST {
        let length =
            socket.recv(&mut buffer).unwrap_or_else(|error| panic!("lost after {sent}: {error}"));
        let reply = Message::from_vec(&buffer[..length]).unwrap();
        let versions: Vec<u8> = reply
            .answers
            .iter()
            .map(|record| match &record.data {
                RData::A(address) => address.octets()[2],
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(versions.len(), 20, "{:?}", reply.metadata);
        assert!(
            versions.iter().all(|version| *version == versions[0]),
            "one RRset of several versions: {versions:?}"
        );
        newest = newest.max(versions[0]);
    }
    newest
}

#[test]
fn over_100_000_queries_each_share_is_within_one_percent_of_its_weight() {
    let weights = [5, 3, 2];
    let members: String = weights
        .iter()
        .zip(1..)
        .map(|(weight, host)| {
            fill(
                r#"{ addresses = ["192.0.2.$host"], weight = $weight }, "#,
                &[("$host", &host), ("$weight", &weight)],
            )
        })
        .collect();
    let zone = fill(
        r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."www.example.org"]
members = [$members{ addresses = ["192.0.2.9"], weight = 0 }]
"#,
        &[("$members", &members)],
    );
    let site = ServerDirectory::new(&[("zones/example.org.toml", &zone)]);
    let server = site.serve();
    const QUERIES: u32 = 100_000;
    let (counts, took) = count(&server, QUERIES);
    println!("{QUERIES} queries in {took:?}");
    let mut chi_square = 0.0;
    for (weight, host) in weights.iter().zip(1..) {
        let expected = f64::from(QUERIES) * f64::from(*weight) / 10.0;
        let found = f64::from(counts.get(&host).copied().unwrap_or(0));
        assert!((found - expected).abs() <= f64::from(QUERIES) / 100.0, "{counts:?}");
        chi_square += (found - expected).powi(2) / expected;
    }
    assert_eq!(counts.get(&9), None, "weight 0 is a standby");
    // For two degrees of freedom, 13.8 is p = 0.001.
    assert!(chi_square < 13.8, "{chi_square}: {counts:?}");
}

/// How often each address was answered, by its last octet, which without EDNS is the last of the
/// reply; and the time taken.
fn count(server: &Server, queries: u32) -> (BTreeMap<u8, u32>, Duration) {
    const WINDOW: u32 = 50;
    let socket = client(server.address);
    let question = TestQuery::new("www.example.org", "A").message(7);
    let (mut counts, mut buffer, start) = (BTreeMap::new(), [0; 512], std::time::Instant::now());
    for _ in 0..queries / WINDOW {
        for _ in 0..WINDOW {
            socket.send(&question).unwrap();
        }
        for _ in 0..WINDOW {
            let length = socket.recv(&mut buffer).unwrap();
            *counts.entry(buffer[length - 1]).or_default() += 1;
        }
    }
    (counts, start.elapsed())
}
