//! The transports as clients see them: a server in this process, real sockets on loopback, and an
//! empty snapshot, so that every query is REFUSED. The engine's tests check what replies say; these
//! check that they arrive, from which address, and how each is counted.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::{
    dns::Rcode,
    engine::{IgnoreReason, Transport},
    snapshot::Snapshot,
};

mod bind;
mod cores;
mod empty_messages;
mod encrypted;
mod https;
mod panics;
mod streams;

/// Long enough for the slowest machine; reached only by a failure.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

struct UdpServer {
    shards: Shards,
    counters: Counters,
    address: SocketAddr,
    /// Kept so that no other test gets the port.
    _tcp: Vec<std::net::TcpListener>,
}

fn snapshots() -> Arc<ArcSwap<Snapshot>> {
    Arc::new(ArcSwap::from_pointee(Snapshot::default()))
}

fn serve_datagrams(listen: &str, shards: usize) -> UdpServer {
    let bound = bind(&[listen.parse().unwrap()], shards).unwrap();
    UdpServer::start(bound, &snapshots(), engine::DnsEngine)
}

impl UdpServer {
    fn start(
        bound: BoundSockets,
        snapshots: &Arc<ArcSwap<Snapshot>>,
        engine: impl engine::Engine,
    ) -> Self {
        let address = bound.local_addresses()[0];
        let counters = Counters::new();
        let cores = CoreAssignment::for_shards(bound.udp.len(), true);
        let shards =
            udp::serve_with_engine(engine, bound.udp, &cores, snapshots, &counters).unwrap();
        Self { shards, counters, address, _tcp: bound.tcp }
    }
}

/// A socket that receives from `server` only.
fn client(bind: &str, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(bind).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    socket
}

