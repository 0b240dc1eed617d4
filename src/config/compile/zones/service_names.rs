//! The names that services add to the zones.

use hashbrown::HashSet;

use crate::{
    dns::Name,
    steer::{RecordKind, Service},
};

/// What services add to the names of the zones.
pub(in crate::config::compile) struct ServiceNames {
    /// Services that answer addresses.
    pub(super) with_addresses: HashSet<Name>,
    /// Those of them that may answer a CNAME instead.
    pub(super) with_cname: HashSet<Name>,
    /// The names of all services, and those above them: they exist.
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
pub(super) fn with_ancestors(wanted: &[&Name]) -> HashSet<Name> {
    let mut names = HashSet::with_capacity(wanted.len());
    for &name in wanted {
        let mut at = Some(name.clone());
        while let Some(name) = at {
            at = name.parent();
            if !names.insert(name) {
                break;
            }
        }
    }
    names
}
