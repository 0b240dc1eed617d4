//! Checks aliases: names that other servers answer. For a name that is answered here, the server
//! would ask itself.

use super::zones::CompiledZones;
use crate::{
    config::{
        place::SourcePlace,
        problems::Problems,
        spec::{MemberTarget, PoolSpec},
    },
    dns::{Name, Rtype},
    steer::EndpointTarget,
};

/// The names of all aliases.
pub(super) fn names<'s>(pools: &[&'s PoolSpec]) -> Vec<&'s Name> {
    written(pools).map(|(name, _)| name).collect()
}

/// Reports aliases that are answered here. Names that a zone here delegates are answered by other
/// servers.
pub(super) fn check(pools: &[&PoolSpec], zones: &CompiledZones, problems: &mut Problems) {
    for (name, place) in written(pools) {
        let Some(zone) = zones.innermost(name) else { continue };
        let is_cut = |rtype| rtype == Rtype::NS;
        let is_delegated =
            zones.cut_above(zone, name).is_some_and(|(_, taken)| is_cut(taken.rtype))
                || !zones.is_apex(zone, name)
                    && zones.static_rrsets(zone, name).any(|taken| is_cut(taken.rtype));
        if is_delegated {
            continue;
        }
        let apex = &zones.list[zone.index()].apex;
        problems.error(place, format!("the alias {name} is in zone \"{apex}\", which is answered here")).help(
            "name the pool that the service of that name has, or write `addresses`: an alias is resolved elsewhere",
        );
    }
}

fn written<'s>(pools: &[&'s PoolSpec]) -> impl Iterator<Item = (&'s Name, SourcePlace)> {
    pools.iter().flat_map(|pool| pool.all_members()).filter_map(|member| match &member.target {
        MemberTarget::Endpoint(endpoint) => match &endpoint.target {
            EndpointTarget::Alias(name) => Some((name, endpoint.target_place)),
            EndpointTarget::Addresses(_) | EndpointTarget::Cname(_) | EndpointTarget::Host(_) => {
                None
            }
        },
        MemberTarget::Pool(_) => None,
    })
}
