//! Resolves the names in requirements: services, datacenters and regions. Members and addresses are
//! resolved when a requirement is verified, since other tables may change them by an amendment.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use hashbrown::HashMap;

use super::datacenters::DatacenterNames;
use crate::{
    config::{
        a_labels,
        definition::Definition,
        definition_origin::DefinitionOrigin,
        diagnostic::NameFault,
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        requirements::{RequirementSource, WrittenRequirements},
        sources::Sources,
        spec::{AssertionSpec, ExpectationSpec, Specs, WrittenRule},
    },
    dns::{Name, Rtype},
    steer::{
        AnswerItem, AnswerRule, Assertion, AssumedStates, DatacenterId, Expectation, ExpectedShare,
        RecordKind, Requirements, Service, ServiceId,
    },
};

/// What names in requirements are resolved against.
struct RequirementScope<'a, 's> {
    services: &'a [Service],
    by_name: HashMap<&'a Name, ServiceId>,
    /// Names of services whose tables have errors, which were reported.
    with_errors: BTreeSet<String>,
    datacenters: &'a mut DatacenterNames<'s>,
}

/// Resolves all requirements; those with errors are left out.
pub(super) fn compile(
    sources: &Sources,
    specs: &Specs,
    services: &[Service],
    datacenters: &mut DatacenterNames<'_>,
    problems: &mut Problems,
) -> WrittenRequirements {
    let are_enforced = specs.safety.as_ref().is_some_and(|safety| safety.enforce_asserts);
    if specs.expectations.is_empty() && specs.assertions.is_empty() {
        return WrittenRequirements { are_enforced, ..WrittenRequirements::default() };
    }
    let unreadable = specs.unreadable.iter().filter(|(kind, _)| *kind == "service");
    let written = specs.services.iter().map(|spec| spec.name.value.to_string());
    let mut scope = RequirementScope {
        services,
        by_name: services.iter().map(|service| &service.name).zip((0..).map(ServiceId)).collect(),
        with_errors: unreadable.map(|(_, name)| canonical(name)).chain(written).collect(),
        datacenters,
    };
    let source = |name: &Placed<Box<str>>| RequirementSource {
        name: name.value.clone(),
        place: name.place,
        origin: DefinitionOrigin::new(sources, name.place),
    };
    let mut list = Requirements::default();
    let mut found = WrittenRequirements { are_enforced, ..WrittenRequirements::default() };
    for spec in &specs.expectations {
        if let Some(expectation) = scope.expectation(spec, problems) {
            list.expectations.push(expectation);
            found.expectations.push(source(&spec.name));
        }
    }
    for spec in &specs.assertions {
        if let Some(assertion) = scope.assertion(spec, problems) {
            list.assertions.push(assertion);
            found.assertions.push(source(&spec.name));
        }
    }
    WrittenRequirements { list: Arc::new(list), ..found }
}

/// A name in the form in which names of services are compared.
fn canonical(name: &str) -> String {
    Definition::new("service", name).name.into()
}

impl RequirementScope<'_, '_> {
    fn expectation(
        &mut self,
        spec: &ExpectationSpec,
        problems: &mut Problems,
    ) -> Option<Expectation> {
        let mut datacenters = |names: &[Placed<Box<str>>]| {
            sorted(names.iter().flat_map(|name| self.datacenters.find(name, problems)).collect())
        };
        let (down, drained) = (datacenters(&spec.down), datacenters(&spec.drained));
        let service = self.service(&spec.service, problems);
        if let (Some(rtype), Some(service)) = (&spec.rtype, service) {
            self.check_type(rtype, service, spec, problems);
        }
        let items = |rule: &WrittenRule| rule.items.iter().map(|item| self.item(item)).collect();
        let answer = spec.answer.as_ref().map(|rule| match rule.is_excluding {
            true => AnswerRule::Not(items(rule)),
            false => AnswerRule::Only(items(rule)),
        });
        let shares = spec.shares.iter().map(|share| ExpectedShare {
            item: self.item(&share.item),
            share: share.share,
            tolerance: share.tolerance,
        });
        Some(Expectation {
            service: service?,
            rtype: spec.rtype.map(|rtype| rtype.value),
            clients: spec.clients.clone(),
            answer,
            shares: shares.collect(),
            when: AssumedStates { down, drained },
        })
    }