/// A query for a name of `labels` labels, type A, class IN.
fn query(id: u16, labels: usize) -> Vec<u8> {
    let mut message = vec![(id >> 8) as u8, id as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for _ in 0..labels {
        message.extend_from_slice(b"\x09a-label-9");
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

fn is_refusal_of(reply: &[u8], id: u16) -> bool {
    reply.len() >= 12
        && reply[..2] == id.to_be_bytes()
        && reply[2] & 0x80 != 0
        && reply[3] & 0x0f == 5
}

fn ask(socket: &UdpSocket, id: u16) -> bool {
    let mut reply = [0; 2048];
    socket.send(&query(id, 2)).unwrap();
    let octets = socket.recv(&mut reply).unwrap();
    is_refusal_of(&reply[..octets], id)
}

/// Waits until the totals are as expected.
fn wait_for(counters: &Counters, is_expected: impl Fn(&Totals) -> bool) -> Totals {
    let started = Instant::now();
    loop {
        let totals = counters.collect();
        if is_expected(&totals) {
            return totals;
        }
        assert!(started.elapsed() < TEST_TIMEOUT, "not as expected in time: {totals:?}");
        thread::yield_now();
    }
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_queried() {
    let server = serve_datagrams("0.0.0.0:0", 2);
    for address in ["127.0.0.1", "127.0.0.5", "127.9.8.7"] {
        let socket =
            client("127.0.0.1:0", SocketAddr::new(address.parse().unwrap(), server.address.port()));
        assert!(ask(&socket, 7), "{address}");
    }
    server.shards.stop();
}

#[test]
fn a_wildcard_socket_answers_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this host has no IPv6");
        return;
    }
    let server = serve_datagrams("[::]:0", 1);
    let socket = client("[::1]:0", SocketAddr::new("::1".parse().unwrap(), server.address.port()));
    assert!(ask(&socket, 8));
    server.shards.stop();
}

#[test]
fn every_datagram_ends_in_exactly_one_counter() {
    let server = serve_datagrams("127.0.0.1:0", 2);
    // Several sockets, so that both shards receive some.
    let sockets: Vec<_> = (0..8).map(|_| client("127.0.0.1:0", server.address)).collect();
    let mut response = query(1, 1);
    response[2] |= 0x80;
    for (index, socket) in sockets.iter().enumerate() {
        // No more at once than fit into a small receive buffer.
        wait_for(&server.counters, |totals| {
            totals.transport(Transport::Udp).finished() == 50 * index as u64
        });
        for _ in 0..10 {
            socket.send(&query(1, 3)).unwrap();
            socket.send(&[]).unwrap();
            socket.send(&response[..7]).unwrap();
            socket.send(&response).unwrap();
            socket.send(&[0; 5000]).unwrap();
        }
    }
    let totals =
        wait_for(&server.counters, |totals| totals.transport(Transport::Udp).finished() == 400);
    let udp = totals.transport(Transport::Udp);
    assert_eq!(udp.received, 400);
    assert_eq!(udp.answered_with(Rcode::REFUSED), 80);
    assert_eq!(udp.no_replies_for(NoReplyReason::Ignored(IgnoreReason::Short)), 160);
    assert_eq!(udp.no_replies_for(NoReplyReason::Ignored(IgnoreReason::Response)), 80);
    assert_eq!(udp.no_replies_for(NoReplyReason::Oversized), 80);
    assert_eq!(udp.by_type().map(|(_, count)| count).sum::<u64>(), 80);
    server.shards.stop();
}

#[test]
fn stopping_answers_what_was_received() {
    let server = serve_datagrams("127.0.0.1:0", 1);
    let socket = client("127.0.0.1:0", server.address);
    for id in 0..200 {
        socket.send(&query(id, 1)).unwrap();
    }
    server.shards.stop();
    let mut reply = [0; 512];
    for id in 0..200 {
        let octets = socket.recv(&mut reply).unwrap();
        assert!(is_refusal_of(&reply[..octets], id));
    }
}

#[test]
fn shards_that_are_dropped_end() {
    let server = serve_datagrams("127.0.0.1:0", 2);
    drop(server.shards);
    // The sockets close when the threads end: then the address can be bound again.
    let started = Instant::now();
    while UdpSocket::bind(server.address).is_err() {
        assert!(started.elapsed() < TEST_TIMEOUT, "the shards still have their sockets");
        thread::yield_now();
    }
}

struct TcpServer {
    streams: StreamListeners,
    counters: Counters,
    address: SocketAddr,
}

fn serve_streams(listen: &str, limits: ConnectionLimits) -> TcpServer {
    let bound = bind(&[listen.parse().unwrap()], 1).unwrap();
    let address = bound.local_addresses()[0];
    let counters = Counters::new();
    let mut streams = StreamListeners::new(&snapshots(), &counters, limits).unwrap();
    streams.serve_tcp(bound.tcp).unwrap();
    TcpServer { streams, counters, address }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = (message.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(message);
    frame
}

async fn read_reply(stream: &mut TcpStream) -> Vec<u8> {
    let reading = async {
        let octets = stream.read_u16().await.unwrap();
        let mut reply = vec![0; octets.into()];
        stream.read_exact(&mut reply).await.unwrap();
        reply
    };
    timeout(TEST_TIMEOUT, reading).await.unwrap()
}

/// Reads until the server closes the connection, by FIN or by reset; returns the octets read.
async fn read_to_close(stream: &mut TcpStream) -> usize {
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest);
    let _: io::Result<usize> =
        timeout(TEST_TIMEOUT, reading).await.expect("the connection is not closed");
    rest.len()
}

/// Like [`wait_for`], but lets the server's tasks run meanwhile.
async fn eventually(counters: &Counters, is_expected: impl Fn(&Totals) -> bool) -> Totals {
    let started = Instant::now();
    loop {
        let totals = counters.collect();
        if is_expected(&totals) {
            return totals;
        }
        assert!(started.elapsed() < TEST_TIMEOUT, "not as expected in time: {totals:?}");
        tokio::task::yield_now().await;
    }
}
