//! Checks hosts and CNAMEs of endpoints that are in zones served here: that they exist and have an
//! address.

use super::zones::{CompiledZones, ServiceNames};
use crate::{
    config::{
        problems::Problems,
        spec::{MemberTarget, PoolSpec},
    },
    steer::EndpointTarget,
};

/// Warns of each endpoint whose target is probably a mistake.
pub(super) fn warn(
    pools: &[&PoolSpec],
    zones: &CompiledZones,
    service_names: &ServiceNames,
    problems: &mut Problems,
) {
    for member in pools.iter().flat_map(|pool| pool.all_members()) {
        let MemberTarget::Endpoint(endpoint) = &member.target else { continue };
        let (name, key) = match &endpoint.target {
            EndpointTarget::Host(host) => (&host.name, "target"),
            EndpointTarget::Cname(name) => (name, "cname"),
            EndpointTarget::Addresses(_) | EndpointTarget::Alias(_) => continue,
        };
        if let Some(written_once) = zones.name_written_once(service_names, name) {
            problems
                .warning(
                    endpoint.target_place,
                    format!("the {key} {name} ends in the zone's name twice"),
                )
                .help(format!("names in *.toml files are absolute: write \"{written_once}\""));
        } else if let (EndpointTarget::Host(_), Some((message, help))) =
            (&endpoint.target, zones.host_fault(service_names, name))
        {
            problems.warning(endpoint.target_place, message).help(help);
        }
    }
}
