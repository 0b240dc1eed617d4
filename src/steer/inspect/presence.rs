//! Presence: which datacenters the answers of a compiled service name, and why a drained one is
//! among them.
//!
//! A drain is effective once no answer in the snapshot names the datacenter. That is read from the
//! charts and never from the configured state: a drained datacenter is still answered while nothing
//! else is left, and while its ramp is in progress. The cost is one walk over the chart. Services
//! that share a chart share the result.

use std::collections::BTreeSet;

use crate::steer::{
    chart::{Chart, EndpointAnswer, Wheel, WheelChoice},
    compile::ChartKey,
    model::{
        Conditions, DatacenterId, EndpointId, EndpointTarget, Family, HealthOverride, ProbeId,
        RecordKind, ServiceId, ServingState, Topology, effective_datacenter, effective_state,
        ramp_fraction,
    },
};

/// A datacenter that the answers of a chart name in one family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnsweredDatacenter {
    /// The datacenter that answers still name.
    pub datacenter: DatacenterId,
    /// The family of the addresses answered.
    pub family: Family,
    /// The record is the service's HTTPS or SVCB record, in which the addresses are hints, or the
    /// CNAME in its place.
    pub is_binding: bool,
    /// An endpoint of the datacenter that is answered.
    pub endpoint: EndpointId,
    /// Why that endpoint is answered.
    pub cause: AnswerCause,
    /// How many areas, each of clients with equal answers, are answered with the datacenter.
    pub areas_with_datacenter: u32,
    /// How many areas this family has.
    pub area_count: u32,
}

impl AnsweredDatacenter {
    /// The type of the record that names the datacenter, for a service of this kind.
    pub fn record_type(&self, kind: &RecordKind) -> &'static str {
        match kind.keyword() {
            Some(word) if self.is_binding => word,
            _ => kind.record_type(self.family),
        }
    }
}

/// Why an endpoint is answered: the causes that matter more to a drain come later.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum AnswerCause {
    /// The endpoint is in service.
    InService,
    /// The endpoint is drained, and no other member is left to answer with.
    OnlyDrainedLeft,
    /// The endpoint is disabled, and not even a drained member is left to answer with.
    OnlyDisabledLeft,
    /// A drain is in progress or paused: the endpoint still receives this fraction of its normal
    /// traffic, from 0 to 1.
    Ramp(f64),
}

/// Finds datacenters in the answers of charts, which were compiled from one topology under one set
/// of conditions.
#[derive(Debug)]
pub struct PresenceFinder<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    /// By datacenter: whether it is searched for.
    is_watched: Vec<bool>,
}

impl<'a> PresenceFinder<'a> {
    /// Searches for the datacenters for which `is_watched` is true.
    pub fn new(
        topology: &'a Topology,
        conditions: &'a Conditions,
        is_watched: impl Fn(DatacenterId) -> bool,
    ) -> Self {
        let is_watched =
            (0..topology.datacenters.len() as u32).map(|id| is_watched(DatacenterId(id))).collect();
        Self { topology, conditions, is_watched }
    }

    /// The watched datacenters that the answers of a chart name: each once for each record type, A
    /// before AAAA before HTTPS or SVCB.
    pub fn answered_datacenters(&self, chart: &Chart) -> Vec<AnsweredDatacenter> {
        let mut found = Vec::new();
        for family in [Family::V4, Family::V6] {
            found.extend(self.answered_in(chart, family));
        }
        if let RecordKind::Binding(binding) = chart.kind()
            && (binding.has_hints || chart.may_answer_cname())
        {
            let mut in_binding: Vec<AnsweredDatacenter> = Vec::new();
            for answered in &found {
                let answered = AnsweredDatacenter { is_binding: true, ..*answered };
                match in_binding.iter_mut().find(|other| other.datacenter == answered.datacenter) {
                    Some(known) if known.cause < answered.cause => *known = answered,
                    Some(_) => {}
                    None => in_binding.push(answered),
                }
            }
            found.append(&mut in_binding);
        }
        found
    }

