//! The instructions of one `engine::answer` by kind of query, counted by callgrind. The counts do
//! not vary between runs, so that they show the cost of a change. `benches/count` runs this and
//! stores the counts in `benches/results/instructions.txt`.

#![expect(missing_docs, reason = "what the macros make has none")]

#[path = "support/fixture.rs"]
mod fixture;

use std::hint::black_box;

use fixture::{request, snapshot};
use gungraun::{library_benchmark, library_benchmark_group, main};
use portolan::{
    dns::Rtype,
    engine::{Query, Transport, answer},
    snapshot::Snapshot,
    steer::DrawState,
};

/// A shard that has answered the query once; the second answer is counted.
struct WarmShard {
    snapshot: Snapshot,
    draws: DrawState,
    message: Vec<u8>,
    out: Vec<u8>,
}

impl WarmShard {
    fn new(owner: &str, rtype: Rtype, options: &[u8]) -> Self {
        let message = request(owner, rtype, options);
        let mut shard = Self {
            snapshot: snapshot(10_000),
            draws: DrawState::new(1),
            message,
            out: vec![0; 1232],
        };
        shard.answer();
        shard
    }

    #[inline]
    fn answer(&mut self) -> usize {
        let query = Query {
            message: black_box(&self.message),
            source: [198, 51, 100, 1].into(),
            transport: Transport::Udp,
            now_secs: 0,
        };
        answer(&self.snapshot, &query, &mut self.draws, &mut self.out)
            .map_or(0, |reply| reply.length)
    }
}

const SUBNET_V4: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 81, 2, 69];
const SUBNET_V6: [u8; 15] = [0, 8, 0, 11, 0, 2, 56, 0, 0x2a, 0x02, 0x81, 0x08, 0x41, 0x02, 0x33];
const COOKIE: [u8; 12] = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];

#[library_benchmark]
#[bench::steered_with_client_subnet(WarmShard::new("www.gslb.example.com", Rtype::A, &SUBNET_V4))]
#[bench::steered_with_client_subnet_of_ipv6(WarmShard::new("www.gslb.example.com", Rtype::A, &SUBNET_V6))]
#[bench::steered(WarmShard::new("www.gslb.example.com", Rtype::A, &[]))]
#[bench::steered_with_cookie(WarmShard::new("www.gslb.example.com", Rtype::A, &COOKIE))]
#[bench::steered_without_data(WarmShard::new("www.gslb.example.com", Rtype::AAAA, &[]))]
#[bench::fixed(WarmShard::new("host77.gslb.example.com", Rtype::A, &[]))]
#[bench::no_data(WarmShard::new("host77.gslb.example.com", Rtype::TXT, &[]))]
#[bench::no_such_name(WarmShard::new("nothing.gslb.example.com", Rtype::A, &[]))]
#[bench::alias(WarmShard::new("alias.gslb.example.com", Rtype::A, &[]))]
#[bench::referral(WarmShard::new("www.sub.gslb.example.com", Rtype::A, &[]))]
#[bench::refused(WarmShard::new("www.example.net", Rtype::A, &[]))]
fn answers(mut shard: WarmShard) -> WarmShard {
    black_box(shard.answer());
    // The shard is returned, so that its drop is not counted.
    shard
}

library_benchmark_group!(name = engine, benchmarks = answers);
main!(library_benchmark_groups = engine);
