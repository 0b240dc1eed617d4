//! `engine::answer` by kind of query: the time that a shard spends on a datagram between receiving
//! and sending, and what a group of queries saves.

#[path = "support/fixture.rs"]
mod fixture;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fixture::{request, snapshot};
use portolan::{
    dns::Rtype,
    engine::{MAX_GROUP, NameBuffers, Query, QueryGroup, Transport, answer},
    steer::DrawState,
};

/// The largest possible message, filled with copies of one additional record.
fn flood(record: &[u8]) -> Vec<u8> {
    let mut message = request("host77.gslb.example.com", Rtype::A, &[]);
    message[10..12].copy_from_slice(&[0xff, 0xff]);
    while message.len() + record.len() <= 65_535 {
        message.extend_from_slice(record);
    }
    message
}

fn answers(criterion: &mut Criterion) {
    let snapshot = snapshot(10_000);
    let mut draws = DrawState::new(1);
    let mut out = vec![0; 65_535];
    let subnet = [0, 8, 0, 7, 0, 1, 24, 0, 81, 2, 69];
    let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    for (kind, message) in [
        ("steered with client subnet", request("www.gslb.example.com", Rtype::A, &subnet)),
        ("steered", request("www.gslb.example.com", Rtype::A, &[])),
        ("steered with cookie", request("www.gslb.example.com", Rtype::A, &cookie)),
        ("static", request("host77.gslb.example.com", Rtype::A, &[])),
        ("no data", request("host77.gslb.example.com", Rtype::TXT, &[])),
        ("no such name", request("nothing.gslb.example.com", Rtype::A, &[])),
        ("alias", request("alias.gslb.example.com", Rtype::A, &[])),
        ("referral", request("www.sub.gslb.example.com", Rtype::A, &[])),
        ("refused", request("www.example.net", Rtype::A, &[])),
        (
            "127 labels that do not exist",
            request(&("a.".repeat(118) + "gslb.example.com"), Rtype::A, &[]),
        ),
        ("64 KiB of empty records", flood(&[0; 11])),
        ("64 KiB of long names", flood(&[&b"\x01a".repeat(127)[..], &[0; 11]].concat())),
    ] {
        criterion.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let query = Query {
                    message: black_box(&message),
                    source: [198, 51, 100, 1].into(),
                    transport: Transport::Udp,
                    now_secs: 0,
                };
                answer(&snapshot, &query, &mut draws, &mut out).map(|reply| reply.length)
            });
        });
    }
}

/// Many names and clients, so that no query finds its data in a CPU cache: each query alone, and
/// queries in groups. The time is that of a whole group; the rate is that of queries.
fn groups(criterion: &mut Criterion) {
    const HOSTS: u32 = 300_000;
    let snapshot = snapshot(HOSTS);
    let mut random = fastrand::Rng::with_seed(1);
    let names: Vec<_> = (0..1 << 15)
        .map(|_| request(&format!("host{}.gslb.example.com", random.u32(..HOSTS)), Rtype::A, &[]))
        .collect();
    let clients: Vec<_> = (0..1 << 15)
        .map(|_| {
            let subnet = [0, 8, 0, 7, 0, 1, 24, 0, random.u8(1..224), random.u8(..), random.u8(..)];
            request("www.gslb.example.com", Rtype::A, &subnet)
        })
        .collect();
    let query = |message| Query {
        message,
        source: [198, 51, 100, 1].into(),
        transport: Transport::Udp,
        now_secs: 0,
    };
    let (mut draws, mut names_asked) = (DrawState::new(1), NameBuffers::new());
    let mut replies = vec![[0; 1232]; MAX_GROUP];
    for (kind, messages) in [("names", &names), ("clients", &clients)] {
        let mut bench = criterion.benchmark_group(kind);
        bench.throughput(Throughput::Elements(MAX_GROUP as u64));
        let mut chunks = messages.chunks_exact(MAX_GROUP).cycle();
        bench.bench_function("alone", |bencher| {
            bencher.iter(|| {
                for (message, reply) in chunks.next().into_iter().flatten().zip(&mut replies) {
                    black_box(answer(&snapshot, &query(message), &mut draws, reply).is_ok());
                }
            });
        });
        let mut chunks = messages.chunks_exact(MAX_GROUP).cycle();
        bench.bench_function("together", |bencher| {
            bencher.iter(|| {
                let mut group = QueryGroup::new(&mut names_asked);
                for (message, reply) in chunks.next().into_iter().flatten().zip(&mut replies) {
                    black_box(group.add(0, query(message), reply).is_ok());
                }
                group.answer(&snapshot, &mut draws, |_, reply| {
                    black_box(reply.length);
                });
            });
        });
    }
}

criterion_group!(benches, answers, groups);
criterion_main!(benches);
