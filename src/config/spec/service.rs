//! `[service."NAME"]`: a name whose answer is chosen per client, with a pool's name or with members
//! inline.

use super::{OnAllDownSpec, PoolSpec, kind, pool};
use crate::{
    config::{hostname, place::At, problems::Problems, reader::TableReader},
    dns::Name,
    steer::Kind,
};

/// A service as written.
#[derive(Debug)]
pub(in crate::config) struct ServiceSpec {
    pub(in crate::config) name: At<Name>,
    pub(in crate::config) chooser: Chooser,
    pub(in crate::config) ttl_secs: u32,
    pub(in crate::config) on_all_down: Option<OnAllDownSpec>,
    pub(in crate::config) ipv6: bool,
    /// Whether it looks at client subnets; its pool's word where it has none of its own.
    pub(in crate::config) client_subnet: Option<bool>,
    pub(in crate::config) kind: Kind,
}

/// What chooses for a service.
#[derive(Debug)]
pub(in crate::config) enum Chooser {
    Named(At<Box<str>>),
    Inline(Box<PoolSpec>),
}

/// What a service's TTL is where none is written, in seconds.
const DEFAULT_TTL_SECS: u32 = 30;

/// The keys of the inline form: with `pool` they have nothing to say.
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
        name: At<&str>,
        mut table: TableReader<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let at_name = hostname::defined(name, "the service's name", problems);
        let ttl_secs = table.optional("ttl", problems, super::ttl).unwrap_or(DEFAULT_TTL_SECS);
        let on_all_down = table.optional("on-all-down", problems, pool::on_all_down);
        let kind = kind::read(&mut table, problems);
        let ipv6 = table.item("ipv6");
        if let (Some(Kind::Srv), Some(item)) = (&kind, ipv6) {
            problems
                .error(item.place, format!("{} has `ipv6`, and is of type SRV", item.subject))
                .help(
                    "leave it away: an SRV record names hosts, which have addresses of their own",
                );
        }
        let ipv6 = ipv6.and_then(|item| item.boolean(problems)).unwrap_or(true);
        let client_subnet =
            table.optional("client-subnet", problems, |item, problems| item.boolean(problems));
        // Its inline pool has the name in the form in which answers and reports have it.
        let shown =
            at_name.as_ref().map_or_else(|| name.value.to_owned(), |name| name.value.to_string());
        let chooser = chooser(At::new(shown.into(), name.place), &mut table, problems);
        table.finish(problems);
        Some(Self {
            name: at_name?,
            chooser: chooser?,
            ttl_secs,
            on_all_down,
            ipv6,
            client_subnet,
            kind: kind?,
        })
    }
}

fn chooser(
    name: At<Box<str>>,
    table: &mut TableReader<'_>,
    problems: &mut Problems,
) -> Option<Chooser> {
    let Some(pool) = table.item("pool") else {
        if INLINE_KEYS.iter().all(|key| !table.has(key)) {
            table.item("members");
            if pool::refuse_endpoint_keys(table, problems) {
                return None;
            }
            problems
                .error(table.place, format!("{} has neither `pool` nor `members`", table.subject))
                .help("write pool = \"NAME\", or members = [ ... ] right here");
            return None;
        }
        let spec = PoolSpec::read_keys(name, table, None, problems);
        return Some(Chooser::Inline(Box::new(spec)));
    };
    for key in INLINE_KEYS {
        if let Some(item) = table.item(key) {
            problems
                .error(item.place, format!("{} has both `pool` and `{key}`", table.subject))
                .help(format!(
                    "write `{key}` in the pool, or leave `pool` away and write the members here"
                ));
        }
    }
    super::reference(pool, problems).map(Chooser::Named)
}
