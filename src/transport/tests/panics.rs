//! Panics: what one costs, in the engine and in a shard.

use super::*;
use crate::{
    dns::Rtype,
    engine::{Query, QueryGroup, WrittenReply},
    steer::DrawState,
    transport::engine::{DnsEngine, Engine},
};

/// A datagram that makes [`FaultyEngine`] panic.
const PANIC_QUERY: &[u8] = b"panic in the engine";
/// A query type that makes [`FaultyEngine`] panic among the answers of a group, but not alone.
const GROUP_PANIC_TYPE: Rtype = Rtype(0xff00);

/// The engine, with faults.
#[derive(Clone, Copy)]
struct FaultyEngine;

impl Engine for FaultyEngine {
    fn add<'m>(
        self,
        group: &mut QueryGroup<'_, 'm>,
        tag: usize,
        query: Query<'m>,
        out: &'m mut [u8],
    ) -> Result<(), IgnoreReason> {
        assert!(query.message != PANIC_QUERY, "a test asks for this panic");
        DnsEngine.add(group, tag, query, out)
    }

    fn answer_group(
        self,
        group: &mut QueryGroup<'_, '_>,
        snapshot: &Snapshot,
        draws: &mut DrawState,
        mut each: impl FnMut(usize, WrittenReply),
    ) {
        DnsEngine.answer_group(group, snapshot, draws, |tag, reply| {
            assert!(reply.labels.rtype != GROUP_PANIC_TYPE, "a test asks for this panic");
            each(tag, reply);
        });
    }

    fn answer(
        self,
        snapshot: &Snapshot,
        query: &Query<'_>,
        draws: &mut DrawState,
        out: &mut [u8],
    ) -> Result<WrittenReply, IgnoreReason> {
        assert!(query.message != PANIC_QUERY, "a test asks for this panic");
        DnsEngine.answer(snapshot, query, draws, out)
    }
}

/// One shard's sockets, and a client of them.
fn bound_with_client() -> (BoundSockets, UdpSocket) {
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    let socket = client("127.0.0.1:0", bound.local_addresses()[0]);
    (bound, socket)
}

fn wait_until_finished(server: &UdpServer, count: u64) -> Totals {
    wait_for(&server.counters, |totals| totals.transport(Transport::Udp).finished() == count)
}

fn panicked(totals: &Totals) -> u64 {
    totals.transport(Transport::Udp).no_replies_for(NoReplyReason::Panicked)
}

#[test]
fn a_panic_in_the_engine_costs_one_message() {
    let (bound, socket) = bound_with_client();
    let server = UdpServer::start(bound, &snapshots(), FaultyEngine);
    socket.send(PANIC_QUERY).unwrap();
    assert!(ask(&socket, 9));
    assert_eq!(panicked(&wait_until_finished(&server, 2)), 1);
    server.shards.stop();
}

#[test]
fn a_panic_in_a_batch_does_not_affect_its_other_messages() {
    let (bound, socket) = bound_with_client();
    // All have arrived before the shard starts: they are one batch.
    for id in 1..4 {
        socket.send(&query(id, 2)).unwrap();
        socket.send(PANIC_QUERY).unwrap();
    }
    let server = UdpServer::start(bound, &snapshots(), FaultyEngine);
    let mut reply = [0; 512];
    for id in 1..4 {
        let octets = socket.recv(&mut reply).unwrap();
        assert!(is_refusal_of(&reply[..octets], id));
    }
    assert_eq!(panicked(&wait_until_finished(&server, 6)), 3);
    server.shards.stop();
}

#[test]
fn after_a_panic_among_the_answers_of_a_group_every_message_is_answered() {
    let (bound, socket) = bound_with_client();
    // All have arrived before the shard starts: they are one batch, and the query that panics is in
    // its second group.
    for id in 0..40 {
        let mut message = query(id, 2);
        if id == 20 {
            let rtype_offset = message.len() - 4;
            message[rtype_offset..rtype_offset + 2]
                .copy_from_slice(&GROUP_PANIC_TYPE.0.to_be_bytes());
        }
        socket.send(&message).unwrap();
    }
    let server = UdpServer::start(bound, &snapshots(), FaultyEngine);
    let mut reply = [0; 512];
    for id in 0..40 {
        socket.recv(&mut reply).unwrap();
        assert_eq!(reply[..2], u16::to_be_bytes(id));
    }
    let totals = wait_until_finished(&server, 40);
    assert_eq!(totals.transport(Transport::Udp).received, 40);
    assert_eq!(panicked(&totals), 0);
    server.shards.stop();
}

#[test]
fn a_shard_that_panics_starts_again() {
    let (bound, socket) = bound_with_client();
    let snapshots = snapshots();
    let server = UdpServer::start(bound, &snapshots, DnsEngine);
    for round in 1..4 {
        // No shard has room for so many counters: it panics outside of the engine.
        snapshots.store(Arc::new(Snapshot {
            generation: 2 * round,
            turn_counters: usize::MAX,
            ..Snapshot::default()
        }));
        socket.send(&query(10, 2)).unwrap();
        wait_for(&server.counters, |totals| panicked(totals) == round);
        snapshots.store(Arc::new(Snapshot { generation: 2 * round + 1, ..Snapshot::default() }));
        assert!(ask(&socket, 10));
    }
    assert!(server.shards.are_alive());
    server.shards.stop();
}
