//! Finds services whose CNAMEs lead back to themselves, through other services and static CNAMEs of
//! the zones served here.
//!
//! A loop of static records alone is found with the zones (`zones::redirects`).

use hashbrown::{HashMap, HashSet};

use super::{
    pool_graph::{PoolGraph, PoolSubtree},
    zones::{CompiledZones, ServiceNames},
};
use crate::{
    config::{place::SourcePlace, problems::Problems, spec::MemberTarget},
    dns::Name,
    steer::{EndpointTarget, MemberKind, OnAllDown, PoolId, Service},
};

/// The maximum number of names that are followed; resolvers give up earlier.
const MAX_CHAIN_LENGTH: usize = 32;

/// The names and records through which a loop may lead.
struct CnameGraph<'c> {
    zones: &'c CompiledZones,
    service_names: &'c ServiceNames,
    pools: PoolGraph<'c>,
    /// The services that may answer with a CNAME.
    services: HashMap<&'c Name, &'c Service>,
}

/// Whether a service may answer with a CNAME.
pub(super) fn may_answer_cname(service: &Service, subtrees: &[PoolSubtree]) -> bool {
    let has = |pool: PoolId| {
        subtrees.get(pool.index()).is_some_and(|subtree| subtree.first_cname.is_some())
    };
    has(service.pool) || matches!(service.on_all_down, OnAllDown::Pool(other) if has(other))
}

/// Warns of each loop once, at the first of its services in order of name.
pub(super) fn warn(
    zones: &CompiledZones,
    service_names: &ServiceNames,
    pools: PoolGraph<'_>,
    services: &[Service],
    problems: &mut Problems,
) {
    let with_cname: Vec<&Service> =
        services.iter().filter(|service| may_answer_cname(service, pools.subtrees)).collect();
    let by_name = with_cname.iter().map(|service| (&service.name, *service)).collect();
    let graph = CnameGraph { zones, service_names, pools, services: by_name };
    for service in with_cname {
        for (target, place) in graph.cnames(service) {
            let mut path = vec![service.name.clone()];
            if graph.leads_back(&target, &mut path, &mut HashSet::new()) {
                let shown: Vec<String> = path.iter().map(ToString::to_string).collect();
                problems
                    .warning(
                        place,
                        format!(
                            "service \"{}\" answers a CNAME that leads back to it: {}; clients get no address",
                            service.name,
                            shown.join(" -> ")
                        ),
                    )
                    .help("name a host outside of the loop, or write `addresses` in place of `cname`");
                break;
            }
        }
    }
}

impl CnameGraph<'_> {
    /// The CNAMEs with which a service may answer, and their places.
    fn cnames(&self, service: &Service) -> Vec<(Name, SourcePlace)> {
        let mut found = Vec::new();
        let mut open = vec![service.pool];
        if let OnAllDown::Pool(other) = service.on_all_down {
            open.push(other);
        }
        let mut seen = HashSet::new();
        while let Some(pool) = open.pop() {
            if !seen.insert(pool) {
                continue;
            }
            for member in self.pools.specs[pool.index()].all_members() {
                if let MemberTarget::Endpoint(endpoint) = &member.target
                    && let EndpointTarget::Cname(name) = &endpoint.target
                {
                    found.push((name.clone(), endpoint.target_place));
                }
            }
            let inner =
                self.pools.compiled.pools[pool.index()].members.iter().filter_map(|member| {
                    match member.kind {
                        MemberKind::Pool(inner) => Some(inner),
                        MemberKind::Endpoint(_) => None,
                    }
                });
            open.extend(inner);
        }
        found
    }

    /// Whether a name leads back to the first name of the path, which then holds the whole loop. A
    /// loop that contains a service with a lesser name is reported at that service.
    fn leads_back(&self, name: &Name, path: &mut Vec<Name>, seen: &mut HashSet<Name>) -> bool {
        let Some(source) = self.zones.answering_owner(self.service_names, name) else {
            return self.is_redirected_back(name, path, seen);
        };
        let is_closed = source == path[0];
        if !is_closed && (path.len() > MAX_CHAIN_LENGTH || !seen.insert(source.clone())) {
            return false;
        }
        path.push(source.clone());
        if is_closed {
            return true;
        }
        let leads_back = match self.services.get(&source) {
            Some(service) if source > path[0] => {
                self.cnames(service).iter().any(|(target, _)| self.leads_back(target, path, seen))
            }
            Some(_) => false,
            None => self
                .zones
                .cname_of(self.service_names, name)
                .is_some_and(|(_, target)| self.leads_back(&target, path, seen)),
        };
        if !leads_back {
            path.pop();
        }
        leads_back
    }

    /// Whether the DNAME above `name`, if there is one, leads back to the start of `path`.
    fn is_redirected_back(
        &self,
        name: &Name,
        path: &mut Vec<Name>,
        seen: &mut HashSet<Name>,
    ) -> bool {
        let Some((_, next)) = self.zones.redirect_of(name) else { return false };
        if path.len() > MAX_CHAIN_LENGTH || !seen.insert(name.clone()) {
            return false;
        }
        path.push(name.clone());
        let leads_back = self.leads_back(&next, path, seen);
        if !leads_back {
            path.pop();
        }
        leads_back
    }
}
