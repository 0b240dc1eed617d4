//! Reports on one subject: a service, pool, member, datacenter, region or target in full.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    concerned::{overrides_concerning, owner_name},
    datacenters::{datacenters, targets_by_datacenter},
    distressed::distressed_service,
    inputs::StatusInputs,
    services::{MemberCounter, service_status},
    steering::ramps,
    targets::targets,
};
use crate::{
    config::SpellingSuggester,
    control::{
        clock::unix_now,
        distress,
        handle::ListDetail,
        status::TargetStatus,
        subject::{
            DatacenterReport, EndpointShare, GroupMember, GroupSample, PoolSubject, ServiceReport,
            SubjectReport, TargetReport, TypeShares, UnknownSubject,
        },
    },
    dns::Name,
    engine::{self, SnapshotContext},
    geo::Area,
    probe::ProbeKey,
    steer::{
        Chart, EndpointId, Family, MemberKind, OnAllDown, PoolId, ProbeId, Service, ServiceId,
        Topology,
    },
};

/// The maximum number of groups of clients that are shown by an example.
const MAX_EXAMPLES: usize = 20;

/// Everything that has a name.
///
/// # Errors
/// Nothing has it.
pub(in crate::control) fn subject(
    inputs: &StatusInputs<'_>,
    name: &str,
) -> Result<SubjectReport, UnknownSubject> {
    let owner = owner_name(&inputs.loaded.topology, name);
    let overrides = overrides_concerning(inputs, name);
    let mut ramps = ramps(inputs.load_controller);
    ramps.retain(|ramp| overrides.iter().any(|one| ramp.is_of(one)));
    let report = SubjectReport {
        name: name.to_owned(),
        generation: inputs.snapshot.generation,
        now: unix_now(),
        overrides,
        ramps,
        services: service(inputs, &owner).into_iter().collect(),
        pools: pool(inputs, &owner).into_iter().collect(),
        datacenters: datacenters_named(inputs, name),
        targets: targets_named(inputs, name),
    };
    if !report.is_empty() {
        return Ok(report);
    }
    let nearest = nearest_name(inputs, name);
    Err(UnknownSubject { name: name.to_owned(), nearest })
}

fn nearest_name(inputs: &StatusInputs<'_>, name: &str) -> Option<String> {
    let topology = &inputs.loaded.topology;
    let services: Vec<String> =
        topology.services.iter().map(|service| service.name.to_string()).collect();
    let targets: Vec<String> =
        inputs.probes.keys.iter().map(|key| key.target.to_string()).collect();
    let mut known: Vec<&str> = Vec::with_capacity(services.len() + targets.len());
    for datacenter in &topology.datacenters {
        known.push(&datacenter.name);
        known.extend(datacenter.region.as_deref());
    }
    known.extend(topology.pools.iter().map(|pool| &*pool.name));
    known.extend(services.iter().chain(&targets).map(String::as_str));
    SpellingSuggester::default().suggest(name, known.into_iter()).map(str::to_owned)
}

fn snapshot_context<'a>(inputs: &StatusInputs<'a>) -> SnapshotContext<'a> {
    SnapshotContext {
        snapshot: inputs.snapshot,
        databases: inputs.loaded.databases(),
        conditions: inputs.conditions,
    }
}

