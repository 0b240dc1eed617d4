//! Reads an endpoint in a list of members: its target and its settings.

use std::net::IpAddr;

use super::{datacenter, regulation::RampSpec};
use crate::{
    config::{
        hostname,
        place::{Placed, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
        values,
    },
    dns::Name,
    steer::{EndpointTarget, HealthOverride, ServingState, SrvHost},
};

/// An endpoint as written.
#[derive(Debug, Clone)]
pub(in crate::config) struct EndpointSpec {
    pub(in crate::config) name: Placed<Box<str>>,
    pub(in crate::config) target: EndpointTarget,
    /// The place of the target.
    pub(in crate::config) target_place: SourcePlace,
    pub(in crate::config) datacenter: Option<Placed<Box<str>>>,
    pub(in crate::config) monitor: Option<Placed<Box<str>>>,
    pub(in crate::config) state: ServingState,
    pub(in crate::config) force: Option<HealthOverride>,
    pub(in crate::config) load: Option<Placed<Box<str>>>,
    pub(in crate::config) ramps: RampSpec,
}

impl EndpointSpec {
    /// Reads the keys that only endpoints have.
    pub(super) fn read(table: &mut TableReader<'_>, problems: &mut Problems) -> Option<Self> {
        let name = table.value("name").and_then(|item| item.text(problems));
        let named = name.map_or("", |name| name.value);
        let target = target(table, named, problems);
        let subject = match named {
            "" => table.subject,
            name => TableSubject { kind: "endpoint", name },
        };
        let datacenter = table.optional("datacenter", problems, values::name_reference);
        let monitor = table.optional("monitor", problems, values::name_reference);
        let state = table
            .optional("state", problems, |item, problems| {
                datacenter::state(item.with_subject(subject), problems)
            })
            .unwrap_or_default();
        let force = table.optional("force", problems, |item, problems| {
            force(item.with_subject(subject), problems)
        });
        let load = table.optional("load", problems, values::name_reference);
        let ramps = RampSpec::read(table, subject, problems);
        let (target, place) = target?;
        let name = match name {
            Some(name) => values::table_name(name, "endpoint", problems)?,
            None => Placed::new(default_name(&target), place),
        };
        Some(Self {
            name,
            target,
            target_place: place,
            datacenter,
            monitor,
            state,
            force,
            load,
            ramps,
        })
    }
}

fn default_name(target: &EndpointTarget) -> Box<str> {
    match target {
        EndpointTarget::Addresses(addresses) => {
            addresses.first().map(IpAddr::to_string).unwrap_or_default().into()
        }
        EndpointTarget::Cname(name) | EndpointTarget::Alias(name) => name.to_string().into(),
        EndpointTarget::Host(host) => format!("{}:{}", host.name, host.port).into(),
    }
}

fn force(item: ValueReader<'_>, problems: &mut Problems) -> Option<HealthOverride> {
    item.keyword(&[("up", HealthOverride::Up), ("down", HealthOverride::Down)], problems)
}

/// Reads the target: exactly one of `addresses`, `cname`, `alias` and `target`.
fn target<'t>(
    table: &mut TableReader<'t>,
    name: &'t str,
    problems: &mut Problems,
) -> Option<(EndpointTarget, SourcePlace)> {
    let addresses = table.value("addresses");
    let cname = table.value("cname");
    let alias = table.value("alias");
    let host = table.value("target");
    let subject = match name {
        "" => table.subject,
        name => TableSubject { kind: "endpoint", name },
    };
    let [port, priority] =
        ["port", "priority"].map(|key| table.value(key).map(|item| item.with_subject(subject)));
    let whose = match name {
        "" => format!("an endpoint of {}", table.subject),
        name => format!("endpoint {}", Quoted(name)),
    };
    let named =
        |item: ValueReader<'_>, make: fn(Name) -> EndpointTarget, problems: &mut Problems| {
            let name = hostname::referenced_name(item.text(problems)?, item.key, problems)?;
            Some((make(name.value), name.place))
        };
    if let (None, Some(stray)) = (host, port.or(priority)) {
        problems
            .error(stray.place, format!("{whose} has `{}`, and no `target`", stray.key))
            .help("both belong to SRV services: target = \"sip1.example.com\", port = 5060; DNS answers addresses without a port");
        return None;
    }
    if let (Some(host), Some(other)) = (host, addresses.or(cname).or(alias)) {
        problems
            .error(host.place, format!("{whose} has both `{}` and `{}`", other.key, host.key))
            .help("make two members of it, one in a service of type = \"SRV\"");
        return None;
    }
    if let Some(item) = host {
        return host_of(item, port, priority, &whose, problems)
            .map(|host| (EndpointTarget::Host(host), item.place));
    }
    match (addresses, cname, alias) {
        (Some(item), None, None) => addresses_of(item, &whose, problems)
            .map(|list| (EndpointTarget::Addresses(list), item.place)),
        (None, Some(item), None) => named(item, EndpointTarget::Cname, problems),
        (None, None, Some(item)) => named(item, EndpointTarget::Alias, problems),
        (Some(first), Some(other), _)
        | (Some(first), None, Some(other))
        | (None, Some(first), Some(other)) => {
            problems
                .error(other.place, format!("{whose} has both `{}` and `{}`", first.key, other.key))
                .help("make two members of it");
            None
        }
        (None, None, None) => {
            problems
                .error(table.place, format!("{whose} has nothing to answer"))
                .help("add addresses = [\"192.0.2.1\"], cname = \"...\" or alias = \"...\"; for a member that is a pool, write its name or { pool = \"...\" }");
            None
        }
    }
}

fn host_of(
    item: ValueReader<'_>,
    port: Option<ValueReader<'_>>,
    priority: Option<ValueReader<'_>>,
    whose: &str,
    problems: &mut Problems,
) -> Option<SrvHost> {
    const PRIORITY: &str = "lower is tried first; 0 where none is written";
    let number = |item: ValueReader<'_>, min, help, problems: &mut Problems| {
        u16::try_from(item.integer(min, 65_535, help, problems)?.value).ok()
    };
    let name =
        item.text(problems).and_then(|text| hostname::referenced_name(text, "target", problems));
    if port.is_none() {
        problems
            .error(item.place, format!("{whose} has a `target` and no `port`"))
            .help("an SRV record names both: target = \"sip1.example.com\", port = 5060");
    }
    let port =
        port.and_then(|item| number(item, 1, "it is where the service is at the target", problems));
    let priority = priority.map_or(Some(0), |item| number(item, 0, PRIORITY, problems));
    // The weight is that of the member, which is read later.
    Some(SrvHost { name: name?.value, port: port?, priority: priority?, weight: 0 })
}

fn addresses_of(
    item: ValueReader<'_>,
    whose: &str,
    problems: &mut Problems,
) -> Option<Vec<IpAddr>> {
    let texts = item.texts("addresses", problems)?;
    if texts.is_empty() {
        problems
            .error(item.place, format!("{whose} has no address"))
            .help("add at least one: addresses = [\"192.0.2.1\"]");
        return None;
    }
    let mut addresses = Vec::with_capacity(texts.len());
    let mut all_valid = true;
    for text in texts {
        match values::address(text, whose, problems) {
            Some(address) if addresses.contains(&address.value) => {
                problems
                    .error(address.place, format!("{whose} has address {} twice", address.value))
                    .help("remove one");
                all_valid = false;
            }
            Some(address) => addresses.push(address.value),
            None => all_valid = false,
        }
    }
    all_valid.then_some(addresses)
}
