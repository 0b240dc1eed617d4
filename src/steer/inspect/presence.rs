//! Presence: which datacenters the answers of a compiled service name, and why a drained one is
//! among them.
//!
//! A drain is effective once no answer in the snapshot names the datacenter. That is read from the
//! charts themselves, never from the state that was asked for: a drained datacenter answers on
//! while nothing else is left, and while its ramp is in progress. Pure; its cost is a walk over the
//! chart. Services that share a chart share the result.

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

/// One family of a chart whose answers name a datacenter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnsweredDatacenter {
    /// The datacenter named.
    pub datacenter: DatacenterId,
    /// The family of the addresses.
    pub family: Family,
    /// It is the service's HTTPS or SVCB record, in which the addresses are hints, or the CNAME in
    /// its place.
    pub is_binding: bool,
    /// An endpoint of the datacenter that is answered.
    pub endpoint: EndpointId,
    /// Why that endpoint is answered.
    pub cause: AnswerCause,
    /// Groups of clients that get equal answers, of which this many are answered with the
    /// datacenter.
    pub areas_with_datacenter: u32,
    /// All groups of clients of this family.
    pub area_count: u32,
}

impl AnsweredDatacenter {
    /// The type of the record that names the datacenter, of a service of this kind.
    pub fn record_type(&self, kind: &RecordKind) -> &'static str {
        match kind.word() {
            Some(word) if self.is_binding => word,
            _ => kind.record_type(self.family),
        }
    }
}

/// Why an endpoint is answered, in order of how much it says about a drain.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum AnswerCause {
    /// Its state lets it be answered.
    InService,
    /// It is drained, and no other member is left to answer with.
    OnlyDrainedLeft,
    /// It is disabled, and not even a drained member is left to answer with.
    OnlyDisabledLeft,
    /// A drain takes its clients away over a time, or is held: it still receives this share of
    /// them, from 0 to 1.
    Ramp(f64),
}

/// Finds datacenters in the answers of charts that were compiled from one topology under one set of
/// conditions.
#[derive(Debug)]
pub struct PresenceFinder<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    /// By datacenter: whether it is looked for.
    is_watched: Vec<bool>,
}

impl<'a> PresenceFinder<'a> {
    /// Looks for the datacenters that `is_watched` names.
    pub fn new(
        topology: &'a Topology,
        conditions: &'a Conditions,
        is_watched: impl Fn(DatacenterId) -> bool,
    ) -> Self {
        let is_watched =
            (0..topology.datacenters.len() as u32).map(|at| is_watched(DatacenterId(at))).collect();
        Self { topology, conditions, is_watched }
    }

    /// The watched datacenters that a chart's answers name: each once per record type, A before
    /// AAAA before HTTPS or SVCB.
    pub fn answered_datacenters(&self, chart: &Chart) -> Vec<AnsweredDatacenter> {
        let mut found = Vec::new();
        for family in [Family::V4, Family::V6] {
            let areas = &chart.family(family).areas;
            let from = found.len();
            for choice in areas.iter().filter_map(|reach| reach.choice.as_ref()) {
                let mut here = Vec::new();
                self.visit(choice, &mut here);
                here.iter().for_each(|endpoint| self.record(&mut found, from, family, *endpoint));
                found[from..]
                    .iter_mut()
                    .filter(|one| here.iter().any(|at| at.datacenter == one.datacenter))
                    .for_each(|one| one.areas_with_datacenter += 1);
            }
            found[from..].iter_mut().for_each(|one| one.area_count = areas.len() as u32);
        }
        if let RecordKind::Binding(binding) = chart.kind()
            && (binding.has_hints || chart.may_answer_cname())
        {
            let mut bound: Vec<AnsweredDatacenter> = Vec::new();
            for sighting in &found {
                let sighting = AnsweredDatacenter { is_binding: true, ..*sighting };
                match bound.iter_mut().find(|one| one.datacenter == sighting.datacenter) {
                    Some(known) if known.cause < sighting.cause => *known = sighting,
                    Some(_) => {}
                    None => bound.push(sighting),
                }
            }
            found.append(&mut bound);
        }
        found
    }

    /// Keeps the cause that says most about a drain where a datacenter is answered for several.
    fn record(
        &self,
        found: &mut Vec<AnsweredDatacenter>,
        from: usize,
        family: Family,
        seen: AnsweredEndpoint,
    ) {
        let AnsweredEndpoint { datacenter, endpoint } = seen;
        let cause = self.cause(endpoint);
        match found[from..].iter_mut().find(|one| one.datacenter == datacenter) {
            Some(known) if known.cause < cause => (known.endpoint, known.cause) = (endpoint, cause),
            Some(_) => {}
            None => {
                let is_binding = false;
                found.push(AnsweredDatacenter {
                    datacenter,
                    family,
                    is_binding,
                    endpoint,
                    cause,
                    areas_with_datacenter: 0,
                    area_count: 0,
                });
            }
        }
    }