/// The service of a name, which may be written in any case and with its final dot.
fn service(inputs: &StatusInputs<'_>, name: &str) -> Option<ServiceReport> {
    let topology = &inputs.loaded.topology;
    let wanted: Name = name.parse().ok()?;
    let index = topology.services.iter().position(|service| service.name == wanted)?;
    let (service, id) = (&topology.services[index], ServiceId(index as u32));
    let chart = &inputs.snapshot.charts[index];
    let distressed = distress::distressed_clients((id, chart), |_, _| true);
    let shares = |family| type_shares(inputs, service, chart, family);
    let context = snapshot_context(inputs);
    Some(ServiceReport {
        summary: service_status(inputs, &mut MemberCounter::new(inputs), service, id),
        file: None,
        on_all_down: match service.on_all_down {
            OnAllDown::All => "all".to_owned(),
            OnAllDown::Empty => "empty".to_owned(),
            OnAllDown::Pool(pool) => format!("pool {}", topology.pools[pool.index()].name),
        },
        distressed: distressed.iter().map(|clients| distressed_service(inputs, clients)).collect(),
        answers: Family::ALL.into_iter().filter_map(shares).collect(),
        pools: service.roots().map(|pool| engine::pool_overview(&context, pool)).collect(),
    })
}

/// The shares of the endpoints in the answers of one family; `None` if the service publishes no
/// records of it.
fn type_shares(
    inputs: &StatusInputs<'_>,
    service: &Service,
    chart: &Chart,
    family: Family,
) -> Option<TypeShares> {
    let topology = &inputs.loaded.topology;
    let groups = chart.area_count(family);
    let mut found: BTreeMap<EndpointId, (f64, f64, usize)> = BTreeMap::new();
    for area in (0..groups as u32).map(Area) {
        for (endpoint, share) in shares_in(chart, family, area) {
            let (least, greatest, count) = found.entry(endpoint).or_insert((share, share, 0));
            (*least, *greatest) = (least.min(share), greatest.max(share));
            *count += 1;
        }
    }
    let mut members: Vec<EndpointShare> = found
        .into_iter()
        .map(|(id, (least, greatest, groups))| EndpointShare {
            name: topology.endpoints[id.index()].name.to_string(),
            datacenters: datacenter_names(topology, id),
            least_percent: in_percent(least),
            greatest_percent: in_percent(greatest),
            groups,
        })
        .collect();
    members.sort_by(|a, b| b.greatest_percent.total_cmp(&a.greatest_percent));
    let rtype = service.kind.record_type(family).to_owned();
    let examples = if groups > 1 { examples(inputs, chart, family) } else { Vec::new() };
    (groups > 0).then_some(TypeShares { rtype, groups, members, examples })
}

/// The endpoints in the answers to the clients of an area, each with its share.
fn shares_in(chart: &Chart, family: Family, area: Area) -> BTreeMap<EndpointId, f64> {
    let mut shares: BTreeMap<EndpointId, f64> = BTreeMap::new();
    for (share, answer) in chart.shares(family, area) {
        *shares.entry(answer.endpoint).or_default() += share;
    }
    shares
}

/// The first groups of clients that the answers differ by, each by its first address that is not
/// special-purpose.
fn examples(inputs: &StatusInputs<'_>, chart: &Chart, family: Family) -> Vec<GroupSample> {
    let topology = &inputs.loaded.topology;
    let wanted = chart.area_count(family).min(MAX_EXAMPLES);
    let mut clients: BTreeMap<u32, IpAddr> = BTreeMap::new();
    let runs = chart.atlas(family).into_iter().flat_map(|atlas| atlas.runs());
    for run in runs.filter(|run| !run.is_special && (run.area.0 as usize) < wanted) {
        clients.entry(run.area.0).or_insert(run.first);
        if clients.len() == wanted {
            break;
        }
    }
    let example = |(area, client): (u32, IpAddr)| {
        let location = inputs.loaded.databases().lookup(client).location;
        let shares = shares_in(chart, family, Area(area));
        let member = |(id, share): (EndpointId, f64)| GroupMember {
            name: topology.endpoints[id.index()].name.to_string(),
            datacenters: datacenter_names(topology, id),
            percent: in_percent(share),
        };
        GroupSample {
            client: client.to_string(),
            country: location.country.as_deref().map(str::to_owned),
            members: shares.into_iter().map(member).collect(),
        }
    };
    clients.into_iter().map(example).collect()
}

