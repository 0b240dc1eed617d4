//! The verification of all requirements of a configuration.

use super::{
    clients::{self, ClientDivision},
    expect,
    model::{Assertion, ClientSet, Expectation, RequirementId, Requirements},
    plans::PlanSet,
    prove::Proof,
    requirement_context::RequirementContext,
    violation::{RequirementFault, Violation},
};
use crate::{
    geo::{Coverage, Databases},
    steer::{
        compile::{Surveys, WheelCache, named_prefixes},
        model::{EndpointId, ServiceId, Topology},
    },
};

/// Verifies all requirements, with every target up and the states of datacenters as they are at
/// `now`, in seconds since 1970. Returns those that do not hold: expectations first, each kind in
/// its order.
pub fn verify(
    topology: &Topology,
    databases: &Databases,
    requirements: &Requirements,
    now: i64,
) -> Vec<Violation> {
    if requirements.is_empty() {
        return Vec::new();
    }
    let Requirements { expectations, assertions } = requirements;
    let sets: Vec<&ClientSet> = expectations
        .iter()
        .map(|expectation| &expectation.clients)
        .chain(assertions.iter().map(|assertion| &assertion.clients))
        .collect();
    let mut surveys = Surveys::default();
    let mut named = named_prefixes(topology);
    named.extend(clients::named_prefixes(sets.iter().copied()));
    surveys.prepare(named, databases);
    let Some(grid) = surveys.grid().cloned() else { return Vec::new() };
    let mut clients = ClientDivision::new(&grid, &sets);
    let plans = PlanSet::new(topology, databases, &mut surveys, services(requirements));
    let context = RequirementContext { topology, databases, now, plans: &plans };
    let coverage = databases.coverage();
    let mut violations = Vec::new();
    let mut wheels = WheelCache::default();
    for (position, expectation) in expectations.iter().enumerate() {
        let fault = client_fault(&coverage, &clients, &expectation.clients).or_else(|| {
            expect::check(&context, &mut clients, (expectation, position), &mut wheels)
        });
        let requirement = RequirementId::Expectation(position);
        violations.extend(fault.map(|fault| Violation { requirement, fault }));
    }
    violations.extend(assertion_violations(&context, &mut clients, requirements, &coverage));
    violations
}

/// The services that requirements are about.
fn services(requirements: &Requirements) -> impl Iterator<Item = ServiceId> {
    let Requirements { expectations, assertions } = requirements;
    let of_assertions = assertions.iter().flat_map(|assertion| assertion.services.iter().copied());
    expectations.iter().map(|expectation: &Expectation| expectation.service).chain(of_assertions)
}

/// The assertions that do not hold, in their order.
fn assertion_violations(
    context: &RequirementContext<'_>,
    clients: &mut ClientDivision,
    requirements: &Requirements,
    coverage: &Coverage,
) -> Vec<Violation> {
    let first_set = requirements.expectations.len();
    let mut faults: Vec<Option<RequirementFault>> = requirements
        .assertions
        .iter()
        .map(|assertion| {
            client_fault(coverage, clients, &assertion.clients)
                .or_else(|| never_answered(context.topology, assertion))
        })
        .collect();
    let provable: Vec<usize> =
        (0..faults.len()).filter(|&position| faults[position].is_none()).collect();
    let goals: Vec<(&Assertion, usize)> = provable
        .iter()
        .map(|&position| (&requirements.assertions[position], first_set + position))
        .collect();
    let found = Proof::new(context, clients, &goals).run();
    for (position, counterexample) in provable.into_iter().zip(found) {
        faults[position] =
            counterexample.map(|found| RequirementFault::Counterexample(Box::new(found)));
    }
    let violation = |(position, fault): (usize, Option<RequirementFault>)| {
        Some(Violation { requirement: RequirementId::Assertion(position), fault: fault? })
    };
    faults.into_iter().enumerate().filter_map(violation).collect()
}

/// Why the clients of a requirement are not known, or do not exist.
fn client_fault(
    coverage: &Coverage,
    clients: &ClientDivision,
    set: &ClientSet,
) -> Option<RequirementFault> {
    let ClientSet::Matching(rule) = set else { return None };
    let missing = [
        (!rule.countries.is_empty() && !coverage.has_countries, "countries"),
        (!rule.continents.is_empty() && !coverage.has_continents, "continents"),
        (!rule.subdivisions.is_empty() && !coverage.has_subdivisions, "subdivisions"),
        (!rule.asns.is_empty() && !coverage.has_asns, "autonomous systems"),
    ];
    if let Some((_, facts)) = missing.into_iter().find(|(is_missing, _)| *is_missing) {
        let has_databases = coverage.databases > 0;
        return Some(RequirementFault::MissingGeography { facts, has_databases });
    }
    let unmatched = clients.unmatched_keys(rule);
    (!unmatched.is_empty()).then_some(RequirementFault::NoClients(unmatched))
}

/// The fault of an assertion that no service can meet by answering a record.
fn never_answered(topology: &Topology, assertion: &Assertion) -> Option<RequirementFault> {
    let roots = assertion.services.iter().flat_map(|id| topology.services[id.index()].roots());
    let is_allowed = |id: &EndpointId| {
        let datacenters = topology.endpoints[id.index()].datacenters.iter();
        datacenters.clone().next().is_some()
            && datacenters.clone().all(|id| assertion.only.binary_search(id).is_ok())
    };
    let is_possible = topology.endpoints_below(roots).iter().any(is_allowed);
    (!is_possible).then_some(RequirementFault::NeverAnswered)
}