    /// The watched datacenters that the answers of one family name, each once.
    fn answered_in(&self, chart: &Chart, family: Family) -> Vec<AnsweredDatacenter> {
        let areas = &chart.family(family).areas;
        let mut found: Vec<AnsweredDatacenter> = Vec::new();
        for choice in areas.iter().filter_map(|answer| answer.choice.as_ref()) {
            let mut in_area = Vec::new();
            self.visit(choice, &mut in_area);
            in_area.iter().for_each(|endpoint| self.record(&mut found, family, *endpoint));
            found
                .iter_mut()
                .filter(|known| in_area.iter().any(|one| one.datacenter == known.datacenter))
                .for_each(|known| known.areas_with_datacenter += 1);
        }
        found.iter_mut().for_each(|known| known.area_count = areas.len() as u32);
        found
    }

    /// Adds an answered endpoint. Of several endpoints of a datacenter, it keeps the one whose
    /// cause matters most to a drain.
    fn record(
        &self,
        found: &mut Vec<AnsweredDatacenter>,
        family: Family,
        AnsweredEndpoint { datacenter, endpoint }: AnsweredEndpoint,
    ) {
        let cause = self.cause(endpoint);
        match found.iter_mut().find(|known| known.datacenter == datacenter) {
            Some(known) if known.cause < cause => (known.endpoint, known.cause) = (endpoint, cause),
            Some(_) => {}
            None => found.push(AnsweredDatacenter {
                datacenter,
                family,
                is_binding: false,
                endpoint,
                cause,
                areas_with_datacenter: 0,
                area_count: 0,
            }),
        }
    }

    fn visit(&self, choice: &WheelChoice, found: &mut Vec<AnsweredEndpoint>) {
        match choice {
            WheelChoice::Answer(answer) => found.extend(self.watched(answer)),
            WheelChoice::Wheel(wheel) => self.visit_wheel(wheel, found),
        }
    }

    /// A choice that no slot names is never answered. The slots are read only for a wheel with a
    /// choice that names a watched datacenter.
    fn visit_wheel(&self, wheel: &Wheel, found: &mut Vec<AnsweredEndpoint>) {
        let mut used = None;
        for (position, choice) in wheel.choices.iter().enumerate() {
            let before = found.len();
            self.visit(choice, found);
            if found.len() > before && !used.get_or_insert_with(|| wheel.used_choices())[position] {
                found.truncate(before);
            }
        }
    }

    fn watched(&self, answer: &EndpointAnswer) -> Option<AnsweredEndpoint> {
        let datacenter = answer.datacenter?;
        let is_watched =
            self.is_watched.get(datacenter.index()).is_some_and(|is_watched| *is_watched);
        (is_watched && !answer.rdata.is_empty())
            .then_some(AnsweredEndpoint { datacenter, endpoint: answer.endpoint })
    }

    fn cause(&self, endpoint: EndpointId) -> AnswerCause {
        match effective_state(self.topology, self.conditions, endpoint) {
            ServingState::Active | ServingState::Standby => AnswerCause::InService,
            ServingState::Disabled => AnswerCause::OnlyDisabledLeft,
            ServingState::Draining => {
                let fraction = ramp_fraction(self.topology, self.conditions, endpoint);
                if fraction.is_zero() {
                    AnswerCause::OnlyDrainedLeft
                } else {
                    AnswerCause::Ramp(fraction.share())
                }
            }
        }
    }
}

/// An endpoint that a chart answers, of a watched datacenter.
#[derive(Debug, Clone, Copy)]
struct AnsweredEndpoint {
    datacenter: DatacenterId,
    endpoint: EndpointId,
}

/// The numbers of members of a service that are not in a datacenter and have addresses of a family,
/// by the reason why they are not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlternativeCounts {
    /// Members whose health checks fail.
    pub down: usize,
    /// Members that an operator forced down.
    pub forced_down: usize,
    /// Members that are draining, or whose datacenters are.
    pub drained: usize,
    /// Members that are disabled, or whose datacenters are.
    pub disabled: usize,
    /// Aliases that were never resolved.
    pub unresolved: usize,
    /// The number of usable members that are not in the answer because of a rule, the order of a
    /// `failover` pool, `min-up` or the address family.
    pub usable: usize,
}