    fn visit(&self, choice: &WheelChoice, found: &mut Vec<AnsweredEndpoint>) {
        match choice {
            WheelChoice::Answer(answer) => found.extend(self.seen(answer)),
            WheelChoice::Wheel(wheel) => self.visit_wheel(wheel, found),
        }
    }

    /// A choice that no slot names is never answered. The slots are read only where a choice
    /// matters.
    fn visit_wheel(&self, wheel: &Wheel, found: &mut Vec<AnsweredEndpoint>) {
        let mut named = None;
        for (at, choice) in wheel.choices.iter().enumerate() {
            let from = found.len();
            self.visit(choice, found);
            if found.len() > from && !named.get_or_insert_with(|| wheel.used_choices())[at] {
                found.truncate(from);
            }
        }
    }

    fn seen(&self, answer: &EndpointAnswer) -> Option<AnsweredEndpoint> {
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
            ServingState::Draining => match ramp_fraction(self.topology, self.conditions, endpoint)
            {
                part if part.is_zero() => AnswerCause::OnlyDrainedLeft,
                part => AnswerCause::Ramp(part.share()),
            },
        }
    }
}

/// An endpoint that a slot names.
#[derive(Debug, Clone, Copy)]
struct AnsweredEndpoint {
    datacenter: DatacenterId,
    endpoint: EndpointId,
}

/// The members of a service that are not in a datacenter and have addresses of a family, by why
/// they are not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlternativeCounts {
    /// Their probes fail.
    pub down: usize,
    /// The operator forced them down.
    pub forced_down: usize,
    /// They or their datacenters are draining.
    pub drained: usize,
    /// They or their datacenters are disabled.
    pub disabled: usize,
    /// Aliases that were never resolved.
    pub unresolved: usize,
    /// They are usable, and a rule, the order of a `failover`, `min-up` or the other family keeps
    /// them from being answered here.
    pub usable: usize,
}

/// Counts the members that a service could answer with instead of a datacenter's. For reports: it
/// walks the service's pools.
pub fn count_alternatives(
    topology: &Topology,
    conditions: &Conditions,
    service: ServiceId,
    sighting: &AnsweredDatacenter,
) -> AlternativeCounts {
    let roots = ChartKey::new(&topology.services[service.index()]).roots();
    let mut others = AlternativeCounts::default();
    for id in topology.endpoints_below(roots) {
        let endpoint = &topology.endpoints[id.index()];
        let is_elsewhere = effective_datacenter(topology, conditions, id)
            .is_none_or(|(place, _)| place != sighting.datacenter);
        let has_family = match &endpoint.target {
            EndpointTarget::Addresses(addresses) => {
                addresses.iter().any(|&address| sighting.family.contains(address))
            }
            EndpointTarget::Alias(_) => topology.endpoint_alias[id.index()]
                .is_some_and(|alias| !conditions.resolved_alias(alias).lacks(sighting.family)),
            EndpointTarget::Cname(_) | EndpointTarget::Host(_) => true,
        };
        if is_elsewhere && has_family {
            *others.count_of(topology, conditions, id, sighting.family) += 1;
        }
    }
    others
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
        let is_usable = |probe: &Option<ProbeId>| conditions.standing(*probe).verdict.is_usable();
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
            .is_none_or(|at| !conditions.resolved_alias(at).addresses().is_empty());
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

/// The endpoints that a chart answers in one family, in the areas at these positions
/// ([`crate::steer::UnusableArea::answer_index`]).
pub fn answered_endpoints_in(
    chart: &Chart,
    family: Family,
    reaches: impl Iterator<Item = u32>,
) -> BTreeSet<EndpointId> {
    fn visit(choice: &WheelChoice, found: &mut BTreeSet<EndpointId>) {
        match choice {
            WheelChoice::Answer(answer) if answer.rdata.is_empty() => {}
            WheelChoice::Answer(answer) => _ = found.insert(answer.endpoint),
            WheelChoice::Wheel(wheel) => {
                let named = wheel
                    .choices
                    .iter()
                    .zip(wheel.used_choices())
                    .filter(|(_, is_named)| *is_named);
                named.for_each(|(choice, _)| visit(choice, found));
            }
        }
    }
    let areas = &chart.family(family).areas;
    let reaches: BTreeSet<u32> = reaches.collect();
    let mut found = BTreeSet::new();
    let choices = reaches.iter().filter_map(|at| areas.get(*at as usize)?.choice.as_ref());
    choices.for_each(|choice| visit(choice, &mut found));
    found
}
