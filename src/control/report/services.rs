//! Reports on services: the state of each, read from the charts of the snapshot in force and the
//! verdicts that these were compiled with.

use std::collections::{BTreeSet, HashMap};

use super::inputs::StatusInputs;
use crate::{
    control::{
        distress::{self, DistressedClients},
        service_status::{ServiceCounts, ServiceState, ServiceStatus},
    },
    health::Verdict,
    listing,
    steer::{
        Chart, EndpointId, Family, HealthOverride, MemberKind, PoolId, ProbeId, Service, ServiceId,
        ServingState, answered_endpoints, effective_state,
    },
};

/// The number of services in each state. It is a part of every status document, and so visits each
/// pool once.
pub(super) fn service_counts(inputs: &StatusInputs<'_>) -> ServiceCounts {
    let mut known = vec![None; inputs.loaded.topology.pools.len()];
    let mut counts = ServiceCounts::default();
    let services = inputs.loaded.topology.services.iter();
    for (service, chart) in services.zip(inputs.snapshot.charts.iter()) {
        let has_down = has_down_member(inputs, service.pool, &mut known);
        counts.add(state(chart, usize::from(has_down)));
    }
    counts
}

/// Whether a member below a pool is down. Pools are at most 16 deep.
fn has_down_member(inputs: &StatusInputs<'_>, pool: PoolId, known: &mut [Option<bool>]) -> bool {
    if let Some(has_down) = known[pool.index()] {
        return has_down;
    }
    let mut members = inputs.loaded.topology.pools[pool.index()].members.iter();
    let has_down = members.any(|member| match member.kind {
        MemberKind::Endpoint(id) => matches!(condition(inputs, id), MemberCondition::Down),
        MemberKind::Pool(inner) => has_down_member(inputs, inner, known),
    });
    known[pool.index()] = Some(has_down);
    has_down
}

/// Every service, in order of name.
pub(in crate::control) fn services(inputs: &StatusInputs<'_>) -> Vec<ServiceStatus> {
    let mut members = MemberCounter::new(inputs);
    let services = inputs.loaded.topology.services.iter().zip((0..).map(ServiceId));
    services.map(|(service, id)| service_status(inputs, &mut members, service, id)).collect()
}

/// One service of the list.
pub(super) fn service_status(
    inputs: &StatusInputs<'_>,
    members: &mut MemberCounter<'_>,
    service: &Service,
    id: ServiceId,
) -> ServiceStatus {
    let topology = &inputs.loaded.topology;
    let pool = &topology.pools[service.pool.index()];
    let chart = &inputs.snapshot.charts[id.index()];
    let MemberCounts { all, down, out } = members.counts(service.pool);
    ServiceStatus {
        name: service.name.to_string(),
        zone: inputs.loaded.zones.list()[service.zone.index()].apex.to_string(),
        pool: pool.name.to_string(),
        policy: pool.policy.as_str().to_owned(),
        ttl: service.ttl_secs,
        state: state(chart, down),
        members: all,
        down,
        out,
        datacenters: answered_datacenters(inputs, chart),
        why: match state(chart, down) {
            ServiceState::Well => Vec::new(),
            ServiceState::Degraded => vec![format!("down: {}", down_members(inputs, service))],
            ServiceState::Distressed | ServiceState::Recovering => {
                let clients = distress::distressed_clients((id, chart), |_, _| true);
                clients.iter().map(|clients| plight(inputs, clients, chart)).collect()
            }
        },
    }
}

/// The names of the members of a service that are down.
fn down_members(inputs: &StatusInputs<'_>, service: &Service) -> String {
    const MAX_NAMES: usize = 3;
    let topology = &inputs.loaded.topology;
    let is_down = |id: &EndpointId| matches!(condition(inputs, *id), MemberCondition::Down);
    let down = topology.endpoints_below([service.pool]).into_iter().filter(is_down);
    let names: Vec<&str> = down.map(|id| &*topology.endpoints[id.index()].name).collect();
    listing::join_first(&names, MAX_NAMES, names.len())
}

/// `A (country DE): answered with NODATA`.
fn plight(inputs: &StatusInputs<'_>, clients: &DistressedClients, chart: &Chart) -> String {
    let compiler = &inputs.loaded.compiler;
    let service = &inputs.loaded.topology.services[clients.service.index()];
    let groups = clients.client_texts(compiler);
    let groups =
        if groups.is_empty() { String::new() } else { format!(" ({})", groups.join("; ")) };
    let rtype = service.kind.record_type(clients.family);
    format!("{rtype}{groups}: answered with {}", clients.answer_text(compiler, chart))
}

/// The state of a service with this number of members that are down.
fn state(chart: &Chart, down: usize) -> ServiceState {
    let areas = || Family::ALL.into_iter().flat_map(|family| chart.unusable_areas(family));
    if areas().any(|area| !area.is_recovering) {
        ServiceState::Distressed
    } else if areas().next().is_some() {
        ServiceState::Recovering
    } else if down > 0 {
        ServiceState::Degraded
    } else {
        ServiceState::Well
    }
}

/// The names of the datacenters that the answers of a chart name.
fn answered_datacenters(inputs: &StatusInputs<'_>, chart: &Chart) -> Vec<String> {
    let topology = &inputs.loaded.topology;
    let endpoints = Family::ALL.into_iter().flat_map(|family| answered_endpoints(chart, family));
    let ids: BTreeSet<_> = endpoints
        .flat_map(|id| topology.endpoints[id.index()].datacenters.iter().copied())
        .collect();
    ids.into_iter().map(|id| topology.datacenters[id.index()].name.to_string()).collect()
}

/// The endpoints below a pool, by what can be wrong with them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MemberCounts {
    pub(super) all: usize,
    pub(super) down: usize,
    pub(super) out: usize,
}

/// Counts the members of pools, of each pool once.
pub(super) struct MemberCounter<'a> {
    inputs: StatusInputs<'a>,
    known: HashMap<PoolId, MemberCounts>,
}

impl<'a> MemberCounter<'a> {
    pub(super) fn new(inputs: &StatusInputs<'a>) -> Self {
        Self { inputs: *inputs, known: HashMap::new() }
    }

    pub(super) fn counts(&mut self, pool: PoolId) -> MemberCounts {
        let inputs = self.inputs;
        let count = || {
            let mut counts = MemberCounts::default();
            for id in inputs.loaded.topology.endpoints_below([pool]) {
                counts.all += 1;
                match condition(&inputs, id) {
                    MemberCondition::Down => counts.down += 1,
                    MemberCondition::Out => counts.out += 1,
                    MemberCondition::InService => {}
                }
            }
            counts
        };
        *self.known.entry(pool).or_insert_with(count)
    }
}

/// What a member contributes to the state of its service.
enum MemberCondition {
    /// No address of it is known to be down.
    InService,
    /// An operator took it out of service.
    Out,
    /// An address of it is down.
    Down,
}

fn condition(inputs: &StatusInputs<'_>, id: EndpointId) -> MemberCondition {
    let topology = &inputs.loaded.topology;
    let is_forced = topology.endpoints[id.index()].force;
    if effective_state(topology, inputs.conditions, id) != ServingState::Active
        || is_forced == Some(HealthOverride::Down)
    {
        return MemberCondition::Out;
    }
    let is_down =
        |probe: &ProbeId| inputs.conditions.health_statuses[probe.index()].verdict == Verdict::Down;
    let mut probes = topology.endpoint_probes[id.index()].iter().flatten();
    match is_forced {
        None if probes.any(is_down) => MemberCondition::Down,
        _ => MemberCondition::InService,
    }
}
