//! The names of services, as the checks of zones need them.

use hashbrown::HashSet;

use crate::{
    dns::Name,
    steer::{RecordKind, Service},
};

/// The names of services.
pub(in crate::config::compile) struct ServiceNames {
    /// Services that answer with addresses.
    pub(super) with_addresses: HashSet<Name>,
    /// Services that may answer with a CNAME instead.
    pub(super) with_cname: HashSet<Name>,
    /// The names of all services and the names above them: all of these exist.
    pub(super) existing: HashSet<Name>,
}

impl ServiceNames {
    pub(in crate::config::compile) fn new(
        services: &[Service],
        may_answer_cname: impl Fn(&&Service) -> bool,
    ) -> Self {
        let answers = |service: &&Service| !matches!(service.kind, RecordKind::Srv);
        let names: Vec<&Name> = services.iter().map(|service| &service.name).collect();
        Self {
            with_cname: services
                .iter()
                .filter(may_answer_cname)
                .map(|service| service.name.clone())
                .collect(),
            with_addresses: services
                .iter()
                .filter(answers)
                .map(|service| service.name.clone())
                .collect(),
            existing: with_ancestors(&names),
        }
    }
}

/// The names and all names above them.
pub(super) fn with_ancestors(names: &[&Name]) -> HashSet<Name> {
    let mut all = HashSet::with_capacity(names.len());
    for &name in names {
        let mut next = Some(name.clone());
        while let Some(name) = next {
            next = name.parent();
            if !all.insert(name) {
                break;
            }
        }
    }
    all
}