/// Enough digits that no share becomes nothing.
fn in_percent(share: f64) -> f64 {
    (share * 1e10).round() / 1e8
}

fn datacenter_names(topology: &Topology, id: EndpointId) -> Vec<String> {
    let ids = topology.endpoints[id.index()].datacenters.iter();
    ids.map(|id| topology.datacenters[id.index()].name.to_string()).collect()
}

fn pool(inputs: &StatusInputs<'_>, name: &str) -> Option<PoolSubject> {
    let topology = &inputs.loaded.topology;
    let is_named = |id: &PoolId| *topology.pools[id.index()].name == *name;
    let id = (0..topology.pools.len() as u32).map(PoolId).find(is_named)?;
    let users = topology.services.iter().filter(|service| service.roots().any(|root| root == id));
    let services: Vec<String> = users.map(|service| service.name.to_string()).collect();
    // The pool of a service's own has its name, and is a part of the service's report.
    if services.iter().any(|service| *service == *topology.pools[id.index()].name) {
        return None;
    }
    let contains = |kind| kind == MemberKind::Pool(id);
    let outer = topology.pools.iter();
    let outer = outer.filter(|pool| pool.members.iter().any(|member| contains(member.kind)));
    Some(PoolSubject {
        file: None,
        services,
        member_of: outer.map(|pool| pool.name.to_string()).collect(),
        pool: engine::pool_overview(&snapshot_context(inputs), id),
    })
}

/// The datacenter of a name, or those of the region of that name.
fn datacenters_named(inputs: &StatusInputs<'_>, name: &str) -> Vec<DatacenterReport> {
    let topology = &inputs.loaded.topology;
    let chosen = |(_, datacenter): &(usize, &crate::steer::Datacenter)| {
        *datacenter.name == *name || datacenter.region.as_deref() == Some(name)
    };
    let chosen: Vec<usize> =
        topology.datacenters.iter().enumerate().filter(chosen).map(|(index, _)| index).collect();
    if chosen.is_empty() {
        return Vec::new();
    }
    let mut all = datacenters(inputs, ListDetail::Full);
    let services = topology.services_by_datacenter();
    let (probes, targets) = (targets_by_datacenter(topology), targets(inputs));
    let report = |index: usize| DatacenterReport {
        status: all.remove(index),
        services: services[index]
            .iter()
            .map(|id| topology.services[id.index()].name.to_string())
            .collect(),
        targets: probes[index].iter().map(|id| targets[id.index()].clone()).collect(),
    };
    // From the last on, so that the positions stay valid.
    let mut reports: Vec<_> = chosen.into_iter().rev().map(report).collect();
    reports.reverse();
    reports
}

fn targets_named(inputs: &StatusInputs<'_>, name: &str) -> Vec<TargetReport> {
    let is_named = |target: &TargetStatus| {
        target.target == name || name.split_once('/') == Some((&*target.monitor, &*target.target))
    };
    // The reports of all targets are made only if one of them is wanted.
    let may_be_named = |key: &ProbeKey| name.ends_with(&key.target.to_string());
    if !inputs.probes.keys.iter().any(may_be_named) {
        return Vec::new();
    }
    let named = targets(inputs).into_iter().enumerate().filter(|(_, target)| is_named(target));
    let report = |(index, status)| TargetReport {
        status,
        members: members_of_target(&inputs.loaded.topology, ProbeId(index as u32)),
    };
    named.map(report).collect()
}

/// The endpoints that a target decides on, as `POOL/MEMBER`.
fn members_of_target(topology: &Topology, target: ProbeId) -> Vec<String> {
    let mut members = Vec::new();
    for pool in &topology.pools {
        for member in &pool.members {
            let MemberKind::Endpoint(id) = member.kind else { continue };
            if topology.endpoint_probes[id.index()].contains(&Some(target)) {
                members.push(format!("{}/{}", pool.name, topology.endpoints[id.index()].name));
            }
        }
    }
    members
}
