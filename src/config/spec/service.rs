//! Reads `[service."NAME"]`: a name whose answer is chosen for each client. Its members are in a
//! pool that it names, or written inline.

use super::{
    pool::{self, OnAllDownSpec, PoolSpec},
    service_type,
};
use crate::{
    config::{hostname, place::Placed, problems::Problems, reader::TableReader, values},
    dns::Name,
    steer::RecordKind,
};

/// A service as written.
#[derive(Debug)]
pub(in crate::config) struct ServiceSpec {
    pub(in crate::config) name: Placed<Name>,
    pub(in crate::config) pool: ServicePool,
    pub(in crate::config) ttl_secs: u32,
    pub(in crate::config) on_all_down: Option<OnAllDownSpec>,
    pub(in crate::config) ipv6: bool,
    /// Whether answers depend on client subnets; `None` where the pool's setting applies.
    pub(in crate::config) client_subnet: Option<bool>,
    pub(in crate::config) kind: RecordKind,
}

/// The pool that chooses a service's answers.
#[derive(Debug)]
pub(in crate::config) enum ServicePool {
    Named(Placed<Box<str>>),
    Inline(Box<PoolSpec>),
}

/// The default TTL of a service, in seconds.
const DEFAULT_TTL_SECS: u32 = 30;

/// The keys of the inline form, which have no meaning beside `pool`.
const INLINE_KEYS: [&str; 21] = [
    "members",
    "policy",
    "spread",
    "datacenter",
    "monitor",
    "answers",
    "min-up",
    "families",
    "rules",
    "default",
    "tie",
    "load",
    "by",
    "soft",
    "hard",
    "capacity",
    "shed",
    "trickle",
    "failback",
    "slow-start",
    "drain-over",
];

impl ServiceSpec {
    pub(super) fn read(
        name: Placed<&str>,
        mut table: TableReader<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let service_name = hostname::defined_name(name, "the service's name", problems);
        let ttl_secs = table.optional("ttl", problems, values::ttl).unwrap_or(DEFAULT_TTL_SECS);
        let on_all_down = table.optional("on-all-down", problems, pool::on_all_down);
        let kind = service_type::read(&mut table, problems);
        let ipv6 = table.value("ipv6");
        if let (Some(RecordKind::Srv), Some(item)) = (&kind, ipv6) {
            problems
                .error(item.place, format!("{} has `ipv6`, and is of type SRV", item.subject))
                .help("omit it: an SRV record names hosts, which have addresses of their own");
        }
        let ipv6 = ipv6.and_then(|item| item.boolean(problems)).unwrap_or(true);
        let client_subnet =
            table.optional("client-subnet", problems, |item, problems| item.boolean(problems));
        // The inline pool's name is the service's, in the form in which answers and reports have
        // it.
        let shown = service_name
            .as_ref()
            .map_or_else(|| name.value.to_owned(), |name| name.value.to_string());
        let pool = service_pool(Placed::new(shown.into(), name.place), &mut table, problems);
        table.finish(problems);
        Some(Self {
            name: service_name?,
            pool: pool?,
            ttl_secs,
            on_all_down,
            ipv6,
            client_subnet,
            kind: kind?,
        })
    }
}

fn service_pool(
    name: Placed<Box<str>>,
    table: &mut TableReader<'_>,
    problems: &mut Problems,
) -> Option<ServicePool> {
    let Some(pool) = table.value("pool") else {
        if INLINE_KEYS.iter().all(|key| !table.has(key)) {
            table.value("members");
            if pool::refuse_endpoint_keys(table, problems) {
                return None;
            }
            problems
                .error(table.place, format!("{} has neither `pool` nor `members`", table.subject))
                .help("write pool = \"NAME\", or members = [ ... ] right here");
            return None;
        }
        let spec = PoolSpec::read_keys(name, table, None, problems);
        return Some(ServicePool::Inline(Box::new(spec)));
    };
    for key in INLINE_KEYS {
        if let Some(item) = table.value(key) {
            problems
                .error(item.place, format!("{} has both `pool` and `{key}`", table.subject))
                .help(format!(
                    "write `{key}` in the pool, or omit `pool` and write the members here"
                ));
        }
    }
    values::name_reference(pool, problems).map(ServicePool::Named)
}
