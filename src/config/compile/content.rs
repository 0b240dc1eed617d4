//! What a zone's serial follows: a hash of everything that can be answered in it, and when a file of it was last changed.
//!
//! States, reasons and forces are left out: they say who serves at the moment, not what is served; a drain is no new edition
//! of the zone.

use std::{hash::Hasher as _, time::SystemTime};

use siphasher::sip::SipHasher13;

use super::{pools::Compiled, zones::SerialSource};
use crate::{
    config::{
        place::At,
        sources::{SourceFile, Sources},
        spec::PoolSpec,
    },
    health::Monitor,
    steer::{MemberKind, OnAllDown, Policy, Pool, Service, Target},
    zone::Record,
};

/// A hash that is the same on every machine, and the newest modification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content {
    hash: u64,
    newest: Option<SystemTime>,
}

impl Content {
    /// Adds a part, which may come in pieces. Sums do not mind the order, which means nothing in a zone.
    fn add_pieces(&mut self, pieces: &[&[u8]]) {
        let mut hasher = SipHasher13::new();
        pieces.iter().for_each(|piece| hasher.write(piece));
        self.hash = self.hash.wrapping_add(hasher.finish());
    }

    fn add(&mut self, part: &[u8]) {
        self.add_pieces(&[part]);
    }

    pub(super) fn add_record(&mut self, record: &Record) {
        let (rtype, ttl) = (record.rtype.0.to_be_bytes(), record.ttl_secs.to_be_bytes());
        self.add_pieces(&[record.owner.as_wire(), &rtype, &ttl, &record.rdata]);
    }

    pub(super) fn add_file(&mut self, file: &SourceFile) {
        self.newest = self.newest.max(file.modified);
    }

    pub(super) fn serial(self) -> SerialSource {
        SerialSource::FromContent { hash: self.hash, newest: self.newest }
    }

    pub(super) fn add_to(self, hash: &mut u64, newest: &mut Option<SystemTime>) {
        *hash = hash.wrapping_add(self.hash);
        *newest = (*newest).max(self.newest);
    }
}

/// The content of each pool with all pools in it.
pub(super) fn of_pools(
    sources: &Sources,
    specs: &[&PoolSpec],
    compiled: &Compiled,
    _monitors: &[At<Monitor>],
) -> Vec<Content> {
    let mut contents: Vec<Content> = specs
        .iter()
        .zip(&compiled.pools)
        .map(|(spec, pool)| {
            let mut content = Content::default();
            content.add(&own_text(pool, compiled));
            content.add_file(sources.file(spec.name.place.file()));
            content
        })
        .collect();
    // Pools are at most 16 deep: after as many rounds each has taken up all that are in it.
    let own = contents.clone();
    for _ in 0..16 {
        let before = contents.clone();
        for (index, pool) in compiled.pools.iter().enumerate() {
            let mut content = own[index];
            for member in &pool.members {
                if let MemberKind::Pool(child) = member.kind {
                    let child = before[child.index()];
                    content.add(&child.hash.to_be_bytes());
                    content.newest = content.newest.max(child.newest);
                }
            }
            contents[index] = content;
        }
        if contents == before {
            break;
        }
    }
    contents
}

/// Everything of a pool that is its own.
fn own_text(pool: &Pool, compiled: &Compiled) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    let mut put = |part: &dyn std::fmt::Debug| {
        use std::io::Write as _;
        // Writing to memory does not fail.
        let _ = write!(text, "{part:?};");
    };
    put(&pool.spread);
    put(&pool.answers);
    put(&pool.min_up);
    put(&pool.regulation);
    match &pool.policy {
        Policy::Geo { .. } | Policy::Nearest { .. } => put(&pool.policy),
        Policy::Weighted => put(&"weighted"),
        Policy::Failover => put(&"failover"),
        Policy::Load(load) => put(&format!("{load:?}")),
        Policy::All => put(&"all"),
    }
    for member in &pool.members {
        put(&(member.weight, member.bias));
        if let MemberKind::Endpoint(id) = member.kind {
            match &compiled.endpoints[id.index()].target {
                Target::Addresses(addresses) => put(addresses),
                Target::Cname(name) => put(name),
                Target::Alias(name) => put(&("alias", name)),
                Target::Host(host) => put(host),
            }
        }
    }
    text
}

/// The content of a service: its own keys and its pool's.
pub(super) fn of_service(file: &SourceFile, service: &Service, pools: &[Content]) -> Content {
    let mut content = pools.get(service.pool.index()).copied().unwrap_or_default();
    let fallback = match service.on_all_down {
        OnAllDown::All => 1,
        OnAllDown::Empty => 2,
        OnAllDown::Pool(pool) => pools.get(pool.index()).map_or(3, |pool| pool.hash),
    };
    let numbers = [
        content.hash.to_be_bytes(),
        fallback.to_be_bytes(),
        (u64::from(service.ttl_secs) << 1 | u64::from(service.ipv6)).to_be_bytes(),
    ];
    let kind = service.kind.word().map(|_| format!("{:?}", service.kind)).unwrap_or_default();
    let text = [service.name.as_wire(), &numbers.concat(), kind.as_bytes()].concat();
    content.hash = 0;
    content.add(&text);
    content.add_file(file);
    content
}
