//! Reports on overrides: what each sets, and whether the answers of the snapshot in force follow.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{datacenters::still_answered, inputs::StatusInputs};
use crate::{
    control::{handle::ListDetail, overrides::OverrideStatus, remaining_answer::RemainingAnswer},
    number_format::percent,
    steer::{
        Chart, EndpointId, Family, Fraction, HealthOverride, Override, OverrideValue, PoolId,
        RecordKind, Service, ServiceId, ServingState, Topology, answered_endpoints,
    },
};

/// All overrides, with as much of their lists as `detail` says.
pub(in crate::control) fn overrides(
    inputs: &StatusInputs<'_>,
    detail: ListDetail,
) -> Vec<OverrideStatus> {
    inputs.loaded.overrides.iter().map(|one| override_status(inputs, one, detail)).collect()
}

/// One override, and whether answers follow it.
pub(super) fn override_status(
    inputs: &StatusInputs<'_>,
    one: &Arc<Override>,
    detail: ListDetail,
) -> OverrideStatus {
    let is_defined = one.subject.is_defined(&inputs.loaded.topology);
    let in_force = is_defined && one.is_in_force(inputs.loaded.overrides_at);
    let remaining =
        if in_force && takes_away(one) { remaining_answers(inputs, one) } else { Vec::new() };
    OverrideStatus {
        subject: one.subject.to_string(),
        subject_kind: one.subject.as_str().to_owned(),
        kind: one.kind().as_str().to_owned(),
        value: one.value.text(),
        author: one.author.to_string(),
        peer: one.peer.as_deref().map(str::to_owned),
        reason: one.reason.as_deref().map(str::to_owned),
        since: one.set_at,
        starts: one.starts,
        ends: one.ends,
        over_secs: one.over.map(|over| over.as_secs()),
        kept_share: one.hold.map(Fraction::share),
        is_defined,
        in_force,
        longest_ttl: longest_ttl_secs(inputs, one),
        effective: in_force && remaining.is_empty(),
        still_answered_count: remaining.len(),
        still_answered: remaining.into_iter().take(detail.limit()).collect(),
    }
}

/// Whether an override takes its subject out of answers.
fn takes_away(one: &Override) -> bool {
    matches!(
        one.value,
        OverrideValue::State(ServingState::Draining | ServingState::Disabled)
            | OverrideValue::Force(HealthOverride::Down)
    )
}

/// The names and types that are answered from what an override takes away. Of items that a more
/// specific override decides on, nothing is listed.
fn remaining_answers(inputs: &StatusInputs<'_>, one: &Arc<Override>) -> Vec<RemainingAnswer> {
    let topology = &inputs.loaded.topology;
    let datacenters = one.subject.datacenters(topology);
    if !datacenters.is_empty() && matches!(one.value, OverrideValue::State(_)) {
        let decided = datacenters
            .iter()
            .filter(|id| topology.overrides.datacenters.get(id).is_some_and(|by| by == one));
        let names = decided.map(|id| &topology.datacenters[id.index()].name);
        return names.flat_map(|name| still_answered(inputs, name, ListDetail::Full).0).collect();
    }
    let by = match one.value {
        OverrideValue::Force(_) => &topology.overrides.forced,
        _ => &topology.overrides.endpoints,
    };
    let wanted: BTreeSet<EndpointId> =
        by.iter().filter(|(_, by)| *by == one).map(|(id, _)| *id).collect();
    endpoint_answers(inputs, &wanted)
}

/// The longest TTL of the services that an override can concern; 0 if there is none.
fn longest_ttl_secs(inputs: &StatusInputs<'_>, one: &Override) -> u32 {
    let topology = &inputs.loaded.topology;
    let of_datacenters = one.subject.datacenters(topology).into_iter();
    let of_datacenters = of_datacenters.filter_map(|id| topology.longest_ttl_secs(id)).max();
    let wanted: BTreeSet<EndpointId> = match of_datacenters {
        Some(secs) => return secs,
        None => one.subject.endpoints(topology).into_iter().collect(),
    };
    let mut finder = ServiceFinder { topology, wanted: &wanted, known: HashMap::new() };
    let services = topology.services.iter().filter(|service| finder.includes(service));
    services.map(|service| service.ttl_secs).max().unwrap_or(0)
}

/// Finds the services that can answer one of some endpoints.
struct ServiceFinder<'a> {
    topology: &'a Topology,
    wanted: &'a BTreeSet<EndpointId>,
    known: HashMap<PoolId, bool>,
}

impl ServiceFinder<'_> {
    fn includes(&mut self, service: &Service) -> bool {
        let Self { topology, wanted, known } = self;
        service.roots().any(|root| {
            *known.entry(root).or_insert_with(|| {
                topology.endpoints_below([root]).iter().any(|id| wanted.contains(id))
            })
        })
    }
}

/// The names and types whose answers name one of these endpoints, in order of name.
fn endpoint_answers(
    inputs: &StatusInputs<'_>,
    wanted: &BTreeSet<EndpointId>,
) -> Vec<RemainingAnswer> {
    let topology = &inputs.loaded.topology;
    let mut finder = ServiceFinder { topology, wanted, known: HashMap::new() };
    let mut named: HashMap<*const Chart, Vec<(Family, EndpointId)>> = HashMap::new();
    let mut found = Vec::new();
    for ((service, chart), id) in
        topology.services.iter().zip(&inputs.snapshot.charts).zip((0..).map(ServiceId))
    {
        if !finder.includes(service) {
            continue;
        }
        let answered = named.entry(Arc::as_ptr(chart)).or_insert_with(|| {
            let in_family = |family: Family| {
                let first = answered_endpoints(chart, family).intersection(wanted).next().copied();
                first.map(|endpoint| (family, endpoint))
            };
            [Family::V4, Family::V6].into_iter().filter_map(in_family).collect()
        });
        let service = &topology.services[id.index()];
        let mut add = |rtype: &str, endpoint: EndpointId| {
            found.push(RemainingAnswer {
                service: service.name.to_string(),
                rtype: rtype.to_owned(),
                why: cause_text(inputs, endpoint),
            });
        };
        for &(family, endpoint) in answered.iter() {
            add(service.kind.record_type(family), endpoint);
        }
        let has_binding = matches!(&service.kind, RecordKind::Binding(binding) if binding.has_hints || chart.may_answer_cname());
        if let (Some(word), Some(&(_, endpoint)), true) =
            (service.kind.keyword(), answered.first(), has_binding)
        {
            add(word, endpoint);
        }
    }
    found
}

/// Why an endpoint that an override takes away is still answered.
fn cause_text(inputs: &StatusInputs<'_>, id: EndpointId) -> String {
    let topology = &inputs.loaded.topology;
    let endpoint = &topology.endpoints[id.index()];
    let left = inputs.conditions.adjustments.endpoint_fractions.get(&id);
    match (endpoint.state, left.filter(|left| !left.is_zero())) {
        (ServingState::Draining, Some(left)) => {
            let is_held = topology.overrides.paused_drain_fraction(id) == Some(*left);
            let what = if is_held { "is paused" } else { "is in progress" };
            format!("the drain {what}: {} of its share is left", percent(left.share()))
        }
        _ => "no other member is left".to_owned(),
    }
}
