//! Services whose CNAMEs lead back to themselves, by other services and by static CNAMEs of the
//! zones served here.
//!
//! A circle through static records alone is found with the zones (`zones::integrity`).

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

/// How many names are followed: resolvers give up earlier.
const MAX_CHAIN_LENGTH: usize = 32;

/// What a circle goes through.
struct CnameGraph<'c> {
    zones: &'c CompiledZones,
    served: &'c ServiceNames,
    pools: PoolGraph<'c>,
    /// Services that may answer a CNAME.
    services: HashMap<&'c Name, &'c Service>,
}

/// Whether a service may answer a CNAME. `reach` is that of each pool.
pub(super) fn may_answer_cname(service: &Service, reach: &[PoolSubtree]) -> bool {
    let has =
        |pool: PoolId| reach.get(pool.index()).is_some_and(|reach| reach.first_cname.is_some());
    has(service.pool) || matches!(service.on_all_down, OnAllDown::Pool(other) if has(other))
}

/// Warns of each circle once, at the first of its services in order of name.
pub(super) fn warn(
    zones: &CompiledZones,
    served: &ServiceNames,
    pools: PoolGraph<'_>,
    services: &[Service],
    problems: &mut Problems,
) {
    let of_interest: Vec<&Service> =
        services.iter().filter(|service| may_answer_cname(service, pools.subtrees)).collect();
    let by_name = of_interest.iter().map(|service| (&service.name, *service)).collect();
    let names = CnameGraph { zones, served, pools, services: by_name };
    for service in of_interest {
        for (target, place) in names.cnames(service) {
            let mut path = vec![service.name.clone()];
            if names.leads_back(&target, &mut path, &mut HashSet::new()) {
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
                    .help("name a host outside of the circle, or write `addresses` in place of `cname`");
                break;
            }
        }
    }
}

impl CnameGraph<'_> {
    /// The CNAMEs that a service may answer, and where they are written.
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

    /// Whether a name leads to the first one of the path, which then holds the whole circle. A
    /// circle that holds a service with a lesser name is reported there.
    fn leads_back(&self, name: &Name, path: &mut Vec<Name>, seen: &mut HashSet<Name>) -> bool {
        let Some(source) = self.zones.answering_owner(self.served, name) else {
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
                .cname_of(self.served, name)
                .is_some_and(|(_, target)| self.leads_back(&target, path, seen)),
        };
        if !leads_back {
            path.pop();
        }
        leads_back
    }

    /// The same of a name below a DNAME.
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
