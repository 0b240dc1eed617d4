//! The content hash: a hash of everything that can be answered in a zone, which decides whether its
//! serial must increase. The time of the last change comes from `zone_files`.
//!
//! States, reasons and forces are left out: they decide what serves at the moment, not what the
//! zone contains. A drain is not a new version of the zone.

use std::{
    fmt::{Display, Write as _},
    hash::Hasher as _,
    sync::Arc,
};

use siphasher::sip::SipHasher13;

use crate::{
    steer::{
        AnswerCount, Endpoint, EndpointTarget, Failback, FamilyCoupling, LoadLevel, MemberKind,
        MinUp, OnAllDown, Policy, Pool, PoolId, RecordKind, Regulation, Service, Spread, Tie,
    },
    zone::Record,
};

/// A sum of hashes, which is the same on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ContentHash(pub(super) u64);

impl ContentHash {
    /// Adds the hash of the concatenated pieces. The hashes are summed, since the order of records
    /// means nothing in a zone.
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

/// The content hashes of pools, each computed once, when it is first needed.
pub(super) struct PoolContentHashes<'t> {
    pools: &'t [Arc<Pool>],
    endpoints: &'t [Arc<Endpoint>],
    cached: Vec<Option<ContentHash>>,
}

impl<'t> PoolContentHashes<'t> {
    pub(super) fn new(pools: &'t [Arc<Pool>], endpoints: &'t [Arc<Endpoint>]) -> Self {
        Self { pools, endpoints, cached: vec![None; pools.len()] }
    }

    /// The content hash of a pool, including all pools in it. Pools form no cycle and are not
    /// nested deeply: other configurations are refused.
    pub(super) fn pool_hash(&mut self, id: PoolId) -> ContentHash {
        if let Some(known) = self.cached[id.index()] {
            return known;
        }
        let pool = &self.pools[id.index()];
        let mut content = ContentHash::default();
        content.add(pool_text(pool, self.endpoints).as_bytes());
        for member in &pool.members {
            if let MemberKind::Pool(child) = member.kind {
                content.add(&self.pool_hash(child).0.to_be_bytes());
            }
        }
        self.cached[id.index()] = Some(content);
        content
    }

    /// The content hash of a service: its own keys and its pool's content.
    pub(super) fn service_hash(&mut self, service: &Service) -> ContentHash {
        let fallback = match service.on_all_down {
            OnAllDown::All => 1,
            OnAllDown::Empty => 2,
            OnAllDown::Pool(pool) => self.pool_hash(pool).0,
        };
        let numbers = [
            self.pool_hash(service.pool).0.to_be_bytes(),
            fallback.to_be_bytes(),
            (u64::from(service.ttl_secs) << 1 | u64::from(service.ipv6)).to_be_bytes(),
        ];
        let kind = service.kind.keyword().unwrap_or_default();
        let (front, has_hints) = match &service.kind {
            RecordKind::Binding(binding) => (&binding.rdata_prefix[..], binding.has_hints),
            RecordKind::Addresses | RecordKind::Srv => (&[][..], false),
        };
        let mut content = ContentHash::default();
        content.add_pieces(&[
            service.name.as_wire(),
            &numbers.concat(),
            kind.as_bytes(),
            front,
            &[has_hints.into()],
        ]);
        content
    }
}

/// A pool's settings and targets as text, each setting under its key. The text is written out here
/// and not derived from types, since a renamed type must not change a serial.
fn pool_text(pool: &Pool, endpoints: &[Arc<Endpoint>]) -> String {
    let mut text = String::with_capacity(256);
    let mut put = |key: &str, value: &dyn Display| {
        // Writing to memory does not fail.
        let _ = write!(text, "{key}={value};");
    };
    put(
        "spread",
        &match pool.spread {
            Spread::Query => "query",
            Spread::Client => "client",
            Spread::Turn => "turn",
        },
    );
    match pool.answers {
        AnswerCount::Count(count) => put("answers", &count),
        AnswerCount::All => put("answers", &"all"),
    }
    match pool.min_up {
        MinUp::Members(count) => put("min-up", &count),
        MinUp::Share(share) => put("min-up-share", &share),
    }
    put(
        "families",
        &match pool.families {
            FamilyCoupling::Independent => "apart",
            FamilyCoupling::Coupled => "together",
        },
    );
    put_regulation(&mut put, &pool.regulation);
    put("policy", &pool.policy.as_str());
    put_policy(&mut put, &pool.policy);
    for member in &pool.members {
        put("weight", &member.weight);
        put("bias", &member.bias);
        if let MemberKind::Endpoint(id) = member.kind {
            put_target(&mut put, &endpoints[id.index()].target);
        }
    }
    text
}

/// A function that writes a key and its value.
type Put<'p> = dyn FnMut(&str, &dyn Display) + 'p;

fn put_regulation(put: &mut Put<'_>, regulation: &Regulation) {
    if let Some(capacity) = &regulation.capacity {
        put("capacity-by", &format_args!("{:?}", capacity.measure.as_str()));
        for (key, level) in [("capacity-target", capacity.target), ("capacity-max", capacity.max)] {
            match level {
                LoadLevel::Amount(amount) => put(key, &amount),
                LoadLevel::Share(share) => put(key, &format_args!("{share} of the limit")),
            }
        }
    }
    put("keep", &regulation.keep.share());
    if let Some(trickle) = regulation.trickle {
        put("trickle", &trickle);
    }
    match regulation.failback {
        Failback::Auto => put("failback", &"auto"),
        Failback::After(delay) => put("failback", &delay.as_millis()),
        Failback::Manual => put("failback", &"manual"),
    }
}

fn put_policy(put: &mut Put<'_>, policy: &Policy) {
    match policy {
        Policy::Weighted | Policy::Failover | Policy::All => {}
        Policy::Nearest { tie: None } => {}
        Policy::Nearest { tie: Some(Tie::Share(share)) } => put("tie-share", share),
        Policy::Nearest { tie: Some(Tie::Kilometres(distance)) } => put("tie-km", distance),
        Policy::Load(load) => {
            put("by", &format_args!("{:?}", load.measure.as_str()));
            put("soft", &load.soft);
            put("hard", &load.hard);
        }
        Policy::Geo { rules, default } => {
            for rule in rules {
                put("subnets", &format_args!("{:?}", rule.subnets));
                put("asns", &format_args!("{:?}", rule.asns));
                put("subdivisions", &format_args!("{:?}", rule.subdivisions));
                put("countries", &format_args!("{:?}", rule.countries));
                put("continents", &format_args!("{:?}", rule.continents));
                put("members", &format_args!("{:?}", rule.members));
                put("strict", &rule.strict);
            }
            put("default", &format_args!("{default:?}"));
        }
    }
}

fn put_target(put: &mut Put<'_>, target: &EndpointTarget) {
    match target {
        EndpointTarget::Addresses(addresses) => put("addresses", &format_args!("{addresses:?}")),
        EndpointTarget::Cname(name) => put("cname", name),
        EndpointTarget::Alias(name) => put("alias", name),
        EndpointTarget::Host(host) => {
            put("host", &host.name);
            put("port", &host.port);
            put("priority", &host.priority);
            put("srv-weight", &host.weight);
        }
    }
}
