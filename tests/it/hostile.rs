//! Hostile traffic: mutated datagrams, responses sent as queries, idle and incomplete connections.

use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    time::Duration,
};

use fastrand::Rng;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
    query::{REPLY_TIMEOUT, TestQuery, framed, read_framed},
};

const WWW: &str = "www.example.org";
/// The maximum memory that hostile traffic may cost.
const GROWTH_KIB: u64 = 32 << 10;

fn site() -> ServerDirectory {
    ServerDirectory::new(&[(
        "zones/example.org.toml",
        r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."www.example.org"]
members = [{ addresses = ["192.0.2.1"] }]
"#,
    )])
}

/// Asserts that the server answers over UDP and TCP.
fn assert_answers(server: &Server) {
    let mut query = TestQuery::new(WWW, "A");
    for tcp in [false, true] {
        query.tcp = tcp;
        assert_eq!(server.ask(&query).answers(), ["192.0.2.1"]);
    }
}

/// One of the seeds with a few octets changed, cut off or doubled.
fn mutated(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut message = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..6) {
        if message.is_empty() {
            break;
        }
        let index = rng.usize(..message.len());
        match rng.u8(..4) {
            0 => message[index] = rng.u8(..),
            1 => message.truncate(index),
            2 => message[index] ^= 1 << rng.u8(..8),
            _ => message.extend_from_within(index..),
        }
    }
    message.truncate(4096);
    message
}

#[test]
fn mutated_datagrams_get_a_valid_reply_or_none_and_cost_no_memory() {
    let site = site();
    let server = site.serve();
    assert_answers(&server);
    let seeds = [
        TestQuery::new(WWW, "A").message(1),
        TestQuery::new(WWW, "AAAA").subnet("80.1.2.0/24").message(2),
        TestQuery::new("example.org", "SOA")
            .edns(|edns| edns.options.push((10, vec![7; 8])))
            .message(3),
    ];
    let (before, mut rng) = (server.resident_kib(), Rng::with_seed(1035));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65536];
    for round in 0..200 {
        for _ in 0..100 {
            // The kernel may drop some of them: no reply is required.
            let _ = socket.send(&mutated(&mut rng, &seeds));
        }
        while let Ok(length) = socket.recv(&mut buffer) {
            assert!(
                length >= 12 && buffer[2] & 0x80 != 0,
                "not a reply: {:02x?}",
                &buffer[..length]
            );
            assert!(length <= 1232, "{length}");
        }
        if round % 20 == 0 {
            assert_answers(&server);
        }
    }
    assert_answers(&server);
    let growth = server.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    let udp = |name| server.metric(name, "transport=\"udp\"");
    let ends = udp("portolan_replies_total")
        + udp("portolan_messages_ignored_total")
        + udp("portolan_send_errors_total");
    assert_eq!(udp("portolan_messages_received_total"), ends);
}

#[test]
fn a_response_gets_no_reply() {
    let site = site();
    let server = site.serve();
    let mut response = TestQuery::new(WWW, "A").message(9);
    response[2] |= 0x80;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    for _ in 0..100 {
        socket.send(&response).unwrap();
    }
    server.until("all are counted", WAIT_TIMEOUT, |server| {
        server.metric("portolan_messages_ignored_total", "udp") == 100.0
    });
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err());
}

#[test]
fn idle_and_incomplete_connections_affect_no_others_and_leak_nothing() {
    let site = site();
    let server = site.serve();
    assert_answers(&server);
    let (resident, descriptors) = (server.resident_kib(), server.descriptors());
    let question = framed(&TestQuery::new(WWW, "A").message(1));
    let beginnings: [&[u8]; 5] = [
        b"",
        // A length without a message; length zero; half of a length; half of a question.
        b"\xff\xff",
        b"\x00\x00",
        b"\x00",
        &question[..10],
    ];
    let connections: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut stream = TcpStream::connect_timeout(&server.address, REPLY_TIMEOUT).unwrap();
            // The server may have closed the connection already, so writing may fail.
            let _ = stream.write_all(beginnings[number % beginnings.len()]);
            stream
        })
        .collect();
    assert_answers(&server);
    let growth = server.resident_kib().saturating_sub(resident);
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    drop(connections);
    server.until("their sockets are closed", WAIT_TIMEOUT, |server| {
        server.descriptors() <= descriptors + 1
    });
    assert_answers(&server);
}

#[test]
fn many_questions_on_one_connection_are_all_answered() {
    let site = site();
    let server = site.serve();
    let mut stream = TcpStream::connect_timeout(&server.address, REPLY_TIMEOUT).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // RFC 7766 section 6.2.1.1: queries are pipelined; replies may come in any order.
    let questions: Vec<u8> =
        (0..50).flat_map(|id| framed(&TestQuery::new(WWW, "A").message(id))).collect();
    stream.write_all(&questions).unwrap();
    let mut ids: Vec<u16> = (0..50)
        .map(|_| read_framed(&mut stream).unwrap())
        .map(|reply| u16::from_be_bytes([reply[0], reply[1]]))
        .collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..50));
}
