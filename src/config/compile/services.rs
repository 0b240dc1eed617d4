//! Compiles services: each is in its innermost zone, at a name that has no conflicting static
//! records.

use hashbrown::{HashMap, HashSet};

use super::{
    answer_size_check::AnswerSizeCheck,
    name_scope::NameScope,
    pool_graph::{FallbackCheck, PoolGraph, PoolSubtree},
    pools::CompiledPools,
    symbols::report_duplicate,
    zones::{CompiledZones, StaticRrset},
};
use crate::{
    config::{
        definition::Definition,
        diagnostic::NameFault,
        place::{Placed, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        spec::{OnAllDownSpec, ServicePool, ServiceSpec, Specs},
    },
    dns::{Name, Rtype},
    steer::{MemberKind, OnAllDown, PoolId, RecordKind, Service, ZoneId},
};

/// Compiles the services, in the order of their specifications. Services with errors are reported
/// and left out.
pub(super) fn compile(
    specs: &Specs,
    graph: PoolGraph<'_>,
    zones: &CompiledZones,
    scope: &mut NameScope<'_>,
    problems: &mut Problems,
) -> Vec<Service> {
    let PoolGraph { specs: all_pools, compiled, subtrees } = graph;
    let fallback_pools: Vec<Option<usize>> =
        all_pools.iter().map(|pool| fallback_pool(pool.on_all_down.as_ref(), scope)).collect();
    let fallbacks = FallbackCheck { specs: all_pools, compiled, fallback_pools: &fallback_pools };
    fallbacks.check_pools(problems);
    let mut size_check = AnswerSizeCheck::new(graph);
    let mut first_places: HashMap<&Name, SourcePlace> =
        HashMap::with_capacity(specs.services.len());
    let mut inline = specs.pools.len();
    let mut services = Vec::with_capacity(specs.services.len());
    for spec in &specs.services {
        let pool = match &spec.pool {
            ServicePool::Named(name) => scope.pools.resolve(name, problems),
            ServicePool::Inline(_) => {
                inline += 1;
                Some(inline - 1)
            }
        };
        if let Some(&first) = first_places.get(&spec.name.value) {
            report_duplicate(
                "service",
                &spec.name.value.to_string(),
                spec.name.place,
                first,
                problems,
            );
        } else {
            first_places.insert(&spec.name.value, spec.name.place);
        }
        let zone = zone_of(spec, zones, problems);
        let written_fallback =
            spec.on_all_down.as_ref().or_else(|| all_pools.get(pool?)?.on_all_down.as_ref());
        let on_all_down = on_all_down(written_fallback, scope, problems);
        if let (Some(OnAllDownSpec::Pool(name)), OnAllDown::Pool(other), Some(pool)) =
            (&spec.on_all_down, on_all_down, pool)
        {
            fallbacks.check_service(pool, other.index(), name.place, problems);
        }
        let (Some(zone), Some(pool)) = (zone, pool) else { continue };
        check_name(
            spec,
            zone,
            zones,
            subtrees.get(pool).and_then(|subtree| subtree.first_cname),
            problems,
        );
        let other = match on_all_down {
            OnAllDown::Pool(other) => Some(other.index()),
            OnAllDown::All | OnAllDown::Empty => None,
        };
        for root in [Some(pool), other].into_iter().flatten() {
            let subtree = subtrees.get(root);
            subtree.into_iter().for_each(|subtree| check_endpoints(spec, subtree, problems));
            size_check.check(spec, root, problems);
        }
        let inherited = all_pools.get(pool).and_then(|pool| Some(pool.client_subnet?.value));
        services.push(service(spec, zone, PoolId(pool as u32), on_all_down, inherited));
    }
    services
}

/// A service as a domain value. `inherited` is the `client-subnet` of its pool.
pub(super) fn service(
    spec: &ServiceSpec,
    zone: ZoneId,
    pool: PoolId,
    on_all_down: OnAllDown,
    inherited: Option<bool>,
) -> Service {
    Service {
        kind: spec.kind.clone(),
        name: spec.name.value.clone(),
        zone,
        pool,
        ttl_secs: spec.ttl_secs,
        on_all_down,
        ipv6: spec.ipv6,
        client_subnet: spec.client_subnet.or(inherited).unwrap_or(true),
    }
}

/// Warns of pools with `client-subnet = false` that services reach only through other pools: the
/// key applies only to the pool that a service names.
pub(super) fn warn_of_client_subnet(
    specs: &Specs,
    graph: PoolGraph<'_>,
    services: &[Service],
    problems: &mut Problems,
) {
    let PoolGraph { specs: all_pools, compiled, .. } = graph;
    let is_off = |pool: usize| all_pools[pool].client_subnet.is_some_and(|written| !written.value);
    let mut ineffective: Vec<usize> = (0..specs.pools.len()).filter(|&pool| is_off(pool)).collect();
    ineffective.retain(|&pool| services.iter().all(|service| service.pool.index() != pool));
    for pool in ineffective {
        let (Some(written), Some(service)) = (
            all_pools[pool].client_subnet,
            services.iter().find(|service| reaches(service, pool, compiled)),
        ) else {
            continue;
        };
        let name = Quoted(&all_pools[pool].name.value);
        problems
            .warning(
                written.place,
                format!("`client-subnet` of pool {name} has no effect: services reach the pool through others"),
            )
            .help(format!(
                "write client-subnet = false in [service.\"{}\"] and each other service that it is for, or in the pool that they name",
                service.name
            ));
    }
}

/// Whether a service may choose from a pool.
fn reaches(service: &Service, sought: usize, compiled: &CompiledPools) -> bool {
    let mut open = vec![service.pool];
    if let OnAllDown::Pool(other) = service.on_all_down {
        open.push(other);
    }
    let mut seen = HashSet::new();
    while let Some(pool) = open.pop() {
        if pool.index() == sought {
            return true;
        }
        if seen.insert(pool) {
            open.extend(compiled.pools[pool.index()].members.iter().filter_map(|member| {
                match member.kind {
                    MemberKind::Pool(inner) => Some(inner),
                    MemberKind::Endpoint(_) => None,
                }
            }));
        }
    }
    false
}

/// Whether a service answers queries of a type.
fn answers_type(spec: &ServiceSpec, rtype: Rtype) -> bool {
    match spec.kind {
        RecordKind::Addresses => matches!(rtype, Rtype::A | Rtype::AAAA),
        RecordKind::Srv => rtype == Rtype::SRV,
        RecordKind::Binding(ref binding) => {
            rtype == binding.rtype || matches!(rtype, Rtype::A | Rtype::AAAA)
        }
    }
}

/// Checks that a service of type SRV has only hosts with ports, and any other service has none.
fn check_endpoints(spec: &ServiceSpec, subtree: &PoolSubtree, problems: &mut Problems) {
    let Placed { value: name, place } = &spec.name;
    match (&spec.kind, subtree.first_with_port, subtree.first_without_port) {
        (RecordKind::Srv, _, Some(other)) => {
            problems
                .error(other, format!("service \"{name}\" is of type SRV, and this endpoint has no `target`"))
                .also(*place, "the service")
                .help("an SRV record names a host and a port: target = \"sip1.example.com\", port = 5060");
        }
        (RecordKind::Addresses | RecordKind::Binding(_), Some(host), _) => {
            problems
                .error(
                    host,
                    format!(
                        "service \"{name}\" answers addresses, and this endpoint has a `target`"
                    ),
                )
                .also(*place, "the service")
                .help(
                    "write type = \"SRV\" in the service, or `addresses`, `cname` or `alias` here",
                );
        }
        _ => {}
    }
}

pub(super) fn on_all_down(
    written: Option<&OnAllDownSpec>,
    scope: &mut NameScope<'_>,
    problems: &mut Problems,
) -> OnAllDown {
    match written {
        None | Some(OnAllDownSpec::All) => OnAllDown::All,
        Some(OnAllDownSpec::Empty) => OnAllDown::Empty,
        Some(OnAllDownSpec::Pool(name)) => scope
            .pools
            .resolve(name, problems)
            .map_or(OnAllDown::All, |index| OnAllDown::Pool(PoolId(index as u32))),
    }
}

/// The pool that an `on-all-down` names. An undefined pool is reported where it is used.
fn fallback_pool(written: Option<&OnAllDownSpec>, scope: &NameScope<'_>) -> Option<usize> {
    match written? {
        OnAllDownSpec::Pool(name) => scope.pools.position(&name.value),
        OnAllDownSpec::All | OnAllDownSpec::Empty => None,
    }
}

/// The innermost zone that contains a service's name.
fn zone_of(spec: &ServiceSpec, zones: &CompiledZones, problems: &mut Problems) -> Option<ZoneId> {
    let Placed { value: name, place } = &spec.name;
    let zone = zones.innermost(name);
    if zone.is_none() && !zones.may_be_unread(name) && !problems.has_unread_files() {
        let diagnostic =
            problems.error(*place, format!("service \"{name}\" is in none of the zones"));
        diagnostic.about(NameFault::Missing(Definition::new("zone", &name.to_string())));
        match zones.list.is_empty() {
            true => diagnostic.help(format!(
                "define the zone that holds it: [zone.\"{}\"] with nameservers = [\"ns1.example.com\"] and hostmaster = \"hostmaster@example.com\"",
                name.parent().unwrap_or_else(Name::root)
            )),
            false => {
                let shown: Vec<_> = zones.list.iter().take(8).map(|zone| zone.apex.to_string()).collect();
                let more = if zones.list.len() > 8 { ", ..." } else { "" };
                diagnostic
                    .help(format!("the zones are {}{more}; a service's name ends in one of them", shown.join(", ")))
            }
        };
    }
    zone
}

/// Checks that no static record conflicts with a service.
fn check_name(
    spec: &ServiceSpec,
    zone: ZoneId,
    zones: &CompiledZones,
    cname: Option<SourcePlace>,
    problems: &mut Problems,
) {
    let Placed { value: name, place } = &spec.name;
    if let Some((cut, rrset)) = zones.cut_above(zone, name) {
        let what = match rrset.rtype {
            Rtype::DNAME => "below a DNAME, which redirects it",
            _ => "below a delegation, so that other servers answer for it",
        };
        problems
            .error(*place, format!("service \"{name}\" is {what}"))
            .also(rrset.place, format!("at {cut}"))
            .help("rename the service, or remove those records");
    }
    let mut conflict = |rrset: StaticRrset, why: &str| {
        problems
            .error(
                *place,
                format!("service \"{name}\" is on a name that has static {} records", rrset.rtype),
            )
            .also(rrset.place, "the static record")
            .help(format!("{why}: remove one of the two"));
    };
    for rrset in zones.static_rrsets(zone, name) {
        match rrset.rtype {
            Rtype::CNAME => conflict(rrset, "a CNAME stands alone at its name"),
            Rtype::NS if !zones.is_apex(zone, name) => {
                conflict(rrset, "other servers answer a delegated name")
            }
            rtype if cname.is_none() && answers_type(spec, rtype) => {
                conflict(rrset, "the service answers that type")
            }
            _ if cname.is_some() && !zones.is_apex(zone, name) => {
                conflict(rrset, "the service may answer a CNAME, which stands alone at its name");
            }
            _ => {}
        }
    }
    if let (true, Some(cname)) = (zones.is_apex(zone, name), cname) {
        problems
            .error(cname, format!("service \"{name}\" is at a zone's apex, where a CNAME cannot be"))
            .also(*place, "the service")
            .help("the apex has SOA and NS records, and a CNAME stands alone: write `alias` in place of `cname`, or `addresses`");
    }
}