/// Counts the members that a service could answer with instead of those of a datacenter. It walks
/// the pools of the service: for reports, not for queries.
pub fn count_alternatives(
    topology: &Topology,
    conditions: &Conditions,
    service: ServiceId,
    answered: &AnsweredDatacenter,
) -> AlternativeCounts {
    let roots = ChartKey::new(&topology.services[service.index()]).roots();
    let mut counts = AlternativeCounts::default();
    for id in topology.endpoints_below(roots) {
        let endpoint = &topology.endpoints[id.index()];
        let is_elsewhere = effective_datacenter(topology, conditions, id)
            .is_none_or(|(datacenter, _)| datacenter != answered.datacenter);
        let has_family = match &endpoint.target {
            EndpointTarget::Addresses(addresses) => {
                addresses.iter().any(|&address| answered.family.contains(address))
            }
            EndpointTarget::Alias(_) => topology.endpoint_alias[id.index()]
                .is_some_and(|alias| !conditions.resolved_alias(alias).lacks(answered.family)),
            EndpointTarget::Cname(_) | EndpointTarget::Host(_) => true,
        };
        if is_elsewhere && has_family {
            *counts.count_of(topology, conditions, id, answered.family) += 1;
        }
    }
    counts
}

impl AlternativeCounts {
    fn count_of(
        &mut self,
        topology: &Topology,
        conditions: &Conditions,
        id: EndpointId,
        family: Family,
    ) -> &mut usize {
        let endpoint = &topology.endpoints[id.index()];
        let is_usable =
            |probe: &Option<ProbeId>| conditions.health_status(*probe).verdict.is_usable();
        let probes = &topology.endpoint_probes[id.index()];
        let is_up = endpoint.force == Some(HealthOverride::Up)
            || match &endpoint.target {
                EndpointTarget::Addresses(addresses) => addresses
                    .iter()
                    .zip(probes)
                    .any(|(address, probe)| family.contains(*address) && is_usable(probe)),
                EndpointTarget::Cname(_) | EndpointTarget::Alias(_) | EndpointTarget::Host(_) => {
                    probes.iter().all(is_usable)
                }
            };
        let is_resolved = topology.endpoint_alias[id.index()]
            .is_none_or(|alias| !conditions.resolved_alias(alias).addresses().is_empty());
        match (effective_state(topology, conditions, id), endpoint.force) {
            (ServingState::Disabled, _) => &mut self.disabled,
            (ServingState::Draining, _) => &mut self.drained,
            (_, Some(HealthOverride::Down)) => &mut self.forced_down,
            _ if !is_up => &mut self.down,
            _ if !is_resolved => &mut self.unresolved,
            _ => &mut self.usable,
        }
    }
}

/// The endpoints that a chart answers in one family, in any area.
pub fn answered_endpoints(chart: &Chart, family: Family) -> BTreeSet<EndpointId> {
    answered_endpoints_in(chart, family, 0..chart.family(family).areas.len() as u32)
}

/// The endpoints that a chart answers in one family, by positions of area answers
/// ([`crate::steer::UnusableArea::answer_index`]).
pub fn answered_endpoints_in(
    chart: &Chart,
    family: Family,
    answer_indices: impl Iterator<Item = u32>,
) -> BTreeSet<EndpointId> {
    fn visit(choice: &WheelChoice, found: &mut BTreeSet<EndpointId>) {
        match choice {
            WheelChoice::Answer(answer) if answer.rdata.is_empty() => {}
            WheelChoice::Answer(answer) => _ = found.insert(answer.endpoint),
            WheelChoice::Wheel(wheel) => {
                let choices = wheel.choices.iter().zip(wheel.used_choices());
                choices
                    .filter(|(_, is_used)| *is_used)
                    .for_each(|(choice, _)| visit(choice, found));
            }
        }
    }
    let areas = &chart.family(family).areas;
    let indices: BTreeSet<u32> = answer_indices.collect();
    let mut found = BTreeSet::new();
    let choices = indices.iter().filter_map(|index| areas.get(*index as usize)?.choice.as_ref());
    choices.for_each(|choice| visit(choice, &mut found));
    found
}