    /// Reports a type that the service never answers.
    fn check_type(
        &self,
        rtype: &Placed<Rtype>,
        service: ServiceId,
        spec: &ExpectationSpec,
        problems: &mut Problems,
    ) {
        let kind = &self.services[service.index()].kind;
        let answered: &[Rtype] = match kind {
            RecordKind::Addresses => &[Rtype::A, Rtype::AAAA],
            RecordKind::Srv => &[Rtype::SRV],
            RecordKind::Binding(binding) => &[Rtype::A, Rtype::AAAA, binding.rtype],
        };
        if answered.contains(&rtype.value) {
            return;
        }
        let message = format!(
            "expectation {} asks for {}, which {} does not answer",
            Quoted(&spec.name.value),
            rtype.value,
            Quoted(&spec.service.value)
        );
        let types: Vec<String> = answered.iter().map(ToString::to_string).collect();
        problems
            .error(rtype.place, message)
            .help(format!("the types of this service are {}", types.join(", ")));
    }

    fn assertion(&mut self, spec: &AssertionSpec, problems: &mut Problems) -> Option<Assertion> {
        let services: Vec<Option<Vec<ServiceId>>> =
            spec.services.iter().map(|name| self.services_of(name, problems)).collect();
        let only: Vec<Vec<DatacenterId>> =
            spec.only.iter().map(|name| self.datacenters.find(name, problems)).collect();
        let names: Vec<&str> = spec.only.iter().map(|name| &*name.value).collect();
        if only.iter().any(Vec::is_empty) {
            return None;
        }
        let services: Vec<Vec<ServiceId>> = services.into_iter().collect::<Option<_>>()?;
        Some(Assertion {
            services: sorted(services.concat()),
            clients: spec.clients.clone(),
            only: sorted(only.concat()),
            only_names: names.join(", ").into(),
            under: spec.under,
        })
    }

    /// The service with a name. An unknown name is an error with the nearest known one.
    fn service(&self, name: &Placed<Box<str>>, problems: &mut Problems) -> Option<ServiceId> {
        let parsed = a_labels::to_a_labels(&name.value).and_then(|text| text.parse::<Name>().ok());
        if let Some(id) = parsed.as_ref().and_then(|name| self.by_name.get(name)) {
            return Some(*id);
        }
        let is_known = self.with_errors.contains(&canonical(&name.value));
        if !is_known && !problems.has_unread_files() {
            let message = format!("there is no service {}", Quoted(&name.value));
            self.report_unknown(name, &message, problems);
        }
        None
    }

    /// The services that a name means: one, or with `*.` in front all below the rest of the name.
    fn services_of(
        &self,
        name: &Placed<Box<str>>,
        problems: &mut Problems,
    ) -> Option<Vec<ServiceId>> {
        let Some(above) = name.value.strip_prefix("*.").or((&*name.value == "*").then_some("."))
        else {
            return self.service(name, problems).map(|id| vec![id]);
        };
        let above = a_labels::to_a_labels(above).and_then(|text| text.parse::<Name>().ok());
        let is_meant = |service: &Name| {
            above.as_ref().is_some_and(|above| service.is_at_or_below(above) && service != above)
        };
        let services = self.services.iter().zip((0..).map(ServiceId));
        let found: Vec<ServiceId> =
            services.filter(|(service, _)| is_meant(&service.name)).map(|(_, id)| id).collect();
        if found.is_empty() {
            let is_written = |text: &String| text.parse().is_ok_and(|name: Name| is_meant(&name));
            if !self.with_errors.iter().any(is_written) && !problems.has_unread_files() {
                let message = format!("no service matches {}", Quoted(&name.value));
                self.report_unknown(name, &message, problems);
            }
            return None;
        }
        Some(found)
    }

    fn report_unknown(&self, name: &Placed<Box<str>>, message: &str, problems: &mut Problems) {
        let known: Vec<String> =
            self.services.iter().map(|service| service.name.to_string()).collect();
        let help = "name a service of the files, or write \"*.NAME\" for all services below a name";
        let missing = NameFault::Missing(Definition::new("service", &name.value));
        problems
            .unknown_name(name.place, message, &name.value, known.iter().map(|name| &**name), help)
            .about(missing);
    }

    /// What a name in an answer means: a datacenter or region, an address, or else a member.
    fn item(&self, name: &Placed<Box<str>>) -> AnswerItem {
        if let Some(ids) = self.datacenters.lookup(&name.value) {
            return AnswerItem::Datacenters { name: name.value.clone(), ids };
        }
        match name.value.parse::<IpAddr>() {
            Ok(address) => AnswerItem::Address(address),
            Err(_) => AnswerItem::Member(name.value.clone()),
        }
    }
}

/// The values in ascending order, each once.
fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}
