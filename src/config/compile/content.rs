//! What a zone's serial follows: a hash of everything that can be answered in it. The time of the
//! last change comes from `files`.
//!
//! States, reasons and forces are left out: they say who serves at the moment, not what is served;
//! a drain is no new edition of the zone.

use std::{hash::Hasher as _, sync::Arc};

use siphasher::sip::SipHasher13;

use crate::{
    steer::{Endpoint, MemberKind, OnAllDown, Policy, Pool, PoolId, Service, Target},
    zone::Record,
};

/// A hash that is the same on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content(pub(super) u64);

impl Content {
    /// Adds a part, which may come in pieces. Sums do not mind the order, which means nothing in a
    /// zone.
    fn add_pieces(&mut self, pieces: &[&[u8]]) {
        let mut hasher = SipHasher13::new();
        pieces.iter().for_each(|piece| hasher.write(piece));
        self.0 = self.0.wrapping_add(hasher.finish());
    }

    fn add(&mut self, part: &[u8]) {
        self.add_pieces(&[part]);
    }

    pub(super) fn add_record(&mut self, record: &Record) {
        let (rtype, ttl) = (record.rtype.0.to_be_bytes(), record.ttl_secs.to_be_bytes());
        self.add_pieces(&[record.owner.as_wire(), &rtype, &ttl, &record.rdata]);
    }
}

/// The content of pools, each hashed once, when it is asked for.
pub(super) struct PoolContents<'t> {
    pools: &'t [Arc<Pool>],
    endpoints: &'t [Arc<Endpoint>],
    known: Vec<Option<Content>>,
}

impl<'t> PoolContents<'t> {
    pub(super) fn new(pools: &'t [Arc<Pool>], endpoints: &'t [Arc<Endpoint>]) -> Self {
        Self { pools, endpoints, known: vec![None; pools.len()] }
    }

    /// The content of a pool with all pools in it. Pools form no cycle and are not deep: other
    /// configurations are refused.
    pub(super) fn of(&mut self, id: PoolId) -> Content {
        if let Some(known) = self.known[id.index()] {
            return known;
        }
        let pool = &self.pools[id.index()];
        let mut content = Content::default();
        content.add(&own_text(pool, self.endpoints));
        for member in &pool.members {
            if let MemberKind::Pool(child) = member.kind {
                content.add(&self.of(child).0.to_be_bytes());
            }
        }
        self.known[id.index()] = Some(content);
        content
    }

    /// The content of a service: its own keys and its pool's.
    pub(super) fn of_service(&mut self, service: &Service) -> Content {
        let fallback = match service.on_all_down {
            OnAllDown::All => 1,
            OnAllDown::Empty => 2,
            OnAllDown::Pool(pool) => self.of(pool).0,
        };
        let numbers = [
            self.of(service.pool).0.to_be_bytes(),
            fallback.to_be_bytes(),
            (u64::from(service.ttl_secs) << 1 | u64::from(service.ipv6)).to_be_bytes(),
        ];
        let kind = service.kind.word().map(|_| format!("{:?}", service.kind)).unwrap_or_default();
        let mut content = Content::default();
        content.add_pieces(&[service.name.as_wire(), &numbers.concat(), kind.as_bytes()]);
        content
    }
}

/// Everything of a pool that is its own.
fn own_text(pool: &Pool, endpoints: &[Arc<Endpoint>]) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    let mut put = |part: &dyn std::fmt::Debug| {
        use std::io::Write as _;
        // Writing to memory does not fail.
        let _ = write!(text, "{part:?};");
    };
    put(&pool.spread);
    put(&pool.answers);
    put(&pool.min_up);
    put(&pool.families);
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
            match &endpoints[id.index()].target {
                Target::Addresses(addresses) => put(addresses),
                Target::Cname(name) => put(name),
                Target::Alias(name) => put(&("alias", name)),
                Target::Host(host) => put(host),
            }
        }
    }
    text
}
