//! What the topologies of the simulations have in common.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use crate::{
    load::{LoadKind, LoadPage, LoadSource, PageHost},
    steer::{
        AnswerCount, Endpoint, EndpointTarget, LoadSourceId, Member, MemberKind, MinUp, OnAllDown,
        Policy, Pool, PoolId, RampTimes, Regulation, Service, ServingState, Spread, ZoneId,
    },
};

/// A balancer that is polled at this interval, in seconds.
pub(super) fn load_source(name: String, interval_secs: u64) -> LoadSource {
    let page = LoadPage {
        tls: false,
        host: PageHost::Name("lb.example.com".into()),
        port: 80,
        path: "/".into(),
        headers: Vec::new(),
        verify: true,
        authorities: None,
    };
    LoadSource {
        name: name.into(),
        kind: LoadKind::Nginx(page),
        interval: Duration::from_secs(interval_secs),
        timeout: Duration::from_secs(2),
        stale_after: Duration::from_secs(3 * interval_secs),
        scales_by_servers: true,
        limit: NonZeroU64::new(1),
    }
}

/// The endpoint of this number, with the address 192.0.2.`number` and the load source of the same
/// number.
pub(super) fn endpoint(number: u8) -> Endpoint {
    Endpoint {
        name: format!("lb{number}").into(),
        target: EndpointTarget::Addresses(vec![[192, 0, 2, number].into()]),
        datacenters: Vec::new(),
        monitor: None,
        state: ServingState::Active,
        force: None,
        load: Some(LoadSourceId(number.into())),
        ramp_times: RampTimes::default(),
    }
}

/// A pool of these members, each with its weight.
pub(super) fn pool(name: &str, policy: Policy, members: &[(MemberKind, u16)]) -> Pool {
    Pool {
        name: name.into(),
        policy,
        spread: Spread::Query,
        answers: AnswerCount::Count(NonZeroU32::MIN),
        min_up: MinUp::Members(NonZeroU32::MIN),
        families: Default::default(),
        members: members.iter().map(|&(kind, weight)| Member { kind, weight, bias: 0 }).collect(),
        regulation: Regulation::default(),
    }
}

/// The service that answers from this pool.
pub(super) fn service(pool: PoolId, ttl_secs: u64) -> Service {
    Service {
        name: "www.example.com".parse().unwrap(),
        zone: ZoneId(0),
        kind: Default::default(),
        pool,
        ttl_secs: ttl_secs as u32,
        on_all_down: OnAllDown::All,
        ipv6: true,
        client_subnet: true,
    }
}
